package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tandem/media/srtp"
)

// side is one end of a relayed call as the load plays it.
type side struct {
	local, relay netip.AddrPort // RTP; RTCP is on the next port
	send, open   *srtp.Key      // ours and the relay's, nil without SRTP
}

// link is a call: two sides.
type link [2]side

// Shape of the load: PCMA, 20 ms.
const (
	payloadType = 8
	payload     = 160
	header      = 12
	packetLen   = header + payload
	frame       = 20 // ms
	reportEvery = 5 * time.Second
	warmUp      = 2 * time.Second // addresses are learned, caches filled
)

// stream sends to one side and receives from it.
type stream struct {
	rtp, rtcp      int
	seq            uint16
	ts, ssrc       uint32
	sender         *srtp.Sender
	receiver       *srtp.Receiver
	sent, got, bad uint64
}

// generator is the load: one thread, one epoll set, nothing allocated per packet.
type generator struct {
	epoll   int
	streams []*stream
	events  [512]unix.EpollEvent
	out, in [2048]byte
	scratch *srtp.Scratch
	delays  []float64
	counts  bool
}

func newGenerator(links []link) (*generator, error) {
	g := &generator{scratch: srtp.NewScratch(), delays: make([]float64, 0, 1<<20)}
	var err error
	if g.epoll, err = unix.EpollCreate1(0); err != nil {
		return nil, err
	}
	for i, l := range links {
		for k, s := range l {
			st := &stream{ssrc: uint32(0x1000 + 2*i + k)}
			if st.rtp, err = connected(s.local, s.relay); err == nil {
				st.rtcp, err = connected(next(s.local), next(s.relay))
			}
			if err != nil {
				return nil, err
			}
			if s.send != nil {
				st.sender, st.receiver = srtp.NewSender(*s.send), srtp.NewReceiver(*s.open, 0)
			}
			g.streams = append(g.streams, st)
			ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(len(g.streams) - 1)}
			if err := unix.EpollCtl(g.epoll, unix.EPOLL_CTL_ADD, st.rtp, &ev); err != nil {
				return nil, err
			}
		}
	}
	return g, nil
}

func next(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), a.Port()+1) }

func connected(local, remote netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<18)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(local.Port()), Addr: local.Addr().As4()}); err != nil {
		return -1, fmt.Errorf("bind %s: %w", local, err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(remote.Port()), Addr: remote.Addr().As4()}); err != nil {
		return -1, fmt.Errorf("connect to %s: %w", remote, err)
	}
	return fd, nil
}

func (g *generator) close() {
	for _, s := range g.streams {
		_ = unix.Close(s.rtp)
		_ = unix.Close(s.rtcp)
	}
	_ = unix.Close(g.epoll)
}

// send puts the next packet of a stream on the wire, with its instant in it.
func (g *generator) send(s *stream, now int64) {
	b := g.out[:]
	b[0], b[1] = 0x80, payloadType
	binary.BigEndian.PutUint16(b[2:], s.seq)
	binary.BigEndian.PutUint32(b[4:], s.ts)
	binary.BigEndian.PutUint32(b[8:], s.ssrc)
	binary.BigEndian.PutUint64(b[header:], uint64(now))
	s.seq++
	s.ts += payload
	n := packetLen
	if s.sender != nil {
		clear(b[header+8 : packetLen]) // the ciphertext of the packet before
		n, _ = s.sender.RTP(g.scratch, b, n)
	}
	if _, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.rtp), uintptr(unsafe.Pointer(&b[0])), uintptr(n), 0, 0, 0); e == 0 && g.counts {
		s.sent++
	}
}

// report sends a sender report (RFC 3550 6.4.1).
func (g *generator) report(s *stream) {
	b := g.out[:]
	clear(b[:28])
	b[0], b[1], b[3] = 0x80, 200, 6
	binary.BigEndian.PutUint32(b[4:], s.ssrc)
	n := 28
	if s.sender != nil {
		n, _ = s.sender.RTCP(g.scratch, b, n)
	}
	_, _, _ = unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.rtcp), uintptr(unsafe.Pointer(&b[0])), uintptr(n), 0, 0, 0)
}

