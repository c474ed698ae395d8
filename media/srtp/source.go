package srtp

import (
	"encoding/binary"
	"errors"
)

// Errors of the packet methods; the packet is to be dropped and counted.
var (
	ErrShort   = errors.New("packet is too short or malformed")             // RFC 3550 5.1, RFC 3711 3.1
	ErrLong    = errors.New("packet is too long")                           // over MaxPacket
	ErrTag     = errors.New("authentication tag does not match")            // RFC 3711 3.3 step 5
	ErrReplay  = errors.New("packet was seen before or is too old")         // RFC 3711 3.3.2
	ErrSources = errors.New("too many synchronisation sources for one key") // see maxSources
)

// maxSources bounds the state that a peer can make us keep for one key. A call
// has one source per direction and a few more after forks and transfers.
const maxSources = 64

// source is the state of one synchronisation source under one key.
type source struct {
	ssrc    uint32
	roc     uint32
	seq     uint16 // s_l of RFC 3711 3.3.1: highest sequence number
	started bool   // by an RTP packet
	live    bool   // not so: the zero value, which stands for no source
	rtcp    uint32 // the sender's last SRTCP index
	window  window
	control window // of SRTCP
}

// guess estimates the 48-bit index of a packet by its sequence number (RFC 3711
// 3.3.1 and appendix A). Below index 0 there is nothing, so a packet from before
// the first one counts in rollover 0.
func (s *source) guess(seq uint16) (roc uint32) {
	if !s.started {
		return s.roc
	}
	if s.seq < 1<<15 {
		if int(seq)-int(s.seq) > 1<<15 && s.roc > 0 {
			return s.roc - 1
		}
		return s.roc
	}
	if int(s.seq)-1<<15 > int(seq) {
		return s.roc + 1
	}
	return s.roc
}

// advance takes a packet into the highest index.
func (s *source) advance(seq uint16, roc uint32) {
	if !s.started || roc > s.roc || roc == s.roc && seq > s.seq {
		s.started, s.seq, s.roc = true, seq, roc
	}
}

// window is a replay window of 128 packets (RFC 3711 3.3.2): bit n of the pair
// (low, high) stands for index top-n. A window that has taken something has its bit 0 set.
type window struct {
	top       uint64
	low, high uint64
}

const windowSize = 128

// fresh reports whether index may be accepted.
func (w *window) fresh(index uint64) bool {
	if w.low == 0 || index > w.top {
		return true
	}
	d := w.top - index
	switch {
	case d >= windowSize:
		return false
	case d >= 64:
		return w.high>>(d-64)&1 == 0
	}
	return w.low>>d&1 == 0
}

// take marks index as seen.
func (w *window) take(index uint64) {
	if w.low == 0 {
		*w = window{top: index, low: 1}
		return
	}
	if index <= w.top {
		d := w.top - index
		switch {
		case d < 64:
			w.low |= 1 << d
		case d < windowSize:
			w.high |= 1 << (d - 64)
		}
		return
	}
	d := index - w.top
	w.top = index
	switch {
	case d >= windowSize:
		w.low, w.high = 0, 0
	case d >= 64:
		w.high, w.low = w.low<<(d-64), 0
	default:
		w.high = w.high<<d | w.low>>(64-d)
		w.low <<= d
	}
	w.low |= 1
}

// sources holds the state of sources. The one used last lies in the struct, the
// others are behind it: packets come in runs of one source.
type sources struct {
	last   source
	others []source
}

// find makes a source the last one and returns it, nil when it is not known. The
// result is good until the next call.
func (l *sources) find(ssrc uint32) *source {
	if l.last.ssrc == ssrc && l.last.live {
		return &l.last
	}
	for i := range l.others {
		if o := &l.others[i]; o.ssrc == ssrc {
			l.last, *o = *o, l.last
			return &l.last
		}
	}
	return nil
}

// add makes a new source the last one; nil when there are too many.
func (l *sources) add(s source) *source {
	if l.last.live {
		if len(l.others) >= maxSources-1 {
			return nil
		}
		l.others = append(l.others, l.last)
	}
	s.live = true
	l.last = s
	return &l.last
}

// headerLen is the length of an RTP header with CSRCs and extension (RFC 3550
// 5.1, 5.3.1), 0 for what is no RTP packet.
func headerLen(p []byte) int {
	if len(p) < 12 || p[0]>>6 != 2 {
		return 0
	}
	n := 12 + 4*int(p[0]&15)
	if p[0]&0x10 != 0 {
		if len(p) < n+4 {
			return 0
		}
		n += 4 + 4*int(binary.BigEndian.Uint16(p[n+2:]))
	}
	if n > len(p) {
		return 0
	}
	return n
}
