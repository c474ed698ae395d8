package main

import (
	"fmt"
	"os"
	"strings"
)

// The summary stands between these lines of docs/performance.md.
const (
	figuresBegin = "<!-- figures: written by bench/run -doc -->"
	figuresEnd   = "<!-- end of figures -->"
)

// writeFigures puts the report's tables into a document.
func (s *session) writeFigures(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), figuresBegin)
	_, after, closed := strings.Cut(rest, figuresEnd)
	if !found || !closed {
		return fmt.Errorf("%s has no %s and %s", file, figuresBegin, figuresEnd)
	}
	return os.WriteFile(file, []byte(before+figuresBegin+"\n\n"+s.figures()+"\n"+figuresEnd+after), 0o644)
}

// figures are the report's results in short, as Markdown.
func (s *session) figures() string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("%s.", s.machine)
	if len(s.of("udp")) > 0 {
		say("\n**SIP over UDP on both sides**, CPU us per call, %d rounds\n", s.rounds)
		s.callTable(say, "udp", s.systems)
		s.aims(say)
	}
	if len(s.of("setup")) > 0 {
		say("\n**Set-up of every call**, INVITE to 200 in ms, from a capture, UDP on both sides")
		s.setupTable(say)
	}
	if len(s.of("teams")) > 0 {
		say("\n**Microsoft's side TLS and SRTP, half of the calls from there** (`bench/load`; the others over UDP)\n")
		s.callTable(say, "teams", titles(s.of("teams")))
	}
	if len(s.highest) > 0 {
		say("\n**Highest clean rate** of the rungs %v on one core, the load on the other\n\n| system | calls/s | CPU us per call there | RSS MB |\n|---|---|---|---|", s.rungs)
		for _, h := range s.highest {
			say("| %s | %d | %.0f | %d |", h.System, h.Rate, h.CPU, h.PeakKB>>10)
		}
	}
	if held := s.of("held"); len(held) > 0 {
		say("\n**Memory** of 2,000 calls held at once, no media sent\n\n| system | RSS idle MB | KB per held call |\n|---|---|---|")
		for _, r := range held {
			say("| %s | %d | %.1f |", r.System, r.IdleKB>>10, perHeld(r))
		}
	}
	if len(s.of("feature")) > 0 {
		say("\n**What a part costs** at %d calls/s, CPU us per call\n\n| without | CPU | the part |\n|---|---|---|", s.rates[len(s.rates)-1])
		whole := s.median(variants()[0].title, "feature", s.rates[len(s.rates)-1], cpu)
		for _, v := range variants() {
			med := s.median(v.title, "feature", s.rates[len(s.rates)-1], cpu)
			say("| %s | %.0f | %.0f |", v.title, med, whole-med)
		}
	}
	if len(s.talks) > 0 {
		say("\n**Media**, %d calls of PCMA 20 ms both ways: %d packets/s\n\n| whole calls | CPU us per packet min / **med** / max | lost %% | delay p50 us |\n|---|---|---|---|", mediaCalls, mediaCalls*100)
		s.mediaLines(func(title string, low, med, high, lost, _, p50, _, _ float64) {
			say("| %s | %.2f / **%.2f** / %.2f | %.3f | %.0f |", title, low, med, high, lost, p50)
		})
	}
	if s.relayTable != "" {
		say("\nThe relay alone (`bench/media`)\n\n```\n%s\n```", strings.TrimSpace(s.relayTable))
	}
	return b.String()
}

func cpu(r result) float64 { return r.CPU }

// perHeld is what one of the held calls takes.
func perHeld(r result) float64 { return float64(r.PeakKB-r.IdleKB) / float64(r.Calls) }

// of gives the runs of a load.
func (s *session) of(label string) []result {
	var all []result
	for _, r := range s.runs {
		if r.Load == label {
			all = append(all, r)
		}
	}
	return all
}

// titles are the systems of some runs, as they came first.
func titles(runs []result) []string {
	var all []string
	seen := map[string]bool{}
	for _, r := range runs {
		if !seen[r.System] {
			seen[r.System] = true
			all = append(all, r.System)
		}
	}
	return all
}

func (s *session) median(system, label string, rate int, value func(result) float64) float64 {
	_, m, _ := spread(s.pick(system, label, rate, value))
	return m
}

// callTable has a line per rate and system.
func (s *session) callTable(say func(string, ...any), label string, systems []string) {
	say("| calls/s | system | min / **med** / max | x sipgo | of it ClickHouse, GC | set-up p50 / p99 ms | RSS MB | failed | others, stolen %% |\n|---|---|---|---|---|---|---|---|---|")
	for _, rate := range s.rates {
		for _, name := range systems {
			get := func(value func(result) float64) float64 { return s.median(name, label, rate, value) }
			low, med, high := spread(s.pick(name, label, rate, cpu))
			inside := "-"
			if strings.HasPrefix(name, "tandem") {
				inside = fmt.Sprintf("%.0f, %.0f", get(func(r result) float64 { return r.EngineUs }), get(func(r result) float64 { return r.GCUs }))
			}
			_, _, failed := spread(s.pick(name, label, rate, func(r result) float64 { return float64(r.Failed) }))
			say("| %d | %s | %.0f / **%.0f** / %.0f | %s | %s | %.1f / %.1f | %.0f | %.0f | %.0f, %.1f |", rate, name, low, med, high, s.besideSipgo(name, label, rate), inside,
				get(func(r result) float64 { return r.P50 }), get(func(r result) float64 { return r.P99 }),
				get(func(r result) float64 { return float64(r.PeakKB) / 1024 }), failed, get(func(r result) float64 { return r.OthersPercent }), get(func(r result) float64 { return r.StolenPercent }))
		}
	}
}

// aims says in one line per rate what is wanted beside the thin B2BUA and the
// floor, and whether the records are whole.
func (s *session) aims(say func(string, ...any)) {
	say("")
	for _, rate := range s.rates {
		get := func(system string, value func(result) float64) float64 { return s.median(system, "udp", rate, value) }
		p99 := func(r result) float64 { return r.P99 }
		rows, calls, facts, pause, objects := 0, 0, 0, 0.0, 0.0
		for _, r := range s.of("udp") {
			if r.System == "tandem" && r.Rate == rate {
				rows, calls, facts, pause, objects = rows+r.Rows, calls+r.all(), facts+r.Facts, max(pause, r.GCMaxMs), r.Objects
			}
		}
		say("- %d calls/s: set-up p99 %.1f ms more than the floor's; %d rows of %d answered calls, %d facts; %.0f objects a call; longest GC pause %.2f ms",
			rate, get("tandem", p99)-get("floor", p99), rows, calls, facts, objects, pause)
	}
}
