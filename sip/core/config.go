package core

import (
	"fmt"
	"time"

	"tandem"
	"tandem/sip/header"
)

// Config is what a shard's call core is set to. It is read-only after New.
type Config struct {
	// Shard is this core's number; it is carried in every Call-ID minted here.
	Shard uint16
	// Node names this process in call records.
	Node string
	// UserAgent goes into User-Agent, Server and (towards Microsoft) X-MS-SBC,
	// in the form vendor/model/version.
	UserAgent string
	// MaxCalls is how many calls this shard holds at most; more are refused
	// with 503. Emergency calls are always taken. 0 = no limit.
	MaxCalls int
	// MaxBody is the largest message body taken, in bytes; more is 413.
	MaxBody int

	// T1, T2 and T4 are the round-trip estimate, the longest retransmission
	// interval and the longest time a message stays in the network (RFC 3261 17.1.1.1).
	T1, T2, T4 time.Duration
	// TimerC bounds an INVITE whose attempt has no AnswerTimeout; each 18x restarts it (RFC 3261 16.6 step 11).
	TimerC time.Duration
	// NoAnswer is the AnswerTimeout of attempts that carry none.
	NoAnswer time.Duration
	// TryingTimeout ends an attempt towards Microsoft that got 100 Trying and then
	// nothing: a proxy that took the INVITE and died (microsoft-teams-trunk.md 4.2).
	// Plan.TryingBound comes before it.
	TryingTimeout time.Duration
	// CancelWait is how long a call that gives up a live attempt waits for its
	// final response after the CANCEL before something else may ring; the time is
	// part of TryingTimeout and TryingBound.
	CancelWait time.Duration
	// SetupLimit bounds the whole set-up with all its attempts.
	SetupLimit time.Duration
	// MaxDuration ends calls that nobody ends; 0 = never.
	MaxDuration time.Duration
	// ReleaseWait is how long a released call waits for the final status of
	// its legs before its record is closed with what is known.
	ReleaseWait time.Duration
	// CheckpointEvery is how often an established call is journalled; what a crash can lose.
	CheckpointEvery time.Duration
	// MinSE is the shortest session interval that we take (RFC 4028 4: never under 90 s).
	MinSE time.Duration
}

// DefaultConfig is the product's default.
func DefaultConfig() Config {
	return Config{
		Node:            "tandem",
		UserAgent:       "Tandem/B2BUA/1.0",
		MaxCalls:        20000,
		MaxBody:         32 << 10,
		T1:              500 * time.Millisecond,
		T2:              4 * time.Second,
		T4:              5 * time.Second,
		TimerC:          185 * time.Second, // RFC 3261 16.6: more than 3 minutes
		NoAnswer:        120 * time.Second,
		TryingTimeout:   10 * time.Second,
		CancelWait:      500 * time.Millisecond, // a round trip to another continent and back
		SetupLimit:      5 * time.Minute,
		MaxDuration:     36 * time.Hour,
		ReleaseWait:     4 * time.Second,
		CheckpointEvery: time.Minute,
		MinSE:           90 * time.Second,
	}
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	positive := []struct {
		field string
		value time.Duration
	}{
		{"t1", c.T1}, {"t2", c.T2}, {"t4", c.T4}, {"timer_c", c.TimerC}, {"no_answer", c.NoAnswer},
		{"trying_timeout", c.TryingTimeout}, {"cancel_wait", c.CancelWait}, {"setup_limit", c.SetupLimit},
		{"release_wait", c.ReleaseWait}, {"checkpoint_every", c.CheckpointEvery},
	}
	for _, p := range positive {
		if p.value <= 0 {
			return configError(p.field, p.value, "write a duration above zero, as in 4s")
		}
	}
	switch {
	case c.T2 < c.T1:
		return configError("t2", c.T2, "t2 is at least t1 (RFC 3261 17.1.2.2)")
	case c.MinSE < 90*time.Second:
		return configError("min_se", c.MinSE, "RFC 4028 4 allows nothing under 90s")
	case c.MaxCalls < 0:
		return configError("max_calls", c.MaxCalls, "write 0 for no limit")
	case c.MaxBody < 1024:
		return configError("max_body", c.MaxBody, "leave room for SDP: at least 1024 bytes")
	case c.MaxDuration < 0:
		return configError("max_duration", c.MaxDuration, "write 0 for no limit")
	case !header.Clean(c.UserAgent) || c.UserAgent == "":
		return configError("user_agent", tandem.Clip(c.UserAgent, 40), "use printable characters, as in vendor/model/version")
	}
	return nil
}

func configError(field string, value any, mend string) error {
	return &tandem.Error{Kind: tandem.KindInvalid, Field: "sip." + field, Message: fmt.Sprintf("%v cannot be used", value), Mend: mend}
}
