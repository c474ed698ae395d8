package engine

import (
	"time"

	"tandem"
	"tandem/sip"
)

// held is a message in line behind facts that are not written yet.
type held struct {
	seq uint64 // position that must be written first; 0 = none of its own
	at  time.Time
	send
}

type send struct {
	to  sip.Target
	ref sip.SendRef
	msg []byte
}

// output is what a shard's core writes to. It collects the messages of the
// turn, so that a fact recorded after one of them still holds it.
type output struct {
	s     *shard
	sends []send
	seq   uint64 // last position recorded in this turn; 0 = none
}

func (o *output) Send(to sip.Target, ref sip.SendRef, msg []byte) {
	o.sends = append(o.sends, send{to, ref, msg})
}

func (o *output) Record(kind tandem.FactKind, at time.Time, call *tandem.CallRecord) {
	seq := o.s.e.deps.Recorder.Record(o.s.number, kind, at, call)
	if seq == 0 {
		o.s.e.count.lostFacts.Add(1)
		return
	}
	o.seq = seq
}

func (o *output) Outcome(trunk tandem.TrunkID, endpoint tandem.Endpoint, out tandem.Outcome, at time.Time) {
	o.s.e.deps.Health.Outcome(trunk, endpoint, out, at)
}

func (o *output) Watch(trunk tandem.TrunkID, endpoint tandem.Endpoint, bound time.Duration, at time.Time) {
	o.s.e.deps.Health.Watch(trunk, endpoint, bound, at)
}

func (o *output) Health(trunk tandem.TrunkID, endpoint tandem.Endpoint) tandem.HealthState {
	return o.s.e.deps.Health.Health().Of(trunk, endpoint)
}

// barrier is the line of a shard. The order of all its messages is kept: one
// that needs no fact still waits behind one that does.
type barrier struct {
	line  []held
	first int
	// until is set while the journal hangs: everything leaves at once until it
	// has caught up with this position, so that a dead disk delays one turn and
	// not every one.
	until uint64
}

// settle ends a turn.
func (s *shard) settle() {
	o := &s.out
	if len(o.sends) > 0 {
		written := s.e.written.Load()
		if s.line.until > 0 && written >= s.line.until {
			s.line.until = 0
		}
		if o.seq > 0 && s.line.until > 0 {
			s.line.until = o.seq
		}
		empty := s.line.first == len(s.line.line)
		if empty && (o.seq <= written || s.line.until > 0) {
			for i := range o.sends {
				s.e.deps.Sender.Send(o.sends[i].to, o.sends[i].ref, o.sends[i].msg)
			}
		} else {
			now := s.e.deps.Clock()
			for i := range o.sends {
				s.line.line = append(s.line.line, held{seq: o.seq, at: now, send: o.sends[i]})
			}
		}
		clear(o.sends)
		o.sends = o.sends[:0]
	}
	o.seq = 0
}

// release lets go what may go: what the journal has written, or everything when
// the first in line has waited too long.
func (s *shard) release(now time.Time) {
	l := &s.line
	if l.first == len(l.line) {
		return
	}
	written := s.e.written.Load()
	hung := now.Sub(l.line[l.first].at) >= s.e.cfg.BarrierLimit && l.line[l.first].seq > written
	if hung {
		s.e.count.barrierAlarms.Add(1)
		for _, h := range l.line[l.first:] {
			l.until = max(l.until, h.seq)
		}
		s.e.deps.Logger.Error("journal does not write: messages leave before their records", "shard", s.number, "waiting", len(l.line)-l.first)
	}
	for l.first < len(l.line) && (hung || l.line[l.first].seq <= written) {
		h := &l.line[l.first]
		s.e.deps.Sender.Send(h.to, h.ref, h.msg)
		*h = held{}
		l.first++
	}
	if l.first == len(l.line) {
		l.line, l.first = l.line[:0], 0
	}
}

// heldUntil is when the line must be released at the latest; zero = nothing waits.
func (s *shard) heldUntil() time.Time {
	if s.line.first == len(s.line.line) {
		return time.Time{}
	}
	return s.line.line[s.line.first].at.Add(s.e.cfg.BarrierLimit)
}
