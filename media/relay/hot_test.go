package relay

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"tandem"
	"tandem/media/srtp"
)

// sink is a port that takes everything and sends nothing.
type sink struct{ last []byte }

func (s *sink) send(p []byte, _ netip.AddrPort) bool { s.last = p; return true }
func (*sink) connect(netip.AddrPort)                 {}
func (*sink) disconnect()                            {}
func (*sink) close()                                 {}

// hotCall is a call whose ports are sinks, with a packet from A ready in a buffer.
func hotCall(t testing.TB, secureA, secureB bool) (s *session, step func()) {
	cfg := testConfig(t)
	pool := newPool(t, cfg, Deps{})
	a, b := newPeer(t, "127.0.0.1", secureA), newPeer(t, "127.0.0.1", secureB)
	s = join(t, pool, a, b).(*session)
	sa, sb := s.ends[0].pair, s.ends[1].pair
	real := [4]port{sa.rtp, sa.rtcp, sb.rtp, sb.rtcp}
	t.Cleanup(func() { sa.rtp, sa.rtcp, sb.rtp, sb.rtcp = real[0], real[1], real[2], real[3] })
	sa.rtp, sa.rtcp, sb.rtp, sb.rtcp = &sink{}, &sink{}, &sink{}, &sink{}
	from := addr(a.rtp)
	scratch := srtp.NewScratch()
	buf := make([]byte, srtp.MaxPacket+srtp.Overhead)
	plain := a.packet(160)
	var sender *srtp.Sender
	if secureA {
		sender = srtp.NewSender(*a.key)
	}
	seq := uint16(0)
	return s, func() {
		seq++
		n := copy(buf, plain)
		binary.BigEndian.PutUint16(buf[2:], seq)
		if sender != nil {
			n, _ = sender.RTP(scratch, buf, n)
		}
		sa.deliver(scratch, buf, n, false, from, pool.now())
	}
}

func TestForwardingAllocatesNothing(t *testing.T) {
	for name, c := range map[string][2]bool{"RTP to RTP": {false, false}, "SRTP to RTP": {true, false}, "RTP to SRTP": {false, true}} {
		t.Run(name, func(t *testing.T) {
			s, step := hotCall(t, c[0], c[1])
			step()
			if n := testing.AllocsPerRun(2000, step); n != 0 {
				t.Errorf("%v allocations per packet", n)
			}
			if _, tx := s.Stats(tandem.SideB); tx.Packets < 2000 {
				t.Errorf("only %d packets were sent", tx.Packets)
			}
		})
	}
}

// TestWireAllocatesNothing: the whole way with system calls.
func TestWireAllocatesNothing(t *testing.T) {
	a, b := newPeer(t, "127.0.0.1", false), newPeer(t, "127.0.0.1", false)
	s := join(t, newPool(t, testConfig(t), Deps{}), a, b)
	p := a.packet(160)
	buf := make([]byte, 2000)
	b.rtp.SetReadDeadline(time.Now().Add(time.Minute))
	step := func() {
		if _, err := a.rtp.WriteToUDPAddrPort(p, a.toRTP); err != nil {
			t.Fatal(err)
		}
		if _, _, err := b.rtp.ReadFromUDPAddrPort(buf); err != nil {
			t.Fatal(err)
		}
	}
	step()
	if n := testing.AllocsPerRun(500, step); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
	if _, tx := s.Stats(tandem.SideB); tx.Packets < 500 {
		t.Errorf("%+v", tx)
	}
}

// TestGarbageCollectionIsNotHeldUp: a media thread in a raw system call must let
// the collector stop the world, idle or busy. Bare loops without a yield point
// have been seen to hang it for ever.
func TestGarbageCollectionIsNotHeldUp(t *testing.T) {
	t.Run("AllProcessors", func(t *testing.T) { collectBesideMedia(t, runtime.GOMAXPROCS(0)) })
	t.Run("OneProcessor", func(t *testing.T) { collectBesideMedia(t, 1) })
}

