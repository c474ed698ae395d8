package main

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/cmd/tandem/emulate"
)

// timedResult is what a case came to.
type timedResult struct {
	name                      string
	calls, byFailsafe, byUser int
	statuses                  map[int]int
	delays                    []time.Duration // sorted: fault met (INVITE, or death while ringing) to failsafe INVITE
	engine                    []time.Duration // sorted: the same by the rows, the engine's own clock
	wrong, double, badRows    int
	stall                     time.Duration // p99 of the machine's own delays meanwhile
	problems                  []string
}

func (r *timedResult) note(format string, args ...any) {
	if len(r.problems) < 8 {
		r.problems = append(r.problems, fmt.Sprintf(format, args...))
	}
}

func percentile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)*percent/100, len(sorted)-1)]
}

func (r *timedResult) at(percent int) time.Duration { return percentile(r.delays, percent) }

// watchMachine measures how late a goroutine runs that wants to run each
// millisecond: what the machine's other work adds to every figure. The function
// returned ends it and gives the 99th percentile.
func watchMachine() func() time.Duration {
	stop, done := make(chan struct{}), make(chan []time.Duration)
	go func() {
		var late []time.Duration
		for {
			begun := time.Now()
			select {
			case <-time.After(time.Millisecond):
				late = append(late, time.Since(begun)-time.Millisecond)
			case <-stop:
				done <- late
				return
			}
		}
	}()
	return func() time.Duration {
		close(stop)
		late := <-done
		slices.Sort(late)
		return percentile(late, 99)
	}
}

// heard collects what the two emulators saw of one call.
type heard struct {
	teams, failsafe []emulate.CallResult
}

const overlap = 20 * time.Millisecond // the emulators' own clocks: two goroutines, one machine

// measure brings callers, Microsoft, the failsafe number and the rows of a case together.
func (s *stage) measure(t *testing.T, c timedCase, load emulate.LoadResult, begun, died time.Time) timedResult {
	t.Helper()
	r := timedResult{name: c.name, calls: load.Placed, statuses: load.Statuses}
	seen := map[string]*heard{}
	of := func(id string) *heard {
		if seen[id] == nil {
			seen[id] = &heard{}
		}
		return seen[id]
	}
	for _, call := range s.teams.Calls() {
		if call.Incoming {
			h := of(call.Header("X-Correlation-ID"))
			h.teams = append(h.teams, call)
		}
	}
	for _, call := range append(s.east.Calls(), s.west.Calls()...) {
		if call.Incoming {
			h := of(call.Header("X-Correlation-ID"))
			h.failsafe = append(h.failsafe, call)
		}
	}
	rows := byCall(s.rows(t, tandem.CDRFilter{From: begun.Add(-time.Second)}))
	for _, call := range load.Results {
		id := correlationOf(call)
		if id == "" {
			r.badRows++
			r.note("caller %s: status %d without X-Correlation-ID, %s", call.CallID, call.Status, call.Error)
			continue
		}
		h := of(id)
		legs := rows[uuid.MustParse(id)]
		faults := r.wrong + r.double
		r.judge(c, call, h, died)
		if r.wrong+r.double > faults {
			r.note("its rows: %s", story(legs))
		}
		r.checkRows(c, call, h, legs)
		r.byRows(c, legs, died)
	}
	slices.Sort(r.delays)
	slices.Sort(r.engine)
	return r
}

// byRows notes how long the failsafe INVITE took by the engine's own record.
func (r *timedResult) byRows(c timedCase, rows []tandem.CDR, died time.Time) {
	met, left := died, time.Time{}
	for _, row := range rows {
		if row.Attempt == 0 && !c.dies {
			met = row.InviteTime
		}
		if row.Failsafe && (left.IsZero() || row.InviteTime.Before(left)) {
			left = row.InviteTime
		}
	}
	if !left.IsZero() {
		r.engine = append(r.engine, left.Sub(met))
	}
}

