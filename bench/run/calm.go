package main

import (
	"context"
	"runtime"
	"sync"
	"time"

	"tandem/bench/process"
)

// What a look for calm takes, and the pause between two of them.
const (
	lookFor   = time.Second
	lookPause = 5 * time.Second
)

// awaitCalm waits, before a disturbed run is placed again, until the host leaves the
// processors to us: a host that is busy is so for minutes. It gives up when the
// patience of the whole measurement is used up.
func (s *session) awaitCalm(ctx context.Context) {
	began := time.Now()
	for s.patience > 0 && ctx.Err() == nil && stolenBeside(lookFor) > s.calm {
		select {
		case <-time.After(lookPause):
		case <-ctx.Done():
		}
		s.patience -= lookFor + lookPause
	}
	if waited := time.Since(began); waited > lookPause {
		s.say("  waited %.0f s for the host", waited.Seconds())
	}
}

// stolenBeside is the share of the processors, in percent, that the host takes while
// all of them work for so long: an idle machine is not told.
func stolenBeside(d time.Duration) float64 {
	before, began := process.Stolen(), time.Now()
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			for time.Since(began) < d {
			}
		})
	}
	wg.Wait()
	return stolenSince(before, began)
}

// stolenSince is the share of the processors, in percent, that the host has taken
// since it had taken before.
func stolenSince(before time.Duration, began time.Time) float64 {
	return 100 * (process.Stolen() - before).Seconds() / time.Since(began).Seconds() / float64(runtime.NumCPU())
}