func collectBesideMedia(t *testing.T, processors int) {
	cfg := testConfig(t)
	cfg.OwnProcessors = true
	previous := runtime.GOMAXPROCS(processors + cfg.Threads)
	t.Cleanup(func() { runtime.GOMAXPROCS(previous) })
	pool := newPool(t, cfg, Deps{})
	collect := func(what string) {
		done := make(chan time.Duration)
		go func() {
			start := time.Now()
			for range 50 {
				runtime.GC()
			}
			done <- time.Since(start)
		}()
		select {
		case d := <-done:
			t.Logf("%s: 50 collections in %v", what, d)
		case <-time.After(30 * time.Second):
			panic("the garbage collector waits for a media thread")
		}
	}
	collect("idle")
	a, b := newPeer(t, "127.0.0.1", false), newPeer(t, "127.0.0.1", false)
	join(t, pool, a, b)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(2)
	go func() {
		defer wg.Done()
		p := a.packet(160)
		for {
			select {
			case <-stop:
				return
			default:
				a.rtp.WriteToUDPAddrPort(p, a.toRTP)
			}
		}
	}()
	go func() {
		defer wg.Done()
		buf := make([]byte, 2000)
		for {
			b.rtp.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			b.rtp.ReadFromUDPAddrPort(buf)
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	collect("busy")
	close(stop)
	wg.Wait()
}

// TestOwnersAndThreadsTogether: descriptions change, calls end and begin while
// packets keep coming; the race detector watches.
func TestOwnersAndThreadsTogether(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		cfg.Threads = 2
		cfg.RTPTimeout = 5 * time.Millisecond
		pool := newPool(t, cfg, Deps{})
		var wg sync.WaitGroup
		for range 2 {
			a, b := newPeer(t, "127.0.0.1", false), newPeer(t, "127.0.0.1", true)
			wg.Add(1)
			go func() {
				defer wg.Done()
				for range 20 {
					s, err := pool.OpenMedia(tandem.CallRef{}, profile(a))
					if err != nil {
						t.Error(err)
						return
					}
					s.SetPeer(profile(b))
					for range 5 {
						negotiate(t, s, tandem.SideA, a, b)
						for range 10 {
							a.put(a.rtp, a.toRTP, a.packet(160))
							b.put(b.rtp, b.toRTP, b.wire(b.packet(160)))
						}
						s.Stats(tandem.SideA)
						s.Describe(tandem.SideB)
						negotiate(t, s, tandem.SideB, b, a)
					}
					s.Close()
					pool.Stats()
				}
			}()
		}
		wg.Wait()
		if st := pool.Stats(); st.Ports != 0 || st.Sessions != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// BenchmarkForward is our own work on a packet, without system calls. Where A is
// secured, the protecting of the test's packet is in it too (0.35 us).
func BenchmarkForward(b *testing.B) {
	for _, c := range []struct {
		name   string
		sa, sb bool
	}{{"RTP-RTP", false, false}, {"RTP-SRTP", false, true}, {"SRTP-RTP", true, false}} {
		b.Run(c.name, func(b *testing.B) {
			_, step := hotCall(b, c.sa, c.sb)
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}

// BenchmarkOpenClose is what a call's ports and keys cost.
func BenchmarkOpenClose(b *testing.B) {
	pool := newPool(b, testConfig(b), Deps{})
	b.ReportAllocs()
	for b.Loop() {
		s, err := pool.OpenMedia(tandem.CallRef{}, tandem.MediaProfile{})
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

// BenchmarkWire relays real packets through the kernel in runs of 32: CPU time
// of sender, relay and receiver together, wall clock of one packet.
func BenchmarkWire(b *testing.B) {
	for _, c := range []struct {
		name  string
		plain bool
		sa    bool
	}{{"threads", false, false}, {"threads SRTP", false, true}, {"plain", true, false}} {
		b.Run(c.name, func(b *testing.B) {
			cfg := testConfig(b)
			cfg.Plain = c.plain
			x, y := newPeer(b, "127.0.0.1", c.sa), newPeer(b, "127.0.0.1", false)
			join(b, newPool(b, cfg, Deps{}), x, y)
			x.passes(y)
			buf := make([]byte, 2000)
			run := make([][]byte, 32)
			b.ReportAllocs()
			for i := 0; i < b.N; i += len(run) {
				b.StopTimer()
				for j := range run {
					run[j] = x.wire(x.packet(160))
				}
				b.StartTimer()
				for j := range run {
					x.put(x.rtp, x.toRTP, run[j])
				}
				y.rtp.SetReadDeadline(time.Now().Add(5 * time.Second))
				for range run {
					if _, _, err := y.rtp.ReadFromUDPAddrPort(buf); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// TestOwnersPointers: what thread.warm is told to fetch follows what is in force,
// through new keys, another peer and a side without SRTP.
func TestOwnersPointers(t *testing.T) {
	a, b, c := newPeer(t, "127.0.0.1", true), newPeer(t, "127.0.0.1", false), newPeer(t, "127.0.0.1", true)
	s := join(t, newPool(t, testConfig(t), Deps{}), a, b).(*session)
	check := func(what string, secure [2]bool) {
		t.Helper()
		for i := range s.ends {
			o, e, other := &s.owners[i], &s.ends[i], &s.ends[1-i]
			if o.out.Load() != other.pair {
				t.Errorf("%s: owner %d has another way out", what, i)
			}
			if rx := o.rx.Load(); (rx != nil) != secure[i] || rx != nil && rx != e.rx {
				t.Errorf("%s: owner %d has another receiver", what, i)
			}
			if tx := o.tx.Load(); (tx != nil) != secure[1-i] || tx != nil && tx != other.tx {
				t.Errorf("%s: owner %d has another sender", what, i)
			}
		}
	}
	check("call", [2]bool{true, false})
	before := s.owners[0].rx.Load()
	a.rekey()
	negotiate(t, s, tandem.SideA, a, b)
	check("new key", [2]bool{true, false})
	if s.owners[0].rx.Load() == before {
		t.Error("the receiver of the key before")
	}
	s.SetPeer(profile(c))
	check("next peer", [2]bool{true, false})
	negotiate(t, s, tandem.SideA, a, c)
	check("its answer", [2]bool{true, true})
}

// TestNothingShipsAfterAChange: a media thread takes a packet and sends it a
// little later. What was readied for a side as it was must not leave to a side
// that has changed, least of all in the clear to one that is secured now.
func TestNothingShipsAfterAChange(t *testing.T) {
	for name, change := range map[string]func(*session, *peer){
		"closed":    func(s *session, _ *peer) { s.Close() },
		"next peer": func(s *session, _ *peer) { s.SetPeer(tandem.MediaProfile{}) },
		"secured next peer": func(s *session, a *peer) {
			c := newPeer(t, "127.0.0.1", true)
			s.SetPeer(profile(c))
			negotiate(t, s, tandem.SideA, a, c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newPeer(t, "127.0.0.1", false), newPeer(t, "127.0.0.1", false)
			s := join(t, newPool(t, testConfig(t), Deps{}), a, b).(*session)
			in, out := s.ends[0].pair, s.ends[1].pair
			real := out.rtp
			t.Cleanup(func() { out.rtp = real })
			sent := &sink{}
			out.rtp = sent
			scratch, buf := srtp.NewScratch(), make([]byte, srtp.MaxPacket+srtp.Overhead)
			take := func() onward {
				return in.take(scratch, buf, copy(buf, a.packet(160)), false, addr(a.rtp), s.pool.now())
			}
			o := take()
			if o.ship(buf, s.pool.now()); sent.last == nil {
				t.Fatal("the packet before the change was not sent")
			}
			o, sent.last = take(), nil
			change(s, a)
			if o.ship(buf, s.pool.now()); sent.last != nil {
				t.Error("sent")
			}
		})
	}
}
