package transport

import (
	"errors"
	"net"
	"net/netip"
	"sync"

	"tandem"
	"tandem/sip"
)

// udpSocket is one UDP listening socket; its one reader keeps the wire order.
type udpSocket struct {
	t     *Transport
	pc    *net.UDPConn
	io    *packetConn
	local netip.AddrPort
}

func newUDPSocket(t *Transport, address netip.AddrPort) (*udpSocket, error) {
	network := "udp4"
	if address.Addr().Is6() {
		network = "udp6"
	}
	pc, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(address))
	if err != nil {
		return nil, err
	}
	// The kernel may grant less; a burst is then lost and sent again by its senders.
	_ = pc.SetReadBuffer(t.cfg.UDPBuffer)
	_ = pc.SetWriteBuffer(t.cfg.UDPBuffer)
	forceBuffer(pc, t.cfg.UDPBuffer)
	io, err := newPacketConn(pc)
	if err != nil {
		pc.Close()
		return nil, err
	}
	return &udpSocket{t: t, pc: pc, io: io, local: addrPortOf(pc.LocalAddr())}, nil
}

func (s *udpSocket) read() {
	t := s.t
	defer t.wg.Done()
	buf := make([]byte, 65536) // the largest datagram fits
	cache := &sourceCache{}
	flow := sip.Flow{Transport: tandem.UDP, Local: s.local}
	for {
		n, source, err := s.io.ReadFrom(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // an ICMP error of an earlier datagram: no fault of this socket
		}
		trunk := cache.find(t, source, s.local)
		if trunk == nil {
			t.count.unknownSource.Add(1)
			continue
		}
		if !t.rates.take(source.Addr(), buf[:n], n, t.clock()) {
			t.count.overRate.Add(1)
			continue
		}
		t.count.bytesIn.Add(uint64(n))
		if n <= 4 { // CRLF or CRLF CRLF keep-alive, or a lone NUL of old phones
			t.count.keepalives.Add(1)
			if n == 4 {
				_, _ = s.io.WriteTo(crlf, source)
			}
			continue
		}
		if len(t.udp) > 1 {
			t.peers.remember(source, s)
		}
		if n > t.cfg.MaxMessage {
			t.count.oversize.Add(1)
			continue
		}
		flow.Trunk, flow.Source = trunk.ID, source
		if answer, ok := t.receive(flow, buf[:n], nil, false); !ok && answer != nil {
			_, _ = s.io.WriteTo(answer, source)
		}
	}
}

// sendUDP writes a datagram of any size: the network fragments it (RFC 3261
// 18.1.1's 1,300-byte rule would fail calls to carriers that have UDP only).
func (t *Transport) sendUDP(o outgoing) {
	if o.to.Addr.IsValid() {
		t.writeUDP(o, o.to.Addr.Unmap())
		return
	}
	t.resolveUDP(o)
}

// resolveUDP is sendUDP to a name.
func (t *Transport) resolveUDP(o outgoing) {
	trunk := t.sources.Load().byID[o.to.Trunk]
	if trunk == nil {
		t.fail(o.ref, noTrunk(o.to.Trunk))
		return
	}
	t.resolver.resolve(o.to.Host, t.ownHost(trunk, o.to.Host), func(addrs []netip.Addr, err error) {
		if err != nil {
			t.fail(o.ref, explain(describe(tandem.UDP, o.to.Host, o.to.Port), err))
			return
		}
		for _, a := range addrs {
			if t.pickUDP(o.to.Trunk, netip.AddrPortFrom(a, o.to.Port)) != nil {
				t.writeUDP(o, a)
				return
			}
		}
		t.writeUDP(o, addrs[0])
	})
}

func (t *Transport) writeUDP(o outgoing, a netip.Addr) {
	to := netip.AddrPortFrom(a, o.to.Port)
	s := t.pickUDP(o.to.Trunk, to)
	if s == nil {
		t.fail(o.ref, unavailable(describe(tandem.UDP, to.Addr().String(), to.Port()), "no UDP socket of this address family is open", "add one under sip.listen", nil))
		return
	}
	n, err := s.io.WriteTo(o.msg, to)
	if err != nil {
		t.fail(o.ref, explain(describe(tandem.UDP, to.Addr().String(), to.Port()), err))
		return
	}
	t.count.sent.Add(1)
	t.count.bytesOut.Add(uint64(n))
}

// pickUDP chooses the socket to send from: the one that the peer last sent to,
// else the trunk's, else any of the address family.
func (t *Transport) pickUDP(id tandem.TrunkID, to netip.AddrPort) *udpSocket {
	if len(t.udp) == 1 {
		if s := t.udp[0]; s.local.Addr().Is4() == to.Addr().Is4() {
			return s
		}
		return nil
	}
	if s := t.peers.find(to); s != nil {
		return s
	}
	var any *udpSocket
	trunk := t.sources.Load().byID[id]
	for _, s := range t.udp {
		if s.local.Addr().Is4() != to.Addr().Is4() {
			continue
		}
		if trunk != nil && s.local == trunk.Local {
			return s
		}
		if any == nil || s.local.Addr().IsLoopback() == to.Addr().IsLoopback() && any.local.Addr().IsLoopback() != to.Addr().IsLoopback() {
			any = s
		}
	}
	return any
}

// peerMemory knows which of several sockets a peer last sent to, so that
// answers leave from the address that was asked (RFC 3581 4). Only peers of
// trunks get in; it begins anew when full.
type peerMemory struct {
	mu sync.RWMutex
	m  map[netip.AddrPort]*udpSocket
}

const maxPeers = 8192

func (p *peerMemory) remember(peer netip.AddrPort, s *udpSocket) {
	p.mu.RLock()
	same := p.m[peer] == s
	p.mu.RUnlock()
	if same {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.m == nil || len(p.m) >= maxPeers {
		p.m = make(map[netip.AddrPort]*udpSocket)
	}
	p.m[peer] = s
}

func (p *peerMemory) find(peer netip.AddrPort) *udpSocket {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.m[peer]
}

func noTrunk(id tandem.TrunkID) error {
	return &tandem.Error{Kind: tandem.KindUnavailable, Message: "trunk " + tandem.Clip(string(id), 40) + " does not exist or is disabled", Mend: "enable it, or correct the route"}
}
