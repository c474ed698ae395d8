package engine

import (
	"testing"
	"time"

	"tandem"
	"tandem/sip/core"
)

// clocked is a call core that tells what time it was when it hung up.
type clocked struct {
	scripted
	now, hungUp time.Time
}

func (c *clocked) Tick(now time.Time)                       { c.now = now }
func (c *clocked) Hangup(tandem.CorrelationID, string) bool { c.hungUp = c.now; return true }

// TestHangupHappensNow: a core without events for a while ends a call at the
// present time, not at that of its last event, which would bill it short.
func TestHangupHappensNow(t *testing.T) {
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	cfg := DefaultConfig()
	cfg.Shards = 1
	c := &clocked{}
	e := start(cfg, Deps{Recorder: &paper{}, Sender: &wire{}, Health: &doctor{}, Clock: func() time.Time { return at }},
		func(core.Config, core.Deps) callCore { return c })
	defer e.Close()
	if !e.Hangup(tandem.CorrelationID{}, "test") || !c.hungUp.Equal(at) {
		t.Errorf("hung up at %v, want %v", c.hungUp, at)
	}
}
