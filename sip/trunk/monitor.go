package trunk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip"
	"tandem/sip/core"
)

// Shard is the SendRef.Shard of our OPTIONS: whoever routes SendFailed, SentOn
// and ConnClosed brings those with this shard to the Monitor.
const Shard = 0xffff

// Change is told when the state of an endpoint changes.
type Change struct {
	From tandem.HealthState
	Now  tandem.EndpointHealth
}

// Deps are the monitor's neighbours.
type Deps struct {
	Sender sip.Sender
	// Connections are those that Sender dials; nil = it has none.
	Connections Connections
	Clock       func() time.Time    // nil = time.Now
	Logger      *slog.Logger        // nil = discard
	OnChange    func(Change)        // may be nil; must not block
	Jitter      func(n int64) int64 // random number in [0, n); nil = math/rand
	Random      func() uint64       // for tags and Call-IDs; nil = math/rand
}

// Monitor probes endpoints and keeps their health. All methods are safe for
// concurrent use and none blocks.
type Monitor struct {
	cfg      Config
	deps     Deps
	draining atomic.Bool
	health   atomic.Pointer[tandem.Health]
	trials   atomic.Bool // any endpoint waits for a call to try it

	mu     sync.Mutex
	points []*point // in the order of trunks and endpoints
	byTx   map[uint64]*point
	lastTx uint64
	todo   []func() // sends and reports to run once mu is free

	wake chan struct{}
	quit chan struct{}
	done chan struct{}
	once sync.Once
}

// point is one endpoint with its machine and its probe in progress.
type point struct {
	view     core.TrunkView
	endpoint tandem.Endpoint
	m        *machine
	next     time.Time // of the next probe
	probe    probe     // tx 0 = none in progress

	watched time.Time     // until then INVITEs wait here
	bound   time.Duration // of their watch
	alarms  alarms
	failing time.Time // start of the first probe in a row that failed
}

// Connections are the transport's, by target.
type Connections interface {
	// Distrust has the next message dial anew; what is open stays open.
	Distrust(to sip.Target)
	// Abandon closes what is open and has been silent since an instant.
	Abandon(to sip.Target, since time.Time)
}

