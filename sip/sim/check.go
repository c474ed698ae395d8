package sim

import (
	"time"

	"tandem"
)

// Check states the invariants after everything has come to rest. It returns
// what is broken; empty = all hold.
func (w *World) Check() []string {
	s := w.Core.Stats()
	if s.Calls+s.Legs+s.ClientTx+s.ServerTx+s.Timers+s.Watched+s.SetUps != 0 {
		w.Problem("left over: %d calls, %d legs, %d client and %d server transactions, %d timers, %d watched connections, %d set-ups",
			s.Calls, s.Legs, s.ClientTx, s.ServerTx, s.Timers, s.Watched, s.SetUps)
	}
	if s.Panics != 0 {
		w.Problem("%d panics", s.Panics)
	}
	if w.Media.Open != 0 {
		w.Problem("%d media sessions open", w.Media.Open)
	}
	if n := len(w.Core.Live()); n != 0 {
		w.Problem("%d calls still listed", n)
	}
	w.checkFacts(s.Started)
	w.checkPeers()
	return w.problems
}

// checkFacts: one final fact per call, facts in order, moments in order, a
// record for every attempt that left, two connected legs or none.
func (w *World) checkFacts(started uint64) {
	ends := map[tandem.CorrelationID]int{}
	last := map[tandem.CorrelationID]tandem.FactKind{}
	for _, f := range w.Facts {
		id := f.Call.Correlation
		if prev := last[id]; prev == tandem.FactEnd || f.Kind < prev || f.Kind == prev && f.Kind != tandem.FactCheckpoint {
			w.Problem("call %s: %s after %s", id, f.Kind, prev)
		}
		last[id] = f.Kind
		if f.Kind == tandem.FactEnd {
			ends[id]++
			w.checkRecord(&f.Call)
		}
	}
	recorded := map[string]bool{}
	for _, f := range w.Facts {
		for _, l := range f.Call.Legs {
			if f.Kind == tandem.FactEnd {
				if recorded[l.SIPCallID] && l.SIPCallID != "" {
					w.Problem("call %s: two records of one leg %s", f.Call.Correlation, l.SIPCallID)
				}
				recorded[l.SIPCallID] = true
			}
		}
	}
	for id, correlation := range w.attempts {
		if !recorded[id] {
			w.Problem("call %s: attempt %s has no record", correlation, id)
		}
	}
	if uint64(len(ends)) != started {
		w.Problem("%d calls began, %d have a final fact", started, len(ends))
	}
}

func (w *World) checkRecord(c *tandem.CallRecord) {
	connected := 0
	for i := range c.Legs {
		l := &c.Legs[i]
		if l.SetupTime.IsZero() || l.ReleaseTime.IsZero() || l.ReleaseTime.Before(l.SetupTime) {
			w.Problem("call %s leg %d: set up %v, released %v", c.Correlation, i, l.SetupTime, l.ReleaseTime)
		}
		if !l.RingTime.IsZero() && l.RingTime.Before(l.SetupTime) {
			w.Problem("call %s leg %d: rang before it was set up", c.Correlation, i)
		}
		if l.Disposition == "" || l.ReleasedBy == "" {
			w.Problem("call %s leg %d: disposition %q, released by %q", c.Correlation, i, l.Disposition, l.ReleasedBy)
		}
		if i > 0 && l.Outcome == "" {
			w.Problem("call %s leg %d: attempt without an outcome", c.Correlation, i)
		}
		if !l.Connected() {
			if l.Duration != 0 || l.Disposition == tandem.Answered {
				w.Problem("call %s leg %d: not connected, yet %s of %v", c.Correlation, i, l.Disposition, l.Duration)
			}
			continue
		}
		connected++
		if l.AnswerTime.Before(l.SetupTime) || l.ReleaseTime.Before(l.AnswerTime) || l.ReleaseTime.Sub(l.AnswerTime) != l.Duration {
			w.Problem("call %s leg %d: answered %v, released %v, duration %v", c.Correlation, i, l.AnswerTime, l.ReleaseTime, l.Duration)
		}
		a := &c.Legs[0]
		if !l.AnswerTime.Equal(a.AnswerTime) || !l.ReleaseTime.Equal(a.ReleaseTime) {
			w.Problem("call %s: legs differ in answer or release", c.Correlation)
		}
	}
	if connected != 0 && connected != 2 {
		w.Problem("call %s: %d connected legs", c.Correlation, connected)
	}
}

// checkPeers: no dialog is left up at a peer, every BYE of theirs was answered.
func (w *World) checkPeers() {
	for _, p := range w.all {
		if p.Blackhole {
			continue
		}
		for _, d := range p.dialogs {
			if d.Up && !d.Over {
				w.Problem("peer %s: call %s (%s) is still up", p.Addr, d.CallID, d.localTag)
			}
			if d.byeSent && !d.ByeAnswered && !d.Over {
				w.Problem("peer %s: BYE of call %s was never answered", p.Addr, d.CallID)
			}
		}
	}
}

// End is the final record of the only or last call.
func (w *World) End() *tandem.CallRecord {
	for i := len(w.Facts) - 1; i >= 0; i-- {
		if w.Facts[i].Kind == tandem.FactEnd {
			return &w.Facts[i].Call
		}
	}
	return &tandem.CallRecord{Legs: make([]tandem.LegRecord, 8)}
}

// Rest is long enough for every timer of a released call.
const Rest = 10 * time.Minute
