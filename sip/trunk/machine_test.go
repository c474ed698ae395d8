package trunk

import (
	"math/rand/v2"
	"testing"
	"time"

	"tandem"
)

var zero = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

type act struct {
	after time.Duration // since the step before
	ev    event
	hold  time.Duration
	want  tandem.HealthState
}

const (
	up      = tandem.HealthUp
	down    = tandem.HealthDown
	demoted = tandem.HealthDemoted
	unknown = tandem.HealthUnknown
	misconf = tandem.HealthMisconfigured
	s       = time.Second
)

func TestHealthRules(t *testing.T) {
	for name, c := range map[string]struct {
		unprobed bool
		steps    []act
	}{
		"first answer brings up":                     {steps: []act{{0, evAlive, 0, up}}},
		"first failures of an unknown one":           {steps: []act{{0, evFailed, 0, unknown}, {s, evFailed, 0, down}}},
		"one failure demotes, two bring down":        {steps: []act{{0, evAlive, 0, up}, {s, evFailed, 0, demoted}, {s, evFailed, 0, down}}},
		"a lost packet heals with hysteresis":        {steps: []act{{0, evAlive, 0, up}, {s, evFailed, 0, demoted}, {s, evAlive, 0, demoted}, {s, evAlive, 0, up}}},
		"two answers bring up from down":             {steps: []act{{0, evFailed, 0, unknown}, {s, evFailed, 0, down}, {s, evAlive, 0, demoted}, {s, evAlive, 0, up}}},
		"flapping never reaches up":                  {steps: []act{{0, evFailed, 0, unknown}, {s, evFailed, 0, down}, {s, evAlive, 0, demoted}, {s, evFailed, 0, demoted}, {s, evAlive, 0, demoted}, {s, evFailed, 0, demoted}}},
		"503 brings down at once":                    {steps: []act{{0, evAlive, 0, up}, {s, evUnavailable, 0, down}}},
		"503: answers do not count before its time":  {steps: []act{{0, evAlive, 0, up}, {s, evUnavailable, 60 * s, down}, {30 * s, evAlive, 0, down}, {29 * s, evAlive, 0, down}, {s, evAlive, 0, demoted}, {s, evAlive, 0, up}}},
		"503: a second one never shortens the first": {steps: []act{{0, evUnavailable, 60 * s, down}, {s, evUnavailable, s, down}, {30 * s, evAlive, 0, down}}},
		"503: Retry-After is bounded":                {steps: []act{{0, evUnavailable, 24 * time.Hour, down}, {10 * time.Minute, evAlive, 0, demoted}}},
		"403 is misconfigured, an answer heals it":   {steps: []act{{0, evAlive, 0, up}, {s, evRefused, 0, misconf}, {s, evRefused, 0, misconf}, {s, evAlive, 0, up}}},
		"403 and then silence":                       {steps: []act{{0, evRefused, 0, misconf}, {s, evFailed, 0, demoted}, {s, evFailed, 0, down}}},
		"calls do not heal a 403":                    {steps: []act{{0, evRefused, 0, misconf}, {s, evCallAlive, 0, misconf}}},
		"failing calls bring down":                   {steps: []act{{0, evAlive, 0, up}, {s, evCallFailed, 0, demoted}, {s, evCallFailed, 0, down}}},
		"a call that works wipes the slate":          {steps: []act{{0, evAlive, 0, up}, {s, evCallFailed, 0, demoted}, {s, evCallAlive, 0, demoted}, {s, evCallAlive, 0, up}, {s, evCallFailed, 0, demoted}}},
		"answered OPTIONS do not hide dying calls": {steps: []act{{0, evAlive, 0, up}, {s, evCallFailed, 0, demoted}, {s, evAlive, 0, demoted}, {s, evCallFailed, 0, down},
			{5 * s, evAlive, 0, down}, {11 * s, evAlive, 0, demoted}, {s, evAlive, 0, up}, {s, evCallFailed, 0, down}, {20 * s, evAlive, 0, down}, {11 * s, evAlive, 0, demoted}}},
		"calls that fail together are one repetition": {steps: []act{{0, evAlive, 0, up}, {s, evCallFailed, 0, demoted}, {0, evCallFailed, 0, down}, {0, evCallFailed, 0, down}, {0, evCallFailed, 0, down},
			{14 * s, evAlive, 0, down}, {s, evAlive, 0, demoted}, {s, evAlive, 0, up}}},
		"a lost connection holds nothing down": {steps: []act{{0, evAlive, 0, up}, {s, evCallLost, 0, demoted}, {0, evCallLost, 0, down}, {0, evCallLost, 0, down}, {0, evAlive, 0, demoted}, {s, evAlive, 0, up}}},
		"connections lost again and again do": {steps: []act{{0, evAlive, 0, up}, {s, evCallLost, 0, demoted}, {0, evCallLost, 0, down}, {0, evAlive, 0, demoted}, {s, evAlive, 0, up},
			{s, evCallLost, 0, down}, {14 * s, evAlive, 0, down}, {s, evAlive, 0, demoted}, {s, evCallLost, 0, down}, {29 * s, evAlive, 0, down}, {s, evAlive, 0, demoted}}},
		"unprobed and lost waits its time":     {unprobed: true, steps: []act{{0, evCallLost, 0, demoted}, {s, evCallLost, 0, down}, {14 * s, evTick, 0, down}, {s, evTick, 0, demoted}}},
		"unprobed is up":                       {unprobed: true, steps: []act{{0, evTick, 0, up}}},
		"unprobed may be tried after its time": {unprobed: true, steps: []act{{0, evCallFailed, 0, demoted}, {s, evCallFailed, 0, down}, {s, evTick, 0, down}, {15 * s, evTick, 0, demoted}, {s, evCallAlive, 0, demoted}, {s, evCallAlive, 0, up}}},
		"calls count upwards too":              {steps: []act{{0, evFailed, 0, unknown}, {s, evFailed, 0, down}, {s, evCallAlive, 0, demoted}, {s, evCallAlive, 0, up}}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			now := zero
			m := newMachine(&cfg, !c.unprobed, now)
			for i, a := range c.steps {
				now = now.Add(a.after)
				before := m.state
				changed := m.step(a.ev, "why", a.hold, now)
				if m.state != a.want {
					t.Fatalf("step %d: %s, want %s", i, m.state, a.want)
				}
				if changed != (before != m.state) || changed && m.since != now {
					t.Fatalf("step %d: change %v reported, since %v", i, changed, m.since)
				}
			}
		})
	}
}

// TestAnyWalkCanComeBack: whatever happened, answers alone bring an endpoint up
// again within the longest time that it may be held down.
func TestAnyWalkCanComeBack(t *testing.T) {
	cfg := DefaultConfig()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		now := zero
		m := newMachine(&cfg, true, now)
		for range r.IntN(60) {
			now = now.Add(time.Duration(r.Int64N(int64(time.Minute))))
			m.step(event(r.IntN(int(evTick)+1)), "", time.Duration(r.Int64N(int64(time.Hour))), now)
			if m.state != down && !m.downUntil.IsZero() {
				t.Fatalf("seed %d: %s with a time to stay down", seed, m.state)
			}
		}
		now = now.Add(max(cfg.MaxRetryAfter, cfg.MaxCallHold))
		m.step(evAlive, "", 0, now)
		m.step(evAlive, "", 0, now)
		if m.state != up {
			t.Fatalf("seed %d: stays %s", seed, m.state)
		}
	}
}
