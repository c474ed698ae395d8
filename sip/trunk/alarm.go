package trunk

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"tandem"
)

// alarms are the names of ours under which calls are refused at an endpoint for
// the trunk's configuration (403 with 510532: microsoft-teams-trunk.md 4.2). They
// don't touch its state: one tenant's mistake must not reorder the calls of the
// others, and the failsafe number answers meanwhile.
type alarms []alarm

type alarm struct {
	name, text string
	at         time.Time // of the last refusal
}

const (
	// alarmLife ends an alarm that nothing repeats: the name may be gone.
	alarmLife = time.Hour
	maxAlarms = 100
)

// String is the newest alarm and how many there are.
func (a alarms) String() string {
	if len(a) == 0 {
		return ""
	}
	newest := slices.MaxFunc(a, func(x, y alarm) int { return x.at.Compare(y.at) })
	s := "calls as " + newest.name + " are refused: 403 " + newest.text + "; compare the trunk's name with the tenant's set-up at Microsoft"
	if len(a) > 1 {
		var names []string
		for _, x := range a {
			if x.name != newest.name {
				names = append(names, x.name)
			}
		}
		slices.Sort(names)
		s += "; the same for " + tandem.Clip(strings.Join(names, ", "), 200)
	}
	return s
}

// heed raises and ends alarms by the end of an attempt; mu is held.
func (m *Monitor) heed(id tandem.TrunkID, e tandem.Endpoint, o tandem.Outcome, at time.Time) {
	refused := o.Kind == tandem.OutcomeMisconfigured
	through := o.Kind == tandem.OutcomeAnswered || o.Kind == tandem.OutcomeNoAnswer || o.Kind == tandem.OutcomeStatus && o.Status != 403 && o.Status < 500
	if !refused && !through {
		return
	}
	changed := false
	for _, p := range m.points {
		if p.view.ID != id {
			continue
		}
		before := len(p.alarms)
		p.alarms = slices.DeleteFunc(p.alarms, func(a alarm) bool {
			return at.Sub(a.at) > alarmLife || a.name == o.LocalHost && (through || p.endpoint == e)
		})
		if refused && p.endpoint == e && len(p.alarms) < maxAlarms {
			text := tandem.Clip(cmp.Or(visible(o.Text), "Forbidden"), 120)
			if len(p.alarms) == before { // new: a repeated one was taken out above
				host, name := e.Host, o.LocalHost
				m.todo = append(m.todo, func() {
					m.deps.Logger.Error("calls are refused for the trunk's configuration", "trunk", id, "endpoint", host, "name", name, "reason", text,
						"mend", "compare the trunk's name with the tenant's set-up at Microsoft")
				})
			}
			p.alarms = append(p.alarms, alarm{o.LocalHost, text, at})
		}
		changed = changed || len(p.alarms) != before || refused && p.endpoint == e
	}
	if changed {
		m.publish()
	}
}
