package main

import (
	"context"
	"fmt"
	"strconv"
)

// mediaCalls talk at once: 200 calls are 20,000 packets a second through the system.
const mediaCalls = 200

// talked is one media run.
type talked struct {
	System string `json:"system"`
	placed
}

// media measures the relay within whole calls: CPU per packet that came out
// again, beside Kamailio with Debian's rtpengine in userspace.
func (s *session) media(ctx context.Context) error {
	systems := []func() system{
		func() system { return &node{title: "tandem RTP", program: s.tandem, library: s.library} },
		func() system { return &node{title: "tandem SRTP", program: s.tandem, library: s.library, secure: true} },
		func() system { return newProxied() },
	}
	if s.tandem2 != "" {
		systems = append(systems,
			func() system { return &node{title: "tandem2 RTP", program: s.tandem2, library: s.library} },
			func() system {
				return &node{title: "tandem2 SRTP", program: s.tandem2, library: s.library, secure: true}
			})
	}
	var all []talked
	var titles []string
	for round := range s.rounds {
		for _, system := range systems {
			t, err := s.talk(ctx, system())
			if err != nil {
				return err
			}
			if round == 0 {
				titles = append(titles, t.System)
			}
			all = append(all, t)
			s.note(t)
			s.say("  %-16s %.2f us a packet, %.0f packets/s, lost %.3f %%, delay p50 %.0f p99 %.0f us", t.System, t.CPU, float64(t.Heard)/t.Window,
				100*float64(t.Sent-t.Heard)/float64(max(t.Sent, 1)), t.DelayP50, t.DelayP99)
		}
	}
	s.say("\n| %d calls, 20 ms both ways | CPU us per packet min / **med** / max | lost %% | bad tags | delay p50 / p99 us | RSS MB |\n|---|---|---|---|---|---|", mediaCalls)
	for _, title := range titles {
		get := func(value func(talked) float64) (low, middle, high float64) {
			var values []float64
			for _, t := range all {
				if t.System == title {
					values = append(values, value(t))
				}
			}
			return spread(values)
		}
		low, med, high := get(func(t talked) float64 { return t.CPU })
		_, lost, _ := get(func(t talked) float64 { return 100 * float64(t.Sent-t.Heard) / float64(max(t.Sent, 1)) })
		_, _, bad := get(func(t talked) float64 { return float64(t.Bad) })
		_, p50, _ := get(func(t talked) float64 { return t.DelayP50 })
		_, p99, _ := get(func(t talked) float64 { return t.DelayP99 })
		_, memory, _ := get(func(t talked) float64 { return float64(t.RSS) / 1024 })
		s.say("| %s | %.2f / **%.2f** / %.2f | %.3f | %.0f | %.0f / %.0f | %.0f |", title, low, med, high, lost, bad, p50, p99, memory)
	}
	return nil
}

// talk sets the calls up, lets them talk and hangs up.
func (s *session) talk(ctx context.Context, sys system) (talked, error) {
	t := talked{System: sys.name()}
	if err := sys.start(ctx, s.rig); err != nil {
		return t, err
	}
	defer sys.stop()
	args := append(between(s.rig, sys), "-rate", "100", "-calls", strconv.Itoa(mediaCalls), "-talk", strconv.Itoa(s.seconds)+"s")
	for _, pid := range sys.pids() {
		args = append(args, "-pid", strconv.Itoa(pid))
	}
	p, err := startPhones(s.rig, args...)
	if err != nil {
		return t, err
	}
	if t.placed, err = p.wait(ctx); err != nil {
		return t, fmt.Errorf("%s: %w", sys.name(), err)
	}
	if _, ours := sys.(*node); !ours {
		t.RSS += t.Children
	}
	if t.Failed > 0 {
		return t, fmt.Errorf("%s: %d of %d calls failed", sys.name(), t.Failed, mediaCalls)
	}
	return t, nil
}
