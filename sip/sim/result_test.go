package sim_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"tandem/sip/sim"
)

// result sums what many runs did.
type result struct {
	sim.Counters
	seeds, calls, rows, facts, charges int
	virtual, real, cpu                 time.Duration
	ladder                             []string
	mu                                 sync.Mutex
}

func newResult() *result { return &result{} }

func (r *result) add(s *stack, calls, rows, charges int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Add(&s.Count)
	r.charges += charges
	r.seeds++
	r.calls += calls
	r.rows += rows
	r.facts += s.journal.facts
	r.virtual += s.Elapsed()
}

// table is what `make sim` ends with.
func (r *result) table() string {
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "  %-62s %14v\n", name, value) }
	fmt.Fprintf(&b, "%d seeds, %d calls placed\n\ncalls by direction and outcome\n", r.seeds, r.calls)
	ended := 0
	for _, k := range slices.Sorted(maps.Keys(r.Calls)) {
		line(strings.ReplaceAll(k, "|", ": "), r.Calls[k])
		ended += r.Calls[k]
	}
	line("all", ended)
	b.WriteString("\nmessages\n")
	line("of the core", r.Sent)
	line("to the core", r.Received)
	line("session refreshes by peers", r.Refreshes)
	b.WriteString("\nfaults\n")
	line("datagrams lost", r.Lost)
	line("datagrams doubled", r.Duplicated)
	line("datagrams reordered", r.Reordered)
	line("retransmission storms", r.Storms)
	line("connections that died", r.Dropped)
	line("dials refused", r.Refused)
	line("nonsense drawn", r.Nonsense)
	line("process killed and restarted from its journal", r.Crashes)
	line("wall clock stepped", r.ClockSteps)
	line("media fell silent", r.MediaTimeouts)
	line("calls ended by the operator", r.Hangups)
	line("new calls refused for some seconds", r.Drains)
	b.WriteString("\ninvariants, how often each was checked\n")
	for i, name := range sim.Invariants() {
		line(name, r.Checks[i])
	}
	line("journal read back whole, rows one per leg, times in order", r.rows)
	line("charges equal in every schedule of the same facts", r.charges)
	b.WriteString("\ntime\n")
	line("facts on the journal", r.facts)
	line("virtual", r.virtual.Round(time.Second))
	line("real", r.real.Round(time.Millisecond))
	line("processor", r.cpu.Round(time.Millisecond))
	line("calls per second of real time", int(float64(r.calls)/max(r.real.Seconds(), 1e-9)))
	line("calls per second of processor time", int(float64(r.calls)/max(r.cpu.Seconds(), 1e-9)))
	return b.String()
}

// cpuTime is the processor time of this process so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
