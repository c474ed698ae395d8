package relay

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tandem/media/srtp"
)

// BenchmarkTurn is what a media thread's turns cost in CPU time, system calls
// included, with the memory of a call as cold as a relay of 200 calls finds it:
// cpu-ns is of one packet. The benchmark is the thread; it sends a burst to ports
// at random, both directions alike, serves them, and empties the receivers, of
// which only the serving is timed. Reading the clock adds its system call to each
// turn.
func BenchmarkTurn(b *testing.B) {
	for _, burst := range []int{1, 8} {
		for _, secure := range []bool{false, true} {
			name := "RTP"
			if secure {
				name = "SRTP"
			}
			b.Run(fmt.Sprintf("%s/%d", name, burst), func(b *testing.B) { benchmarkTurn(b, burst, secure) })
		}
	}
}

// flow is one direction of a call: a sender's socket, the socket where its packets come out.
type flow struct {
	in, out int
	seq     uint16
	sender  *srtp.Sender
}

func benchmarkTurn(b *testing.B, burst int, secure bool) {
	const calls = 200
	cfg := testConfig(b)
	cfg.PortMax = cfg.PortMin + 5*calls
	pool := newPool(b, cfg, Deps{})
	th := &thread{pool: pool, epoll: -1, wake: -1, work: srtp.NewScratch()}
	if err := th.start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(th.close)
	var flows []*flow
	for range calls {
		x, y := newPeer(b, "127.0.0.1", false), newPeer(b, "127.0.0.1", secure)
		s := join(b, pool, x, y).(*session)
		fx, fy := &flow{in: takeOver(b, x.rtp, x.toRTP)}, &flow{in: takeOver(b, y.rtp, y.toRTP)}
		fx.out, fy.out = fy.in, fx.in
		if secure {
			fy.sender = srtp.NewSender(*y.key)
		}
		flows = append(flows, fx, fy)
		for i := range s.ends { // from the pool's thread to ours
			p := s.ends[i].pair
			fd := p.rtp.(*rawPort).fd
			ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(p.index << 1), Pad: int32(p.bank.id)}
			for _, t := range pool.net.(*native).threads {
				_ = unix.EpollCtl(t.epoll, unix.EPOLL_CTL_DEL, fd, nil)
			}
			if err := unix.EpollCtl(th.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
				b.Fatal(err)
			}
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	rng := rand.New(rand.NewPCG(7, 8))
	packet := make([]byte, srtp.MaxPacket)
	packet[0] = 0x80
	work := srtp.NewScratch()
	var sum time.Duration
	packets := 0
	for b.Loop() {
		first := rng.IntN(len(flows))
		for i := range burst {
			f := flows[(first+i*37)%len(flows)]
			f.seq++
			binary.BigEndian.PutUint16(packet[2:], f.seq)
			n := 172
			if f.sender != nil {
				n, _ = f.sender.RTP(work, packet, n)
			}
			if _, err := unix.Write(f.in, packet[:n]); err != nil {
				b.Fatal(err)
			}
		}
		start := threadTime()
		for left := burst; left > 0; {
			n := th.wait()
			th.turn(n)
			left -= n
		}
		sum += threadTime() - start
		for i := range burst {
			f := flows[(first+i*37)%len(flows)]
			if _, err := unix.Read(f.out, packet[:cap(packet)]); err != nil {
				b.Fatalf("packet %d: %v", packets, err)
			}
			packet[0] = 0x80
			packet[1] = 0
			packets++
		}
	}
	b.ReportMetric(float64(sum.Nanoseconds())/float64(packets), "cpu-ns")
}

// takeOver puts a bare connected socket in the place of a peer's.
func takeOver(b *testing.B, c *net.UDPConn, to netip.AddrPort) int {
	at := addr(c)
	c.Close()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()})
	}
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// threadTime is the CPU time of the calling thread.
func threadTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}
