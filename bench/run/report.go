package main

import (
	"encoding/json"
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
	middle := func(values []float64) float64 { _, m, _ := spread(values); return m }
	for _, rate := range s.rates {
		beside := middle(s.pick("sipgo", label, rate, func(r result) float64 { return r.CPU }))
		for _, name := range systems {
			get := func(value func(result) float64) []float64 { return s.pick(name, label, rate, value) }
			low, med, high := spread(get(func(r result) float64 { return r.CPU }))
			ratio := 0.0
			if beside > 0 {
				ratio = med / beside
			}
			_, _, failed := spread(get(func(r result) float64 { return float64(r.Failed) }))
			s.say("| %d | %s | %.0f / **%.0f** / %.0f | %.0f, %.0f | %.0f | %.2f | %.2f / %.2f | %.0f | %.0f -> %.0f | %.2f / %.2f | %.0f | %.0f |",
				rate, name, low, med, high, middle(get(func(r result) float64 { return r.EngineUs })), middle(get(func(r result) float64 { return r.GCUs })),
				middle(get(func(r result) float64 { return r.Objects })), ratio,
				middle(get(func(r result) float64 { return r.P50 })), middle(get(func(r result) float64 { return r.P99 })), failed,
				middle(get(func(r result) float64 { return float64(r.IdleKB) / 1024 })), middle(get(func(r result) float64 { return float64(r.PeakKB) / 1024 })),
				middle(get(func(r result) float64 { return r.GCPauseMs })), middle(get(func(r result) float64 { return r.GCMaxMs })),
				middle(get(func(r result) float64 { return float64(r.Rows) })), middle(get(func(r result) float64 { return float64(r.Facts) })))
		}
	}
}

// note keeps a run for the raw part of the report.
func (s *session) note(run any) {
	if text, err := json.Marshal(run); err == nil {
		s.raw = append(s.raw, string(text))
	}
}
