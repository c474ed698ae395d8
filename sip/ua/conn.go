package ua

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
)

// writeTimeout bounds one write on a stream: a peer that stops reading must not hold a script.
const writeTimeout = 5 * time.Second

// Conn is a way to a peer: one stream connection, or a UDP socket together with
// a peer's address.
type Conn struct {
	Transport tandem.Transport
	Local     netip.AddrPort
	Remote    netip.AddrPort
	// Listener is the one that accepted the connection or owns the UDP socket; nil when we dialled.
	Listener *Listener
	// Dialled is true for a stream connection that we opened: the peer's
	// requests do not belong on it where connection aliasing is not agreed (RFC 5923).
	Dialled bool

	e      *Endpoint
	stream net.Conn
	packet net.PacketConn
	poolBy string

	writing sync.Mutex
	closed  atomic.Bool
	used    atomic.Int64 // Unix nanoseconds of the last message
	done    chan struct{}
}

// TLS is the handshake's result; ok is false on connections without TLS.
func (c *Conn) TLS() (state tls.ConnectionState, ok bool) {
	if t, is := c.stream.(*tls.Conn); is {
		return t.ConnectionState(), true
	}
	return tls.ConnectionState{}, false
}

// Reset drops a stream connection with a TCP RST, as a crashing peer does.
func (c *Conn) Reset() {
	if c.stream == nil {
		return
	}
	raw := c.stream
	if t, ok := raw.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.closed.Store(true)
	raw.Close()
}

// Close ends a stream connection in order (close_notify, FIN).
func (c *Conn) Close() {
	if c.stream != nil {
		c.closed.Store(true)
		c.stream.SetWriteDeadline(time.Now().Add(writeTimeout)) // close_notify must not block for ever
		c.stream.Close()
	}
}

// Closed reports whether a stream connection has ended.
func (c *Conn) Closed() bool { return c.closed.Load() }

func (c *Conn) reliable() bool { return c.stream != nil }

// Write sends raw bytes: a prepared message, or garbage for tests of the peer's parser.
func (c *Conn) Write(b []byte) error {
	if c.packet != nil {
		_, err := c.packet.WriteTo(b, net.UDPAddrFromAddrPort(c.Remote))
		return err
	}
	if c.closed.Load() {
		return net.ErrClosed
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.stream.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := c.stream.Write(b)
	if err != nil { // nobody may use it again; serve sees the end and tidies up
		c.closed.Store(true)
		c.stream.Close()
	}
	return err
}

// serve reads a stream connection until it ends.
func (c *Conn) serve() {
	defer c.e.connGone(c)
	err := readStream(c.stream, func(m *Message) {
		c.used.Store(time.Now().UnixNano())
		m.Conn, m.Source, m.At = c, c.Remote, time.Now()
		c.e.receive(m)
	}, func() {
		c.Write([]byte("\r\n"))
	})
	if !errors.Is(err, net.ErrClosed) {
		c.e.log.Debug("connection ended", "peer", c.Remote.String(), "err", err)
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		return unmap(a.AddrPort())
	case *net.UDPAddr:
		return unmap(a.AddrPort())
	}
	return netip.AddrPort{}
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
