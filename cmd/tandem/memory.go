package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"golang.org/x/sys/unix"
)

// tuneMemory trades memory for CPU where it pays. A garbage collection marks all
// that lives; at Go's default (as much garbage as lives) a busy node of some
// 20 MB live runs several a second, a sixth of its CPU. Here two seconds' garbage
// may gather, within bounds, so that a collection each second or two is enough at
// any rate of calls, and a node that only holds its calls holds little else. While
// one is at work calls share their processor with it: the rarer, the fewer of them
// (at 1,000 calls/s one in a hundred of those set up). Half of the
// machine's memory is the limit from which on it collects as often as it takes.
// GOGC and GOMEMLIMIT in the environment win.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		go new(gcTuner).run()
	}
	var info unix.Sysinfo_t
	if os.Getenv("GOMEMLIMIT") == "" && unix.Sysinfo(&info) == nil {
		debug.SetMemoryLimit(int64(info.Totalram) * int64(info.Unit) / 2)
	}
}

// Bounds of the garbage that may gather, and of its proportion to what lives:
// the cost of a collection grows with what lives, so its frequency may fall.
const (
	gcRoomMin    = 24 << 20
	gcRoomMax    = 56 << 20
	gcPercentMin = 50
	gcPercentMax = 400
)

// gcPercent is the garbage to allow, in percent of what lives, at so many bytes
// allocated in a second.
func gcPercent(live, perSecond uint64) int {
	room := min(max(2*perSecond, gcRoomMin), gcRoomMax)
	return int(min(max(100*room/max(live, 1), gcPercentMin), gcPercentMax))
}

// gcTuner follows the rate of allocation.
type gcTuner struct {
	allocated uint64
	rate      uint64 // bytes per second: at once up, down by a fifth a second
	percent   int
}

func (t *gcTuner) run() {
	for range time.Tick(time.Second) {
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
		metrics.Read(sample)
		if percent, ok := t.next(sample[0].Value.Uint64(), sample[1].Value.Uint64()); ok {
			debug.SetGCPercent(percent)
		}
	}
}

// next is the percentage after a second in which so much was allocated in all.
// Small changes are left: each stops the world for some microseconds.
func (t *gcTuner) next(live, allocated uint64) (percent int, changed bool) {
	t.rate = max(allocated-t.allocated, t.rate-t.rate/5)
	t.allocated = allocated
	percent = gcPercent(live, t.rate)
	if percent <= t.percent*9/8 && percent >= t.percent*7/8 {
		return t.percent, false
	}
	t.percent = percent
	return percent, true
}

// collectionDue tells whether three quarters of the garbage that may gather have:
// beside a batch, which makes a fifth of a second's, a collection would begin by itself.
func collectionDue() bool {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/goal:bytes"}}
	metrics.Read(sample)
	return nearlyFull(sample[0].Value.Uint64(), sample[1].Value.Uint64(), sample[2].Value.Uint64())
}

// nearlyFull: a heap of now bytes, of which at the last collection some were live, has
// come three quarters of the way from there to the goal of the next.
func nearlyFull(live, now, goal uint64) bool {
	return now > live && 4*(now-live) >= 3*(goal-min(live, goal))
}
