package sim_test

import (
	"fmt"
	"testing"
	"time"

	"tandem"
	"tandem/sip/sim"
)

// TestSimDayLongCalls keeps calls up for 24 hours, with session refreshes by
// either side through loss, dying connections and steps of the wall clock. A
// refresh that fails ends a call early; a day takes seconds.
func TestSimDayLongCalls(t *testing.T) {
	const calls, day = 20, 24 * time.Hour
	weather := sim.Weather{Name: "a day", Faults: sim.Faults{Loss: 0.05, Duplicate: 0.03, Jitter: 20 * time.Millisecond}, Troubles: 200, ClockSteps: 50}
	s := newStack(t, 24, weather)
	defer s.journal.close()
	for _, peers := range s.Trunks {
		for _, p := range peers {
			p.OnModify = nil // refreshes are taken
			p.Script = func(*sim.Incoming) sim.Script { return sim.Answers(time.Second, 3*time.Second) }
		}
	}
	inbound := s.dir.Numbers[0]
	var placed []*sim.Outgoing
	for i := range calls {
		from, spec := s.Trunks["east"][i%2], sim.CallSpec{To: string(inbound.DID)}
		if i%2 == 1 {
			from, spec = s.Trunks["teams"][i%3], s.outbound(&inbound, "+12065550177")
		}
		spec.Extra += "Session-Expires: " + fmt.Sprint(300+60*i) + []string{"", ";refresher=uac", ";refresher=uas"}[i%3] + "\r\n"
		spec.HangUpAfter = day
		placed = append(placed, from.Call(spec))
	}
	s.Start(0, day)
	began := time.Now()
	s.RunIdle(48 * time.Hour)
	for _, problem := range s.Check() {
		t.Error(problem)
	}
	for _, o := range placed {
		if o.Final != 200 {
			t.Errorf("call %s: %d", o.CallID, o.Final)
		}
	}
	rows, problems := s.rows()
	for _, p := range problems {
		t.Error(p)
	}
	long := 0
	for _, row := range rows {
		if lasted := time.Duration(row.DurationMs) * time.Millisecond; row.Connected && row.Technology == tandem.Phone && lasted > day-time.Second && lasted < day+time.Minute {
			long++
		}
	}
	if long != calls {
		t.Errorf("%d of %d calls lasted a day", long, calls)
	}
	t.Logf("%d calls of %v, %d refreshes by peers, %d messages, %v of real time", calls, day, s.Count.Refreshes, s.Count.Sent+s.Count.Received, time.Since(began).Round(time.Millisecond))
}
