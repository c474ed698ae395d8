package engine

import (
	"hash/maphash"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
	"tandem/sip/core"
)

// shard is one call core with its goroutine. Only that goroutine touches core,
// out and line.
type shard struct {
	e      *Engine
	number uint16
	core   callCore
	box    *mailbox
	out    output
	line   barrier
	seen   seenInvites

	waiting atomic.Bool // messages wait for the journal
	ended   chan struct{}

	statsMu sync.Mutex
	stats   core.Stats // as of the last turn, for others
}

// callCore is what a shard drives: *core.Core, or a scripted one in tests.
type callCore interface {
	SetTrunks([]core.TrunkView)
	Handle(core.Event)
	NextTimer() (time.Time, bool)
	Tick(now time.Time)
	Live() []tandem.LiveCall
	Stats() core.Stats
	Drain(on bool)
	Hangup(id tandem.CorrelationID, reason string) bool
	ReleaseRecovered(leg *tandem.LegRecord, side tandem.Side)
}

// timerSlice is how many events run before timers are looked at again.
const timerSlice = 64

func newShard(e *Engine, number uint16) *shard {
	s := &shard{e: e, number: number, box: newMailbox(e.cfg.Mailbox), ended: make(chan struct{})}
	s.seen.seed = maphash.MakeSeed()
	s.out.s = s
	cfg := e.cfg.Core
	cfg.Shard = number
	if e.cfg.MaxCalls > 0 {
		cfg.MaxCalls = (e.cfg.MaxCalls + e.cfg.Shards - 1) / e.cfg.Shards
	}
	s.core = e.newCore(cfg, core.Deps{Router: e.deps.Router, Credit: e.deps.Credit, Media: e.deps.Media, Output: &s.out, Random: e.deps.Random(number)})
	return s
}

func (s *shard) run() {
	defer s.e.wg.Done()
	defer close(s.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var spare []item
	for {
		select {
		case <-s.e.quit:
			s.flush()
			return
		default:
		}
		batch := s.box.take(spare)
		for i := range batch {
			s.handle(&batch[i])
			if i%timerSlice == timerSlice-1 {
				s.tick()
			}
		}
		s.tick()
		clear(batch)
		spare = batch
		if cap(spare) > 2*s.e.cfg.Mailbox {
			spare = nil
		}
		if s.box.len() > 0 {
			continue
		}
		s.publish()
		timer.Reset(s.pause())
		select {
		case <-s.box.wake:
		case <-timer.C:
		case <-s.e.quit:
		}
	}
}

// publish shows the core's counters to others.
func (s *shard) publish() {
	stats := s.core.Stats()
	s.statsMu.Lock()
	s.stats = stats
	s.statsMu.Unlock()
}

// published are the counters as of the last turn.
func (s *shard) published() core.Stats {
	s.statsMu.Lock()
	defer s.statsMu.Unlock()
	return s.stats
}

// handle runs one turn.
func (s *shard) handle(it *item) {
	if it.control != nil {
		s.guard(it.control)
	} else {
		s.guard(func() { s.core.Handle(it.event) })
	}
	if it.lease != nil {
		it.lease.Return() // a core keeps texts and bodies, never a message
	}
	s.settle()
}

// tick runs due timers and lets go what the journal has written.
func (s *shard) tick() {
	now := s.e.deps.Clock()
	if due, ok := s.core.NextTimer(); ok && !now.Before(due) {
		s.guard(func() { s.core.Tick(now) })
		s.settle()
	}
	s.release(now)
}

// pause is how long nothing is due.
func (s *shard) pause() time.Duration {
	held := s.heldUntil()
	s.waiting.Store(!held.IsZero())
	if !held.IsZero() {
		// Written between the last release and the flag above: nobody would wake us.
		s.release(s.e.deps.Clock())
		held = s.heldUntil()
		s.waiting.Store(!held.IsZero())
	}
	wait := time.Hour
	now := s.e.deps.Clock()
	if due, ok := s.core.NextTimer(); ok {
		wait = due.Sub(now)
	}
	if !held.IsZero() {
		wait = min(wait, held.Sub(now))
	}
	return max(wait, 0)
}

// guard contains a panic that the core's own containment did not: the event is
// lost, the shard and its other calls go on.
func (s *shard) guard(f func()) {
	defer func() {
		if p := recover(); p != nil {
			s.e.count.panics.Add(1)
			s.e.deps.Logger.Error("panic in the call core", "shard", s.number, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	f()
}

// flush lets everything go that still waits.
func (s *shard) flush() {
	l := &s.line
	for ; l.first < len(l.line); l.first++ {
		h := &l.line[l.first]
		s.e.deps.Sender.Send(h.to, h.ref, h.msg)
	}
}
