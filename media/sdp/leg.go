package sdp

import (
	"net/netip"

	"tandem"
	"tandem/media/srtp"
)

// Party is one side as we speak to it.
type Party struct {
	Profile tandem.MediaProfile
	// Address and Port are what we write into c= and m=; RTCP is on the next port.
	Address netip.Addr
	Port    uint16
}

// Leg is what was negotiated with a side: the orders for the relay.
type Leg struct {
	Agreed bool // false: nothing is known of the side yet
	// RTP and RTCP are where the side receives; invalid while it holds by address.
	RTP, RTCP netip.AddrPort
	Mux       bool // RTCP goes to the RTP address and port (RFC 5761)
	Secure    bool
	Receive   srtp.Crypto // the side's key, when Secure
	Send      srtp.Key    // ours towards it, when Secure
	// Flowing tells that the side should be sending all the time: neither side is on hold.
	Flowing bool
	Codec   string  // encoding name of the first speech format agreed
	Clocks  *Clocks // of what the side sends; nil unless agreed. Not to be changed: sides share it
}

// Clocks are RTP clock rates in Hz by payload type; 0 = not for measuring (events).
type Clocks [128]uint32

// fixedClocks are those of the payload types that need no rtpmap. Nearly every call
// has no others, so that one table serves all.
var fixedClocks = func() (c Clocks) {
	for pt := range c {
		_, c[pt] = static(uint8(pt))
	}
	return c
}()

// slot is an m= line of the session with a side; their number never shrinks (RFC 3264 8).
type slot struct{ kind, proto, format string }

// terms are what a refused offer must give back: the negotiated state of a side.
type terms struct {
	agreed  bool
	remote  *Media // its description in force, once agreed; never changed
	crypto  secured
	key     srtp.Key // ours
	tag     int      // of the crypto attribute in use
	mux     bool
	wish    Direction // what the side itself last asked for
	said    Direction // the direction that we are bound to
	spoken  speech    // what we last described to it
	slots   []slot
	current int // index of the audio line in slots
}

// side is one side of an Exchange. Origin and version outlive a rollback: a version is never used twice.
type side struct {
	Party
	terms
	session uint64
	version uint64
	last    string // our last description without its o= line
}

// leg draws up the orders for the relay.
func (s *side) leg(other *side) Leg {
	if !s.agreed {
		return Leg{}
	}
	l := Leg{Agreed: true, Clocks: &fixedClocks, Mux: s.mux, Secure: s.crypto.on, Receive: s.crypto.crypto, Send: s.key}
	m := s.remote
	if m.Addr.IsValid() && !m.Hold {
		l.RTP = netip.AddrPortFrom(m.Addr, m.Port)
		switch {
		case s.mux:
			l.RTCP = l.RTP
		case m.RTCP.Port() != 0 && m.RTCP.Addr().IsValid() && m.RTCP.Addr().Is4() == m.Addr.Is4():
			l.RTCP = m.RTCP
		case m.RTCP.Port() != 0:
			l.RTCP = netip.AddrPortFrom(m.Addr, m.RTCP.Port())
		case m.Port < 65535:
			l.RTCP = netip.AddrPortFrom(m.Addr, m.Port+1)
		}
	}
	l.Flowing = other.agreed && s.said == SendRecv && other.said == SendRecv && m.Direction == SendRecv && other.remote.Direction == SendRecv
	for _, f := range s.spoken.Formats {
		pt, ok := payloadType(f)
		if !ok {
			continue
		}
		name, clock := mapping(m.Attributes, f)
		if name == "" {
			name, clock = mapping(s.spoken.Attributes, f)
		}
		if l.Codec == "" && audible(name) {
			l.Codec = name
		}
		if !audible(name) && name != "CN" {
			clock = 0
		}
		if l.Clocks[pt] != clock {
			if l.Clocks == &fixedClocks {
				l.Clocks = new(fixedClocks)
			}
			l.Clocks[pt] = clock
		}
	}
	return l
}
