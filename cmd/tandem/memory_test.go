package main

import "testing"

func TestTwoSecondsGarbageMayGatherWithinBounds(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct{ live, perSecond, want uint64 }{
		{20 * mb, 0, 120}, {20 * mb, 25 * mb, 250}, {20 * mb, 40 * mb, 280}, {20 * mb, 200 * mb, 280}, {8 * mb, 200 * mb, 400}, {0, 0, 400},
		{40 * mb, 15 * mb, 75}, {200 * mb, 200 * mb, 50},
	} {
		if got := gcPercent(c.live, c.perSecond); got != int(c.want) {
			t.Errorf("%d MB live, %d MB/s: %d %%, want %d", c.live/mb, c.perSecond/mb, got, c.want)
		}
	}
}

func TestGarbageFollowsTheRateUpAtOnceAndDownSlowly(t *testing.T) {
	const mb = 1 << 20
	var tuner gcTuner
	total := uint64(0)
	for i, c := range []struct {
		allocated uint64
		percent   int
		changed   bool
	}{{5 * mb, 120, true}, {25 * mb, 250, true}, {25 * mb, 250, false}, {0, 200, true}, {0, 160, true}, {0, 128, true}, {25 * mb, 250, true}} {
		total += c.allocated
		if percent, changed := tuner.next(20*mb, total); percent != c.percent || changed != c.changed {
			t.Errorf("second %d: %d %%, %t; want %d, %t", i+1, percent, changed, c.percent, c.changed)
		}
	}
}

func TestACollectionIsDueThreeQuartersOfTheWay(t *testing.T) {
	const mb = 1 << 20
	for name, c := range map[string]struct {
		live, now, goal uint64
		want            bool
	}{
		"three quarters":        {20 * mb, 56 * mb, 68 * mb, true},
		"before":                {20 * mb, 55 * mb, 68 * mb, false},
		"beyond the goal":       {20 * mb, 80 * mb, 70 * mb, true},
		"just collected":        {20 * mb, 20 * mb, 70 * mb, false},
		"less than lived":       {20 * mb, 15 * mb, 70 * mb, false},
		"at the memory's limit": {80 * mb, 81 * mb, 70 * mb, true},
	} {
		if got := nearlyFull(c.live, c.now, c.goal); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
