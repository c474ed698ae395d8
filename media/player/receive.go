package player

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/pion/rtp"
)

// read takes RTP until the socket is closed.
func (s *Stream) read() {
	defer s.wg.Done()
	buf := make([]byte, 2048)
	plain := make([]byte, 0, 2048)
	var packet rtp.Packet
	for {
		n, from, err := s.rtp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || (s.p.cfg.Lost != nil && s.p.cfg.Lost()) {
			continue
		}
		s.take(buf[:n], plain, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), &packet)
	}
}

func (s *Stream) take(data, plain []byte, from netip.AddrPort, packet *rtp.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if s.peer.IsValid() && from != s.peer {
		s.foreign.Add(1)
	}
	if s.decrypt == nil && s.opt.Secure {
		return // the answer with its key is still on the way
	}
	if s.decrypt != nil {
		var err error
		if data, err = s.decrypt.DecryptRTP(plain, data, nil); err != nil {
			s.bad.Add(1)
			return
		}
	}
	if packet.Unmarshal(data) != nil {
		s.bad.Add(1)
		return
	}
	s.received.Add(1)
	s.opt.tap(false, &packet.Header, packet.Payload)
	s.heard.packet(packet.SequenceNumber, packet.PayloadType, packet.Payload, time.Now())
	if s.wav != nil {
		s.wav.add(packet.PayloadType, packet.Payload)
	}
	if s.opt.Source == Echo && s.peer.IsValid() && s.peer.Port() != 0 && !s.hold && (s.direction == "sendrecv" || s.direction == "recvonly") && packet.PayloadType == s.payload {
		s.send(packet.Payload)
	}
}

// readRTCP counts reports; broken or forged ones count as bad.
func (s *Stream) readRTCP() {
	defer s.wg.Done()
	buf := make([]byte, 2048)
	for {
		n, _, err := s.rtcp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		s.mu.Lock()
		if s.decrypt != nil {
			if _, err := s.decrypt.DecryptRTCP(nil, buf[:n], nil); err != nil {
				s.bad.Add(1)
				s.mu.Unlock()
				continue
			}
		}
		s.rtcpIn.Add(1)
		s.mu.Unlock()
	}
}

// heardTone analyses every tenth frame and judges over the last ones.
type heardTone struct {
	packets int
	hz      int
	begun   bool
	next    uint16
	lost    uint64
	last    time.Time
	maxGap  time.Duration
	frame   [samples]int16
}

// reset forgets the tone when the agreement changes, not the counts.
func (h *heardTone) reset() {
	h.hz, h.packets, h.begun, h.last = 0, 0, false, time.Time{}
}

func (h *heardTone) packet(seq uint16, payloadType uint8, payload []byte, at time.Time) {
	if payloadType != PCMU && payloadType != PCMA {
		return
	}
	if h.begun {
		if gap := seq - h.next; gap < 0x8000 {
			h.lost += uint64(gap)
			h.next = seq + 1
		}
	} else {
		h.begun, h.next = true, seq+1
	}
	if !h.last.IsZero() {
		h.maxGap = max(h.maxGap, at.Sub(h.last))
	}
	h.last = at
	h.packets++
	if h.packets%10 != 2 || len(payload) < samples { // the second packet, then every tenth
		return
	}
	decode := DecodeULaw
	if payloadType == PCMA {
		decode = DecodeALaw
	}
	for i := range h.frame {
		h.frame[i] = decode(payload[i])
	}
	h.hz = detect(h.frame[:])
}

func (h *heardTone) report() (lost uint64, maxGap time.Duration, hz int) {
	return h.lost, h.maxGap, h.hz
}
