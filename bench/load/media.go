package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"crypto/rand"

	"tandem/media/srtp"
)

const (
	payload   = 160 // 20 ms of PCMA
	rtpLength = 12 + payload
	frame     = 20 * time.Millisecond
)

// ports hands out the media sockets of a side: even ports, one after another.
type ports struct {
	addr  netip.Addr
	mu    sync.Mutex
	next  int
	all   []*stream
	fault error
}

// stream is one end of the media of a call.
type stream struct {
	fd          int
	port        int
	seq         uint16
	ts          uint32
	ssrc        uint32
	ready       bool // connected to the peer of the SDP
	key         srtp.Key
	protect     *srtp.Sender
	open        *srtp.Receiver
	sent, heard int
	bad         int // packets that don't authenticate
}

func (p *ports) open(secure bool) *stream {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &stream{port: p.next, ssrc: uint32(p.next)<<8 | 1, fd: -1}
	p.next += 2
	var err error
	if s.fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK, 0); err == nil {
		_ = syscall.SetsockoptInt(s.fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 256<<10)
		err = syscall.Bind(s.fd, &syscall.SockaddrInet4{Port: s.port, Addr: p.addr.As4()})
	}
	if secure && err == nil {
		s.key, err = srtp.NewKey(srtp.AESCM80, rand.Reader)
		s.protect = srtp.NewSender(s.key)
	}
	if err != nil && p.fault == nil {
		p.fault = fmt.Errorf("media port %d: %w", s.port, err)
	}
	p.all = append(p.all, s)
	return s
}

// describe writes the SDP of a stream; without one a port that nobody sends to.
func describe(s *side, m *stream) string {
	port, profile, crypto := 9000, "RTP/AVP", ""
	if m != nil {
		port = m.port
	}
	if s.secure {
		key := idleKey
		if m != nil {
			raw := append(append([]byte{}, m.key.Master[:]...), m.key.Salt[:]...)
			key = base64.StdEncoding.EncodeToString(raw)
		}
		profile, crypto = "RTP/SAVP", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"+key+"|2^31\r\n"
	}
	ip := s.own.Addr()
	return fmt.Sprintf("v=0\r\no=bench 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d %s 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\n%sa=sendrecv\r\n",
		ip, ip, port, profile, crypto)
}

// idleKey stands in SDP when no media is sent.
const idleKey = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"

// connect reads the peer's SDP: where to send, and its key.
func (s *stream) connect(sdp string) {
	var ip netip.Addr
	port := 0
	for line := range strings.SplitSeq(sdp, "\r\n") {
		switch {
		case strings.HasPrefix(line, "c=IN IP4 "):
			ip, _ = netip.ParseAddr(strings.TrimSpace(line[9:]))
		case strings.HasPrefix(line, "m=audio "):
			_, _ = fmt.Sscanf(line, "m=audio %d", &port)
		case strings.HasPrefix(line, "a=crypto:") && s.open == nil:
			if c, err := srtp.ParseCrypto(line[9:]); err == nil && c.Key.Suite == srtp.AESCM80 {
				s.open = srtp.NewReceiver(c.Key, c.MKI)
			}
		}
	}
	if !ip.Is4() || port == 0 || s.ready || (s.protect != nil) != (s.open != nil) {
		return
	}
	s.ready = syscall.Connect(s.fd, &syscall.SockaddrInet4{Port: port, Addr: ip.As4()}) == nil
}

// traffic is what a media run carried in its window.
type traffic struct {
	Streams  int     `json:"streams"`
	Sent     int     `json:"packets_sent"`
	Heard    int     `json:"packets_heard"`
	Bad      int     `json:"packets_bad"`
	Window   float64 `json:"window_s"`
	DelayP50 float64 `json:"delay_p50_us"`
	DelayP99 float64 `json:"delay_p99_us"`
}

// talk sends 20 ms frames on every stream and reads what comes, first for
// learn, then for the window, at whose edges it calls mark.
func talk(streams []*stream, learn, window time.Duration, mark func()) (traffic, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	poll, err := syscall.EpollCreate1(0)
	if err != nil {
		return traffic{}, err
	}
	defer syscall.Close(poll)
	for i, s := range streams {
		if !s.ready {
			return traffic{}, fmt.Errorf("stream %d of %d has no peer", i+1, len(streams))
		}
		event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(i)}
		if err := syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, s.fd, &event); err != nil {
			return traffic{}, err
		}
	}
	m := &mixer{streams: streams, poll: poll, scratch: srtp.NewScratch(), events: make([]syscall.EpollEvent, 512), delays: make([]int64, 0, 1<<20)}
	begun, slot := time.Now(), 0
	for elapsed := time.Duration(0); elapsed < learn+window; elapsed = time.Since(begun) {
		if !m.measuring && elapsed >= learn {
			m.measuring = true
			mark()
		}
		// A twentieth of the streams each millisecond: no burst.
		for ; slot <= int(elapsed/time.Millisecond); slot++ {
			for i := slot % 20; i < len(streams); i += 20 {
				m.send(streams[i])
			}
		}
		m.read(1)
	}
	mark()
	t := traffic{Streams: len(streams), Window: window.Seconds()}
	m.measuring = false
	for until := time.Now().Add(200 * time.Millisecond); time.Now().Before(until); { // what is under way counts as heard
		m.tail = true
		m.read(10)
	}
	for _, s := range streams {
		t.Sent, t.Heard, t.Bad = t.Sent+s.sent, t.Heard+s.heard, t.Bad+s.bad
	}
	t.DelayP50, t.DelayP99 = quantile(m.delays, 50), quantile(m.delays, 99)
	return t, nil
}

type mixer struct {
	streams         []*stream
	poll            int
	events          []syscall.EpollEvent
	scratch         *srtp.Scratch
	out, in         [2048]byte
	delays          []int64
	measuring, tail bool
}

// send sends the next frame of a stream; its payload begins with the time and
// whether it counts.
func (m *mixer) send(s *stream) {
	p := m.out[:]
	p[0], p[1] = 0x80, 8
	binary.BigEndian.PutUint16(p[2:], s.seq)
	binary.BigEndian.PutUint32(p[4:], s.ts)
	binary.BigEndian.PutUint32(p[8:], s.ssrc)
	binary.BigEndian.PutUint64(p[12:], uint64(time.Now().UnixNano()))
	p[20] = 0
	if m.measuring {
		p[20] = 1
		s.sent++
	}
	s.seq, s.ts = s.seq+1, s.ts+payload
	n := rtpLength
	if s.protect != nil {
		n, _ = s.protect.RTP(m.scratch, p, n)
	}
	_, _, _ = syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(n), 0, 0, 0)
}

// read takes what has come, waiting for at most some milliseconds.
func (m *mixer) read(ms int) {
	k, _ := syscall.EpollWait(m.poll, m.events, ms)
	now := time.Now().UnixNano()
	for _, e := range m.events[:max(k, 0)] {
		s := m.streams[e.Fd]
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(&m.in[0])), uintptr(len(m.in)), 0, 0, 0)
		if errno != 0 {
			continue
		}
		length := int(n)
		if s.open != nil {
			var err error
			if length, err = s.open.RTP(m.scratch, m.in[:n]); err != nil {
				s.bad++
				continue
			}
		}
		if length != rtpLength || m.in[20] != 1 || !(m.measuring || m.tail) {
			continue
		}
		s.heard++
		if len(m.delays) < cap(m.delays) {
			m.delays = append(m.delays, now-int64(binary.BigEndian.Uint64(m.in[12:])))
		}
	}
}
