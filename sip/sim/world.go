package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"tandem"
	"tandem/sip"
	"tandem/sip/core"
)

// Config of a world.
type Config struct {
	Credit core.Credit // of accounts with limited credit; nil: none is
	Seed   uint64
	Faults Faults
	Core   *core.Config // nil: core.DefaultConfig
	Start  time.Time    // zero: a fixed day
	// Lean forgets what only a test of one call wants to look at: World.Facts,
	// World.Outcomes and Peer.Got.
	Lean bool
}

// World is the core and everything around it.
type World struct {
	Core   *core.Core
	Now    time.Time // with both readings; see StepClock
	Faults Faults
	// Plan is the router. It must be set before the first call.
	Plan func(*tandem.RouteRequest) tandem.Plan
	// Media is the relay in memory.
	Media *Media
	// Journal takes the facts besides World.Facts; nil = nobody. Restart needs one.
	Journal Journal
	// Facts is what was recorded, unless Lean.
	Facts []Fact
	// Outcomes is what trunk health was told, unless Lean; OnOutcome hears it too.
	Outcomes  []Reported
	OnOutcome func(Reported)
	// Watched is what trunk health was asked to look after, unless Lean; States
	// overrides its answers by host name.
	Watched []Looked
	States  map[string]tandem.HealthState
	// Ladder is the message log when Logging is set.
	Ladder  []string
	Logging bool
	// Count is what happened.
	Count Counters

	cfg      core.Config
	credit   core.Credit
	lean     bool
	elapsed  time.Duration // on the monotonic clock since the world began
	rand     *rand.Rand
	queue    schedule
	peers    map[string]*Peer
	all      []*Peer
	byConn   map[sip.ConnID]*Peer
	views    []core.TrunkView
	conns    map[string]sip.ConnID // outbound stream per peer
	nextConn sip.ConnID
	old      []forgettable
	turn     turn
	wire     wire
	books    books
	losses   map[uint64]uint8 // copies of each message that the network lost
	problems []string
	suspects []string // Call-IDs and correlation IDs of the calls in problems
}

// Fact is one journalled fact with its own copy of the record.
type Fact struct {
	Kind tandem.FactKind
	At   time.Time
	Call tandem.CallRecord
}

// Reported is one outcome given to trunk health.
type Reported struct {
	Trunk    tandem.TrunkID
	Endpoint tandem.Endpoint
	Outcome  tandem.Outcome
}

// Looked is one call for a look at an endpoint.
type Looked struct {
	Trunk    tandem.TrunkID
	Endpoint tandem.Endpoint
	Bound    time.Duration
	At       time.Time
}

// New makes a world without peers.
func New(cfg Config) *World {
	w := &World{
		Faults: cfg.Faults, lean: cfg.Lean, rand: rand.New(rand.NewPCG(cfg.Seed, 0x7a6e)),
		peers: map[string]*Peer{}, conns: map[string]sip.ConnID{}, byConn: map[sip.ConnID]*Peer{}, losses: map[uint64]uint8{},
	}
	start := cfg.Start
	if start.IsZero() {
		start = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	}
	w.Now = instant(start, 0)
	w.cfg, w.credit = core.DefaultConfig(), cfg.Credit
	if cfg.Core != nil {
		w.cfg = *cfg.Core
	}
	w.wire.init(w)
	w.books.init(w)
	w.Media = &Media{world: w}
	w.newCore()
	return w
}

// newCore is the start of the process.
func (w *World) newCore() {
	w.Core = core.New(w.cfg, core.Deps{Router: router{w}, Credit: w.credit, Media: w.Media, Output: w, Random: w.rand.Uint64})
	w.Core.SetTrunks(w.views)
}

// AddTrunk makes a trunk known to the core.
func (w *World) AddTrunk(v core.TrunkView) {
	w.views = append(w.views, v)
	w.Core.SetTrunks(w.views)
}

// AddPeer puts a peer of a trunk on the network.
func (w *World) AddPeer(trunk tandem.TrunkID, addr string, transport tandem.Transport) *Peer {
	p := &Peer{
		w: w, Trunk: trunk, Addr: netip.MustParseAddrPort(addr), Transport: transport, name: addr,
		clients: map[string]*client{}, servers: map[string]*server{}, dialogs: map[string]*Dialog{}, lastSent: map[string][]byte{},
	}
	w.peers[addr] = p
	w.all = append(w.all, p)
	return p
}

// Endpoint is the peer as an endpoint of a trunk.
func (p *Peer) Endpoint() tandem.Endpoint {
	return tandem.Endpoint{Host: p.Addr.Addr().String(), Port: p.Addr.Port(), Address: p.Addr.Addr()}
}

// After schedules f.
func (w *World) After(d time.Duration, f func()) { w.queue.push(w.elapsed+max(d, 0), f) }

// Elapsed is the virtual time since the world began.
func (w *World) Elapsed() time.Duration { return w.elapsed }

// Run lets virtual time pass.
func (w *World) Run(d time.Duration) { w.until(w.elapsed+d, false) }

// RunIdle runs until nothing is left to happen, at most for limit. It reports
// how much time passed.
func (w *World) RunIdle(limit time.Duration) time.Duration {
	start := w.elapsed
	w.until(start+limit, true)
	return w.elapsed - start
}

func (w *World) until(end time.Duration, idle bool) {
	for {
		next, timer := time.Duration(0), false
		if t, ok := w.Core.NextTimer(); ok && !w.turn.down {
			next, timer = w.elapsed+t.Sub(w.Now), true
		}
		if len(w.queue.items) > 0 && (!timer || w.queue.items[0].at <= next) {
			next, timer = w.queue.items[0].at, false
		} else if !timer {
			if !idle {
				w.advance(end)
			}
			return
		}
		if next > end {
			w.advance(end)
			return
		}
		w.advance(next)
		if timer {
			w.inTurn("", func() { w.Core.Tick(w.Now) })
			continue
		}
		w.queue.pop()()
	}
}

// advance moves both clocks.
func (w *World) advance(to time.Duration) {
	if to > w.elapsed {
		w.Now = w.Now.Add(to - w.elapsed)
		w.elapsed = to
	}
}

// chance draws from the seed.
func (w *World) chance(p float64) bool { return p > 0 && w.rand.Float64() < p }

// Chance draws from the seed.
func (w *World) Chance(p float64) bool { return w.chance(p) }

// Between draws a duration from the seed.
func (w *World) Between(lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return lo + time.Duration(w.rand.Int64N(int64(hi-lo)))
}

// Pick draws a number below n from the seed.
func (w *World) Pick(n int) int { return w.rand.IntN(n) }

// Problem notes a broken invariant.
func (w *World) Problem(format string, args ...any) { w.problem("", format, args...) }

// problem notes a broken invariant of the call with a Call-ID or correlation ID.
func (w *World) problem(id string, format string, args ...any) {
	if len(w.problems) < 50 {
		w.problems = append(w.problems, w.Now.Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
		if id != "" && !slices.Contains(w.suspects, id) {
			w.suspects = append(w.suspects, id)
		}
	}
}
