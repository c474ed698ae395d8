package sim

import (
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip"
)

// turn is what the core lets out while it handles one event. As in sip/engine
// the facts of a turn are written before its messages leave: a crash can fall
// before, into and after the writing, and between two messages.
type turn struct {
	open  bool
	sends []sent
	facts []Fact // only when the turn will crash
	crash bool   // the next turn that writes or says something dies
	down  bool   // the process is not there
	died  int    // how often
}

type sent struct {
	to  sip.Target
	ref sip.SendRef
	msg []byte
	m   gosip.Message // msg as read by wire.turnOver
}

// Journal is what outlives the process. Its facts are those of World.Facts.
type Journal interface {
	Record(kind tandem.FactKind, at time.Time, call *tandem.CallRecord)
	// Crash loses what is not in the journal; torn is a fact of which only a part
	// was written, nil when there is none.
	Crash(torn *Fact)
	// Restart opens the journal again and returns the facts that the recovery added.
	Restart(at time.Time) []Fact
}

// inTurn runs f, one event of the core, and lets go what it says.
func (w *World) inTurn(id string, f func()) {
	t := &w.turn
	t.open = true
	f()
	t.open = false
	if t.crash && len(t.sends)+len(t.facts) > 0 {
		w.die()
		return
	}
	w.wire.turnOver(id)
	for i := range t.sends {
		w.transmit(&t.sends[i])
	}
	clear(t.sends)
	t.sends = t.sends[:0]
}

// Send implements sip.Sender.
func (w *World) Send(to sip.Target, ref sip.SendRef, msg []byte) {
	s := sent{to: to, ref: ref, msg: msg}
	if w.turn.open {
		w.turn.sends = append(w.turn.sends, s)
		return
	}
	w.wire.read(&s) // a test that handles events by itself
	w.transmit(&s)
}

// Record implements core.Output.
func (w *World) Record(kind tandem.FactKind, at time.Time, call *tandem.CallRecord) {
	if w.turn.crash {
		w.turn.facts = append(w.turn.facts, copyFact(kind, at, call))
		return
	}
	w.write(kind, at, call)
}

func (w *World) write(kind tandem.FactKind, at time.Time, call *tandem.CallRecord) {
	w.books.fact(kind, call)
	if w.Journal != nil {
		w.Journal.Record(kind, at, call)
	}
	if !w.lean {
		w.Facts = append(w.Facts, copyFact(kind, at, call))
	}
}

func copyFact(kind tandem.FactKind, at time.Time, call *tandem.CallRecord) Fact {
	r := *call
	r.Legs = append([]tandem.LegRecord(nil), call.Legs...)
	return Fact{kind, at, r}
}

// Watch implements core.Output.
func (w *World) Watch(trunk tandem.TrunkID, ep tandem.Endpoint, bound time.Duration, _ time.Time) {
	if !w.lean {
		w.Watched = append(w.Watched, Looked{trunk, ep, bound, w.Now})
	}
}

// Health implements core.Output: up, unless States says otherwise.
func (w *World) Health(_ tandem.TrunkID, ep tandem.Endpoint) tandem.HealthState {
	if s := w.States[ep.Host]; s != "" {
		return s
	}
	return tandem.HealthUp
}

// Outcome implements core.Output.
func (w *World) Outcome(trunk tandem.TrunkID, ep tandem.Endpoint, o tandem.Outcome, _ time.Time) {
	r := Reported{trunk, ep, o}
	if !w.lean {
		w.Outcomes = append(w.Outcomes, r)
	}
	if w.OnOutcome != nil {
		w.OnOutcome(r)
	}
}

// Crash kills the process in the middle of its next turn that writes a fact or
// sends a message; some seconds later it is started again over its journal.
func (w *World) Crash() {
	if w.Journal != nil && !w.turn.down {
		w.turn.crash = true
	}
}

// die ends the process within a turn.
func (w *World) die() {
	t := &w.turn
	facts, sends := t.facts, t.sends
	written, said := len(facts), 0
	torn := false
	switch w.Pick(4) {
	case 0: // before anything was written
		written = 0
	case 1: // in the middle of the writing
		written, torn = w.Pick(len(facts)+1), true
	case 2: // after it
	case 3: // between two messages
		said = w.Pick(len(sends) + 1)
	}
	for i := range facts[:written] {
		w.write(facts[i].Kind, facts[i].At, &facts[i].Call)
	}
	var part *Fact
	if torn && written < len(facts) {
		part = &facts[written]
	}
	for i := range sends[:said] {
		w.wire.read(&sends[i])
		w.transmit(&sends[i])
	}
	w.books.crash(facts[written:])
	w.wire.crash()
	w.Journal.Crash(part)
	t.sends, t.facts, t.crash, t.down = nil, nil, false, true
	t.died++
	w.Count.Crashes++
	w.logNote("the process dies: %d of %d facts and %d of %d messages of its last turn are out", written, len(facts), said, len(sends))
	w.Media.crash()
	clear(w.conns)
	clear(w.byConn)
	for _, p := range w.all {
		p.conn = 0
		p.orphaned()
	}
	w.After(w.Between(200*time.Millisecond, 3*time.Second), w.restart)
}

// restart starts the process again.
func (w *World) restart() {
	for _, f := range w.Journal.Restart(w.Now) {
		w.books.fact(f.Kind, &f.Call)
		if !w.lean {
			w.Facts = append(w.Facts, f)
		}
	}
	w.books.restarted()
	w.newCore()
	w.turn.down = false
	w.logNote("the process is back")
}
