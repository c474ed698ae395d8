package sim_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"tandem/sip/sim"
)

var (
	seeds = flag.Uint64("seeds", 16, "how many seeds TestSim runs")
	seed  = flag.Uint64("seed", 0, "run this one seed only")
	calls = flag.Int("calls", 1000, "calls per seed")
	show  = flag.Bool("ladder", false, "print the whole ladder of -seed")
)

// weatherOf a seed: seeds go through the kinds of weather by turns.
func weatherOf(seed uint64) sim.Weather {
	list := sim.Weathers()
	return list[seed%uint64(len(list))]
}

// TestSim runs random calls through the whole product under faults and holds
// every run to the invariants (sim.Invariants). Same seed and number of calls,
// same run.
func TestSim(t *testing.T) {
	first, last, n := uint64(1), *seeds, *calls
	if testing.Short() {
		n, last = min(n, 300), min(last, 8)
	}
	if *seed != 0 {
		first, last = *seed, *seed
	}
	total, began, cpu := newResult(), time.Now(), cpuTime()
	t.Run("seeds", func(t *testing.T) {
		for s := first; s <= last; s++ {
			t.Run(fmt.Sprintf("%d %s", s, weatherOf(s).Name), func(t *testing.T) {
				t.Parallel() // worlds share nothing
				began := time.Now()
				if problems := total.run(t, s, n, false); len(problems) > 0 {
					report(t, s, n, problems)
				}
				t.Logf("%d calls in %v", n, time.Since(began).Round(time.Millisecond))
			})
		}
	})
	total.real, total.cpu = time.Since(began), cpuTime()-cpu
	t.Log("\n" + total.table())
}

// report repeats a failed run with its ladder.
func report(t *testing.T, s uint64, n int, problems []string) {
	t.Helper()
	again := newResult()
	again.run(t, s, n, true)
	t.Errorf("%d problems:\n  %s\nreproduce: go test ./sip/sim -run 'TestSim$' -seed %d -calls %d\nladder of the calls in question:\n  %s",
		len(problems), strings.Join(problems[:min(len(problems), 10)], "\n  "), s, n, strings.Join(again.ladder, "\n  "))
}

// run runs one seed to its end and returns what is broken.
func (r *result) run(t testing.TB, seed uint64, n int, logging bool) []string {
	weather := weatherOf(seed)
	s := newStack(t, seed, weather)
	defer s.journal.close()
	s.Logging = logging
	s.Start(n, time.Duration(n)*100*time.Millisecond)
	if rest := s.RunIdle(240 * time.Hour); rest >= 240*time.Hour {
		s.Problem("after ten days there is still something to do")
	}
	problems := s.Check()
	rows, more := s.rows()
	problems = append(problems, more...)
	charges, more := books(t, s, rows, seed)
	problems = append(problems, more...)
	if logging {
		r.ladder = s.Suspects(2, 150)
		if *show {
			r.ladder = s.Ladder
		}
	}
	r.add(s, n, len(rows), charges)
	return problems
}

// The same seed gives the same run, or no failure could be looked at twice.
func TestSimRunsAreReproducible(t *testing.T) {
	for _, s := range []uint64{2, 5, 6} {
		ladder := func() string {
			s := newStack(t, s, weatherOf(s))
			defer s.journal.close()
			s.Logging = true
			s.Start(60, 10*time.Second)
			s.RunIdle(240 * time.Hour)
			return strings.Join(s.Ladder, "\n")
		}
		if a, b := ladder(), ladder(); a != b {
			t.Errorf("two runs of seed %d differ", s)
		}
	}
}
