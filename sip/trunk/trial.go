package trunk

import (
	"time"

	"tandem"
)

// Try tells where a call is about to go. An address that is up again by its
// OPTIONS alone, after calls had died there, is tried by one call; the plans of
// others skip it until that call has an answer or trialGap is over. A call that
// has nowhere else to go is no trial: it would only shut the others out.
func (m *Monitor) Try(plan *tandem.Plan, at time.Time) {
	if !m.trials.Load() {
		return
	}
	m.locked(func() {
		n := 0
		for n < len(plan.Attempts) && m.onTrial(&plan.Attempts[n]) != nil {
			n++
		}
		if n == 0 || n == len(plan.Attempts) && len(plan.Failsafe) == 0 {
			return
		}
		for i := range n {
			if p := m.onTrial(&plan.Attempts[i]); p != nil {
				p.m.step(evTried, "", 0, at)
			}
		}
		m.publish()
	})
}

// onTrial finds the endpoint of an attempt if it waits for a call to try it; mu is held.
func (m *Monitor) onTrial(a *tandem.Attempt) *point {
	for _, p := range m.points {
		if p.m.trial && p.view.ID == a.Trunk && p.endpoint == a.Endpoint {
			return p
		}
	}
	return nil
}
