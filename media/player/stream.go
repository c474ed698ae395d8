package player

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// Source is what a stream plays.
type Source string

// The sources. Echo sends back what it receives, packet by packet. Noise is
// another payload in every packet of 4 s. None has no
// sockets: descriptions are written and read as usual, with the discard port,
// for load tests of signalling.
const (
	None    Source = "none"
	Tone    Source = "tone"
	Sweep   Source = "sweep"
	Echo    Source = "echo"
	Silence Source = "silence"
	Noise   Source = "noise"
)

// Options of a stream.
type Options struct {
	Source Source
	Hz     int // of Tone; a multiple of 50
	// Secure makes offers RTP/SAVP with SDES keys. Answers follow the offer.
	Secure bool
	// Teams shapes the SDP as Microsoft's: suites _32 and _80 offered with MKI,
	// SILK first, comfort noise, rtcp and rtcp-mux; and, as Microsoft does,
	// keeps sending to the first address when a re-INVITE names another one.
	Teams bool
	// Name of the WAV file when the player records.
	Name string
	// Tap, when not nil, sees every packet in the clear as it is sent and as it
	// is taken, in order; it must not keep payload. It is called with the stream locked.
	Tap func(Packet)
	// Opened, when not nil, is given the stream as soon as it has its ports.
	Opened func(*Stream)
}

// Packet is an RTP packet as a tap sees it.
type Packet struct {
	Sent        bool
	SSRC        uint32
	Sequence    uint16
	Timestamp   uint32
	PayloadType uint8
	Marker      bool
	Payload     []byte
}

func (o *Options) tap(sent bool, h *rtp.Header, payload []byte) {
	if o.Tap != nil {
		o.Tap(Packet{sent, h.SSRC, h.SequenceNumber, h.Timestamp, h.PayloadType, h.Marker, payload})
	}
}

// Counters of a stream.
type Counters struct {
	Sent, Received   uint64 // RTP packets
	Bad              uint64 // SRTP packets that failed authentication or replay check, RTP that does not parse
	Foreign          uint64 // packets from another address than the peer's
	RTCPSent, RTCPIn uint64
	Lost             uint64 // gaps in the received sequence numbers
	MaxGap           time.Duration
	HeardHz          int // strongest tone of the last second; 0 = none
}

// Stream is one RTP session: sockets from the first, peer once the SDP is known.
type Stream struct {
	p        *Player
	opt      Options
	rtp      *net.UDPConn
	rtcp     *net.UDPConn
	local    netip.AddrPort
	wg       sync.WaitGroup
	received atomic.Uint64
	bad      atomic.Uint64
	foreign  atomic.Uint64
	rtcpIn   atomic.Uint64

	mu        sync.Mutex
	closed    bool
	version   int
	sending   bool
	direction string // what the peer's last description lets us send
	hold      bool   // our own hold: we asked the peer to be silent
	peer      netip.AddrPort
	peerRTCP  netip.AddrPort
	payload   uint8
	frames    [][]byte
	frame     int
	header    rtp.Header
	sent      uint64
	rtcpSent  uint64
	ticks     int
	offered   []Crypto // ours, while an offer is pending
	ours      Crypto   // agreed
	theirs    Crypto
	encrypt   *srtp.Context
	decrypt   *srtp.Context
	buf       []byte
	cipher    []byte
	retargets int
	early     bool // the peer is from an early answer: the final one may name another

	heard heardTone
	wav   *wavFile
}

// Open binds the ports of a stream; it sends nothing before its peer is known.
func (p *Player) Open(opt Options) (*Stream, error) {
	if opt.Source == "" {
		opt.Source = Tone
	}
	if opt.Hz == 0 {
		opt.Hz = 1000
	}
	if opt.Hz%50 != 0 || opt.Hz < 0 || opt.Hz > highestHz {
		return nil, fmt.Errorf("tone of %d Hz: use a multiple of 50 up to %d", opt.Hz, highestHz)
	}
	if opt.Source == None {
		return &Stream{p: p, opt: opt, direction: "sendrecv", local: netip.AddrPortFrom(p.cfg.Address, 9)}, nil
	}
	rtpConn, rtcpConn, err := p.bind()
	if err != nil {
		return nil, err
	}
	s := &Stream{p: p, opt: opt, rtp: rtpConn, rtcp: rtcpConn, direction: "sendrecv", buf: make([]byte, 0, 512)}
	a := rtpConn.LocalAddr().(*net.UDPAddr).AddrPort()
	s.local = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	s.header = rtp.Header{Version: 2, SSRC: rand.Uint32(), SequenceNumber: uint16(rand.Uint32()), Timestamp: rand.Uint32(), Marker: true}
	if p.cfg.Record != "" {
		if s.wav, err = createWAV(p.cfg.Record, opt.Name); err != nil {
			rtpConn.Close()
			rtcpConn.Close()
			return nil, err
		}
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		rtpConn.Close()
		rtcpConn.Close()
		return nil, errors.New("player is closed")
	}
	p.streams[s] = struct{}{}
	p.mu.Unlock()
	s.wg.Add(2)
	go s.read()
	go s.readRTCP()
	if opt.Opened != nil {
		opt.Opened(s)
	}
	return s, nil
}

