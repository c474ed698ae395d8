package core

import (
	"time"

	"tandem"
)

// Core is the call core of one shard. All methods belong to the one goroutine
// that owns the shard.
type Core struct {
	cfg  Config
	deps Deps

	trunks   map[tandem.TrunkID]*TrunkView
	draining bool
	stats    Stats
}

// Stats counts what the core holds now and has done since it began.
type Stats struct {
	// Now. All are zero when the core is idle: the leak check of the tests.
	Calls, Legs, ClientTx, ServerTx, Timers int
	// Since the beginning.
	Started, Answered, Ended uint64
	Refused                  uint64 // calls refused by Drain or MaxCalls
	Retransmits              uint64 // messages that we sent again
	Absorbed                 uint64 // retransmissions received and answered or dropped
	LateAnswers              uint64 // 2xx of abandoned attempts or other forks: ACKed and released
	Stray                    uint64 // responses and ACKs that belong to nothing
	BadMessages              uint64 // requests refused as malformed
	Panics                   uint64 // calls ended by a panic in their own code
}

// New makes a core. cfg must be valid; deps.Router, Media, Output and Random must be set.
func New(cfg Config, deps Deps) *Core {
	return &Core{cfg: cfg, deps: deps, trunks: map[tandem.TrunkID]*TrunkView{}}
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

// Handle takes one event.
func (c *Core) Handle(ev Event) {}

// NextTimer is when Tick is due next; false when nothing is waited for.
func (c *Core) NextTimer() (time.Time, bool) { return time.Time{}, false }

// Tick runs everything that is due at now.
func (c *Core) Tick(now time.Time) {}

// Live lists the calls in progress, oldest first.
func (c *Core) Live() []tandem.LiveCall { return nil }

// Stats reads the counters.
func (c *Core) Stats() Stats { return c.stats }

// Drain, when on, refuses new calls with 503 except emergency calls; calls in progress go on.
func (c *Core) Drain(on bool) { c.draining = on }

// Hangup ends a call; reason goes into its record and the Reason header. It
// reports whether there is such a call.
func (c *Core) Hangup(id tandem.CorrelationID, reason string) bool { return false }
