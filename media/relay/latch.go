package relay

import "net/netip"

// provisional is how many packets from an unexpected port make it final: half a
// second of voice, in which the port that SDP gave could still speak up.
const provisional = 25

// latch decides whose packets a port takes and where it sends. SDP gives the
// address; the port may differ where the peer stands behind a NAT (symmetric RTP,
// RFC 4961), the address only within the trunk's media networks.
type latch struct {
	expect netip.AddrPort // from SDP; kept while the side holds by address
	remote netip.AddrPort // where we send: expect until another is latched
	count  int            // packets from a provisional remote
	found  bool           // a packet has come, remote is its source
	fixed  bool           // no other source any more
	muted  bool           // the side receives nothing (c=0.0.0.0)
}

// point takes the address of a new description. The same one changes nothing, so
// that a session refresh never unlatches; reset tells that the socket must be
// disconnected.
func (l *latch) point(to netip.AddrPort) (reset bool) {
	if !to.IsValid() {
		l.muted = true
		return false
	}
	l.muted = false
	if to == l.expect {
		return false
	}
	reset = l.fixed
	*l = latch{expect: to, remote: to}
	return reset
}

// knows reports that a packet comes from where the last one came from.
func (l *latch) knows(from netip.AddrPort) bool { return l.found && from == l.remote }

// admits reports whether a packet's source may speak.
func (l *latch) admits(from netip.AddrPort, sources []netip.Prefix) bool {
	switch {
	case l.knows(from):
		return true
	case l.fixed:
		return false
	case from == l.expect:
		return true
	case l.found: // one provisional source at a time
		return false
	}
	if from.Addr() == l.expect.Addr() {
		return true
	}
	for _, p := range sources {
		if p.Contains(from.Addr()) {
			return true
		}
	}
	return false
}

// settle takes the source of an admitted packet; fix tells that the socket can
// be connected to it now.
func (l *latch) settle(from netip.AddrPort) (fix bool) {
	if l.fixed {
		return false
	}
	if from == l.expect {
		l.remote, l.found, l.fixed = from, true, true
		return true
	}
	l.remote, l.found = from, true
	l.count++
	l.fixed = l.count >= provisional
	return l.fixed
}

// target is where to send; invalid when nowhere.
func (l *latch) target() netip.AddrPort {
	if l.muted {
		return netip.AddrPort{}
	}
	return l.remote
}
