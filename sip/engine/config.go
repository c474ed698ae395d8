package engine

import (
	"fmt"
	"log/slog"
	"runtime"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip"
	"tandem/sip/core"
)

// Config is what the engine is set to. It is read-only after New.
type Config struct {
	// Shards is the number of call cores; 0 = one per CPU.
	Shards int
	// Core is the template of each shard's core; Shard and MaxCalls are filled in.
	Core core.Config
	// MaxCalls is how many calls the node holds at most, divided evenly among the
	// shards; more are refused with 503, emergency calls never. 0 = Core.MaxCalls per shard.
	MaxCalls int
	// Mailbox is how many messages may wait for one shard. New calls are refused
	// from three quarters on: the rest is for the calls there are.
	Mailbox int
	// BarrierLimit is how long messages wait for the journal at most.
	BarrierLimit time.Duration
	// RetryAfter is what refused callers are told, in whole seconds.
	RetryAfter time.Duration
}

// DefaultConfig is the product's default.
func DefaultConfig() Config {
	return Config{
		Core:         core.DefaultConfig(),
		Mailbox:      8192, // 0.6 s of 1,000 calls/s at 14 messages a call
		BarrierLimit: 200 * time.Millisecond,
		RetryAfter:   2 * time.Second,
	}
}

func (c Config) withDefaults() Config {
	if c.Shards == 0 {
		c.Shards = runtime.GOMAXPROCS(0)
	}
	return c
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	bad := func(field string, value any, mend string) error {
		return &tandem.Error{Kind: tandem.KindInvalid, Field: "sip." + field, Message: fmt.Sprintf("%v cannot be used", value), Mend: mend}
	}
	switch {
	case c.Shards < 0 || c.Shards > 256:
		return bad("shards", c.Shards, "use 0 (one per CPU) to 256")
	case c.MaxCalls < 0:
		return bad("max_calls", c.MaxCalls, "use 0 for no limit")
	case c.Mailbox < 16:
		return bad("mailbox", c.Mailbox, "use at least 16")
	case c.BarrierLimit <= 0:
		return bad("barrier_limit", c.BarrierLimit, "write a duration above zero, as in 200ms")
	case c.RetryAfter < time.Second:
		return bad("retry_after", c.RetryAfter, "use at least 1s")
	}
	return c.Core.Validate()
}

// Recorder is the journal. Record copies or encodes the call before it returns
// and gives the position of the fact, ascending per journal; 0 = it could not be
// taken. OnWritten registers a function that hears, from any goroutine, up to
// which position facts are written (not: synced).
type Recorder interface {
	Record(shard uint16, kind tandem.FactKind, at time.Time, call *tandem.CallRecord) uint64
	OnWritten(func(seq uint64))
}

// Health is the trunk health; *trunk.Monitor is one.
type Health interface {
	// Outcome learns from the end of an attempt.
	Outcome(trunk tandem.TrunkID, endpoint tandem.Endpoint, o tandem.Outcome, at time.Time)
	// Watch looks after an endpoint where an INVITE waits, see core.Output.
	Watch(trunk tandem.TrunkID, endpoint tandem.Endpoint, bound time.Duration, at time.Time)
	// Health is the latest snapshot.
	Health() tandem.Health
	// Request answers an OPTIONS outside a dialog.
	Request(flow sip.Flow, req *gosip.Request, at time.Time)
	// Response takes the response to an OPTIONS of its own.
	Response(flow sip.Flow, res *gosip.Response, at time.Time)
	// SendFailed, SentOn and ConnClosed follow its own messages, sent with shard trunk.Shard.
	SendFailed(ref sip.SendRef, err error, at time.Time)
	SentOn(ref sip.SendRef, conn sip.ConnID, at time.Time)
	ConnClosed(conn sip.ConnID, at time.Time)
	// Drain turns the answer to OPTIONS into 503.
	Drain(on bool)
}

// Deps are the engine's neighbours.
type Deps struct {
	Router   core.Router
	Credit   core.Credit // nil: no account is limited
	Media    tandem.MediaRelay
	Recorder Recorder
	Sender   sip.Sender
	Health   Health
	Clock    func() time.Time                 // nil = time.Now
	Logger   *slog.Logger                     // nil = discard
	Random   func(shard uint16) func() uint64 // nil = crypto/rand; one source per shard
}