// drain takes one packet of each stream that has some.
func (g *generator) drain(millis int) {
	n, _ := unix.EpollWait(g.epoll, g.events[:], millis)
	now := time.Now().UnixNano()
	for i := range max(n, 0) {
		s := g.streams[g.events[i].Fd]
		m, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.rtp), uintptr(unsafe.Pointer(&g.in[0])), uintptr(len(g.in)), 0, 0, 0)
		if e != 0 || int(m) < packetLen {
			continue
		}
		if s.receiver != nil {
			if _, err := s.receiver.RTP(g.scratch, g.in[:m]); err != nil {
				s.bad++
				continue
			}
		}
		if g.counts {
			s.got++
			if len(g.delays) < cap(g.delays) {
				g.delays = append(g.delays, float64(now-int64(binary.BigEndian.Uint64(g.in[header:])))/1e3)
			}
		}
	}
}

// run sends for a time after the warm-up and tells what the process used meanwhile.
func (g *generator) run(ctx context.Context, pid int, d time.Duration, saturated bool) result {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var set unix.CPUSet
	set.Set(loadCore)
	if runtime.NumCPU() > 1 {
		_ = unix.SchedSetaffinity(0, &set)
	}
	for _, s := range g.streams {
		s.sent, s.got, s.bad = 0, 0, 0
	}
	g.delays, g.counts = g.delays[:0], false
	warm := warmUp
	if saturated {
		warm = 300 * time.Millisecond
	}
	begin := time.Now()
	var from time.Time
	var user0, system0 time.Duration
	var reported time.Time
	for tick := 0; ; {
		elapsed := time.Since(begin)
		if elapsed >= warm+d || ctx.Err() != nil {
			break
		}
		if !g.counts && elapsed >= warm {
			g.counts, from = true, time.Now()
			user0, system0 = used(pid)
		}
		if time.Since(reported) > reportEvery {
			reported = time.Now()
			for _, s := range g.streams {
				g.report(s)
			}
		}
		if saturated {
			for _, s := range g.streams {
				g.send(s, time.Now().UnixNano())
			}
			g.drain(0)
			continue
		}
		for ; tick <= int(elapsed/time.Millisecond); tick++ {
			now := time.Now().UnixNano()
			for i := tick % frame; i < len(g.streams); i += frame {
				g.send(g.streams[i], now)
			}
		}
		g.drain(1)
	}
	user, system := used(pid)
	return g.result(time.Since(from), user-user0, system-system0, saturated)
}

func (g *generator) result(d, user, system time.Duration, saturated bool) result {
	r := result{Mode: "paced"}
	if saturated {
		r.Mode = "saturated"
	}
	for _, s := range g.streams {
		r.Sent += s.sent
		r.Relayed += s.got
		r.Bad += s.bad
	}
	n := float64(max(r.Relayed, 1))
	r.Rate = float64(r.Relayed) / d.Seconds()
	r.LossPct = 100 * max(0, 1-n/float64(max(r.Sent, 1)))
	r.CPU, r.User = float64((user+system).Microseconds())/n, float64(user.Microseconds())/n
	r.Busy = 100 * (user + system).Seconds() / d.Seconds()
	if slices.Sort(g.delays); len(g.delays) > 0 {
		r.P50, r.P99 = g.delays[len(g.delays)/2], g.delays[len(g.delays)*99/100]
	}
	return r
}

// used is the CPU time of a process, without its children: Tandem's child is
// ClickHouse. The unit of /proc is 10 ms.
func used(pid int) (user, system time.Duration) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	u, _ := strconv.Atoi(f[11])
	s, _ := strconv.Atoi(f[12])
	return time.Duration(u) * 10 * time.Millisecond, time.Duration(s) * 10 * time.Millisecond
}
