package main

import (
	"context"
	"time"
)

// once is one run with its line in the report. A run that breaks is tried
// once more; then the others go on without it, and the end says so. One from which
// the host took processors is placed again, some times, and the calmest counts.
func (s *session) once(ctx context.Context, sys system, d driver, l load, label string) (result, error) {
	var best result
	for try := range max(s.tries, 1) {
		if try > 0 {
			s.awaitCalm(ctx)
		}
		r, err := carry(ctx, s.rig, sys, d, l, label)
		if err != nil && ctx.Err() == nil {
			s.say("  again: %v", err)
			r, err = carry(ctx, s.rig, sys, d, l, label)
		}
		if err != nil {
			s.broken++
			s.say("  broken: %v", err)
			return r, ctx.Err()
		}
		if try == 0 || r.StolenPercent < best.StolenPercent {
			best = r
		}
		if best.StolenPercent <= s.calm {
			break
		}
	}
	r := best
	s.runs = append(s.runs, r)
	s.note(r)
	s.say("  %-16s %5d/s  CPU %6.1f us/call (ClickHouse %5.1f, GC %.0f, %.0f objects)  ok %d failed %d retrans %d  set-up p50 %.2f p99 %.2f ms  RSS %d -> %d MB  others %.0f %%, stolen %.1f %%  %s",
		r.System, r.Rate, r.CPU, r.EngineUs, r.GCUs, r.Objects, r.OK, r.Failed, r.Retransmissions, r.P50, r.P99, r.IdleKB>>10, r.PeakKB>>10, r.OthersPercent, r.StolenPercent, r.Complaint)
	return r, nil
}

// signalling is UDP on both sides: every system at every rate, in turn.
func (s *session) signalling(ctx context.Context) error {
	if err := s.inTurn(ctx, s.systems, "udp", func() driver { return &sipp{} }); err != nil {
		return err
	}
	s.table("udp", s.systems)
	return nil
}

// inTurn places calls of 1 s through each system at each rate, round by round.
func (s *session) inTurn(ctx context.Context, systems []string, label string, calls func() driver) error {
	for round := range s.rounds {
		s.say("round %d", round+1)
		for _, rate := range s.rates {
			for _, name := range systems {
				sys, err := s.system(name)
				if err != nil {
					return err
				}
				if _, err := s.once(ctx, sys, calls(), load{rate, rate * s.seconds, time.Second}, label); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// teamsCalls is TLS with SRTP keys on Microsoft's side, half of the calls from
// there; beside it the same generator's calls over UDP. No media is sent.
func (s *session) teamsCalls(ctx context.Context) error {
	systems := []func() system{
		func() system { return &node{title: "tandem TLS", program: s.tandem, library: s.library, secure: true} },
		func() system { return &node{title: "tandem UDP", program: s.tandem, library: s.library} },
		thinSipgo, floor, kamailio,
	}
	if s.tandem2 != "" {
		systems = append(systems, func() system {
			return &node{title: "tandem2 TLS", program: s.tandem2, library: s.library, secure: true}
		})
	}
	for range s.rounds {
		for _, rate := range s.rates {
			for _, system := range systems {
				if _, err := s.once(ctx, system(), &generator{}, load{rate, rate * min(s.seconds, 6), time.Second}, "teams"); err != nil {
					return err
				}
			}
		}
	}
	s.table("teams", titles(s.of("teams")))
	return nil
}

// climb looks for the highest rate without a fault, on one core.
func (s *session) climb(ctx context.Context) error {
	for _, name := range s.systems {
		for _, rate := range s.rungs {
			sys, err := s.system(name)
			if err != nil {
				return err
			}
			r, err := s.once(ctx, sys, &sipp{}, load{rate, rate * 6, time.Second}, "rung")
			if err != nil {
				return err
			}
			if s.rung(r); !r.clean() {
				break
			}
		}
		s.say("%s: highest clean rate %d calls/s (of the rungs %v)\n", name, s.highest[len(s.highest)-1].Rate, s.rungs)
	}
	return nil
}

// memory is the cost of a call that is held, nobody talking.
func (s *session) memory(ctx context.Context) error {
	const calls = 2000
	var systems []system
	for _, name := range s.systems {
		sys, err := s.system(name)
		if err != nil {
			return err
		}
		systems = append(systems, sys)
	}
	systems = append(systems, &node{title: "media off", program: s.tandem, library: s.library, args: []string{"--without", "media"}})
	for _, sys := range systems {
		r, err := s.once(ctx, sys, &sipp{}, load{200, calls, 15 * time.Second}, "held")
		if err != nil {
			return err
		}
		s.say("%s: %.1f KB per held call\n", r.System, perHeld(r))
	}
	return nil
}
