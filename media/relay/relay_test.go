package relay

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
)

func TestRelaysBothWays(t *testing.T) {
	for name, c := range map[string]struct {
		host   string
		sa, sb bool
	}{
		"RTP to RTP":   {"127.0.0.1", false, false},
		"RTP to SRTP":  {"127.0.0.1", false, true},
		"SRTP to RTP":  {"127.0.0.1", true, false},
		"SRTP to SRTP": {"127.0.0.1", true, true},
		"IPv6":         {"::1", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, cfg Config) {
				cfg.Addresses = []netip.Addr{netip.MustParseAddr(c.host)}
				a, b := newPeer(t, c.host, c.sa), newPeer(t, c.host, c.sb)
				pool := newPool(t, cfg, Deps{})
				s := join(t, pool, a, b)
				for range 60 { // past the moment when sockets are connected
					a.passes(b)
					b.passes(a)
				}
				for _, side := range []tandem.Side{tandem.SideA, tandem.SideB} {
					rx, tx := s.Stats(side)
					if rx.Packets != 60 || tx.Packets != 60 || rx.Lost != 0 || rx.Dropped != 0 || rx.LastSeen.IsZero() || rx.Bytes < 60*172 {
						t.Errorf("side %v: rx %+v tx %+v", side, rx, tx)
					}
				}
				if codec, secure := s.Describe(tandem.SideB); codec != "PCMU" || secure != c.sb {
					t.Errorf("side B is %s, SRTP %v", codec, secure)
				}
			})
		})
	}
}

// TestRTCP: reports pass between a mux side and a side with two ports, protected or not.
func TestRTCP(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		a, b := newPeer(t, "127.0.0.1", true), newPeer(t, "127.0.0.1", false)
		a.mux = true
		s := join(t, newPool(t, cfg, Deps{}), a, b)
		a.passes(b)
		b.passes(a)
		report := make([]byte, 28)
		report[0], report[1], report[3] = 0x80, 200, 6
		binary.BigEndian.PutUint32(report[4:], 0x1000)
		for range 3 {
			enc, err := a.tx.EncryptRTCP(nil, report, nil)
			if err != nil {
				t.Fatal(err)
			}
			a.put(a.rtp, a.toRTP, enc)
			if got := get(b.rtcp, 2*time.Second); !bytes.Equal(got, report) {
				t.Fatalf("B got % x", got)
			}
			b.put(b.rtcp, b.toRTCP, report)
			got := get(a.rtp, 2*time.Second)
			if dec, err := a.rx.DecryptRTCP(nil, got, nil); err != nil || !bytes.Equal(dec, report) {
				t.Fatalf("A got % x: %v", got, err)
			}
		}
		if rx, tx := s.Stats(tandem.SideA); rx.Packets != 1 || tx.Packets != 1 {
			t.Errorf("reports must not count as packets: %+v %+v", rx, tx)
		}
	})
}

// TestRollover: 70,000 packets through SRTP to RTP, in runs that the socket buffers hold.
func TestRollover(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		a, b := newPeer(t, "127.0.0.1", true), newPeer(t, "127.0.0.1", false)
		s := join(t, newPool(t, cfg, Deps{}), a, b)
		a.seq = 65000
		const run = 50
		total := 70_000
		if testing.Short() {
			total = 2_000 // still over one wrap
		}
		for i := 0; i < total; i += run {
			wants := make([][]byte, run)
			for j := range wants {
				wants[j] = a.packet(20)
				a.put(a.rtp, a.toRTP, a.wire(wants[j]))
			}
			for _, want := range wants {
				b.expect(want)
			}
		}
		if rx, _ := s.Stats(tandem.SideA); rx.Packets != uint64(total) || rx.Lost != 0 || rx.Dropped != 0 {
			t.Errorf("%+v", rx)
		}
		b.passes(a)
	})
}

