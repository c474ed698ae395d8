package main

import (
	"context"
	"time"
)

// variant is Tandem with one thing turned off.
type variant struct {
	title string
	args  []string
	extra string
}

// variants begin with the whole path. "bare" is signalling alone.
func variants() []variant {
	const noEngine = "clickhouse: {mode: \"off\"}\n"
	return []variant{
		{title: "whole path"},
		{title: "ClickHouse off", extra: noEngine},
		{title: "rating off", args: []string{"--without", "rating"}},
		{title: "journal off", args: []string{"--without", "journal"}}, // hence nothing to rate nor to deliver
		{title: "media off", args: []string{"--without", "media"}},
		{title: "bare", args: []string{"--without", "media,rating,journal"}, extra: noEngine},
	}
}

// features runs Tandem with one thing turned off at a time, at the highest of
// the rates: the difference to the whole path is what that thing costs.
func (s *session) features(ctx context.Context) error {
	rate := s.rates[len(s.rates)-1]
	for range s.rounds {
		for _, v := range variants() {
			n := &node{title: v.title, program: s.tandem, library: s.library, args: v.args, extra: v.extra}
			if _, err := s.once(ctx, n, &sipp{}, load{rate, rate * s.seconds, time.Second}, "feature"); err != nil {
				return err
			}
		}
	}
	s.say("\n| at %d calls/s | CPU us per call min / **med** / max | the part costs | of which ClickHouse | RSS peak MB |\n|---|---|---|---|---|", rate)
	whole := 0.0
	for i, v := range variants() {
		low, med, high := spread(s.pick(v.title, "feature", rate, func(r result) float64 { return r.CPU }))
		if i == 0 {
			whole = med
		}
		_, engine, _ := spread(s.pick(v.title, "feature", rate, func(r result) float64 { return r.EngineUs }))
		_, memory, _ := spread(s.pick(v.title, "feature", rate, func(r result) float64 { return float64(r.PeakKB) / 1024 }))
		s.say("| %s | %.0f / **%.0f** / %.0f | %.0f | %.0f | %.0f |", v.title, low, med, high, whole-med, engine, memory)
	}
	return nil
}
