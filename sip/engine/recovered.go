package engine

import (
	"context"
	"time"

	"tandem"
	"tandem/sip/core"
)

// releaseBatch dialogs are released each releasePause: 1,000 BYEs a second
// beside the calls that come in anew after a restart.
const (
	releaseBatch = 50
	releasePause = 50 * time.Millisecond
)

// ReleaseRecovered sends BYE to both sides of calls that a crash cut, as far as
// their records say how. It takes a while and ends early with ctx or the engine.
func (e *Engine) ReleaseRecovered(ctx context.Context, calls []tandem.CallRecord) {
	sent := 0
	for i := range calls {
		for k := range calls[i].Legs {
			leg, side := &calls[i].Legs[k], tandem.SideB
			if leg.Dialog == nil {
				continue
			}
			if k == 0 {
				side = tandem.SideA
			}
			s := e.shards[core.ShardOf(leg.SIPCallID, len(e.shards))]
			s.box.put(item{control: func() {
				s.core.Tick(e.deps.Clock()) // its time is that of the last event
				s.core.ReleaseRecovered(leg, side)
			}}, classInternal)
			if sent++; sent%releaseBatch > 0 {
				continue
			}
			select {
			case <-time.After(releasePause):
			case <-ctx.Done():
				return
			case <-e.quit:
				return
			}
		}
	}
}