// Close releases the ports and finishes the recording.
func (s *Stream) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed, s.sending = true, false
	s.mu.Unlock()
	if s.rtp == nil {
		return
	}
	s.p.mu.Lock()
	delete(s.p.streams, s)
	s.p.mu.Unlock()
	s.rtp.Close()
	s.rtcp.Close()
	s.wg.Wait()
	if s.wav != nil {
		s.wav.close()
	}
}

// Local is the RTP address.
func (s *Stream) Local() netip.AddrPort { return s.local }

// Counters reads the counters.
func (s *Stream) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := Counters{Sent: s.sent, Received: s.received.Load(), Bad: s.bad.Load(), Foreign: s.foreign.Load(),
		RTCPSent: s.rtcpSent, RTCPIn: s.rtcpIn.Load()}
	c.Lost, c.MaxGap, c.HeardHz = s.heard.report()
	return c
}

// Renumber makes the next packet begin at a synchronisation source, sequence
// number and timestamp: for wraps, and for a source that changes. Within one
// source a secured stream may not jump by more than 32,767 numbers (RFC 3711 3.3.1).
func (s *Stream) Renumber(ssrc uint32, seq uint16, timestamp uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.header.SSRC, s.header.SequenceNumber, s.header.Timestamp, s.header.Marker = ssrc, seq, timestamp, true
}

// Negotiated tells the codec and the SRTP suite; both "" before the answer.
func (s *Stream) Negotiated() (codec, suite string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.peer.IsValid() {
		return "", ""
	}
	return codecName(s.payload), s.ours.Suite
}

// Retargets counts descriptions that named another address than the first one,
// which Microsoft answers but does not follow.
func (s *Stream) Retargets() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.retargets
}

// tick sends the next frame; called by the player only.
func (s *Stream) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.peer.IsValid() || s.peer.Port() == 0 {
		return
	}
	s.ticks++
	if s.ticks%250 == 0 { // a report every 5 s (RFC 3550 6.2)
		s.report()
	}
	if s.sending && !s.hold {
		s.send(s.frames[s.frame])
		s.frame = (s.frame + 1) % len(s.frames)
	}
}

// send encrypts and sends one payload; s.mu is held.
func (s *Stream) send(payload []byte) {
	s.header.PayloadType = s.payload
	size := s.header.MarshalSize() + len(payload)
	if size > cap(s.buf) { // an echo of a long payload
		s.buf = make([]byte, 0, size)
	}
	packet := s.buf[:size]
	n, err := s.header.MarshalTo(packet)
	if err != nil {
		return
	}
	copy(packet[n:], payload)
	s.opt.tap(true, &s.header, payload)
	s.header.SequenceNumber++
	s.header.Timestamp += samples
	s.header.Marker = false
	if s.encrypt != nil {
		if packet, err = s.encrypt.EncryptRTP(s.cipher[:0], packet, nil); err != nil {
			return
		}
		s.cipher = packet
	}
	s.sent++
	if s.p.cfg.Lost != nil && s.p.cfg.Lost() {
		return
	}
	s.rtp.WriteToUDPAddrPort(packet, s.peer)
}

// report sends a sender report with one source description (RFC 3550 6.4.1, 6.5).
func (s *Stream) report() {
	b := make([]byte, 28, 48)
	b[0], b[1] = 0x80, 200
	binary.BigEndian.PutUint16(b[2:], 6)
	binary.BigEndian.PutUint32(b[4:], s.header.SSRC)
	now := time.Now()
	binary.BigEndian.PutUint32(b[8:], uint32(now.Unix()+2208988800))
	binary.BigEndian.PutUint32(b[12:], uint32(uint64(now.Nanosecond())<<32/1e9))
	binary.BigEndian.PutUint32(b[16:], s.header.Timestamp)
	binary.BigEndian.PutUint32(b[20:], uint32(s.sent))
	binary.BigEndian.PutUint32(b[24:], uint32(s.sent*samples))
	b = append(b, 0x81, 202, 0, 3)
	b = binary.BigEndian.AppendUint32(b, s.header.SSRC)
	b = append(b, 1, 4, 'e', 'm', 'u', 'l', 0, 0)
	if s.encrypt != nil {
		var err error
		if b, err = s.encrypt.EncryptRTCP(nil, b, nil); err != nil {
			return
		}
	}
	s.rtcpSent++
	s.rtcp.WriteToUDPAddrPort(b, s.peerRTCP)
}
