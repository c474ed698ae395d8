package sim

import (
	"strings"
	"time"

	"tandem"
)

// books follows the facts of every call as they are recorded.
type books struct {
	w     *World
	calls map[tandem.CorrelationID]*account
	// recorded are the Call-IDs of legs with a final record.
	recorded map[string]bool
	begun    uint64 // calls of the process as its core counts them
	known    uint64 // of them, calls with a fact that was written
}

// account is what the facts of one call said so far.
type account struct {
	last     tandem.FactKind
	ended    bool
	cut      bool // a crash fell into it
	process  int  // the process that began it
	began    time.Duration
	up       bool // it was answered
	answered time.Duration
	crashed  time.Duration
	answer   time.Time
	legs     int
}

func (b *books) init(w *World) {
	*b = books{w: w, calls: map[tandem.CorrelationID]*account{}, recorded: map[string]bool{}}
}

// fact takes what was written.
func (b *books) fact(kind tandem.FactKind, c *tandem.CallRecord) {
	w, id := b.w, c.Correlation.String()
	a := b.calls[c.Correlation]
	if a == nil {
		a = &account{process: w.turn.died, began: w.elapsed}
		b.calls[c.Correlation] = a
		b.known++
	}
	w.checked(invRecords)
	switch {
	case a.ended:
		w.problem(id, "call %s: %s after its end", id, kind)
	case kind == tandem.FactStart && a.last != 0, kind == tandem.FactAnswer && a.up:
		w.problem(id, "call %s: %s after %s", id, kind, a.last)
	case len(c.Legs) < a.legs:
		w.problem(id, "call %s: %s knows %d legs, the fact before %d", id, kind, len(c.Legs), a.legs)
	case a.cut && !(kind == tandem.FactEnd && c.Recovered):
		w.problem(id, "call %s: %s of a call that was cut by a crash", id, kind)
	}
	a.last, a.legs = kind, len(c.Legs)
	switch kind {
	case tandem.FactAnswer:
		a.up, a.answered, a.answer = true, w.elapsed, c.Legs[0].AnswerTime
	case tandem.FactEnd:
		a.ended = true
		b.ended(a, c)
	}
}

// ended holds a final record to the rules.
func (b *books) ended(a *account, c *tandem.CallRecord) {
	w, id := b.w, c.Correlation.String()
	w.count(c)
	for i := range c.Legs {
		l := &c.Legs[i]
		if l.SIPCallID == "" {
			continue
		}
		// A caller repeats its INVITE to a process that began anew: that is another call.
		if i > 0 && b.recorded[l.SIPCallID] {
			w.problem(id, "call %s: two records of one leg %s", id, l.SIPCallID)
		}
		b.recorded[l.SIPCallID] = true
	}
	b.record(c)
	if c.Recovered != a.cut {
		w.problem(id, "call %s: recovered is %v, cut by a crash is %v", id, c.Recovered, a.cut)
	}
	b.timely(a, c)
}

// timely: every call ends within its timers, and is billed for the time that
// truly passed, whatever the wall clock did.
func (b *books) timely(a *account, c *tandem.CallRecord) {
	w, id, cfg := b.w, c.Correlation.String(), &b.w.cfg
	connected := c.Legs[0].Connected()
	w.checked(invEnds)
	w.checked(invDuration)
	switch {
	case connected != a.up:
		w.problem(id, "call %s: connected is %v at the end, was %v", id, connected, a.up)
	case !connected && !a.cut && w.elapsed-a.began > cfg.SetupLimit+cfg.ReleaseWait+time.Second:
		w.problem(id, "call %s: %v without an answer", id, w.elapsed-a.began)
	case connected:
		if !c.Legs[0].AnswerTime.Round(0).Equal(a.answer.Round(0)) {
			w.problem(id, "call %s: the answer moved from %v to %v", id, a.answer, c.Legs[0].AnswerTime)
		}
		b.billed(a, c)
	}
}

