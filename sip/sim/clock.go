package sim

import (
	"time"
	"unsafe"
)

// The product's times carry two readings: the wall clock for records and the
// monotonic clock for timers and durations. NTP or an operator steps only the
// first. Package time has no way to make such a time, so the simulator writes
// its fields itself; TestClockStepMovesTheWallClockOnly guards the layout.

// twoReadings is the layout of time.Time with a monotonic reading.
type twoReadings struct {
	wall uint64 // 1 bit set, 33 bits of seconds since 1885, 30 bits of nanoseconds
	ext  int64  // nanoseconds on the monotonic clock
	loc  *time.Location
}

const (
	hasMonotonic = 1 << 63
	nsecBits     = 30
	epoch1885    = -2682288000 // Unix time of 1885-01-01
)

// instant is a time with a wall and a monotonic reading, in UTC.
func instant(wall time.Time, mono time.Duration) time.Time {
	var t time.Time
	r := (*twoReadings)(unsafe.Pointer(&t))
	r.wall = hasMonotonic | uint64(wall.Unix()-epoch1885)<<nsecBits | uint64(wall.Nanosecond())
	r.ext = int64(time.Hour + mono) // above zero, as in a process that has begun
	return t
}

// StepClock moves the wall clock by d; timers and durations must not notice.
func (w *World) StepClock(d time.Duration) {
	w.Now = instant(w.Now.Round(0).Add(d), w.elapsed)
	w.Count.ClockSteps++
}
