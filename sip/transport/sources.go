package transport

import (
	"crypto/x509"
	"net/netip"

	"tandem"
)

// Trunk is a trunk as the transport needs it.
type Trunk struct {
	tandem.Trunk
	// Local is the listening socket that serves this trunk; zero = see Transport.LocalFor.
	Local netip.AddrPort
}

// sources tells which trunk a peer belongs to. It is immutable; SetTrunks makes a new one.
type sources struct {
	trunks []Trunk
	byID   map[tandem.TrunkID]*Trunk
	nets   []sourceNet
}

type sourceNet struct {
	net   netip.Prefix
	trunk int // index
}

func newSources(trunks []Trunk) *sources {
	s := &sources{trunks: trunks, byID: make(map[tandem.TrunkID]*Trunk, len(trunks))}
	for i := range trunks {
		t := &trunks[i]
		if t.Disabled {
			continue
		}
		s.byID[t.ID] = t
		for _, p := range t.Sources {
			s.nets = append(s.nets, sourceNet{netip.PrefixFrom(p.Addr().Unmap(), p.Bits()), i})
		}
		for _, e := range t.Endpoints { // whom we call may answer
			if e.Address.IsValid() {
				a := e.Address.Unmap()
				s.nets = append(s.nets, sourceNet{netip.PrefixFrom(a, a.BitLen()), i})
			}
		}
	}
	return s
}

// known reports whether any trunk's networks contain the address.
func (s *sources) known(a netip.Addr) bool {
	for i := range s.nets {
		if s.nets[i].net.Contains(a) {
			return true
		}
	}
	return false
}

// find picks the trunk of a message or connection from its source. Where
// several share it, the better one by this order is taken: its certificate name
// matches (TLS; a trunk whose names don't match is out), the source is exactly
// one of its endpoints (UDP), its network is the smaller one, it uses this
// transport, it is served by this socket; else the first.
func (s *sources) find(transport tandem.Transport, source, local netip.AddrPort, cert *x509.Certificate) *Trunk {
	var best *Trunk
	bestScore := -1
	for i := range s.nets {
		n := &s.nets[i]
		if !n.net.Contains(source.Addr()) {
			continue
		}
		t := &s.trunks[n.trunk]
		if transport == tandem.TLS && !nameAccepted(t, cert) {
			continue
		}
		score := n.net.Bits() << 2
		if t.Transport == transport {
			score += 2
		}
		if t.Local == local {
			score++
		}
		if transport == tandem.TLS && len(t.TLSNames) > 0 {
			score += 1 << 12
		}
		if transport == tandem.UDP && isEndpoint(t, source) {
			score += 1 << 11
		}
		if score > bestScore {
			best, bestScore = t, score
		}
	}
	return best
}

func isEndpoint(t *Trunk, source netip.AddrPort) bool {
	for _, e := range t.Endpoints {
		if e.Port == source.Port() && e.Address.IsValid() && e.Address.Unmap() == source.Addr() {
			return true
		}
	}
	return false
}

// nameAccepted checks the name on a certificate whose chain was verified. A
// trunk without names takes any.
func nameAccepted(t *Trunk, cert *x509.Certificate) bool {
	if len(t.TLSNames) == 0 {
		return true
	}
	if cert == nil {
		return false
	}
	for _, name := range t.TLSNames {
		if cert.VerifyHostname(name) == nil {
			return true
		}
	}
	return false
}

// sourceCache remembers the last decisions of one UDP reader. It belongs to one goroutine.
type sourceCache struct {
	table   *sources
	entries [64]struct {
		source netip.AddrPort
		trunk  *Trunk
	}
}

func (c *sourceCache) find(t *Transport, source, local netip.AddrPort) *Trunk {
	table := t.sources.Load()
	if c.table != table {
		*c = sourceCache{table: table}
	}
	e := &c.entries[(uint(source.Port())^uint(source.Addr().As16()[15]))%uint(len(c.entries))]
	if e.source == source && e.trunk != nil {
		return e.trunk
	}
	trunk := table.find(tandem.UDP, source, local, nil)
	if trunk == nil {
		if id, ok := t.resolver.owner(source.Addr()); ok {
			trunk = table.byID[id]
		}
	}
	if trunk != nil {
		e.source, e.trunk = source, trunk
	}
	return trunk
}
