package relay

import (
	"net/netip"
	"sync/atomic"
	"time"

	"tandem"
	"tandem/media/srtp"
)

// port is one bound UDP socket. Its methods never block. connect restricts it to
// one peer where the system can take that back again; send ignores to then.
type port interface {
	send(p []byte, to netip.AddrPort) bool
	connect(to netip.AddrPort)
	disconnect()
	close()
}

// pair is an RTP port and the RTCP port above it. It stays bound from call to
// call; while nobody owns it, what arrives is thrown away.
type pair struct {
	bank      *bank
	index     int // in the bank
	rtp, rtcp port
	owner     atomic.Pointer[owner]
	until     time.Duration // rests till then
}

// owner says whose packets arrive at a pair. The pointers are what such a packet
// goes through, for thread.warm, which holds no lock.
type owner struct {
	session *session
	side    tandem.Side
	rx      atomic.Pointer[srtp.Receiver]
	tx      atomic.Pointer[srtp.Sender] // of the other side
	out     atomic.Pointer[pair]        // of the other side
}

// onward is a packet that was taken and is to be sent to a side of a call.
type onward struct {
	session *session // nil: there is nothing to send
	side    tandem.Side
	rtcp    bool
	n       int
	tx      *srtp.Sender // that protected it, nil: none
}

// take hands a packet to the owner of the pair. It is called by the thread or
// goroutine that received it, with its scratch; what buf holds then is to be shipped.
func (p *pair) take(w *srtp.Scratch, buf []byte, n int, onRTCP bool, from netip.AddrPort, now time.Duration) (out onward) {
	o := p.owner.Load()
	if o == nil {
		return out
	}
	s := o.session
	s.mu.Lock()
	if e := &s.ends[o.side]; e.pair == p && !s.closed {
		out = e.receive(w, buf, n, onRTCP, from, now)
	}
	s.mu.Unlock()
	return out
}

// ship sends a taken packet, unless the side has changed meanwhile: what was not
// protected, or for another peer, must not leave.
func (o *onward) ship(buf []byte, now time.Duration) {
	s := o.session
	if s == nil {
		return
	}
	s.mu.Lock()
	switch e := &s.ends[o.side]; {
	case s.closed:
	case e.agreed && e.sender() == o.tx:
		e.send(buf[:o.n], o.rtcp, now)
	default:
		e.out.dropped++
	}
	s.mu.Unlock()
}

// deliver takes and ships a packet.
func (p *pair) deliver(w *srtp.Scratch, buf []byte, n int, onRTCP bool, from netip.AddrPort, now time.Duration) {
	out := p.take(w, buf, n, onRTCP, from, now)
	out.ship(buf, now)
}

// number is the RTP port.
func (p *pair) number() uint16 { return p.bank.number(p.index) }