// story tells the attempts of a call in a line.
func story(rows []tandem.CDR) string {
	var parts []string
	for _, r := range rows {
		parts = append(parts, fmt.Sprintf("%d %s %s %d %q %s-%s", r.Attempt, r.Endpoint, r.Outcome, r.SIPCode, r.Reason,
			r.InviteTime.Format("05.000"), r.EndTime.Format("05.000")))
	}
	return strings.Join(parts, "; ")
}

func correlationOf(call emulate.CallResult) string {
	for _, h := range call.Response {
		if strings.EqualFold(h.Name, "X-Correlation-ID") {
			return h.Value
		}
	}
	return ""
}

// judge looks at where one call went, when, and what rang.
func (r *timedResult) judge(c timedCase, call emulate.CallResult, h *heard, died time.Time) {
	slices.SortFunc(h.failsafe, func(a, b emulate.CallResult) int { return a.Start.Compare(b.Start) })
	if len(h.failsafe) > 0 {
		met := call.Start
		if c.dies {
			met = died
		}
		r.delays = append(r.delays, h.failsafe[0].Start.Sub(met))
	}
	answered := false
	for _, l := range h.teams {
		answered = answered || call.Status == 200 && !l.AnswerAt.IsZero() && len(h.failsafe) == 0
	}
	switch {
	case answered:
		r.byUser++
	case call.Status == 200 && len(h.failsafe) > 0:
		r.byFailsafe++
	}
	taken := 0 // a carrier that says nothing in time is followed by the next: one call all the same
	for _, l := range h.failsafe {
		if !l.AnswerAt.IsZero() && l.AnswerAt.Before(l.EndAt) && l.EndAt.Sub(l.AnswerAt) > 100*time.Millisecond {
			taken++
		}
	}
	forwarded := len(h.failsafe) > 0
	if forwarded && (!c.outage || taken > 1 || h.failsafe[0].To != "+12065550199" || died.After(h.failsafe[0].Start)) {
		r.wrong++
		r.note("call %s: %d failsafe INVITEs, first to %s", call.CallID, len(h.failsafe), h.failsafe[0].To)
	}
	if doubled(c, h, died) {
		r.double++
		r.note("call %s rang at two places at a time", call.CallID)
	}
}

// doubled reports whether two destinations rang at a time. What rings at a
// Microsoft that is dead rings nowhere.
func doubled(c timedCase, h *heard, died time.Time) bool {
	type span struct{ from, to time.Time }
	var rang []span
	for _, l := range slices.Concat(h.teams, h.failsafe) {
		if l.RingAt.IsZero() {
			continue
		}
		end := l.EndAt
		if !l.AnswerAt.IsZero() {
			end = l.AnswerAt
		}
		if c.deadAt(l.Listener) && (died.IsZero() || end.After(died)) {
			end = cmp.Or(died, l.RingAt)
		}
		rang = append(rang, span{l.RingAt, end})
	}
	slices.SortFunc(rang, func(a, b span) int { return a.from.Compare(b.from) })
	for i := 1; i < len(rang); i++ {
		if rang[i-1].to.Sub(rang[i].from) > overlap {
			return true
		}
	}
	return false
}

// deadAt: the fault leaves nothing alive at a listener of Microsoft.
func (c timedCase) deadAt(listener string) bool {
	if c.dead && listener != "udp" && listener != "tcp" {
		for _, f := range c.faults {
			if f.Listener == "" || f.Listener == listener {
				return true
			}
		}
	}
	return false
}

