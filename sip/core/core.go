package core

import (
	"time"

	"tandem"
	"tandem/sip"
)

// Core is the call core of one shard. All methods belong to the one goroutine
// that owns the shard.
type Core struct {
	cfg   Config
	deps  Deps
	table *table

	epoch time.Time     // zero of the core's clock: the first event
	now   time.Duration // of the event being handled; never goes back
	wall  time.Time     // the same instant for records

	trunks   map[tandem.TrunkID]*TrunkView
	draining bool

	timers   timerQueue
	clients  map[uint64]*clientTx
	cancels  map[uint64]*clientTx // CANCELs by the number of their INVITE's transaction
	servers  map[string]*serverTx
	spent    map[tandem.TrunkID]int // server transactions that only repeat their answer
	done     doneSet                // those that only absorb copies
	conns    map[sip.ConnID]*clientTx
	legs     map[uint64]*Leg
	bySerial map[uint64]*Call
	invites  map[string]*Call // set-ups in progress, for merged requests

	first, last               *Call // calls in order of arrival
	nextTx, nextLeg, nextCall uint64

	in         inbound
	buf, extra []byte // scratch for messages
	key        []byte // scratch for serverKey
	busy       *Call  // the call whose code runs, for a panic in it
	orphans    int    // dialogs made from stray answers
	stats      Stats
}

// Stats counts what the core holds now and has done since it began.
type Stats struct {
	// Now. All are zero when the core is idle: the leak check of the tests.
	Calls, Legs, ClientTx, ServerTx, Timers, Watched, SetUps int
	// Since the beginning.
	Started, Answered, Ended uint64
	Refused                  uint64 // calls refused by Drain or MaxCalls
	Retransmits              uint64 // messages that we sent again
	Absorbed                 uint64 // retransmissions received and answered or dropped
	Recovered                uint64 // dialogs released that a crash before this process had cut
	LateAnswers              uint64 // 2xx of abandoned attempts or other forks: ACKed and released
	Stray                    uint64 // responses that belong to nothing
	Stateless                uint64 // answers without a transaction: the trunk has too many of them
	BadMessages              uint64 // messages refused as malformed
	Panics                   uint64 // calls ended by a panic in their own code
	Loose                    uint64 // timers that outlived their owner: 0, or a fault of ours
}

// New makes a core. cfg must be valid; all of deps must be set.
func New(cfg Config, deps Deps) *Core {
	return &Core{
		cfg: cfg, deps: deps, table: newTable(),
		trunks:   map[tandem.TrunkID]*TrunkView{},
		clients:  map[uint64]*clientTx{},
		cancels:  map[uint64]*clientTx{},
		servers:  map[string]*serverTx{},
		spent:    map[tandem.TrunkID]int{},
		done:     newDoneSet(64 * cfg.T1),
		conns:    map[sip.ConnID]*clientTx{},
		legs:     map[uint64]*Leg{},
		bySerial: map[uint64]*Call{},
		invites:  map[string]*Call{},
	}
}

// SetTrunks replaces the trunks. Calls in progress keep the view they began with.
func (c *Core) SetTrunks(views []TrunkView) {
	m := make(map[tandem.TrunkID]*TrunkView, len(views))
	for i := range views {
		v := views[i]
		m[v.ID] = &v
	}
	c.trunks = m
}

// advance moves the clock. It never goes back, whatever the wall clock does.
func (c *Core) advance(at time.Time) {
	if c.epoch.IsZero() {
		c.epoch = at
	}
	c.now = max(c.now, at.Sub(c.epoch))
	c.wall = at
}

// Handle takes one event. A panic in the code of a call ends that call alone.
func (c *Core) Handle(ev Event) {
	c.advance(ev.At)
	c.busy = nil
	defer c.recovered()
	switch ev.Kind {
	case EventMessage:
		c.message(&ev)
	case EventSentOn:
		if tx := c.clients[ev.Ref.Tx]; tx != nil {
			c.watch(tx, ev.Conn)
		}
	case EventSendFailed:
		if tx := c.clients[ev.Ref.Tx]; tx != nil {
			c.failed(tx, true)
		}
	case EventConnClosed:
		c.connClosed(ev.Conn)
	case EventMedia:
		if call := c.bySerial[ev.Media.Ref.Serial]; call != nil && ev.Media.Kind == tandem.MediaTimeout {
			c.busy = call
			call.mediaTimeout(ev.Media.LastSeen)
		}
	}
}

// NextTimer is when Tick is due next; false when nothing is waited for.
func (c *Core) NextTimer() (time.Time, bool) {
	if len(c.timers.heap) == 0 {
		return time.Time{}, false
	}
	return c.epoch.Add(c.timers.heap[0].at), true
}

// Tick runs everything that is due at now.
func (c *Core) Tick(now time.Time) {
	c.advance(now)
	for t := c.timers.due(c.now); t != nil; t = c.timers.due(c.now) {
		c.run(t)
	}
}

func (c *Core) run(t *timer) {
	c.busy = nil
	defer c.recovered()
	t.owner.fire(c, t.kind)
}

// recovered ends the call whose code panicked: 500 or BYE, record, counter.
func (c *Core) recovered() {
	cause := recover()
	if cause == nil {
		return
	}
	c.stats.Panics++
	call := c.busy
	if call == nil {
		return
	}
	defer func() {
		if recover() != nil {
			call.scrap()
		}
	}()
	call.on(evPanic, nil)
}

// scrap forgets a call whose orderly end panicked as well: nothing of it stays
// in the tables, and its record is written with what is known.
func (c *Call) scrap() {
	defer func() { _ = recover() }()
	ended := c.state == Ended
	c.state = Ended
	for _, l := range append([]*Leg{&c.a}, c.legs...) {
		l.gone()
	}
	c.setUpOver()
	c.core.timers.stop(&c.bound)
	c.stopTimers()
	c.unlink()
	if c.media != nil {
		c.media.Close()
		c.media = nil
	}
	if !ended {
		c.journal(tandem.FactEnd)
	}
}

// Live lists the calls in progress, oldest first.
func (c *Core) Live() []tandem.LiveCall {
	list := make([]tandem.LiveCall, 0, c.stats.Calls)
	for call := c.first; call != nil; call = call.next {
		list = append(list, call.live())
	}
	return list
}

// Stats reads the counters.
func (c *Core) Stats() Stats {
	s := c.stats
	s.ClientTx, s.ServerTx, s.Timers = len(c.clients), len(c.servers), len(c.timers.heap)
	s.Watched, s.SetUps = len(c.conns), len(c.invites)
	return s
}

// Drain, when on, refuses new calls with 503 except emergency calls; calls in
// progress go on.
func (c *Core) Drain(on bool) { c.draining = on }

// Hangup ends a call for the operator; reason goes into its record and the
// Reason header. It happens at the time of the last event: call Tick first. It
// reports whether there is such a call.
func (c *Core) Hangup(id tandem.CorrelationID, reason string) bool {
	for call := c.first; call != nil; call = call.next {
		if call.rec.Correlation != id {
			continue
		}
		if call.state >= Releasing {
			return false
		}
		c.busy = call
		defer c.recovered()
		call.released.set(tandem.ReleasedByEngine, 480, tandem.CauseNormalUnspecified, tandem.Clip(reason, 120))
		call.on(evHangup, nil)
		return true
	}
	return false
}