// TestReinviteKeys: the same key keeps rollover counter and replay window, a new one starts afresh.
func TestReinviteKeys(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		a, b := newPeer(t, "127.0.0.1", true), newPeer(t, "127.0.0.1", false)
		s := join(t, newPool(t, cfg, Deps{}), a, b)
		ours := a.theirKey
		a.seq, b.seq = 65534, 65534
		var old []byte
		for range 4 {
			p := a.packet(20)
			old = a.wire(p)
			a.put(a.rtp, a.toRTP, old)
			b.expect(p)
			b.passes(a)
		}
		negotiate(t, s, tandem.SideA, a, b) // unchanged: rollover counter 1 goes on
		a.passes(b)
		b.passes(a)
		a.put(a.rtp, a.toRTP, old) // replay over the re-INVITE
		a.passes(b)
		if rx, _ := s.Stats(tandem.SideA); rx.Dropped != 1 {
			t.Errorf("the replay was not counted: %+v", rx)
		}
		a.rekey() // a new key of theirs: rollover counter 0 again, ours stays
		negotiate(t, s, tandem.SideA, a, b)
		if !a.theirKey.Equal(ours) {
			t.Error("our key changed within the dialog")
		}
		a.passes(b)
		b.passes(a)
		a.ssrc = 0x2000 // another source after a transfer
		a.passes(b)
	})
}

// TestOldKeyUntilTheAnswerArrives: a peer that re-keys by re-INVITE goes on with
// its old key until it has our answer; those packets are no gap, for a while.
func TestOldKeyUntilTheAnswerArrives(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		var late atomic.Int64
		clock := func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
		a, b := newPeer(t, "127.0.0.1", true), newPeer(t, "127.0.0.1", false)
		s := join(t, newPool(t, cfg, Deps{Clock: clock}), a, b)
		a.seq = 65530
		for range 10 { // past a rollover, which the old key's context must keep
			a.passes(b)
		}
		before := a.tx
		plain := a.packet(40)
		replay := a.wire(plain)
		a.put(a.rtp, a.toRTP, replay)
		b.expect(plain)
		a.rekey()
		negotiate(t, s, tandem.SideA, a, b)
		after := a.tx
		for range 3 {
			a.tx = before
			a.passes(b)
			a.tx = after
			a.passes(b)
		}
		a.put(a.rtp, a.toRTP, replay)
		late.Store(int64(keyOverlap + time.Second))
		a.tx = before
		a.put(a.rtp, a.toRTP, a.wire(a.packet(40)))
		a.tx = after
		a.passes(b)
		if rx, _ := s.Stats(tandem.SideA); rx.Dropped != 2 {
			t.Errorf("dropped %d packets, want the replay and the one of a key long gone", rx.Dropped)
		}
	})
}

func TestBadTagsAndReplaysAreDropped(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		a, b := newPeer(t, "127.0.0.1", true), newPeer(t, "127.0.0.1", false)
		s := join(t, newPool(t, cfg, Deps{}), a, b)
		good := a.packet(40)
		wire := a.wire(good)
		bad := bytes.Clone(wire)
		bad[20] ^= 1
		a.put(a.rtp, a.toRTP, bad)
		a.put(a.rtp, a.toRTP, []byte("too short"))
		a.put(a.rtp, a.toRTP, make([]byte, 2500))
		a.put(a.rtp, a.toRTP, a.packet(40)) // not protected at all
		a.put(a.rtp, a.toRTP, wire)
		b.expect(good)
		a.put(a.rtp, a.toRTP, wire)
		a.passes(b)
		if rx, _ := s.Stats(tandem.SideA); rx.Dropped != 5 || rx.Packets != 2 {
			t.Errorf("%+v", rx)
		}
	})
}

// TestThirdParty: what others send is neither relayed nor answered, before and after the latch.
func TestThirdParty(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		a, b := newPeer(t, "127.0.0.1", false), newPeer(t, "127.0.0.1", false)
		evil := newPeer(t, "127.0.0.66", false)
		s := join(t, newPool(t, cfg, Deps{}), a, b)
		evil.toRTP = a.toRTP
		for range 3 {
			evil.put(evil.rtp, evil.toRTP, evil.packet(160))
		}
		a.passes(b) // the first that B hears
		for range 3 {
			evil.put(evil.rtp, evil.toRTP, evil.packet(160))
		}
		a.passes(b)
		b.passes(a)
		if rx, _ := s.Stats(tandem.SideA); rx.Packets != 2 || rx.Dropped < 3 {
			t.Errorf("%+v", rx)
		}
		if got := get(evil.rtp, 20*time.Millisecond); got != nil {
			t.Error("the third party was answered")
		}
	})
}

