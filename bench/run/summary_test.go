package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFiguresTakeTheirPlace: the block between the markers is replaced, what
// stands around it stays, and again.
func TestFiguresTakeTheirPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte("before\n"+figuresBegin+"\nold\n"+figuresEnd+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &session{plan: &plan{rounds: 2, rates: []int{200}, rungs: []int{500}, systems: []string{"tandem", "sipgo", "floor"}}, machine: "a machine"}
	for _, c := range []float64{500, 600, 550} {
		s.runs = append(s.runs, result{System: "tandem", Load: "udp", Rate: 200, Calls: 10, CPU: c, heard: heard{OK: 10, P99: 3}, counts: counts{Rows: 20, Facts: 30}})
		s.runs = append(s.runs, result{System: "sipgo", Load: "udp", Rate: 200, Calls: 10, CPU: 2 * c, heard: heard{OK: 10, P99: 2}})
		s.runs = append(s.runs, result{System: "floor", Load: "udp", Rate: 200, Calls: 10, CPU: c / 2, heard: heard{OK: 10, P99: 1}})
	}
	s.runs = append(s.runs, result{System: "tandem", Load: "held", Rate: 200, Calls: 1000, IdleKB: 40000, PeakKB: 60000})
	s.highest = []result{{System: "tandem", Rate: 500, CPU: 400}}
	s.talks = []talked{{System: "tandem TLS", placed: placed{CPU: 9, Sent: 1000, Heard: 999}}}
	s.relayTable = "system mode\nc paced\n"
	for range 2 {
		if err := s.writeFigures(file); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, want := range []string{"before\n", "\nafter\n", "| 200 | tandem | 500 / **550** / 600 | 0.50 (0.50 to 0.50) |", "set-up p99 2.0 ms more", "60 rows of 30 answered calls, 90 facts",
		"| tandem | 39 | 20.0 |", "| tandem | 500 | 400 |", "| tandem TLS | 9.00 / **9.00** / 9.00 | 0.100 |", "c paced"} {
		if strings.Count(page, want) != 1 {
			t.Errorf("%q stands there %d times:\n%s", want, strings.Count(page, want), page)
		}
	}
	if strings.Contains(page, "\nold\n") {
		t.Error("old figures are left")
	}
	if err := os.WriteFile(file, []byte("no markers"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.writeFigures(file) == nil {
		t.Error("a page without markers is taken")
	}
}

// TestBesideSipgo: the ratio is taken within each round, because a host changes from
// round to round; a round that lacks a run leaves the medians.
func TestBesideSipgo(t *testing.T) {
	for _, c := range []struct {
		name          string
		tandem, sipgo []float64
		want          string
	}{
		{"slow and fast rounds", []float64{500, 800, 600}, []float64{1000, 1000, 1000}, "0.60 (0.50 to 0.80)"},
		{"the host slows both", []float64{500, 1000, 600}, []float64{1000, 2000, 1200}, "0.50 (0.50 to 0.50)"},
		{"not the medians' ratio", []float64{786, 804, 536}, []float64{991, 909, 841}, "0.79 (0.64 to 0.88)"},
		{"a run is missing", []float64{500, 600}, []float64{1000}, "0.60"},
		{"none of sipgo", []float64{500}, nil, "-"},
	} {
		s := &session{plan: &plan{}}
		for _, v := range c.tandem {
			s.runs = append(s.runs, result{System: "tandem", Load: "udp", Rate: 200, CPU: v})
		}
		for _, v := range c.sipgo {
			s.runs = append(s.runs, result{System: "sipgo", Load: "udp", Rate: 200, CPU: v})
		}
		if got := s.besideSipgo("tandem", "udp", 200); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestFiguresOfAKeptReport: a report read again gives the same figures.
func TestFiguresOfAKeptReport(t *testing.T) {
	s := &session{plan: &plan{rounds: 1, rates: []int{200}, rungs: []int{500, 600}, systems: []string{"tandem", "sipgo"}}, machine: "a machine", relayTable: "system\nc 1\n"}
	s.runs = []result{
		{System: "tandem", Load: "udp", Rate: 200, Calls: 10, CPU: 5, heard: heard{OK: 10, P99: 3}, counts: counts{Rows: 20}},
		{System: "sipgo", Load: "udp", Rate: 200, Calls: 10, CPU: 6, heard: heard{OK: 10}},
		{System: "tandem", Load: "rung", Rate: 500, Calls: 5, CPU: 4, heard: heard{OK: 5}},
		{System: "tandem", Load: "rung", Rate: 600, Calls: 5, CPU: 4, heard: heard{OK: 4, Failed: 1}},
	}
	s.highest = []result{s.runs[2]}
	s.talks = []talked{{System: "tandem TLS", placed: placed{CPU: 9, Sent: 10, Heard: 10}}}
	for _, r := range s.runs {
		s.note(r)
	}
	s.note(s.talks[0])
	report := "machine: a machine\n\n## media\n\nthe relay alone, by bench/media -x\n\n# where\nsystem\nc 1\n\n## raw\n\n```\n" + strings.Join(s.raw, "\n") + "\n```\n"
	file := filepath.Join(t.TempDir(), "report.md")
	if err := os.WriteFile(file, []byte(report), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := (&plan{}).reread(file)
	if err != nil {
		t.Fatal(err)
	}
	if want, got := s.figures(), again.figures(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := (&plan{}).reread(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a report that is not there was read")
	}
}
