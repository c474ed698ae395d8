package srtp

import "encoding/binary"

// Sender protects the packets of one direction with one master key.
type Sender struct {
	rtp, rtcp *transform
	sources   sources
}

// NewSender makes the sender of a key; rollover counters begin at 0 (RFC 4568 6.4).
func NewSender(k Key) *Sender {
	return &Sender{rtp: newTransform(&k, labelRTP, k.Suite.tag()), rtcp: newTransform(&k, labelRTCP, rtcpTag)}
}

// RTP protects the packet buf[:n] in place and returns its new length; buf must
// have room for Overhead more.
func (s *Sender) RTP(buf []byte, n int) (int, error) {
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
	s.rtp.crypt(buf[h:n], src.ssrc, uint64(roc)<<16|uint64(seq))
	return n + copy(buf[n:], s.rtp.tag(buf[:n], roc, true)), nil
}

// RTCP protects the compound packet buf[:n] in place (RFC 3711 3.4): encrypted,
// E flag set, index counted per source.
func (s *Sender) RTCP(buf []byte, n int) (int, error) {
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
	s.rtcp.crypt(buf[8:n], src.ssrc, uint64(src.rtcp))
	binary.BigEndian.PutUint32(buf[n:], src.rtcp|1<<31)
	n += 4
	return n + copy(buf[n:], s.rtcp.tag(buf[:n], 0, false)), nil
}

func (s *Sender) source(ssrc uint32) *source {
	if src := s.sources.find(ssrc); src != nil {
		return src
	}
	return s.sources.add(source{ssrc: ssrc})
}
