package quality

import (
	"math"
	"testing"

	"tandem"
)

// TestCheckValues: published points of the E-model.
func TestCheckValues(t *testing.T) {
	for name, c := range map[string]struct{ ie, bpl, loss, delay, r, mos float64 }{
		"clean":                      {0, 4.3, 0, 0, 93.2, 4.41},
		"1 % loss, no concealment":   {0, 4.3, 1, 0, 75.3, 3.83},
		"1 % loss, with concealment": {0, 25.1, 1, 0, 89.6, 4.33},
		"200 ms":                     {0, 25.1, 0, 200, 93.2 - 7.30, 4.22},
	} {
		t.Run(name, func(t *testing.T) {
			r := R(c.ie, c.bpl, c.loss, c.delay)
			if math.Abs(r-c.r) > 0.06 {
				t.Errorf("R = %.2f, want %.2f", r, c.r)
			}
			if m := Score(r); math.Abs(m-c.mos) > 0.02 {
				t.Errorf("MOS = %.3f, want %.2f", m, c.mos)
			}
		})
	}
}

func TestScoreBounds(t *testing.T) {
	for _, r := range []float64{-1e9, -1, 0, 0.1, 3, 50, 99.9, 100, 1e9, math.NaN(), math.Inf(1), math.Inf(-1)} {
		if m := Score(r); m < 1 || m > 4.5 {
			t.Errorf("Score(%v) = %v", r, m)
		}
	}
}

func TestMOSFallsWithLossAndJitter(t *testing.T) {
	if MOS("PCMU", tandem.StreamStats{}) != 0 {
		t.Error("nothing received must be unknown")
	}
	last := 5.0
	for lost := uint64(0); lost < 1000; lost += 50 {
		m := MOS("PCMU", tandem.StreamStats{Packets: 1000 - lost, Lost: lost})
		if m > last || m < 1 {
			t.Errorf("lost %d: MOS %v after %v", lost, m, last)
		}
		last = m
	}
	calm := MOS("PCMA", tandem.StreamStats{Packets: 100})
	rough := MOS("PCMA", tandem.StreamStats{Packets: 100, JitterMicros: 90_000})
	if rough >= calm || MOS("G729", tandem.StreamStats{Packets: 100}) >= calm {
		t.Errorf("calm %v rough %v", calm, rough)
	}
}