// TestSymmetricPort: the port may differ from SDP within the address; the port that SDP gave wins when it speaks.
func TestSymmetricPort(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		a, b := newPeer(t, "127.0.0.1", false), newPeer(t, "127.0.0.1", false)
		join(t, newPool(t, cfg, Deps{}), a, b)
		other := newPeer(t, "127.0.0.1", false)
		for range 5 { // from another port of the same address
			p := a.packet(160)
			a.put(other.rtp, a.toRTP, p)
			b.expect(p)
		}
		p := b.packet(160)
		b.put(b.rtp, b.toRTP, p)
		other.expect(p)
		a.passes(b) // the port in SDP speaks up
		b.passes(a)
		p = a.packet(160)
		a.put(other.rtp, a.toRTP, p) // too late now
		a.passes(b)
	})
}

// TestPeerSources: behind a NAT the address in SDP is private; only the trunk's networks may stand in for it.
func TestPeerSources(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		pool := newPool(t, cfg, Deps{})
		a, b := newPeer(t, "127.0.0.1", false), newPeer(t, "127.0.0.1", false)
		nat := newPeer(t, "127.0.7.1", false)
		stranger := newPeer(t, "127.0.8.1", false)
		pr := profile(a)
		pr.PeerSources = []netip.Prefix{netip.MustParsePrefix("127.0.7.0/24")}
		s, err := pool.OpenMedia(tandem.CallRef{}, pr)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		s.SetPeer(profile(b))
		negotiate(t, s, tandem.SideA, a, b)
		stranger.put(stranger.rtp, a.toRTP, stranger.packet(160))
		for range provisional + 5 {
			p := nat.packet(160)
			nat.put(nat.rtp, a.toRTP, p)
			b.expect(p)
		}
		p := b.packet(160)
		b.put(b.rtp, b.toRTP, p)
		nat.expect(p)
		if rx, _ := s.Stats(tandem.SideA); rx.Dropped != 1 {
			t.Errorf("%+v", rx)
		}
	})
}

// TestMovedPeer: a re-INVITE with a new address latches anew; our own port stays.
func TestMovedPeer(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		a, b := newPeer(t, "127.0.0.1", true), newPeer(t, "127.0.0.1", false)
		s := join(t, newPool(t, cfg, Deps{}), a, b)
		for range 3 {
			a.passes(b)
			b.passes(a)
		}
		before, key := a.toRTP, a.theirKey
		moved := newPeer(t, "127.0.0.2", true)
		negotiate(t, s, tandem.SideA, moved, b)
		if moved.toRTP != before {
			t.Errorf("our port moved from %v to %v", before, moved.toRTP)
		}
		if moved.theirKey.Equal(key) {
			t.Error("a moved and re-keyed peer cannot know our rollover counter: it needs a new key")
		}
		moved.passes(b)
		b.passes(moved)
	})
}

// TestEarlyMediaAndForks: an early answer opens media; the answer of another fork replaces it.
func TestEarlyMediaAndForks(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		pool := newPool(t, cfg, Deps{})
		a, b1, b2 := newPeer(t, "127.0.0.1", true), newPeer(t, "127.0.0.1", false), newPeer(t, "127.0.0.2", false)
		s, err := pool.OpenMedia(tandem.CallRef{}, profile(a))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		s.SetPeer(profile(b1))
		offer, err := s.Offer(tandem.SideA, a.describe())
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range []*peer{b1, b2} {
			b.hear(offer)
			answer, err := s.Answer(tandem.SideB, b.describe(), i == 1)
			if err != nil {
				t.Fatal(err)
			}
			a.hear(answer)
			for range 3 {
				b.passes(a)
				a.passes(b)
			}
			b.ssrc++
		}
		b1.put(b1.rtp, b1.toRTP, b1.packet(160)) // the fork that lost
		b2.passes(a)
	})
}

// TestNextAttempt: SetPeer starts side B anew, as failsafe does, with its counters.
func TestNextAttempt(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		pool := newPool(t, cfg, Deps{})
		a, teams, carrier := newPeer(t, "127.0.0.1", false), newPeer(t, "127.0.0.1", true), newPeer(t, "127.0.0.2", false)
		s := join(t, pool, a, teams)
		teams.passes(a)
		before := teams.toRTP
		s.SetPeer(profile(carrier))
		negotiate(t, s, tandem.SideA, a, carrier)
		if carrier.toRTP != before {
			t.Errorf("ports moved from %v to %v", before, carrier.toRTP)
		}
		carrier.passes(a)
		a.passes(carrier)
		if rx, tx := s.Stats(tandem.SideB); rx.Packets != 1 || tx.Packets != 1 {
			t.Errorf("counters of the attempt before: %+v %+v", rx, tx)
		}
		if _, secure := s.Describe(tandem.SideB); secure {
			t.Error("SRTP of the attempt before")
		}
	})
}

