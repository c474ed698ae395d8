package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	"golang.org/x/sys/unix"
)

// tuneMemory trades memory for CPU while memory is cheap. A garbage collection
// marks all that lives; at Go's default (as much garbage as lives) a busy node of
// some 20 MB live runs several a second, a sixth of its CPU. Here garbage may grow to
// gcRoom, whatever lives, but to four times of it at most and to three quarters
// at least: the cost of a collection grows with what lives, so its frequency may
// fall. Half of the machine's memory is the limit from which on it collects as
// often as it takes. GOGC and GOMEMLIMIT in the environment win.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		t := &gcTuner{percent: gcPercentMax}
		debug.SetGCPercent(t.percent)
		t.arm()
	}
	var info unix.Sysinfo_t
	if os.Getenv("GOMEMLIMIT") == "" && unix.Sysinfo(&info) == nil {
		debug.SetMemoryLimit(int64(info.Totalram) * int64(info.Unit) / 2)
	}
}

const (
	// gcRoom is the garbage of one second at about 1,200 calls/s (55 KB a call).
	gcRoom       = 64 << 20
	gcPercentMax = 400
	gcPercentMin = 75
)

// gcPercent is the garbage to allow, in percent of the live heap.
func gcPercent(live uint64) int {
	return int(min(max(100*gcRoom/max(live, 1), gcPercentMin), gcPercentMax))
}

// gcTuner sets the percentage anew after each collection.
type gcTuner struct{ percent int }

// arm makes the next collection call adjust: it finds the mark unreachable.
func (t *gcTuner) arm() {
	mark := new([16]byte)
	runtime.AddCleanup(mark, (*gcTuner).adjust, t)
}

// adjust follows the live heap. Small changes are left: each stops the world for some microseconds.
func (t *gcTuner) adjust() {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() == metrics.KindUint64 {
		want := gcPercent(sample[0].Value.Uint64())
		if want > t.percent*9/8 || want < t.percent*7/8 || want != t.percent && (want == gcPercentMax || want == gcPercentMin) {
			t.percent = want
			debug.SetGCPercent(want)
		}
	}
	t.arm()
}
