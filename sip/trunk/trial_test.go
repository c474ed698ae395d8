package trunk

import (
	"testing"
	"testing/synctest"
	"time"

	"tandem"
	"tandem/sip/core"
)

// TestOneCallTries: after its time of rest an address whose calls died is up by
// OPTIONS alone. One call tries it; what that call finds decides for the others.
func TestOneCallTries(t *testing.T) {
	for name, c := range map[string]struct {
		outcome event
		after   time.Duration
		want    tandem.HealthState // then
		alive   tandem.HealthState // with the OPTIONS that follows
		again   bool               // and one more call may try
	}{
		"it is answered":         {evCallAlive, time.Second, up, up, false},
		"it dies":                {evCallFailed, 10 * time.Second, down, down, false},
		"it waits, others a gap": {evTick, trialGap - 1, down, down, false},
		"then the next one":      {evTick, trialGap, down, up, true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			now := zero
			m := newMachine(&cfg, true, now)
			for range 2 {
				m.step(evCallFailed, "", 0, now)
			}
			if m.trial {
				t.Fatal("on trial while it is down")
			}
			now = now.Add(cfg.CallHold)
			if m.step(evAlive, "", 0, now); m.state != demoted || !m.trial {
				t.Fatalf("%s, on trial %t", m.state, m.trial)
			}
			if m.step(evTried, "", 0, now); m.state != down || m.trial {
				t.Fatalf("tried: %s, on trial %t", m.state, m.trial)
			}
			now = now.Add(c.after)
			if m.step(c.outcome, "", 0, now); m.state != c.want {
				t.Errorf("then %s, want %s", m.state, c.want)
			}
			if m.step(evAlive, "", 0, now); m.state != c.alive || m.trial != c.again {
				t.Errorf("with OPTIONS %s, on trial %t; want %s, %t", m.state, m.trial, c.alive, c.again)
			}
		})
	}
}

// TestLostConnectionsNeedNoTrial: a new connection that works is proof enough.
func TestLostConnectionsNeedNoTrial(t *testing.T) {
	cfg := DefaultConfig()
	m := newMachine(&cfg, true, zero)
	for range 2 {
		m.step(evCallLost, "", 0, zero)
	}
	if m.step(evAlive, "", 0, zero.Add(time.Second)); m.state != demoted || m.trial {
		t.Errorf("%s, on trial %t", m.state, m.trial)
	}
}

// TestWhoTries: a call takes all addresses on trial that it would come to before
// others, unless it has nowhere else to go.
func TestWhoTries(t *testing.T) {
	attempt := func(i int) tandem.Attempt { return tandem.Attempt{Trunk: "teams", Endpoint: teams.Endpoints[i]} }
	both := []tandem.Attempt{attempt(0), attempt(1)}
	for name, c := range map[string]struct {
		plan    tandem.Plan
		onTrial [2]bool
		want    [2]tandem.HealthState
	}{
		"with a failsafe number":                  {tandem.Plan{Attempts: both, Failsafe: make([]tandem.Attempt, 1)}, [2]bool{true, true}, [2]tandem.HealthState{down, down}},
		"without one":                             {tandem.Plan{Attempts: both}, [2]bool{true, true}, [2]tandem.HealthState{up, up}},
		"the other address is good":               {tandem.Plan{Attempts: both}, [2]bool{true, false}, [2]tandem.HealthState{down, up}},
		"the good one comes first":                {tandem.Plan{Attempts: []tandem.Attempt{attempt(1), attempt(0)}}, [2]bool{true, false}, [2]tandem.HealthState{up, up}},
		"the same address twice":                  {tandem.Plan{Attempts: []tandem.Attempt{attempt(0), attempt(0), attempt(1)}}, [2]bool{true, false}, [2]tandem.HealthState{down, up}},
		"none is on trial":                        {tandem.Plan{Attempts: both, Failsafe: make([]tandem.Attempt, 1)}, [2]bool{}, [2]tandem.HealthState{up, up}},
		"a call that goes to the failsafe number": {tandem.Plan{Failsafe: make([]tandem.Attempt, 1)}, [2]bool{true, true}, [2]tandem.HealthState{up, up}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := New(DefaultConfig(), Deps{Sender: &network{}})
				defer m.Close()
				silent := teams
				silent.OptionsInterval = 0
				m.SetTrunks([]core.TrunkView{silent})
				m.locked(func() {
					for i, p := range m.points {
						p.m.trial = c.onTrial[i]
					}
					m.publish()
				})
				m.Try(&c.plan, time.Now())
				for i, e := range m.Health()["teams"] {
					if e.State != c.want[i] {
						t.Errorf("address %d is %s, want %s", i, e.State, c.want[i])
					}
				}
			})
		})
	}
}
