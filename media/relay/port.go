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

// deliver hands a packet to the owner of the pair. It is called by the thread
// or goroutine that received it, with its scratch.
func (p *pair) deliver(w *srtp.Scratch, buf []byte, n int, onRTCP bool, from netip.AddrPort, now time.Duration) {
	o := p.owner.Load()
	if o == nil {
		return
	}
	s := o.session
	s.mu.Lock()
	if e := &s.ends[o.side]; e.pair == p && !s.closed {
		e.receive(w, buf, n, onRTCP, from, now)
	}
	s.mu.Unlock()
}

// number is the RTP port.
func (p *pair) number() uint16 { return p.bank.number(p.index) }
