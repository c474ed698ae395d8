package sim

import (
	"flag"
	"strings"
	"testing"
	"time"
)

var (
	seeds = flag.Uint64("seeds", 5, "how many seeds TestSim runs")
	seed  = flag.Uint64("seed", 0, "run this one seed only, with its ladder")
	calls = flag.Int("calls", 300, "calls per seed")
)

var weather = map[string]Faults{
	"fair":  {},
	"lossy": {Loss: 0.05, Duplicate: 0.03, Jitter: 20 * time.Millisecond},
	"storm": {Loss: 0.15, Duplicate: 0.15, Reorder: 0.2, LateBy: 700 * time.Millisecond, Jitter: 80 * time.Millisecond},
	"slow":  {Delay: 400 * time.Millisecond, Jitter: 300 * time.Millisecond, Reorder: 0.1, LateBy: 2 * time.Second},
}

// TestSim runs random calls under faults and states the invariants of Check.
// A failure names its seed: go test ./sip/sim -run TestSim/storm -seed N
func TestSim(t *testing.T) {
	first, last := uint64(1), *seeds
	if *seed != 0 {
		first, last = *seed, *seed
	}
	for name, faults := range weather {
		t.Run(name, func(t *testing.T) {
			for s := first; s <= last; s++ {
				run(t, name, s, faults)
			}
		})
	}
}

func run(t *testing.T, name string, s uint64, faults Faults) {
	t.Helper()
	w := NewRandom(Config{Seed: s, Faults: faults})
	w.Logging = *seed != 0
	span := time.Duration(*calls) * 200 * time.Millisecond
	for range *calls {
		w.After(w.Between(0, span), w.Place)
	}
	w.Trouble(10*time.Second, span)
	rested := w.RunIdle(48 * time.Hour)
	problems := w.Check()
	if len(problems) == 0 {
		return
	}
	t.Errorf("seed %d, %v of virtual time: %d problems\n%s\nreproduce: go test ./sip/sim -run 'TestSim/%s' -seed %d -calls %d -v",
		s, rested, len(problems), strings.Join(problems[:min(len(problems), 10)], "\n"), name, s, *calls)
	if w.Logging {
		t.Logf("ladder:\n%s", strings.Join(w.Ladder, "\n"))
	}
}

// The same seed gives the same run, or no failure could be looked at twice.
func TestRunsAreReproducible(t *testing.T) {
	ladder := func() string {
		w := NewRandom(Config{Seed: 42, Faults: weather["storm"]})
		w.Logging = true
		for range 50 {
			w.After(w.Between(0, 10*time.Second), w.Place)
		}
		w.Trouble(2*time.Second, 10*time.Second)
		w.RunIdle(48 * time.Hour)
		return strings.Join(w.Ladder, "\n")
	}
	if a, b := ladder(), ladder(); a != b {
		t.Error("two runs of one seed differ")
	}
}
