package srtp

import "encoding/binary"

// Receiver opens the packets of one direction with the peer's master key.
//
// A peer that declared a master key identifier should put it into every packet;
// some declare it and leave it out. Both are read: what worked last is tried first.
type Receiver struct {
	rtp, rtcp *transform
	sources   sources
	mki       int // as declared
	expect    int // MKI length of the last good packet
}

// NewReceiver makes the receiver of a key whose author sends MKIs of mki octets.
func NewReceiver(k Key, mki int) *Receiver {
	return &Receiver{rtp: newTransform(&k, labelRTP, k.Suite.tag()), rtcp: newTransform(&k, labelRTCP, rtcpTag), mki: mki, expect: mki}
}

// RTP authenticates and decrypts p in place and returns the length of the RTP
// packet. After an error p is unchanged and the state as before.
func (r *Receiver) RTP(p []byte) (int, error) {
	if len(p) > MaxPacket {
		return 0, ErrLong
	}
	n, err := r.openRTP(p, r.expect)
	if err == ErrTag && r.mki != 0 {
		other := r.mki - r.expect
		if n, err = r.openRTP(p, other); err == nil {
			r.expect = other
		}
	}
	return n, err
}

func (r *Receiver) openRTP(p []byte, mki int) (int, error) {
	end := len(p) - r.rtp.tagLen
	n := end - mki
	if n < 12 {
		return 0, ErrShort
	}
	h := headerLen(p[:n])
	if h == 0 {
		return 0, ErrShort
	}
	ssrc, seq := binary.BigEndian.Uint32(p[8:]), binary.BigEndian.Uint16(p[2:])
	fresh := source{ssrc: ssrc}
	src := r.sources.find(ssrc)
	known := src != nil
	if !known {
		src = &fresh
	}
	roc := src.guess(seq)
	index := uint64(roc)<<16 | uint64(seq)
	if !src.window.fresh(index) {
		return 0, ErrReplay
	}
	if !valid(r.rtp.tag(p[:n], roc, true), p[end:]) {
		return 0, ErrTag
	}
	if !known { // only an authentic packet makes state
		if src = r.sources.add(fresh); src == nil {
			return 0, ErrSources
		}
	}
	r.rtp.crypt(p[h:n], ssrc, index)
	src.window.take(index)
	src.advance(seq, roc)
	return n, nil
}

// RTCP authenticates and decrypts p in place and returns the length of the RTCP
// packet (RFC 3711 3.4).
func (r *Receiver) RTCP(p []byte) (int, error) {
	if len(p) > MaxPacket {
		return 0, ErrLong
	}
	n, err := r.openRTCP(p, r.expect)
	if err == ErrTag && r.mki != 0 {
		n, err = r.openRTCP(p, r.mki-r.expect)
	}
	return n, err
}

func (r *Receiver) openRTCP(p []byte, mki int) (int, error) {
	end := len(p) - rtcpTag
	at := end - mki - 4 // of E flag and index
	if at < 8 || p[0]>>6 != 2 {
		return 0, ErrShort
	}
	ssrc, word := binary.BigEndian.Uint32(p[4:]), binary.BigEndian.Uint32(p[at:])
	index := uint64(word &^ (1 << 31))
	fresh := source{ssrc: ssrc}
	src := r.sources.find(ssrc)
	known := src != nil
	if !known {
		src = &fresh
	}
	if !src.control.fresh(index) {
		return 0, ErrReplay
	}
	// The tag covers header, payload and the E || index word, not the MKI.
	if !valid(r.rtcp.tag(p[:at+4], 0, false), p[end:]) {
		return 0, ErrTag
	}
	if !known {
		if src = r.sources.add(fresh); src == nil {
			return 0, ErrSources
		}
	}
	if word>>31 == 1 {
		r.rtcp.crypt(p[8:at], ssrc, index)
	}
	src.control.take(index)
	return at, nil
}
