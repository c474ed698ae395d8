package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"sync"
	"time"

	"tandem"
)

// listener is one TCP or TLS listening socket.
type listener struct {
	t     *Transport
	cfg   Listen
	l     net.Listener
	local netip.AddrPort

	mu        sync.Mutex
	perSource map[netip.Addr]int
	total     int
}

func (l *listener) accept() {
	t := l.t
	defer t.wg.Done()
	for {
		nc, err := l.l.Accept()
		if err != nil {
			if t.ctx.Err() != nil {
				return
			}
			// Out of file descriptors, or a peer that left early: go on, slowly.
			select {
			case <-t.ctx.Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		source := addrPortOf(nc.RemoteAddr())
		if !t.sources.Load().known(source.Addr()) {
			if _, ok := t.resolver.owner(source.Addr()); !ok {
				t.count.unknownSource.Add(1)
				reset(nc)
				continue
			}
		}
		if !l.enter(source.Addr()) {
			t.count.refusedConns.Add(1)
			reset(nc)
			continue
		}
		if !t.spawn(func() { l.welcome(nc, source) }) {
			nc.Close()
			l.leave(source.Addr())
		}
	}
}

// reset closes a connection without leaving state behind in the kernel.
func reset(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	nc.Close()
}

// welcome makes the TLS handshake, finds the trunk and starts the connection.
func (l *listener) welcome(nc net.Conn, source netip.AddrPort) {
	t := l.t
	tune(nc)
	var cert *x509.Certificate
	if l.cfg.Transport == tandem.TLS {
		secured := tls.Server(nc, t.serverTLS(l.cfg.Certificate, source, l.local))
		ctx, cancel := context.WithTimeout(t.ctx, t.cfg.HandshakeTimeout)
		err := secured.HandshakeContext(ctx)
		cancel()
		if err != nil {
			t.count.handshakeFailures.Add(1)
			t.log.Warn("tls connection refused", "peer", source, "err", explain("tls from "+source.String(), err))
			nc.Close()
			l.leave(source.Addr())
			return
		}
		cert = secured.ConnectionState().PeerCertificates[0]
		nc = secured
	}
	trunk := t.sources.Load().find(l.cfg.Transport, source, l.local, cert)
	if trunk == nil {
		if id, ok := t.resolver.owner(source.Addr()); ok {
			if own := t.sources.Load().byID[id]; own != nil && (l.cfg.Transport != tandem.TLS || nameAccepted(own, cert)) {
				trunk = own
			}
		}
	}
	if trunk == nil {
		t.count.unknownSource.Add(1)
		nc.Close()
		l.leave(source.Addr())
		return
	}
	t.count.accepted.Add(1)
	c := t.newConn(nc, l.cfg.Transport, trunk.ID, nil)
	c.run(func() { l.leave(source.Addr()) })
}

// enter counts a connection in, unless a cap is reached.
func (l *listener) enter(a netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.perSource == nil {
		l.perSource = map[netip.Addr]int{}
	}
	if l.total >= l.t.cfg.MaxConns || l.perSource[a] >= l.t.cfg.MaxConnsPerSource {
		return false
	}
	l.total++
	l.perSource[a]++
	return true
}

func (l *listener) leave(a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.perSource[a]--; l.perSource[a] <= 0 {
		delete(l.perSource, a)
	}
}
