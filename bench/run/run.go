package main

import (
	"context"
	"fmt"
	"time"
)

// result is one run of one load on one system.
type result struct {
	System string `json:"system"`
	Load   string `json:"load"`
	Rate   int    `json:"rate"`
	Calls  int    `json:"calls"`
	heard
	CPU      float64 `json:"cpu_us_per_call"`
	EngineUs float64 `json:"of_which_children_us"` // Tandem's child is ClickHouse
	IdleKB   int64   `json:"rss_idle_kb"`
	PeakKB   int64   `json:"rss_peak_kb"`
	EngineKB int64   `json:"children_rss_peak_kb"`
	counts
}

// clean tells whether the system carried the load without a fault.
func (r result) clean() bool {
	wanted := float64(r.Calls) / float64(r.Rate)
	return r.Failed == 0 && r.OK == r.Calls && r.Retransmissions*200 <= r.Calls && r.Seconds < wanted*1.1+4 && r.Complaint == ""
}

// warmUp brings every system to its working state before it is measured:
// caches, heap, ClickHouse's tables.
var warmUp = load{rate: 50, calls: 50, hold: 200 * time.Millisecond}

// carry starts a system, warms it up, gives it a load and stops it.
func carry(ctx context.Context, r *rig, s system, l load, label string) (out result, err error) {
	out = result{System: s.name(), Load: label, Rate: l.rate, Calls: l.calls}
	answering, err := startCallees(r)
	if err != nil {
		return out, err
	}
	defer answering.stop()
	if err := s.start(ctx, r); err != nil {
		return out, err
	}
	defer s.stop()
	warmed, err := place(ctx, r, s, warmUp)
	if err != nil {
		return out, fmt.Errorf("%s: warm-up: %w", s.name(), err)
	}
	if warmed.OK != warmUp.calls {
		return out, fmt.Errorf("%s: %d of %d calls of the warm-up succeeded", s.name(), warmed.OK, warmUp.calls)
	}
	if _, err := s.settle(ctx, warmUp.calls); err != nil {
		return out, err
	}

	stop := make(chan struct{})
	before := used(s.pid())
	memory := peak(s.pid(), stop)
	out.IdleKB = before.mainRSS
	out.heard, err = place(ctx, r, s, l)
	if err == nil {
		// Acknowledgements of the last BYEs; the same for every system.
		time.Sleep(600 * time.Millisecond)
		out.counts, err = s.settle(ctx, warmUp.calls+l.calls)
	}
	after := used(s.pid())
	close(stop)
	most := <-memory
	if err != nil {
		return out, fmt.Errorf("%s at %d calls/s: %w", s.name(), l.rate, err)
	}
	per := float64(max(out.OK, 1))
	out.CPU = float64((after.cpu() - before.cpu()).Microseconds()) / per
	out.EngineUs = float64((after.children - before.children).Microseconds()) / per
	out.PeakKB, out.EngineKB = most.mainRSS, most.childrenRSS
	if n, ok := s.(*node); ok && out.Failed == 0 {
		if err := n.verify(ctx, 2*(warmUp.calls+l.calls)); err != nil {
			out.Complaint += " " + err.Error()
		}
	}
	return out, nil
}

// place lets SIPp place a load on a running system.
func place(ctx context.Context, r *rig, s system, l load) (heard, error) {
	c, err := startCallers(r, l)
	if err != nil {
		return heard{}, err
	}
	return c.wait(ctx)
}
