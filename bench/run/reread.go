package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// reread takes the runs of a kept report, so that its figures can be put into a
// document later.
func (p *plan) reread(file string) (*session, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s := &session{plan: p, rig: &rig{}, report: os.Stdout}
	relay := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "machine: "):
			s.machine = strings.TrimPrefix(line, "machine: ")
		case strings.HasPrefix(line, "## "):
			relay = false
		case strings.HasPrefix(line, "the relay alone"):
			relay = true
		case strings.HasPrefix(line, `{"system"`):
			err = s.take(line)
		case relay && !strings.HasPrefix(line, "#"):
			s.relayTable += line + "\n"
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	if len(s.runs) == 0 {
		return nil, fmt.Errorf("%s holds no runs", file)
	}
	p.rates, p.rungs = nil, nil
	for _, r := range s.runs {
		switch r.Load {
		case "udp", "teams", "setup":
			p.rates = append(p.rates, r.Rate)
		case "rung":
			p.rungs = append(p.rungs, r.Rate)
			s.rung(r)
		}
	}
	for _, list := range []*[]int{&p.rates, &p.rungs} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	if p.systems = titles(s.of("udp")); len(p.systems) > 0 && len(p.rates) > 0 {
		p.rounds = len(s.pick(p.systems[0], "udp", p.rates[0], cpu))
	}
	return s, nil
}

// take reads one run's line.
func (s *session) take(line string) error {
	switch {
	case strings.Contains(line, `"load":`):
		var r result
		err := json.Unmarshal([]byte(line), &r)
		s.runs = append(s.runs, r)
		return err
	case strings.Contains(line, `"packets_sent":`):
		var t talked
		err := json.Unmarshal([]byte(line), &t)
		s.talks = append(s.talks, t)
		return err
	}
	return nil // of bench/media: its table is enough
}

// rung keeps the highest clean run of a system; a system's first run makes its line.
func (s *session) rung(r result) {
	i := slices.IndexFunc(s.highest, func(h result) bool { return h.System == r.System })
	if i < 0 {
		s.highest = append(s.highest, result{System: r.System})
		i = len(s.highest) - 1
	}
	if r.clean() {
		s.highest[i] = r
	}
}
