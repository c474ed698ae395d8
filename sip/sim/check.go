package sim

import (
	"slices"
	"time"

	"tandem"
)

// Check states the invariants after everything has come to rest. It returns
// what is broken; empty = all hold. Most are checked while the world runs.
func (w *World) Check() []string {
	s := w.Core.Stats()
	w.checked(invRest)
	if s.Calls+s.Legs+s.ClientTx+s.ServerTx+s.Timers+s.Watched+s.SetUps != 0 {
		w.Problem("left over: %d calls, %d legs, %d client and %d server transactions, %d timers, %d watched connections, %d set-ups",
			s.Calls, s.Legs, s.ClientTx, s.ServerTx, s.Timers, s.Watched, s.SetUps)
	}
	if s.Panics != 0 || s.Loose != 0 {
		w.Problem("%d panics, %d timers outlived their owners", s.Panics, s.Loose)
	}
	if w.Media.Open != 0 {
		w.Problem("%d media sessions open", w.Media.Open)
	}
	for _, c := range w.Core.Live() {
		w.problem(c.Correlation.String(), "call %s is still listed: %s", c.Correlation, c.State)
	}
	w.books.rest(s.Started)
	w.checkAttempts()
	w.wire.rest()
	for _, p := range w.all {
		for _, d := range p.dialogs {
			p.checkDialog(d)
		}
	}
	slices.Sort(w.problems) // by time; maps were walked
	return w.problems
}

// checkAttempts: every INVITE that left has a record.
func (w *World) checkAttempts() {
	for id, correlation := range w.wire.attempts {
		w.checked(invRecords)
		if !w.books.recorded[id] {
			w.problem(correlation, "call %s: attempt %s has no record", correlation, id)
		}
	}
}

// checkDialog: no dialog is left up at a peer, its BYE was answered.
func (p *Peer) checkDialog(d *Dialog) {
	w := p.w
	if p.Blackhole || d.spoiled {
		return
	}
	w.checked(invPeers)
	if d.Up && !d.Over {
		w.problem(d.CallID, "peer %s: call %s (%s) is still up", p.Addr, d.CallID, d.localTag)
	}
	if d.byeSent && !d.ByeAnswered && !d.Over {
		w.problem(d.CallID, "peer %s: BYE of call %s was never answered", p.Addr, d.CallID)
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
