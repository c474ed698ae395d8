package srtp

import "encoding/binary"

// Receiver opens the packets of one direction with the peer's master key.
//
// A peer that declared a master key identifier should put it into every packet;
// some declare it and leave it out. Both are read: what worked last is tried first.
type Receiver struct {
	mki     uint8 // length as declared
	expect  uint8 // of the last good packet
	rtp     transform
	sources sources
	rtcp    *transform
}

// NewReceiver makes the receiver of a key whose author sends MKIs of mki octets, 255 at most.
func NewReceiver(k Key, mki int) *Receiver {
	rtcp := newTransform(&k, labelRTCP, rtcpTag)
	return &Receiver{rtp: newTransform(&k, labelRTP, k.Suite.tag()), rtcp: &rtcp, mki: uint8(mki), expect: uint8(mki)}
}

// RTP authenticates and decrypts p in place and returns the length of the RTP
// packet. After an error p is unchanged and the state as before.
func (r *Receiver) RTP(w *Scratch, p []byte) (int, error) {
	if len(p) > MaxPacket {
		return 0, ErrLong
	}
	n, err := r.openRTP(w, p, r.expect)
	if err == ErrTag && r.mki != 0 {
		other := r.mki - r.expect
		if n, err = r.openRTP(w, p, other); err == nil {
			r.expect = other
		}
	}
	return n, err
}

func (r *Receiver) openRTP(w *Scratch, p []byte, mki uint8) (int, error) {
	end := len(p) - int(r.rtp.tagLen)
	n := end - int(mki)
	if n < 12 {
		return 0, ErrShort
	}
	h := headerLen(p[:n])
	if h == 0 {
		return 0, ErrShort
	}
	ssrc, seq := binary.BigEndian.Uint32(p[8:]), binary.BigEndian.Uint16(p[2:])
	src := r.sources.find(ssrc)
	known := src != nil
	if !known {
		src = &source{ssrc: ssrc}
	}
	roc := src.guess(seq)
	index := uint64(roc)<<16 | uint64(seq)
	if !src.window.fresh(index) {
		return 0, ErrReplay
	}
	if !valid(r.rtp.tag(w, p[:n], roc, true), p[end:]) {
		return 0, ErrTag
	}
	if !known { // only an authentic packet makes state
		if src = r.sources.add(*src); src == nil {
			return 0, ErrSources
		}
	}
	r.rtp.crypt(w, p[h:n], ssrc, index)
	src.window.take(index)
	src.advance(seq, roc)
	return n, nil
}

// Warm fetches the memory that RTP needs. Unlike the other methods it may be
// called beside them.
func (r *Receiver) Warm(w *Scratch) { r.rtp.warm(w) }

// RTCP authenticates and decrypts p in place and returns the length of the RTCP
// packet (RFC 3711 3.4).
func (r *Receiver) RTCP(w *Scratch, p []byte) (int, error) {
	if len(p) > MaxPacket {
		return 0, ErrLong
	}
	n, err := r.openRTCP(w, p, r.expect)
	if err == ErrTag && r.mki != 0 {
		n, err = r.openRTCP(w, p, r.mki-r.expect)
	}
	return n, err
}

func (r *Receiver) openRTCP(w *Scratch, p []byte, mki uint8) (int, error) {
	end := len(p) - rtcpTag
	at := end - int(mki) - 4 // of E flag and index
	if at < 8 || p[0]>>6 != 2 {
		return 0, ErrShort
	}
	ssrc, word := binary.BigEndian.Uint32(p[4:]), binary.BigEndian.Uint32(p[at:])
	index := uint64(word &^ (1 << 31))
	src := r.sources.find(ssrc)
	known := src != nil
	if !known {
		src = &source{ssrc: ssrc}
	}
	if !src.control.fresh(index) {
		return 0, ErrReplay
	}
	// The tag covers header, payload and the E || index word, not the MKI.
	if !valid(r.rtcp.tag(w, p[:at+4], 0, false), p[end:]) {
		return 0, ErrTag
	}
	if !known {
		if src = r.sources.add(*src); src == nil {
			return 0, ErrSources
		}
	}
	if word>>31 == 1 {
		r.rtcp.crypt(w, p[8:at], ssrc, index)
	}
	src.control.take(index)
	return at, nil
}
