package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"time"

	"tandem"
)

// listener is one TCP or TLS listening socket.
type listener struct {
	t     *Transport
	cfg   Listen
	l     net.Listener
	local netip.AddrPort
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
		if !t.places.enter(source.Addr(), &t.cfg) {
			t.count.refusedConns.Add(1)
			reset(nc)
			continue
		}
		if !t.spawn(func() { l.welcome(nc, source) }) {
			nc.Close()
			t.places.leave(source.Addr())
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
	nc = direct(nc)
	var cert *x509.Certificate
	if l.cfg.Transport == tandem.TLS {
		secured := tls.Server(nc, t.serverTLS(l.cfg.Certificate, source, l.local))
		ctx, cancel := context.WithTimeout(t.ctx, t.cfg.HandshakeTimeout)
		err := secured.HandshakeContext(ctx)
		cancel()
		if err != nil {
			t.count.handshakeFailures.Add(1)
			if held, ok := t.handshakes.ask(t.clock()); ok {
				t.log.Warn("tls connection refused", "peer", source, "err", explain("tls from "+source.String(), err), "more", held)
			}
			nc.Close()
			t.places.leave(source.Addr())
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
		t.places.leave(source.Addr())
		return
	}
	t.count.accepted.Add(1)
	c := t.newConn(nc, l.cfg.Transport, trunk.ID, nil)
	c.run(func() { t.places.leave(source.Addr()) })
}
