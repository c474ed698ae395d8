// Package sip holds what the parts of the SIP side share: where messages come
// from and go to. Below it: transport (sockets, TLS), trunk (health), core
// (calls, without I/O), engine (shards that drive the core), header (parsers).
package sip

import (
	"net/netip"
	"time"

	"github.com/emiago/sipgo/sip"

	"tandem"
)

// ConnID names one stream connection for the life of the process; 0 = none (UDP).
type ConnID uint64

// Flow is where a message came from.
type Flow struct {
	Trunk     tandem.TrunkID // resolved from the source list or the TLS name, never empty: unknown sources are dropped before parsing
	Transport tandem.Transport
	Conn      ConnID
	Source    netip.AddrPort
	Local     netip.AddrPort
}

// Target is where a message goes.
type Target struct {
	Trunk     tandem.TrunkID // whose certificate, roots and names are used when dialling
	Transport tandem.Transport
	// Host and Port of the next hop; Host is a name or an address. For TLS it is also the server name.
	Host string
	Port uint16
	// Addr, when valid, is dialled instead of resolving Host.
	Addr netip.Addr
	// Conn, when not 0, is the connection to answer on (responses, RFC 3261
	// 18.2.2). If it is gone the transport dials Host:Port instead.
	Conn ConnID
}

// SendRef tells whom to inform about the fate of a sent message.
type SendRef struct {
	Shard uint16
	// Tx is the client transaction; 0 = nobody wants to know.
	Tx uint64
	// Watch asks for Handler.SentOn when the message went out on a stream
	// connection, so that the loss of that connection can be matched later.
	Watch bool
}

// Sender sends. It never blocks: dialling and queueing happen elsewhere and a
// failure comes back through Handler.SendFailed. The bytes belong to the sender
// after the call and are not changed.
type Sender interface {
	Send(to Target, ref SendRef, msg []byte)
}

// Lease is the memory of a received message: start line and headers, not the texts
// and the body, which may be kept. Who needs the message no longer may give it
// back, once, so that the next message finds memory that is still near.
type Lease interface{ Return() }

// Handler is what transports call, in wire order per socket or connection. It
// must not block. Messages are given away: the handler owns them. lease is nil
// when there is nothing to give back.
type Handler interface {
	Receive(flow Flow, msg sip.Message, lease Lease, at time.Time)
	SentOn(ref SendRef, conn ConnID, at time.Time)
	SendFailed(ref SendRef, err error, at time.Time)
	ConnClosed(conn ConnID, at time.Time)
}
