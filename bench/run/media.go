package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// mediaCalls talk at once: 200 calls are 20,000 packets a second through the system.
const mediaCalls = 200

// talked is one media run.
type talked struct {
	System string `json:"system"`
	placed
}

// media measures the relay: first within whole calls over TLS with SRTP, beside
// Kamailio with Debian's rtpengine (plain RTP), then by bench/media, which adds
// bare relay loops and has the relay saturated. Both count CPU per packet that
// came out again.
func (s *session) media(ctx context.Context) error {
	systems := []func() system{
		func() system { return &node{title: "tandem TLS", program: s.tandem, library: s.library, secure: true} },
		newProxied,
	}
	if s.tandem2 != "" {
		systems = append(systems, func() system {
			return &node{title: "tandem2 TLS", program: s.tandem2, library: s.library, secure: true}
		})
	}
	for range s.rounds {
		for _, system := range systems {
			t, err := s.talk(ctx, system())
			if err != nil {
				s.broken++
				s.say("  broken: %v", err)
				if ctx.Err() != nil {
					return err
				}
				continue
			}
			s.talks = append(s.talks, t)
			s.note(t)
			s.say("  %-16s %.2f us a packet, %.0f packets/s, lost %.3f %%, delay p50 %.0f p99 %.0f us", t.System, t.CPU, float64(t.Heard)/t.Window, t.lost(), t.DelayP50, t.DelayP99)
		}
	}
	s.say("\n| %d calls, 20 ms both ways | CPU us per packet min / **med** / max | lost %% | bad tags | delay p50 / p99 us | RSS MB |\n|---|---|---|---|---|---|", mediaCalls)
	s.mediaLines(func(title string, low, med, high, lost, bad, p50, p99, memory float64) {
		s.say("| %s | %.2f / **%.2f** / %.2f | %.3f | %.0f | %.0f / %.0f | %.0f |", title, low, med, high, lost, bad, p50, p99, memory)
	})
	return s.relay(ctx)
}

// lost is the share of packets that did not come out again, in percent.
func (t talked) lost() float64 { return 100 * float64(t.Sent-t.Heard) / float64(max(t.Sent, 1)) }

// mediaLines gives the figures of each system's media runs.
func (s *session) mediaLines(line func(title string, low, med, high, lost, bad, p50, p99, memory float64)) {
	var done []string
	for _, first := range s.talks {
		if slices.Contains(done, first.System) {
			continue
		}
		done = append(done, first.System)
		get := func(value func(talked) float64) (low, middle, high float64) {
			var values []float64
			for _, t := range s.talks {
				if t.System == first.System {
					values = append(values, value(t))
				}
			}
			return spread(values)
		}
		low, med, high := get(func(t talked) float64 { return t.CPU })
		_, lost, _ := get(talked.lost)
		_, _, bad := get(func(t talked) float64 { return float64(t.Bad) })
		_, p50, _ := get(func(t talked) float64 { return t.DelayP50 })
		_, p99, _ := get(func(t talked) float64 { return t.DelayP99 })
		_, memory, _ := get(func(t talked) float64 { return float64(t.RSS) / 1024 })
		line(first.System, low, med, high, lost, bad, p50, p99, memory)
	}
}

// relay runs bench/media with our binaries and copies its report.
func (s *session) relay(ctx context.Context) error {
	program, err := build(s.rig.root, "bench/media", "media", s.rig.work)
	if err != nil {
		return err
	}
	args := []string{"-rounds", strconv.Itoa(s.rounds), "-seconds", strconv.Itoa(min(s.seconds, 6)), "-saturated", "2", "-tandem", s.tandem,
		"-systems", "c,go,tandem,tandem-srtp,rtpengine"}
	if s.tandem2 != "" {
		args = append(args, "-tandem2", s.tandem2)
		args[len(args)-3] += ",tandem2,tandem2-srtp"
	}
	if _, err := exec.LookPath("cc"); err != nil {
		args = append(args, "-systems", "go,tandem,tandem-srtp,rtpengine")
	}
	c, err := startChild("0,1", s.rig.root, s.rig.work, program, args...)
	if err != nil {
		return err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		c.end(5 * time.Second)
		return ctx.Err()
	}
	text, _ := os.ReadFile(c.output)
	if c.err != nil {
		return fmt.Errorf("bench/media: %w\n%s", c.err, c.tail())
	}
	s.say("\nthe relay alone, by bench/media %s\n", strings.Join(args, " "))
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "{") {
			s.raw = append(s.raw, strings.TrimSpace(line))
		} else {
			s.say("%s", strings.TrimRight(line, "\n"))
			if !strings.HasPrefix(line, "#") {
				s.relayTable += line
			}
		}
	}
	return nil
}

// talk sets the calls up, lets them talk and hangs up.
func (s *session) talk(ctx context.Context, sys system) (talked, error) {
	t := talked{System: sys.name()}
	defer sys.stop()
	if err := sys.start(ctx, s.rig); err != nil {
		return t, err
	}
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
