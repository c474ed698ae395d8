package engine

import (
	"crypto/rand"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip"
	"tandem/sip/core"
	"tandem/sip/trunk"
)

// Engine is the running call engine. All methods are safe for concurrent use.
type Engine struct {
	cfg      Config
	deps     Deps
	shards   []*shard
	written  atomic.Uint64 // facts up to here are written
	quit     chan struct{}
	wg       sync.WaitGroup
	closing  sync.Once
	count    counters
	refusals allowance
	newCore  func(core.Config, core.Deps) callCore
}

// New makes an engine and starts its shards. cfg must be valid; Router, Media,
// Recorder, Sender and Health must be set.
func New(cfg Config, deps Deps) *Engine {
	return start(cfg, deps, func(c core.Config, d core.Deps) callCore { return core.New(c, d) })
}

func start(cfg Config, deps Deps, newCore func(core.Config, core.Deps) callCore) *Engine {
	cfg = cfg.withDefaults()
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Random == nil {
		deps.Random = secureRandom
	}
	e := &Engine{cfg: cfg, deps: deps, quit: make(chan struct{}), newCore: newCore}
	for i := range cfg.Shards {
		e.shards = append(e.shards, newShard(e, uint16(i)))
	}
	deps.Recorder.OnWritten(e.onWritten)
	for _, s := range e.shards {
		e.wg.Add(1)
		go s.run()
	}
	return e
}

// secureRandom is ChaCha8 seeded by the system: unpredictable as tags and
// Call-IDs must be (RFC 3261 19.3), without a system call for each.
func secureRandom(uint16) func() uint64 {
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails
	return mathrand.NewChaCha8(seed).Uint64
}

// Receive implements sip.Handler.
func (e *Engine) Receive(flow sip.Flow, msg gosip.Message, lease sip.Lease, at time.Time) {
	switch m := msg.(type) {
	case *gosip.Response:
		if trunk.IsOurs(m) {
			e.deps.Health.Response(flow, m, at)
			return
		}
		e.post(flow, m, lease, m.CallID().Value(), classAnswer, at)
	case *gosip.Request:
		class := classify(m)
		if class == classOptions {
			e.deps.Health.Request(flow, m, at)
			return
		}
		e.post(flow, m, lease, m.CallID().Value(), class, at)
	}
}

func (e *Engine) post(flow sip.Flow, msg gosip.Message, lease sip.Lease, callID string, class class, at time.Time) {
	s := e.shards[core.ShardOf(callID, len(e.shards))]
	var mark uint64
	if class == classNewCall || class == classEmergency {
		mark = s.seen.of(msg) // before the shard has the message, and may have given it back
	}
	if !s.box.put(item{event: core.Event{Kind: core.EventMessage, At: at, Flow: flow, Msg: msg}, lease: lease}, class) {
		e.refuse(s, flow, msg, class)
		return
	}
	if mark != 0 {
		s.seen.add(mark)
	}
}

// SentOn implements sip.Handler.
func (e *Engine) SentOn(ref sip.SendRef, conn sip.ConnID, at time.Time) {
	if ref.Shard == trunk.Shard {
		e.deps.Health.SentOn(ref, conn, at)
		return
	}
	if s := e.shard(ref.Shard); s != nil {
		s.box.put(item{event: core.Event{Kind: core.EventSentOn, At: at, Ref: ref, Conn: conn}}, classInternal)
	}
}

// SendFailed implements sip.Handler.
func (e *Engine) SendFailed(ref sip.SendRef, err error, at time.Time) {
	if ref.Shard == trunk.Shard {
		e.deps.Health.SendFailed(ref, err, at)
		return
	}
	if s := e.shard(ref.Shard); s != nil {
		s.box.put(item{event: core.Event{Kind: core.EventSendFailed, At: at, Ref: ref, Err: err.Error()}}, classInternal)
	}
}

// ConnClosed implements sip.Handler. Any shard may wait on a connection, so all are told.
func (e *Engine) ConnClosed(conn sip.ConnID, at time.Time) {
	e.deps.Health.ConnClosed(conn, at)
	for _, s := range e.shards {
		s.box.put(item{event: core.Event{Kind: core.EventConnClosed, At: at, Conn: conn}}, classInternal)
	}
}

// MediaEvent takes a report of a media session; pass it to the relay as its OnEvent.
func (e *Engine) MediaEvent(ev tandem.MediaEvent) {
	if s := e.shard(ev.Ref.Shard); s != nil {
		s.box.put(item{event: core.Event{Kind: core.EventMedia, At: e.deps.Clock(), Media: ev}}, classInternal)
	}
}

func (e *Engine) shard(n uint16) *shard {
	if int(n) < len(e.shards) {
		return e.shards[n]
	}
	return nil
}

// SetDirectory gives every shard the trunks. Calls in progress keep theirs.
func (e *Engine) SetDirectory(trunks []core.TrunkView) {
	e.onAll(func(s *shard) { s.core.SetTrunks(trunks) })
}

// Live lists the calls in progress, by shard, oldest first in each.
func (e *Engine) Live() []tandem.LiveCall {
	lists := make([][]tandem.LiveCall, len(e.shards))
	e.onAll(func(s *shard) { lists[s.number] = s.core.Live() })
	var all []tandem.LiveCall
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// Hangup ends a call; it reports whether there is such a call.
func (e *Engine) Hangup(id tandem.CorrelationID, reason string) bool {
	var found atomic.Bool
	e.onAll(func(s *shard) {
		// A core's time is that of its last event: on an idle shard the call would
		// end, and be billed, seconds ago.
		s.core.Tick(e.deps.Clock())
		if s.core.Hangup(id, reason) {
			found.Store(true)
		}
	})
	return found.Load()
}

// Drain, when on, refuses new calls except emergency calls and answers OPTIONS
// with 503; calls in progress go on.
func (e *Engine) Drain(on bool) {
	e.deps.Health.Drain(on)
	e.onAll(func(s *shard) { s.core.Drain(on) })
}

// onAll runs f on every shard, each in its own goroutine, and waits. A shard
// that has ended is left out.
func (e *Engine) onAll(f func(*shard)) {
	dones := make([]chan struct{}, len(e.shards))
	for i, s := range e.shards {
		done := make(chan struct{})
		dones[i] = done
		s.box.put(item{control: func() { defer close(done); f(s) }}, classInternal)
	}
	for i, s := range e.shards {
		select {
		case <-dones[i]:
		case <-s.ended:
		}
	}
}

// onWritten hears from the journal.
func (e *Engine) onWritten(seq uint64) {
	for {
		old := e.written.Load()
		if seq <= old {
			return
		}
		if e.written.CompareAndSwap(old, seq) {
			break
		}
	}
	for _, s := range e.shards {
		if s.waiting.Load() {
			s.box.signal()
		}
	}
}

// Close ends the shards. Calls in progress are not released: drain first, or
// leave them to the journal's recovery. Messages that wait for the journal leave.
func (e *Engine) Close() {
	e.closing.Do(func() { close(e.quit) })
	e.wg.Wait()
}
