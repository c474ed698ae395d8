package main

import (
	"encoding/json"
	"fmt"
	"slices"
)

// spread is the smallest, the middle and the largest of some values.
func spread(values []float64) (low, middle, high float64) {
	if len(values) == 0 {
		return 0, 0, 0
	}
	slices.Sort(values)
	return values[0], values[len(values)/2], values[len(values)-1]
}

// pick gives one value of each run of a system, load and rate.
func (s *session) pick(system, label string, rate int, value func(result) float64) []float64 {
	var all []float64
	for _, r := range s.runs {
		if r.System == system && r.Load == label && r.Rate == rate {
			all = append(all, value(r))
		}
	}
	return all
}

// table prints the runs of a load, one line per rate and system.
func (s *session) table(label string, systems []string) {
	s.say("\n| calls/s | system | CPU us per call min / **med** / max | of which ClickHouse, GC | objects | x sipgo | set-up p50 / p99 ms | failed | RSS idle -> peak MB | GC pause p99 / max ms | rows | facts |")
	s.say("|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, rate := range s.rates {
		for _, name := range systems {
			get := func(value func(result) float64) float64 { return s.median(name, label, rate, value) }
			low, med, high := spread(s.pick(name, label, rate, cpu))
			_, _, failed := spread(s.pick(name, label, rate, func(r result) float64 { return float64(r.Failed) }))
			s.say("| %d | %s | %.0f / **%.0f** / %.0f | %.0f, %.0f | %.0f | %s | %.2f / %.2f | %.0f | %.0f -> %.0f | %.2f / %.2f | %.0f | %.0f |",
				rate, name, low, med, high, get(func(r result) float64 { return r.EngineUs }), get(func(r result) float64 { return r.GCUs }),
				get(func(r result) float64 { return r.Objects }), s.besideSipgo(name, label, rate),
				get(func(r result) float64 { return r.P50 }), get(func(r result) float64 { return r.P99 }), failed,
				get(func(r result) float64 { return float64(r.IdleKB) / 1024 }), get(func(r result) float64 { return float64(r.PeakKB) / 1024 }),
				get(func(r result) float64 { return r.GCPauseMs }), get(func(r result) float64 { return r.GCMaxMs }),
				get(func(r result) float64 { return float64(r.Rows) }), get(func(r result) float64 { return float64(r.Facts) }))
		}
	}
}

// besideSipgo is the CPU time of a system over the thin B2BUA's: median and range of
// the rounds' ratios. The runs of a round are a minute or two apart, those of different
// rounds up to ten, and a host changes meanwhile. Without a run in one of the rounds it
// is the ratio of the medians.
func (s *session) besideSipgo(system, label string, rate int) string {
	own, other := s.pick(system, label, rate, cpu), s.pick("sipgo", label, rate, cpu)
	if len(own) == 0 || len(other) == 0 {
		return "-"
	}
	if len(own) != len(other) {
		return fmt.Sprintf("%.2f", s.median(system, label, rate, cpu)/s.median("sipgo", label, rate, cpu))
	}
	ratios := make([]float64, len(own))
	for i := range own {
		ratios[i] = own[i] / other[i]
	}
	low, med, high := spread(ratios)
	return fmt.Sprintf("%.2f (%.2f to %.2f)", med, low, high)
}

// note keeps a run for the raw part of the report.
func (s *session) note(run any) {
	if text, err := json.Marshal(run); err == nil {
		s.raw = append(s.raw, string(text))
	}
}