// checkRows wants the rows of one call: one Correlation ID, the failed attempts
// on record, two connected legs, the failsafe's flag and deck.
func (r *timedResult) checkRows(c timedCase, call emulate.CallResult, h *heard, rows []tandem.CDR) {
	bad := func(format string, args ...any) {
		r.badRows++
		r.note("call "+call.CallID+": "+format, args...)
	}
	phone, teams, failed := 0, 0, 0
	for _, row := range rows {
		want := "0.000000"
		switch {
		case !row.Connected && row.Technology == tandem.OperatorConnect:
			failed++
			if row.Outcome == "" || row.Outcome == tandem.OutcomeAnswered {
				bad("a failed attempt has outcome %q", row.Outcome)
				return
			}
		case !row.Connected && row.Failsafe: // the carrier before the one that answered
		case !row.Connected:
			if call.Status == 200 {
				bad("unexpected row %d: %s %s %s, not connected", row.Attempt, row.Technology, row.Outcome, row.Reason)
				return
			}
		case row.Technology == tandem.OperatorConnect:
			teams++
		case row.Failsafe:
			phone++
			want = secondOpinion(row.DurationMs, 60, 60, "0.0125")
			if row.To != "+12065550199" || row.Attempt == 0 {
				bad("failsafe row %d to %s", row.Attempt, row.To)
				return
			}
		default:
			phone++
			want = secondOpinion(row.DurationMs, 6, 6, "0.0045")
		}
		if got := row.Charge.Amount.String(); got != want {
			bad("%s row charged %s, want %s: %s", row.Technology, got, want, row.Charge.Explanation)
			return
		}
	}
	switch {
	case len(rows) == 0:
		bad("status %d has no row", call.Status)
	case call.Status != 200 && (phone+teams > 0):
		bad("refused with %d, yet %d + %d connected rows", call.Status, phone, teams)
	case call.Status == 200 && len(h.failsafe) > 0 && (phone != 2 || teams != 0 || failed == 0):
		bad("failsafe call has %d Phone and %d Operator Connect rows connected, %d failed attempts", phone, teams, failed)
	case call.Status == 200 && len(h.failsafe) == 0 && (phone != 1 || teams != 1):
		bad("call has %d Phone and %d Operator Connect rows connected", phone, teams)
	}
}

// check holds a result against the promises.
func (r *timedResult) check(t *testing.T, p timedPlan, c timedCase) {
	t.Helper()
	for _, problem := range r.problems {
		t.Error(problem)
	}
	want := 0
	if c.outage {
		want = r.calls
	}
	if r.byFailsafe != want {
		t.Errorf("%d of %d calls were answered by the failsafe number, want %d; statuses %v", r.byFailsafe, r.calls, want, r.statuses)
	}
	if status := cmp.Or(c.status, 200); r.statuses[status] != r.calls {
		t.Errorf("statuses %v, want %d times %d", r.statuses, r.calls, status)
	}
	limit := c.bound + p.slack
	if c.bound == p.knownDown {
		limit = p.knownDown
	}
	if c.bound > 0 && r.at(99) > limit {
		t.Errorf("p99 %s to the failsafe INVITE, want at most %s (p50 %s, max %s)", r.at(99), limit, r.at(50), r.at(100))
	}
	if r.wrong+r.double+r.badRows > 0 {
		t.Errorf("%d wrong forwards, %d rang twice, %d calls with wrong rows", r.wrong, r.double, r.badRows)
	}
}

// timedTable prints results as they come.
type timedTable struct{ t *testing.T }

const timedRow = "%-42s %6s %9s %9s %9s %9s %9s %10s %6s %7s %8s %9s\n"

func newTimedTable(t *testing.T, p timedPlan) timedTable {
	fmt.Fprintf(os.Stdout, "\nfailsafe: %d calls a case, bounds: silence %s, trying %s, ringing %s; known down %s; %d CPUs, %s\n", p.calls, p.silence, p.trying, p.ringing, p.knownDown, runtime.NumCPU(), runtime.Version())
	fmt.Fprintf(os.Stdout, timedRow, "case", "calls", "failsafe", "user", "p50 ms", "p99 ms", "max ms", "engine p99", "wrong", "double", "records", "stall p99")
	return timedTable{t}
}

func (timedTable) add(r timedResult) {
	percent := func(n int) string { return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(max(r.calls, 1))) }
	ms := func(d time.Duration) string {
		if len(r.delays) == 0 {
			return "-"
		}
		return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000)
	}
	fmt.Fprintf(os.Stdout, timedRow, r.name, fmt.Sprint(r.calls), percent(r.byFailsafe), percent(r.byUser), ms(r.at(50)), ms(r.at(99)), ms(r.at(100)), ms(percentile(r.engine, 99)),
		fmt.Sprint(r.wrong), fmt.Sprint(r.double), percent(r.calls-r.badRows), fmt.Sprintf("%.1f", float64(r.stall.Microseconds())/1000))
}
