package routing

import (
	"fmt"
	"time"

	"tandem"
)

// Config is what routing needs beyond the directory.
type Config struct {
	// FailsafeBound is the longest time that silent Microsoft endpoints may take
	// together before the failsafe number is called: callers hang up when they
	// hear nothing for much longer.
	FailsafeBound time.Duration
	// TryingBound is the longest time from the first INVITE in which Microsoft
	// may say 100 Trying and nothing else before the failsafe number is called.
	TryingBound time.Duration
	// RingingBound is the longest time from the death of a Microsoft address that
	// says nothing any more until the calls that ring there go on.
	RingingBound time.Duration
	// FailsafeOn are the outcomes of the last Microsoft endpoint that mean
	// "Microsoft can't be reached" (microsoft-teams-trunk.md 4.2). Busy, decline,
	// not found and no answer are what a reached user did: never among them.
	FailsafeOn tandem.OutcomeSet
	// Emergency lists the short codes that are routed first and always: no
	// tenant, caller or plan check comes before them.
	Emergency []string
}

// DefaultConfig is what the documents describe.
func DefaultConfig() Config {
	return Config{
		FailsafeBound: 4 * time.Second,
		// Proxies that live have been seen to ring after several seconds, and the
		// caller hears nothing meanwhile: the short end of 10 to 15 s (microsoft-teams-trunk.md 4.2).
		TryingBound: 10 * time.Second,
		// A quarter between two probes, three eighths for the answer on the call's
		// connection and as much on a new one: 3.75 s outlast four lost copies of a
		// segment in a row (TCP: 0.2 + 0.4 + 0.8 + 1.6 s).
		RingingBound: 10 * time.Second,
		FailsafeOn: tandem.OutcomeSet{
			Statuses: []tandem.SIPStatus{408, 503, 504},
			Kinds:    []tandem.OutcomeKind{tandem.OutcomeConnection, tandem.OutcomeSilence, tandem.OutcomeSkipped, tandem.OutcomeMisconfigured},
		},
		// 911; 933 plays back the caller's registered address; 988 is the lifeline
		// (FCC 20-100); 112 is what mobile users of other countries dial.
		Emergency: []string{"911", "112", "933", "988"},
	}
}

// neverFailsafe are statuses of a user who was reached, or who doesn't exist:
// forwarding on them would override the user's own choice.
var neverFailsafe = [...]tandem.SIPStatus{404, 480, 484, 486, 487, 600, 603, 604, 606}

// Validate reports the first broken rule.
func (c Config) Validate() error {
	bad := func(field, message, mend string) error {
		return &tandem.Error{Kind: tandem.KindInvalid, Field: "routing." + field, Message: message, Mend: mend}
	}
	if c.FailsafeBound < 100*time.Millisecond || c.FailsafeBound > 30*time.Second {
		return bad("failsafe_bound", c.FailsafeBound.String()+" is out of range", "use 100ms to 30s")
	}
	if c.TryingBound < c.FailsafeBound || c.TryingBound > time.Minute {
		return bad("trying_bound", c.TryingBound.String()+" is out of range", "use failsafe_bound to 1m")
	}
	if c.RingingBound < time.Second || c.RingingBound > time.Minute {
		return bad("ringing_bound", c.RingingBound.String()+" is out of range", "use 1s to 1m")
	}
	for _, s := range neverFailsafe {
		if c.FailsafeOn.Has(tandem.Outcome{Kind: tandem.OutcomeStatus, Status: s}) {
			return bad("failsafe_on", fmt.Sprintf("%d is the answer of a user or of the number plan, not an outage", s), "remove it")
		}
	}
	for _, k := range []tandem.OutcomeKind{tandem.OutcomeNoAnswer, tandem.OutcomeCancelled, tandem.OutcomeAnswered} {
		if c.FailsafeOn.Has(tandem.Outcome{Kind: k}) {
			return bad("failsafe_on", string(k)+" does not mean that Microsoft can't be reached", "remove it")
		}
	}
	for _, e := range c.Emergency {
		if len(e) != 3 || !digits(e) {
			return bad("emergency", fmt.Sprintf("%q is not a short code of three digits", tandem.Clip(e, 20)), "write it as dialled, as in 911")
		}
	}
	return nil
}
