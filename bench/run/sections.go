package main

import (
	"context"
	"time"
)

// once runs a load on a system and notes the result.
func (s *session) once(ctx context.Context, sys system, l load, label string) (result, error) {
	r, err := carry(ctx, s.rig, sys, l, label)
	if err != nil {
		return r, err
	}
	s.raw = append(s.raw, r)
	s.say("  %-16s %5d/s  CPU %6.1f us/call (ClickHouse %5.1f)  ok %d failed %d retrans %d  set-up p50 %.2f p99 %.2f ms  RSS %d -> %d MB  %s",
		r.System, r.Rate, r.CPU, r.EngineUs, r.OK, r.Failed, r.Retransmissions, r.P50, r.P99, r.IdleKB>>10, r.PeakKB>>10, r.Complaint)
	return r, nil
}

// signalling is UDP on both sides: every system at every rate, in turn.
func (s *session) signalling(ctx context.Context) error {
	for round := range s.rounds {
		s.say("round %d", round+1)
		for _, rate := range s.rates {
			for _, name := range s.systems {
				sys, err := s.system(name)
				if err != nil {
					return err
				}
				if _, err := s.once(ctx, sys, load{rate, rate * s.seconds, time.Second}, "udp"); err != nil {
					return err
				}
			}
		}
	}
	s.table("udp")
	return nil
}

// climb looks for the highest rate without a fault, on one core.
func (s *session) climb(ctx context.Context) error {
	for _, name := range s.systems {
		highest := 0
		for _, rate := range s.rungs {
			sys, err := s.system(name)
			if err != nil {
				return err
			}
			r, err := s.once(ctx, sys, load{rate, rate * 6, time.Second}, "rung")
			if err != nil {
				return err
			}
			if !r.clean() {
				break
			}
			highest = rate
		}
		s.say("%s: highest clean rate %d calls/s (of the rungs %v)\n", name, highest, s.rungs)
	}
	return nil
}

// memory is the cost of a call that is held.
func (s *session) memory(ctx context.Context) error {
	const calls = 2000
	for _, name := range s.systems {
		sys, err := s.system(name)
		if err != nil {
			return err
		}
		r, err := s.once(ctx, sys, load{200, calls, 15 * time.Second}, "held")
		if err != nil {
			return err
		}
		s.say("%s: %.1f KB per held call\n", name, float64(r.PeakKB-r.IdleKB)/calls)
	}
	return nil
}