// TestRefusedOffer: after Rollback media is as it was.
func TestRefusedOffer(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		a, b := newPeer(t, "127.0.0.1", true), newPeer(t, "127.0.0.1", false)
		s := join(t, newPool(t, cfg, Deps{}), a, b)
		a.passes(b)
		elsewhere := newPeer(t, "127.0.0.2", true)
		if _, err := s.Offer(tandem.SideA, elsewhere.describe()); err != nil {
			t.Fatal(err)
		}
		s.Rollback()
		a.passes(b)
		b.passes(a)
		if _, err := s.Offer(tandem.SideA, []byte("nonsense")); tandem.KindOf(err) != tandem.KindInvalid {
			t.Errorf("nonsense: %v", err)
		}
		a.passes(b)
	})
}

func TestPortsRunOutAndComeBack(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) { // 16 ports: 4 calls
		pool := newPool(t, cfg, Deps{})
		for range 3 {
			var open []tandem.MediaSession
			for range 4 {
				s, err := pool.OpenMedia(tandem.CallRef{}, tandem.MediaProfile{})
				if err != nil {
					t.Fatal(err)
				}
				open = append(open, s)
			}
			if st := pool.Stats(); st.Ports != 16 || st.Sessions != 4 || st.Free != 0 {
				t.Errorf("full: %+v", st)
			}
			if _, err := pool.OpenMedia(tandem.CallRef{}, tandem.MediaProfile{}); tandem.KindOf(err) != tandem.KindUnavailable {
				t.Fatalf("one too many: %v", err)
			}
			for _, s := range open {
				s.Close()
				s.Close()
				if _, err := s.Offer(tandem.SideA, nil); err == nil {
					t.Error("closed media takes an offer")
				}
				s.Rollback()
				s.SetPeer(tandem.MediaProfile{})
			}
			if st := pool.Stats(); st != (Stats{Free: 16}) {
				t.Errorf("after Close: %+v", st)
			}
		}
	})
}

// TestQuarantine: the ports of an ended call rest.
func TestQuarantine(t *testing.T) {
	cfg := testConfig(t)
	cfg.Quarantine = time.Minute
	clock := newClock()
	pool := newPool(t, cfg, Deps{Clock: clock.Now})
	for range 4 {
		s, err := pool.OpenMedia(tandem.CallRef{}, tandem.MediaProfile{})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	if _, err := pool.OpenMedia(tandem.CallRef{}, tandem.MediaProfile{}); err == nil {
		t.Error("resting ports were given away")
	}
	if st := pool.Stats(); st.Resting != 16 {
		t.Errorf("%+v", st)
	}
	clock.Add(time.Minute)
	s, err := pool.OpenMedia(tandem.CallRef{}, tandem.MediaProfile{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

// TestSocketsRunOutBeforeFiles: within a wide range of ports the budget of open
// files is the bound; what is bound serves again.
func TestSocketsRunOutBeforeFiles(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		cfg.Sockets = 8 // 2 calls; the range would hold 4
		pool := newPool(t, cfg, Deps{})
		for range 3 {
			var open []tandem.MediaSession
			for range 2 {
				s, err := pool.OpenMedia(tandem.CallRef{}, tandem.MediaProfile{})
				if err != nil {
					t.Fatal(err)
				}
				open = append(open, s)
			}
			if _, err := pool.OpenMedia(tandem.CallRef{}, tandem.MediaProfile{}); tandem.KindOf(err) != tandem.KindUnavailable {
				t.Fatalf("one too many: %v", err)
			}
			if st := pool.Stats(); st.Ports != 8 || st.Free != 0 {
				t.Errorf("full: %+v", st)
			}
			for _, s := range open {
				s.Close()
			}
			if st := pool.Stats(); st.Ports != 0 || st.Free != 8 {
				t.Errorf("empty: %+v", st)
			}
		}
	})
}

func TestSocketLimitLeavesFilesForOthers(t *testing.T) {
	if most := socketLimit(); most <= 0 {
		t.Errorf("%d sockets", most)
	}
}
