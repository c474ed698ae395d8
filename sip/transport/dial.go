package transport

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"time"

	"tandem"
)

// dial opens a connection: the addresses of the name in order, each with a
// share of the time that is left, connect and TLS handshake included.
func (t *Transport) dial(key poolKey, trunk *Trunk) (*conn, error) {
	select {
	case <-t.served:
	case <-t.ctx.Done():
		return nil, errClosed
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.cfg.DialTimeout)
	defer cancel()
	what := describe(key.transport, key.host, key.port)
	addrs, err := t.addresses(ctx, key, trunk)
	if err != nil {
		t.count.dialFailures.Add(1)
		return nil, explain(what, err)
	}
	for i, a := range addrs {
		share := t.cfg.DialTimeout
		if deadline, ok := ctx.Deadline(); ok {
			share = time.Until(deadline) / time.Duration(len(addrs)-i)
		}
		var nc net.Conn
		if nc, err = t.dialOne(ctx, share, key, trunk, a); err == nil {
			t.count.dialled.Add(1)
			return t.newConn(nc, key.transport, key.trunk, &key), nil
		}
	}
	t.count.dialFailures.Add(1)
	if t.ctx.Err() != nil {
		return nil, errClosed
	}
	return nil, explain(what, err)
}

// addresses finds where to dial.
func (t *Transport) addresses(ctx context.Context, key poolKey, trunk *Trunk) ([]netip.Addr, error) {
	if key.addr.IsValid() {
		return []netip.Addr{key.addr}, nil
	}
	type answer struct {
		addrs []netip.Addr
		err   error
	}
	got := make(chan answer, 1)
	t.resolver.resolve(key.host, t.ownHost(trunk, key.host), func(a []netip.Addr, err error) { got <- answer{a, err} })
	select {
	case a := <-got:
		return a.addrs, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (t *Transport) dialOne(ctx context.Context, share time.Duration, key poolKey, trunk *Trunk, a netip.Addr) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, share)
	defer cancel()
	d := net.Dialer{KeepAlive: -1} // tune sets it
	// Peers know us by the address of the trunk's socket.
	if local := trunk.Local.Addr(); local.IsValid() && local.Is4() == a.Is4() && local.IsLoopback() == a.IsLoopback() && !local.IsUnspecified() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	nc, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(a, key.port).String())
	if err != nil {
		return nil, err
	}
	tune(nc)
	nc = direct(nc)
	if key.transport != tandem.TLS {
		return nc, nil
	}
	secured := tls.Client(nc, t.clientTLS(trunk, key.host))
	if err := secured.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return secured, nil
}
