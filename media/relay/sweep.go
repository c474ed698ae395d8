package relay

import (
	"time"

	"tandem"
)

// sweepEvery is how late a timeout can be told. A thousand sessions take about 50 us to look through.
const sweepEvery = time.Second

func (p *Pool) sweepLoop() {
	defer p.done.Done()
	tick := time.NewTicker(min(sweepEvery, max(p.cfg.RTPTimeout/8, time.Millisecond)))
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
			p.sweep(p.now())
		}
	}
}

// sweep reports the sides that are silent while media should flow both ways.
func (p *Pool) sweep(now time.Duration) {
	var events []tandem.MediaEvent
	for i := range p.shelves {
		sh := &p.shelves[i]
		sh.mu.Lock()
		for s := range sh.sessions {
			s.mu.Lock()
			for j := range s.ends {
				e := &s.ends[j]
				if !s.closed && e.overdue(p.cfg.RTPTimeout, now) {
					events = append(events, tandem.MediaEvent{Ref: s.ref, Kind: tandem.MediaTimeout, Side: e.side, LastSeen: instant(p.start, e.in.seen)})
				}
			}
			s.mu.Unlock()
		}
		sh.mu.Unlock()
	}
	for _, ev := range events { // outside the locks: the receiver may close the session at once
		p.deps.OnEvent(ev)
	}
}
