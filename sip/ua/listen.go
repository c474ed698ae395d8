package ua

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"tandem"
)

// ListenConfig says where and how to accept.
type ListenConfig struct {
	Name      string
	Transport tandem.Transport
	Address   netip.AddrPort // port 0: any free one
	TLS       *tls.Config    // for TLS
	// Gate, when not nil, sees every accepted stream connection before its
	// handshake. It returns the connection to use, or nil when it has dealt with
	// it (closed it, reset it, or keeps it and answers nothing).
	Gate func(net.Conn) net.Conn
	// Idle closes accepted connections without messages for so long; 0 = never.
	Idle time.Duration
}

// Listener is one listening socket. It can be shut and opened again on the same
// address, as a proxy that crashes and comes back.
type Listener struct {
	Config ListenConfig

	e    *Endpoint
	mu   sync.Mutex
	addr netip.AddrPort
	tcp  net.Listener
	udp  net.PacketConn
	open bool
	wg   sync.WaitGroup
}

// Listen opens a listening socket.
func (e *Endpoint) Listen(cfg ListenConfig) (*Listener, error) {
	l := &Listener{Config: cfg, e: e, addr: cfg.Address}
	if err := l.Open(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	e.listeners = append(e.listeners, l)
	e.mu.Unlock()
	return l, nil
}

// Addr is where it listens, with the real port.
func (l *Listener) Addr() netip.AddrPort {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addr
}

// Open listens (again); nothing happens when it does already.
func (l *Listener) Open() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open {
		return nil
	}
	var lc net.ListenConfig
	if l.Config.Transport == tandem.UDP {
		pc, err := lc.ListenPacket(context.Background(), "udp", l.addr.String())
		if err != nil {
			return fmt.Errorf("listen %s udp %s: %w", l.Config.Name, l.addr, err)
		}
		if u, ok := pc.(*net.UDPConn); ok {
			u.SetReadBuffer(4 << 20) // bursts of a load test wait here while a goroutine is scheduled
		}
		l.udp, l.addr = pc, addrPort(pc.LocalAddr())
		l.wg.Add(1)
		go l.readPackets(pc)
	} else {
		ln, err := lc.Listen(context.Background(), "tcp", l.addr.String())
		if err != nil {
			return fmt.Errorf("listen %s tcp %s: %w", l.Config.Name, l.addr, err)
		}
		l.tcp, l.addr = ln, addrPort(ln.Addr())
		l.wg.Add(1)
		go l.accept(ln)
	}
	l.open = true
	return nil
}

// Shut stops listening: new connections are refused by the system. With reset,
// the connections that it accepted are dropped too.
func (l *Listener) Shut(reset bool) {
	l.mu.Lock()
	l.open = false
	if l.tcp != nil {
		l.tcp.Close()
	}
	if l.udp != nil {
		l.udp.Close()
	}
	l.tcp, l.udp = nil, nil
	l.mu.Unlock()
	l.wg.Wait()
	if reset {
		for _, c := range l.Conns() {
			c.Reset()
		}
	}
}

// Conns lists the open connections that it accepted.
func (l *Listener) Conns() []*Conn {
	l.e.mu.Lock()
	defer l.e.mu.Unlock()
	var out []*Conn
	for c := range l.e.conns {
		if c.Listener == l {
			out = append(out, c)
		}
	}
	return out
}

func (l *Listener) accept(ln net.Listener) {
	defer l.wg.Done()
	for {
		raw, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			l.e.log.Warn("accept", "listener", l.Config.Name, "err", err)
			continue
		}
		l.e.wg.Add(1)
		go func() {
			defer l.e.wg.Done()
			l.admit(raw)
		}()
	}
}

// admit passes the gate, shakes hands and reads the connection to its end.
func (l *Listener) admit(raw net.Conn) {
	if !l.e.hold(raw) { // a half-open handshake must end with the endpoint
		raw.Close()
		return
	}
	defer l.e.release(raw)
	conn := raw
	if l.Config.Gate != nil {
		if conn = l.Config.Gate(raw); conn == nil {
			return
		}
	}
	if l.Config.Transport == tandem.TLS {
		t := tls.Server(conn, l.Config.TLS)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err := t.HandshakeContext(ctx)
		cancel()
		if err != nil {
			l.e.log.Debug("handshake refused", "listener", l.Config.Name, "peer", raw.RemoteAddr().String(), "err", err)
			if l.e.cfg.HandshakeFailed != nil {
				l.e.cfg.HandshakeFailed(l, addrPort(raw.RemoteAddr()), err)
			}
			raw.Close()
			return
		}
		conn = t
	}
	c := &Conn{Transport: l.Config.Transport, Listener: l, Local: addrPort(raw.LocalAddr()), Remote: addrPort(raw.RemoteAddr()),
		e: l.e, stream: conn, done: make(chan struct{})}
	c.used.Store(time.Now().UnixNano())
	if !l.e.addConn(c) {
		c.Close()
		return
	}
	if l.Config.Idle > 0 {
		defer l.closeIdle(c)()
	}
	c.serve()
}

// closeIdle ends a connection without messages for Config.Idle; it returns the stop function.
func (l *Listener) closeIdle(c *Conn) func() {
	var timer *time.Timer
	timer = time.AfterFunc(l.Config.Idle, func() {
		quiet := time.Since(time.Unix(0, c.used.Load()))
		if quiet >= l.Config.Idle {
			c.Close()
			return
		}
		timer.Reset(l.Config.Idle - quiet)
	})
	return func() { timer.Stop() }
}

func (l *Listener) readPackets(pc net.PacketConn) {
	defer l.wg.Done()
	local := addrPort(pc.LocalAddr())
	buf := make([]byte, 64<<10)
	for {
		n, from, err := pc.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n < 8 { // ICMP errors of earlier sends; keep-alives
			continue
		}
		m, err := Parse(buf[:n])
		if err != nil {
			l.e.log.Debug("datagram dropped", "listener", l.Config.Name, "err", err)
			continue
		}
		m.Conn = &Conn{Transport: tandem.UDP, Listener: l, Local: local, Remote: addrPort(from), e: l.e, packet: pc}
		m.Source, m.At = m.Conn.Remote, time.Now()
		l.e.receive(m)
	}
}
