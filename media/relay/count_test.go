package relay

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
)

// rtpAt is a bare header.
func rtpAt(seq uint16, stamp, ssrc uint32) []byte {
	b := make([]byte, 12)
	b[0] = 0x80
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], stamp)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return b
}

func feed(r *received, seqs ...uint16) {
	for _, s := range seqs {
		r.take(rtpAt(s, 0, 1), 12, 0, time.Second)
	}
}

// TestLost: RFC 3550 A.1 and A.3.
func TestLost(t *testing.T) {
	for name, c := range map[string]struct {
		seqs []uint16
		want uint64
	}{
		"none":                     {[]uint16{1, 2, 3, 4}, 0},
		"one":                      {[]uint16{1, 2, 4, 5}, 1},
		"across the wrap":          {[]uint16{65534, 65535, 1, 2}, 1},
		"reordered":                {[]uint16{1, 3, 2, 4}, 0},
		"reordered across wrap":    {[]uint16{65535, 1, 0, 2}, 0},
		"duplicates are not gains": {[]uint16{1, 2, 2, 2, 2}, 0},
		"late before the first":    {[]uint16{5, 4, 6}, 0},
		"a stray jump":             {[]uint16{1, 2, 30000, 3, 4}, 0},
		"restart":                  {[]uint16{1, 2, 4, 30000, 30001, 30002}, 1},
		"restart at zero":          {[]uint16{30000, 30001, 65535, 0, 1, 3}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var r received
			feed(&r, c.seqs...)
			if got := r.lost + r.missing(); got != c.want {
				t.Errorf("lost %d, want %d", got, c.want)
			}
			if r.packets != uint64(len(c.seqs)) {
				t.Errorf("%d packets of %d", r.packets, len(c.seqs))
			}
		})
	}
}

// TestLossOfFivePercent: what is lost on the way is what is counted, over wraps and a change of source.
func TestLossOfFivePercent(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var r received
	var dropped, all uint64
	seq := uint16(60000)
	for i := range 200_000 {
		seq++
		all++
		edge := i == 0 || i == 99_999 || i == 100_000 || i == 199_999 // the ends of a run are not seen when lost
		if !edge && rng.IntN(20) == 0 {
			dropped++
			continue
		}
		r.take(rtpAt(seq, 0, uint32(i/100_000)), 172, 0, time.Second)
	}
	if got := r.lost + r.missing(); got != dropped || r.packets != all-dropped {
		t.Errorf("counted %d, dropped %d", got, dropped)
	}
}

// TestJitter: a constant difference d of every second packet converges to d (RFC 3550 6.4.1).
func TestJitter(t *testing.T) {
	for name, c := range map[string]struct {
		clock, step uint32
	}{"8 kHz": {8000, 160}, "48 kHz": {48000, 960}} {
		t.Run(name, func(t *testing.T) {
			var r received
			now := time.Second
			for i := range uint32(2000) {
				late := time.Duration(i%2) * 5 * time.Millisecond
				r.take(rtpAt(uint16(i), 1<<32-1000+i*c.step, 1), 172, c.clock, now+late)
				now += 20 * time.Millisecond
			}
			if j := r.stats(time.Time{}).JitterMicros; j < 4900 || j > 5100 {
				t.Errorf("jitter %d us, want 5000", j)
			}
			r.take(rtpAt(2000, 77_000_000, 1), 172, c.clock, now) // the source's clock jumps
			if j := r.stats(time.Time{}).JitterMicros; j > 5100 {
				t.Errorf("a jump counted as jitter: %d us", j)
			}
		})
	}
}

func FuzzReceived(f *testing.F) {
	f.Add([]byte{0, 1, 0, 2, 0, 4})
	f.Add([]byte{255, 255, 0, 0, 117, 48, 117, 49})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r received
		n := uint64(0)
		for ; len(b) >= 2; b = b[2:] {
			r.take(rtpAt(binary.BigEndian.Uint16(b), uint32(b[0])<<24, uint32(b[1]&1)), 12, 8000, time.Duration(n)*time.Millisecond)
			n++
		}
		if st := r.stats(time.Time{}); st.Packets != n || st.Lost > n*1<<17 {
			t.Errorf("%+v after %d packets", st, n)
		}
	})
}
