package trunk

import (
	"fmt"
	"time"

	"tandem"
)

// Config is how health is judged. It is read-only after New.
type Config struct {
	// FailuresDown consecutive failures bring an endpoint down; the first already demotes it.
	FailuresDown int
	// SuccessesUp consecutive successes bring it up again; the first already demotes it upwards.
	SuccessesUp int
	// ProbeTimeout ends the wait for the response to an OPTIONS.
	ProbeTimeout time.Duration
	// RetryInterval is the time between probes while an endpoint is neither
	// plainly up nor down for a stated time; never longer than the trunk's interval.
	RetryInterval time.Duration
	// UnavailableFor is how long a 503 without Retry-After keeps an endpoint down.
	UnavailableFor time.Duration
	// MaxRetryAfter bounds what a peer can ask for.
	MaxRetryAfter time.Duration
	// CallHold is how long failing calls keep an endpoint down although its OPTIONS
	// are answered; it doubles with each repetition up to MaxCallHold.
	CallHold, MaxCallHold time.Duration
	// MaxInterval bounds the time between two OPTIONS: Microsoft counts a trunk
	// without one for 180 s as unhealthy (microsoft-teams-trunk.md 2).
	MaxInterval time.Duration
	// T1 and T2 are the retransmission times of UDP (RFC 3261 17.1.2.1).
	T1, T2 time.Duration
	// UserAgent goes into User-Agent and Server.
	UserAgent string
}

// DefaultConfig is the product's default.
func DefaultConfig() Config {
	return Config{
		FailuresDown:   2,
		SuccessesUp:    2,
		ProbeTimeout:   4 * time.Second,
		RetryInterval:  5 * time.Second,
		UnavailableFor: 15 * time.Second,
		MaxRetryAfter:  10 * time.Minute,
		CallHold:       15 * time.Second,
		MaxCallHold:    2 * time.Minute,
		MaxInterval:    170 * time.Second, // 10 s under Microsoft's limit
		T1:             500 * time.Millisecond,
		T2:             4 * time.Second,
		UserAgent:      "Tandem/B2BUA/1.0",
	}
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	bad := func(field string, value any, mend string) error {
		return &tandem.Error{Kind: tandem.KindInvalid, Field: "sip.health." + field, Message: fmt.Sprintf("%v cannot be used", value), Mend: mend}
	}
	if c.FailuresDown < 1 {
		return bad("failures_down", c.FailuresDown, "use at least 1")
	}
	if c.SuccessesUp < 1 {
		return bad("successes_up", c.SuccessesUp, "use at least 1")
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{{"probe_timeout", c.ProbeTimeout}, {"retry_interval", c.RetryInterval}, {"unavailable_for", c.UnavailableFor},
		{"max_retry_after", c.MaxRetryAfter}, {"call_hold", c.CallHold}, {"max_interval", c.MaxInterval}, {"t1", c.T1}, {"t2", c.T2}} {
		if d.value <= 0 {
			return bad(d.field, d.value, "write a duration above zero, as in 4s")
		}
	}
	if c.MaxInterval > 180*time.Second {
		return bad("max_interval", c.MaxInterval, "use at most 180s: Microsoft demotes a trunk that is silent for longer")
	}
	if c.MaxCallHold < c.CallHold {
		return bad("max_call_hold", c.MaxCallHold, "use at least call_hold")
	}
	return nil
}
