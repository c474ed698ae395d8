package srtp

import "encoding/binary"

// Sender protects the packets of one direction with one master key.
//
// In the order of its fields, what an RTP packet needs fills two cache lines;
// together with the cipher's key schedule, which the standard library keeps in an
// object of its own, five. A relay of many calls meets each packet with its call's
// memory cold, and every line is a wait. Receiver is laid out likewise.
type Sender struct {
	rtp     transform
	sources sources
	rtcp    *transform
	_       [16]byte // to 192, the next size that begins on a line
}

// NewSender makes the sender of a key; rollover counters begin at 0 (RFC 4568 6.4).
func NewSender(k Key) *Sender {
	rtcp := newTransform(&k, labelRTCP, rtcpTag)
	return &Sender{rtp: newTransform(&k, labelRTP, k.Suite.tag()), rtcp: &rtcp}
}

// RTP protects the packet buf[:n] in place and returns its new length; buf must
// have room for Overhead more.
func (s *Sender) RTP(w *Scratch, buf []byte, n int) (int, error) {
	h := headerLen(buf[:n])
	if h == 0 {
		return 0, ErrShort
	}
	if n+Overhead > len(buf) || n > MaxPacket {
		return 0, ErrLong
	}
	src := s.source(binary.BigEndian.Uint32(buf[8:]))
	if src == nil {
		return 0, ErrSources
	}
	seq := binary.BigEndian.Uint16(buf[2:])
	roc := src.guess(seq)
	src.advance(seq, roc)
	s.rtp.crypt(w, buf[h:n], src.ssrc, uint64(roc)<<16|uint64(seq))
	return n + copy(buf[n:], s.rtp.tag(w, buf[:n], roc, true)), nil
}

// RTCP protects the compound packet buf[:n] in place (RFC 3711 3.4): encrypted,
// E flag set, index counted per source.
func (s *Sender) RTCP(w *Scratch, buf []byte, n int) (int, error) {
	if n < 8 || buf[0]>>6 != 2 {
		return 0, ErrShort
	}
	if n+Overhead > len(buf) || n > MaxPacket {
		return 0, ErrLong
	}
	src := s.source(binary.BigEndian.Uint32(buf[4:]))
	if src == nil {
		return 0, ErrSources
	}
	// 31 bits; the first packet has index 1 as in libsrtp, and 2^31 packets never come.
	src.rtcp = (src.rtcp + 1) & (1<<31 - 1)
	s.rtcp.crypt(w, buf[8:n], src.ssrc, uint64(src.rtcp))
	binary.BigEndian.PutUint32(buf[n:], src.rtcp|1<<31)
	n += 4
	return n + copy(buf[n:], s.rtcp.tag(w, buf[:n], 0, false)), nil
}

// Warm fetches the memory that RTP needs. Unlike the other methods it may be
// called beside them.
func (s *Sender) Warm(w *Scratch) { s.rtp.warm(w) }

func (s *Sender) source(ssrc uint32) *source {
	if src := s.sources.find(ssrc); src != nil {
		return src
	}
	return s.sources.add(source{ssrc: ssrc})
}
