package relay

import (
	"encoding/binary"
	"testing"
	"time"

	"tandem"
)

// TestThirdPartyOnEveryPort: RTP, RTCP, SRTP and what was overheard, sent from a
// third address to each port of a call, protected or not, before and after the
// peers have spoken: none of it is relayed or answered, all that was read is counted.
func TestThirdPartyOnEveryPort(t *testing.T) {
	for name, secure := range map[string][2]bool{"RTP-RTP": {false, false}, "SRTP-RTP": {true, false}, "SRTP-SRTP": {true, true}} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, cfg Config) {
				a, b := newPeer(t, "127.0.0.1", secure[0]), newPeer(t, "127.0.0.1", secure[1])
				evil := newPeer(t, "127.0.0.66", false)
				s := join(t, newPool(t, cfg, Deps{}), a, b)
				report := make([]byte, 28)
				report[0], report[1], report[3] = 0x80, 200, 6
				binary.BigEndian.PutUint32(report[4:], 0x1000)
				attack := func(overheard []byte) {
					for _, to := range []*peer{a, b} {
						for range 3 {
							evil.put(evil.rtp, to.toRTP, evil.packet(160))
							evil.put(evil.rtp, to.toRTP, report)
							evil.put(evil.rtcp, to.toRTCP, report)
							if overheard != nil {
								evil.put(evil.rtp, to.toRTP, overheard)
							}
						}
					}
				}
				attack(nil)
				// What comes first at each peer is the other's, so nothing came before.
				a.passes(b)
				b.passes(a)
				good := a.packet(160)
				wire := a.wire(good)
				a.put(a.rtp, a.toRTP, wire)
				b.expect(good)
				attack(wire)
				a.passes(b)
				b.passes(a)
				for side, want := range map[tandem.Side]uint64{tandem.SideA: 3, tandem.SideB: 2} {
					// After the peers have spoken the kernel drops for us what is not theirs.
					if rx, _ := s.Stats(side); rx.Packets != want || rx.Dropped < 6 {
						t.Errorf("side %v: %+v", side, rx)
					}
				}
				if got := get(evil.rtp, 20*time.Millisecond); got != nil {
					t.Error("the third party was answered")
				}
				if got := get(evil.rtcp, 20*time.Millisecond); got != nil {
					t.Error("the third party was answered by RTCP")
				}
				for _, p := range []*peer{a, b} {
					if got := get(p.rtcp, 20*time.Millisecond); got != nil {
						t.Errorf("a third party's report was relayed: % x", got)
					}
				}
			})
		})
	}
}

// TestReplayedReportsAreDropped: SRTCP has a replay window of its own (RFC 3711 3.4).
func TestReplayedReportsAreDropped(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		a, b := newPeer(t, "127.0.0.1", true), newPeer(t, "127.0.0.1", false)
		s := join(t, newPool(t, cfg, Deps{}), a, b)
		report := make([]byte, 28)
		report[0], report[1], report[3] = 0x80, 200, 6
		binary.BigEndian.PutUint32(report[4:], 0x1000)
		wire, err := a.tx.EncryptRTCP(nil, report, nil)
		if err != nil {
			t.Fatal(err)
		}
		a.put(a.rtcp, a.toRTCP, wire)
		if get(b.rtcp, 2*time.Second) == nil {
			t.Fatal("the report did not come")
		}
		bad := append([]byte(nil), wire...)
		bad[len(bad)-1] ^= 1
		a.put(a.rtcp, a.toRTCP, wire)
		a.put(a.rtcp, a.toRTCP, bad)
		a.put(a.rtcp, a.toRTCP, report) // not protected
		second, _ := a.tx.EncryptRTCP(nil, report, nil)
		a.put(a.rtcp, a.toRTCP, second)
		if get(b.rtcp, 2*time.Second) == nil {
			t.Fatal("the second report did not come")
		}
		if got := get(b.rtcp, 20*time.Millisecond); got != nil {
			t.Errorf("a replayed or forged report was relayed: % x", got)
		}
		if rx, _ := s.Stats(tandem.SideA); rx.Dropped != 3 {
			t.Errorf("%d dropped, want the copy, the forged and the plain one", rx.Dropped)
		}
	})
}
