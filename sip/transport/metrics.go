package transport

import "sync/atomic"

// counters are the running numbers of the sockets.
type counters struct {
	received, sent, bytesIn, bytesOut         atomic.Uint64
	unknownSource, unparsed, repaired         atomic.Uint64
	overRate                                  atomic.Uint64
	rejected, oversize, slow, keepalives      atomic.Uint64
	accepted, refusedConns, handshakeFailures atomic.Uint64
	dialled, dialFailures, sendFailures       atomic.Uint64
	certReloads, certErrors, panics           atomic.Uint64
}

// Metrics is a reading of the counters.
type Metrics struct {
	Received, Sent    uint64 // messages
	BytesIn, BytesOut uint64
	UnknownSource     uint64 // datagrams and connections dropped unread: no trunk's network
	OverRate          uint64 // datagrams dropped and stream reads delayed: their source sends more than it may
	Unparsed          uint64 // messages dropped without an answer
	Rejected          uint64 // messages answered 400, 413 or 505 without a transaction
	Repaired          uint64 // messages taken after unreadable header lines were dropped
	Oversize          uint64 // messages over the limit
	Slow              uint64 // connections closed because a message took too long to arrive
	Keepalives        uint64 // CRLF pings
	Accepted          uint64 // connections
	RefusedConns      uint64 // over a cap
	HandshakeFailures uint64 // TLS on the accept side
	Dialled           uint64
	DialFailures      uint64
	SendFailures      uint64
	CertReloads       uint64
	CertErrors        uint64 // changed files that could not be used
	Panics            uint64 // in the handling of one message
	Conns             int    // open now, both sides
}

// Metrics reads the counters.
func (t *Transport) Metrics() Metrics {
	c := &t.count
	return Metrics{
		Received: c.received.Load(), Sent: c.sent.Load(), BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		UnknownSource: c.unknownSource.Load(), OverRate: c.overRate.Load(), Unparsed: c.unparsed.Load(), Rejected: c.rejected.Load(), Repaired: c.repaired.Load(),
		Oversize: c.oversize.Load(), Slow: c.slow.Load(), Keepalives: c.keepalives.Load(),
		Accepted: c.accepted.Load(), RefusedConns: c.refusedConns.Load(), HandshakeFailures: c.handshakeFailures.Load(),
		Dialled: c.dialled.Load(), DialFailures: c.dialFailures.Load(), SendFailures: c.sendFailures.Load(),
		CertReloads: c.certReloads.Load(), CertErrors: c.certErrors.Load(), Panics: c.panics.Load(),
		Conns: t.conns.len(),
	}
}