// New makes a monitor and starts its goroutine; Close ends it. cfg must be valid.
func New(cfg Config, deps Deps) *Monitor {
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Jitter == nil {
		deps.Jitter = rand.Int64N
	}
	if deps.Random == nil {
		deps.Random = rand.Uint64
	}
	m := &Monitor{cfg: cfg, deps: deps, byTx: map[uint64]*point{}, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	m.health.Store(&tandem.Health{})
	go m.loop()
	return m
}

// Close stops probing.
func (m *Monitor) Close() {
	m.once.Do(func() { close(m.quit) })
	<-m.done
}

// Health is the latest snapshot.
func (m *Monitor) Health() tandem.Health { return *m.health.Load() }

// Drain, when on, answers OPTIONS with 503, so that peers send new calls elsewhere.
func (m *Monitor) Drain(on bool) { m.draining.Store(on) }

// SetTrunks replaces the trunks. What is known of endpoints that stay is kept;
// new ones are probed soon, spread over a little time.
func (m *Monitor) SetTrunks(views []core.TrunkView) {
	now := m.deps.Clock()
	m.locked(func() {
		type key struct {
			trunk    tandem.TrunkID
			endpoint tandem.Endpoint
		}
		old := map[key]*point{}
		for _, p := range m.points {
			old[key{p.view.ID, p.endpoint}] = p
		}
		m.points = nil
		for _, v := range views {
			if v.Disabled {
				continue
			}
			for _, e := range v.Endpoints {
				probing := v.OptionsInterval > 0
				p := old[key{v.ID, e}]
				delete(old, key{v.ID, e})
				if p != nil && p.m.probing != probing {
					delete(m.byTx, p.probe.tx) // its answer tells about an endpoint that we no longer ask
					p = nil
				}
				if p == nil {
					p = &point{endpoint: e, m: newMachine(&m.cfg, probing, now), next: now.Add(time.Duration(m.deps.Jitter(int64(m.cfg.T1))))}
				}
				p.view = v
				m.points = append(m.points, p)
			}
		}
		for _, p := range old {
			delete(m.byTx, p.probe.tx)
		}
		m.publish()
	})
	m.poke()
}

// Outcome learns from the end of a call attempt.
func (m *Monitor) Outcome(id tandem.TrunkID, e tandem.Endpoint, o tandem.Outcome, at time.Time) {
	ev, why, hold := judge(o)
	if ev == evTick {
		return
	}
	m.locked(func() {
		m.heed(id, e, o, at)
		for _, p := range m.points {
			if p.view.ID != id || p.endpoint != e {
				continue
			}
			if ev == evUnavailable && hold == 0 {
				// Without Retry-After a carrier's 503 to an INVITE usually means that
				// this destination has no circuit; Microsoft's means its proxy.
				if p.view.Kind != tandem.TrunkTeams {
					return
				}
				ev = evCallFailed
			}
			if ev == evCallAlive && p.m.state == tandem.HealthUp && p.m.callFails == 0 && p.m.fails == 0 {
				return // the common case: no news
			}
			before := p.m.state
			m.step(p, ev, why, hold, at)
			m.doubt(p, ev, before, at)
			return
		}
	})
}

// doubt looks for what a failed call may come from: mu is held.
func (m *Monitor) doubt(p *point, ev event, before tandem.HealthState, at time.Time) {
	switch {
	case ev == evCallLost && p.m.state != before && p.m.probing && p.probe.tx == 0:
		// Does a new connection work? Many calls may end while the answer comes.
		if p.next = p.m.lastProbe.Add(m.cfg.T1); p.next.Before(at) {
			p.next = at
		}
		m.poke()
	case ev == evCallFailed && p.m.callFails == 1 && m.mayDoubt(p):
		to := p.target() // the connection may be dead and the peer alive: the next call finds out
		m.todo = append(m.todo, func() { m.deps.Connections.Distrust(to) })
	}
}

// judge tells what the end of an attempt means for its endpoint; evTick: nothing.
func judge(o tandem.Outcome) (event, string, time.Duration) {
	switch o.Kind {
	case tandem.OutcomeAnswered, tandem.OutcomeNoAnswer, tandem.OutcomeMedia:
		return evCallAlive, string(o.Kind), 0
	case tandem.OutcomeMisconfigured:
		return evCallAlive, fmt.Sprint(o.Status), 0
	case tandem.OutcomeConnection:
		return evCallLost, "no connection", 0
	case tandem.OutcomeSilence:
		return evCallFailed, "no response to INVITE", 0
	case tandem.OutcomeStatus:
		if o.Status == 503 {
			hold := time.Duration(min(o.RetryAfter, 86400)) * time.Second
			return evUnavailable, "503 to INVITE", hold
		}
		return evCallAlive, fmt.Sprint(o.Status), 0
	case tandem.OutcomeCancelled:
		if o.Alerted {
			return evCallAlive, "rang", 0
		}
	}
	return evTick, "", 0
}

// step runs a machine and reports what changed; mu is held.
func (m *Monitor) step(p *point, ev event, why string, hold time.Duration, now time.Time) {
	from := p.m.state
	until := p.m.downUntil
	changed := p.m.step(ev, why, hold, now)
	if changed || p.m.downUntil != until || ev != evTick {
		m.publish()
	}
	if changed {
		c := Change{From: from, Now: p.health()}
		m.todo = append(m.todo, func() { m.report(c) })
	}
	if p.m.settled() {
		if changed { // back to the regular interval
			p.next = p.m.lastProbe.Add(m.jittered(m.interval(p)))
		}
	} else {
		if soon := now.Add(min(m.cfg.RetryInterval, m.interval(p))); p.probe.tx == 0 && p.next.After(soon) {
			p.next = soon
			m.poke()
		}
	}
}

func (m *Monitor) report(c Change) {
	level := slog.LevelInfo
	switch c.Now.State {
	case tandem.HealthDown, tandem.HealthMisconfigured:
		level = slog.LevelError
	case tandem.HealthDemoted:
		level = slog.LevelWarn
	}
	m.deps.Logger.Log(context.Background(), level, "trunk endpoint "+string(c.Now.State), "trunk", c.Now.Trunk, "endpoint", c.Now.Endpoint.Host, "was", c.From, "reason", c.Now.Reason)
	if m.deps.OnChange != nil {
		m.deps.OnChange(c)
	}
}

// jittered is an interval less up to a tenth: never longer, and endpoints that
// fell together don't come back in step.
func (m *Monitor) jittered(every time.Duration) time.Duration {
	return every - time.Duration(m.deps.Jitter(int64(every/10)+1))
}

// publish makes the snapshot; mu is held.
func (m *Monitor) publish() {
	h := make(tandem.Health, 8)
	trials := false
	for _, p := range m.points {
		trials = trials || p.m.trial
		h[p.view.ID] = append(h[p.view.ID], p.health())
	}
	m.health.Store(&h)
	m.trials.Store(trials)
}

func (p *point) health() tandem.EndpointHealth {
	return tandem.EndpointHealth{Trunk: p.view.ID, Endpoint: p.endpoint, State: p.m.state, Since: p.m.since, DownUntil: p.m.downUntil,
		LastProbe: p.m.lastProbe, LastOK: p.m.lastOK, Reason: p.m.reason, Alarm: p.alarms.String()}
}

// locked runs f under the lock and then, without it, what f left to do: a
// sender may call back at once.
func (m *Monitor) locked(f func()) {
	m.mu.Lock()
	f()
	todo := m.todo
	m.todo = nil
	m.mu.Unlock()
	for _, do := range todo {
		do()
	}
}

func (m *Monitor) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// SendFailed takes the failure of one of our OPTIONS.
func (m *Monitor) SendFailed(ref sip.SendRef, err error, at time.Time) {
	m.locked(func() {
		if p := m.byTx[ref.Tx]; p != nil {
			m.failed(p, reasonOf(err), at)
		}
	})
}

// SentOn notes the connection that an OPTIONS went out on.
func (m *Monitor) SentOn(ref sip.SendRef, conn sip.ConnID, _ time.Time) {
	m.locked(func() {
		if p := m.byTx[ref.Tx]; p != nil {
			p.probe.conn = conn
		}
	})
}

// ConnClosed fails the OPTIONS that wait for an answer on a connection.
func (m *Monitor) ConnClosed(conn sip.ConnID, at time.Time) {
	m.locked(func() {
		for _, p := range m.points {
			if p.probe.tx != 0 && p.probe.conn == conn {
				m.failed(p, "the peer closed the connection without answering OPTIONS", at)
			}
		}
	})
}

// Response takes a response to one of our OPTIONS, told by IsOurs.
func (m *Monitor) Response(flow sip.Flow, res *gosip.Response, at time.Time) {
	branch, _ := res.Via().Params.Get("branch")
	tx, ok := txOf(branch)
	if !ok || res.StatusCode < 200 {
		return
	}
	m.locked(func() {
		p := m.byTx[tx]
		if p == nil || p.view.ID != flow.Trunk {
			return
		}
		m.endProbe(p)
		switch why := fmt.Sprintf("%d %s", res.StatusCode, printable(res.Reason)); res.StatusCode {
		case 503:
			m.step(p, evUnavailable, "503 to OPTIONS", retryAfter(res), at)
		case 403:
			m.step(p, evRefused, "403 to OPTIONS: the peer does not know our name "+p.view.FQDN+"; compare the trunk's FQDN with the certificate and the peer's registration", 0, at)
		default:
			m.step(p, evAlive, why, 0, at)
		}
	})
}

// reasonOf is an error's text for people, without the innards.
func reasonOf(err error) string {
	var known *tandem.Error
	if errors.As(err, &known) {
		if known.Mend != "" {
			return known.Message + " (" + known.Mend + ")"
		}
		return known.Message
	}
	return "sending failed"
}

// target is where an endpoint is reached.
func (p *point) target() sip.Target {
	t := sip.Target{Trunk: p.view.ID, Transport: p.view.Transport, Host: p.endpoint.Host, Port: p.endpoint.Port, Addr: p.endpoint.Address}
	if !t.Addr.IsValid() {
		if a, err := netip.ParseAddr(p.endpoint.Host); err == nil {
			t.Addr = a
		}
	}
	return t
}
