package sim

import "time"

// Weather is what happens to a run besides its calls.
type Weather struct {
	Name   string
	Faults Faults
	// How often within a run, and for each further thousand calls again: connections and addresses fail, the wall clock is
	// stepped, the process is killed, a side's media falls silent, the operator
	// ends a call, new calls are refused for some seconds.
	Troubles, ClockSteps, Crashes, Silences, Hangups, Drains int
	// Ports is how many media sessions there are; MaxCalls how many calls are taken. 0 = enough.
	Ports, MaxCalls int
}

// Weathers are the kinds of run that seeds go through by turns.
func Weathers() []Weather {
	lossy := Faults{Loss: 0.05, Duplicate: 0.03, Jitter: 20 * time.Millisecond}
	storm := Faults{Loss: 0.15, Duplicate: 0.15, Reorder: 0.2, LateBy: 700 * time.Millisecond, Jitter: 80 * time.Millisecond, Storm: 0.01}
	slow := Faults{Delay: 400 * time.Millisecond, Jitter: 300 * time.Millisecond, Reorder: 0.1, LateBy: 2 * time.Second}
	return []Weather{
		{Name: "fair", Troubles: 5, Hangups: 5, Silences: 5},
		{Name: "lossy", Faults: lossy, Troubles: 20, Hangups: 10, Silences: 10},
		{Name: "storm", Faults: storm, Troubles: 20, Silences: 10},
		{Name: "slow", Faults: slow, Troubles: 20, Hangups: 10},
		{Name: "clock", Faults: lossy, Troubles: 5, ClockSteps: 20, Silences: 10},
		{Name: "crash", Faults: lossy, Troubles: 10, Crashes: 12, Silences: 5},
		{Name: "crash and clock", Faults: storm, Troubles: 10, Crashes: 12, ClockSteps: 20, Hangups: 5},
		{Name: "full", Faults: lossy, Troubles: 10, Drains: 5, Ports: 150, MaxCalls: 200},
	}
}