func (b *books) billed(a *account, c *tandem.CallRecord) {
	w, id, cfg := b.w, c.Correlation.String(), &b.w.cfg
	billed := c.Legs[0].Duration
	switch {
	case a.cut: // at the last checkpoint
		truth := a.crashed - a.answered
		if billed > truth+time.Millisecond || billed < truth-cfg.CheckpointEvery-time.Second {
			w.problem(id, "call %s: billed %v of a call that a crash cut after %v", id, billed, truth)
		}
	case strings.HasPrefix(c.Legs[0].ReasonText, "no media"): // back to the last packet
		if truth := w.elapsed - a.answered; billed > truth {
			w.problem(id, "call %s: billed %v, lasted %v", id, billed, truth)
		}
	default:
		if truth := w.elapsed - a.answered; (billed - truth).Abs() > time.Millisecond {
			w.problem(id, "call %s: billed %v, lasted %v", id, billed, truth)
		}
		if limit := cfg.MaxDuration; limit > 0 && billed > limit+time.Second {
			w.problem(id, "call %s: %v is longer than the limit", id, billed)
		}
	}
}

// record holds one record to what it must say on its own.
func (b *books) record(c *tandem.CallRecord) {
	w, id, connected := b.w, c.Correlation.String(), 0
	a := &c.Legs[0]
	for i := range c.Legs {
		l := &c.Legs[i]
		w.checked(invTimes)
		setup, ring, answer, release := l.SetupTime.Round(0), l.RingTime.Round(0), l.AnswerTime.Round(0), l.ReleaseTime.Round(0)
		switch {
		case l.SetupTime.IsZero() || l.ReleaseTime.IsZero() || release.Before(setup):
			w.problem(id, "call %s leg %d: set up %v, released %v", id, i, setup, release)
		case !l.RingTime.IsZero() && (ring.Before(setup) || ring.After(release)):
			w.problem(id, "call %s leg %d: set up %v, rang %v, released %v", id, i, setup, ring, release)
		case l.Disposition == "" || l.ReleasedBy == "":
			w.problem(id, "call %s leg %d: disposition %q, released by %q", id, i, l.Disposition, l.ReleasedBy)
		case i > 0 && l.Outcome == "":
			w.problem(id, "call %s leg %d: attempt without an outcome", id, i)
		case !l.Connected() && (l.Duration != 0 || l.Disposition == tandem.Answered):
			w.problem(id, "call %s leg %d: not connected, yet %s of %v", id, i, l.Disposition, l.Duration)
		case l.Connected() && (answer.Before(setup) || release.Before(answer) || release.Sub(answer) != l.Duration):
			w.problem(id, "call %s leg %d: answered %v, released %v, duration %v", id, i, answer, release, l.Duration)
		case l.Connected() && (!answer.Equal(a.AnswerTime.Round(0)) || !release.Equal(a.ReleaseTime.Round(0))):
			w.problem(id, "call %s: legs differ in answer or release", id)
		}
		if l.Connected() {
			connected++
		}
	}
	if connected != 0 && connected != 2 {
		w.problem(id, "call %s: %d connected legs", id, connected)
	}
}

// crash: calls without an end were cut; of those whose first fact is lost nobody knows.
func (b *books) crash(lost []Fact) {
	unknown := map[tandem.CorrelationID]bool{}
	for i := range lost {
		if id := lost[i].Call.Correlation; b.calls[id] == nil {
			unknown[id] = true
		}
	}
	for _, a := range b.calls {
		if !a.ended {
			a.cut, a.crashed = true, b.w.elapsed
		}
	}
	b.begun += b.w.Core.Stats().Started - uint64(len(unknown))
}

// restarted: the recovery has ended what was open.
func (b *books) restarted() {
	for id, a := range b.calls {
		if a.cut && !a.ended {
			b.w.problem(id.String(), "call %s was cut by a crash and never ended", id)
		}
	}
}

// rest compares with what the core counted and what went over the wire.
func (b *books) rest(started uint64) {
	w := b.w
	for id, a := range b.calls {
		if !a.ended {
			w.problem(id.String(), "call %s: no final fact", id)
		}
	}
	if b.begun+started != b.known {
		w.Problem("%d calls began, %d have facts", b.begun+started, b.known)
	}
}

// count files an ended call under its direction and outcome.
func (w *World) count(c *tandem.CallRecord) {
	kind := string(c.Direction)
	failsafe := false
	for i := range c.Legs {
		failsafe = failsafe || c.Legs[i].Failsafe && c.Legs[i].Connected()
	}
	switch {
	case c.Emergency:
		kind = "emergency"
	case failsafe:
		kind = "failsafe"
	case kind == "":
		kind = "cancelled before routing"
	}
	outcome := string(c.Legs[0].Disposition)
	if c.Recovered {
		outcome = "cut by a crash"
	}
	if w.Count.Calls == nil {
		w.Count.Calls = map[string]int{}
	}
	w.Count.Calls[kind+"|"+outcome]++
}
