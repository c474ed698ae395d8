package main

import (
	"context"
	"fmt"
	"time"

	"tandem/bench/process"
)

// load is one bounded series of calls.
type load struct {
	rate  int // calls a second
	calls int
	hold  time.Duration
}

// heard is what the ends of the calls saw of a load.
type heard struct {
	OK              int     `json:"ok"`
	Probes          int     `json:"probes,omitempty"` // answered calls of the prober, besides OK
	Failed          int     `json:"failed"`
	Retransmissions int     `json:"retransmissions"`
	Seconds         float64 `json:"seconds"`
	P50             float64 `json:"setup_p50_ms"`
	P90             float64 `json:"setup_p90_ms,omitempty"` // of a capture, as P999
	P99             float64 `json:"setup_p99_ms"`
	P999            float64 `json:"setup_p999_ms,omitempty"`
	Max             float64 `json:"setup_max_ms"`
}

// all calls that were answered.
func (h heard) all() int { return h.OK + h.Probes }

// driver is what places calls, at both ends of a system.
type driver interface {
	open(r *rig, s system) error // before the system starts
	place(ctx context.Context, l load) (heard, error)
	close()
}

// result is one run of one load on one system.
type result struct {
	System string `json:"system"`
	Load   string `json:"load"`
	Rate   int    `json:"rate"`
	Calls  int    `json:"calls"`
	heard
	CPU      float64 `json:"cpu_us_per_call"`
	EngineUs float64 `json:"of_which_clickhouse_us,omitempty"`
	IdleKB   int64   `json:"rss_idle_kb"` // without ClickHouse's
	PeakKB   int64   `json:"rss_peak_kb"`
	EngineKB int64   `json:"clickhouse_rss_peak_kb,omitempty"`
	// OthersPercent is how much of the system's processor other programs took
	// while it ran: a run is as good as this is small.
	OthersPercent float64 `json:"others_percent"`
	// StolenPercent is how much of the machine's processors the host took away
	// meanwhile. The kernel counts it as work of whoever ran.
	StolenPercent float64 `json:"stolen_percent"`
	counts
}

// clean tells whether the system carried the load without a fault.
func (r result) clean() bool {
	wanted := float64(r.Calls) / float64(r.Rate)
	return r.Failed == 0 && r.OK == r.Calls && r.Retransmissions*200 <= r.Calls && r.Seconds < wanted*1.1+4 && r.Complaint == ""
}

// memoryOf Tandem is that of its own process: ClickHouse's is told apart. The
// processes of others are added up; what they share counts in each.
func memoryOf(u process.Usage, tandem bool) int64 {
	if tandem {
		return u.MainRSS
	}
	return u.MainRSS + u.ChildrenRSS
}

// warmUp brings every system to its working state before it is measured:
// caches, heap, ClickHouse's tables.
var warmUp = load{rate: 50, calls: 50, hold: 200 * time.Millisecond}

// carry starts a system, warms it up, gives it a load and stops it.
func carry(ctx context.Context, r *rig, s system, d driver, l load, label string) (out result, err error) {
	out = result{System: s.name(), Load: label, Rate: l.rate, Calls: l.calls}
	if err := d.open(r, s); err != nil {
		return out, err
	}
	defer d.close()
	defer s.stop()
	if err := s.start(ctx, r); err != nil {
		return out, err
	}
	warmed, err := d.place(ctx, warmUp)
	if err != nil {
		return out, fmt.Errorf("%s: warm-up: %w", s.name(), err)
	}
	if warmed.Failed > 0 {
		return out, fmt.Errorf("%s: %d of %d calls of the warm-up failed", s.name(), warmed.Failed, warmUp.calls)
	}
	if _, err := s.settle(ctx); err != nil {
		return out, err
	}
	if err := out.measure(ctx, s, d, l); err != nil {
		return out, fmt.Errorf("%s at %d calls/s: %w", s.name(), l.rate, err)
	}
	if n, ok := s.(*node); ok && out.Failed == 0 {
		if err := n.verify(ctx, 2*(warmed.all()+out.all())); err != nil {
			out.Complaint += " " + err.Error()
		}
	}
	return out, nil
}

// measure places the load and fills in what it cost.
func (out *result) measure(ctx context.Context, s system, d driver, l load) (err error) {
	stop := make(chan struct{})
	before, began, busy, stolen := process.Used(s.pids()...), time.Now(), process.Core(systemCore), process.Stolen()
	memory := process.Peak(stop, s.pids()...)
	if out.heard, err = d.place(ctx, l); err == nil {
		// The last acknowledgements; the same for every system.
		time.Sleep(600 * time.Millisecond)
		out.counts, err = s.settle(ctx)
	}
	after := process.Used(s.pids()...)
	others := process.Core(systemCore) - busy - (after.CPU() - before.CPU())
	out.OthersPercent = 100 * others.Seconds() / time.Since(began).Seconds()
	out.StolenPercent = stolenSince(stolen, began)
	close(stop)
	most := <-memory
	if err != nil {
		return err
	}
	_, ours := s.(*node)
	per := float64(max(out.all(), 1))
	out.CPU = float64((after.CPU() - before.CPU()).Microseconds()) / per
	out.Objects, out.Bytes, out.GCUs = out.Objects/per, out.Bytes/per, out.GCUs/per
	out.IdleKB, out.PeakKB = memoryOf(before, ours), memoryOf(most, ours)
	if ours {
		out.EngineUs = float64((after.Children - before.Children).Microseconds()) / per
		out.EngineKB = most.ChildrenRSS
	}
	return nil
}
