// Command run measures Tandem with its whole path on (routing, rating, fsynced
// journal, rows in ClickHouse) beside a thin sipgo B2BUA, the floor and Debian's
// Kamailio: one and the same SIPp call through each, in turn, each system
// pinned to core 0 and the load to core 1.
//
//	go run ./bench/run                      the full form (make bench)
//	go run ./bench/run -quick               about 3 minutes (make bench QUICK=1)
//	go run ./bench/run -sections signalling -systems tandem,sipgo -rates 200,1000 -rounds 3 \
//	    -tandem old/tandem -tandem2 bin/tandem       A/B of two binaries in one sitting
//
// Start it in the repository's folder. docs/performance.md explains the figures.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// plan is what is to be measured.
type plan struct {
	sections []string
	systems  []string
	rates    []int
	rungs    []int
	rounds   int
	seconds  int
	calm     float64
	tries    int
	patience time.Duration // what is left of it
	tandem   string
	tandem2  string
	net      string
	out      string
	doc      string
	from     string
}

func main() {
	p, err := parse(os.Args[1:])
	if err != nil {
		os.Exit(2) // the flag set has said why
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := p.measure(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*plan, error) {
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	quick := f.Bool("quick", false, "the short form: one round of 6 s of signalling and media")
	sections := f.String("sections", "signalling,setup,teams,media,features,rungs,memory", "what to measure: "+strings.Join(sectionNames(), ", "))
	systems := f.String("systems", "tandem,sipgo,floor,kamailio", "systems, in their order within a round")
	rates := f.String("rates", "200,1000", "calls a second")
	rungs := f.String("rungs", "1000,1250,1500,1750,2000", "calls a second of the search for the highest clean rate")
	p := &plan{}
	f.IntVar(&p.rounds, "rounds", 3, "rounds: each runs every system once at every rate")
	f.IntVar(&p.seconds, "seconds", 10, "seconds of calls in each run")
	f.Float64Var(&p.calm, "calm", 2, "percent of the processors that a host may take away during a run")
	f.IntVar(&p.tries, "tries", 4, "runs for one in which it takes no more; the calmest counts")
	f.DurationVar(&p.patience, "patience", 10*time.Minute, "time, of the whole measurement, to wait for a calm host before a run is placed again")
	f.StringVar(&p.tandem, "tandem", "", "tandem binary; without it the one of this folder is built")
	f.StringVar(&p.tandem2, "tandem2", "", "a second tandem binary, measured as system tandem2 after tandem")
	f.StringVar(&p.net, "net", "", "first three bytes of the loopback addresses; without it they follow the process number")
	f.StringVar(&p.out, "out", "", "file that gets the report besides standard output")
	f.StringVar(&p.doc, "doc", "", "document whose figures are replaced by this run's")
	f.StringVar(&p.from, "from", "", "a kept report: its figures go into -doc, nothing is measured")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	p.sections, p.systems = strings.Split(*sections, ","), strings.Split(*systems, ",")
	if *quick {
		p.rounds, p.seconds = 1, 6
		if !set(f, "sections") {
			p.sections = []string{"signalling", "media"}
		}
	}
	if p.tandem2 != "" {
		p.systems = append(p.systems, "tandem2")
	}
	var err error
	if p.rates, err = numbers(*rates); err == nil {
		p.rungs, err = numbers(*rungs)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "run: -rates and -rungs are whole numbers with commas:", err)
	}
	if p.net == "" {
		p.net = fmt.Sprintf("127.%d.%d", 170+os.Getpid()>>8&63, os.Getpid()&255)
	}
	return p, err
}

func set(f *flag.FlagSet, name string) bool {
	found := false
	f.Visit(func(given *flag.Flag) { found = found || given.Name == name })
	return found
}

func numbers(list string) ([]int, error) {
	var all []int
	for _, text := range strings.Split(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// session is a measurement under way.
type session struct {
	*plan
	rig     *rig
	report  io.Writer
	runs    []result
	raw     []string // every run as JSON, for who wants to compute further
	library string
	broken  int // runs without a result

	machine    string
	highest    []result // the highest clean run of each system
	talks      []talked
	relayTable string // of bench/media
}

// section is one part of the report.
type section struct {
	name string
	run  func(*session, context.Context) error
}

func sections() []section {
	return []section{
		{"signalling", (*session).signalling},
		{"setup", (*session).setup},
		{"features", (*session).features},
		{"teams", (*session).teamsCalls},
		{"media", (*session).media},
		{"rungs", (*session).climb},
		{"memory", (*session).memory},
		{"profile", (*session).profile},
	}
}

func sectionNames() []string {
	var names []string
	for _, s := range sections() {
		names = append(names, s.name)
	}
	return names
}

func (p *plan) measure(ctx context.Context) error {
	if p.from != "" {
		s, err := p.reread(p.from)
		if err != nil {
			return err
		}
		return s.writeFigures(p.doc)
	}
	for _, needed := range []string{"sipp", "taskset"} {
		if _, err := exec.LookPath(needed); err != nil {
			return fmt.Errorf("%s is not installed: run `make setup-bench`", needed)
		}
	}
	s, err := p.prepare()
	if err != nil {
		return err
	}
	defer os.RemoveAll(s.rig.work)
	// What we do ourselves meanwhile is not to be on the system's core.
	if err := exec.CommandContext(ctx, "taskset", "-a", "-p", "-c", loadCore, strconv.Itoa(os.Getpid())).Run(); err != nil {
		return fmt.Errorf("stay on core %s: %w", loadCore, err)
	}
	began := time.Now()
	s.machine = machine(s.rig.root)
	s.say("machine: %s", s.machine)
	s.say("begun: %s", began.UTC().Format("2006-01-02 15:04 UTC"))
	s.say("command: go run ./bench/run %s", strings.Join(os.Args[1:], " "))
	for _, part := range sections() {
		for _, wanted := range p.sections {
			if wanted != part.name {
				continue
			}
			s.say("\n## %s\n", part.name)
			if err := part.run(s, ctx); err != nil {
				return fmt.Errorf("%s: %w", part.name, err)
			}
		}
	}
	s.say("\n## raw\n\n```\n%s\n```", strings.Join(s.raw, "\n"))
	s.say("\ntook %s", time.Since(began).Round(time.Second))
	if p.doc != "" {
		if err := s.writeFigures(p.doc); err != nil {
			return err
		}
	}
	if s.broken > 0 {
		return fmt.Errorf("%d runs broke, see above", s.broken)
	}
	return nil
}

// prepare builds the programs and opens the report.
func (p *plan) prepare() (*session, error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(root, "bench", "scenarios")); err != nil {
		return nil, fmt.Errorf("start it in the repository's folder: %w", err)
	}
	s := &session{plan: p, rig: &rig{net: p.net, root: root}, report: os.Stdout}
	// Beside the repository's own build products: a real disk, where an fsync is one.
	if err := os.MkdirAll(filepath.Join(root, "bin"), 0o755); err != nil {
		return nil, err
	}
	if s.rig.work, err = os.MkdirTemp(filepath.Join(root, "bin"), "bench-"); err != nil {
		return nil, err
	}
	if library := filepath.Join(root, ".tools", "chdb", "libchdb.so"); fileExists(library) {
		s.library = library
	}
	if s.rig.sipg, err = build(root, "bench/sipgob2b", "sipgob2b", s.rig.work); err == nil {
		s.rig.fwd, err = build(root, "bench/sipfwd", "sipfwd", s.rig.work)
	}
	if err == nil {
		s.rig.load, err = build(root, "bench/load", "load", s.rig.work)
	}
	if err == nil && p.tandem == "" {
		p.tandem, err = build(root, "cmd/tandem", "tandem", s.rig.work)
	}
	for _, binary := range []*string{&p.tandem, &p.tandem2} {
		if *binary != "" {
			*binary, _ = filepath.Abs(*binary)
		}
	}
	if err == nil && p.out != "" {
		var file *os.File
		if file, err = os.Create(p.out); err == nil {
			s.report = io.MultiWriter(os.Stdout, file)
		}
	}
	if err != nil {
		_ = os.RemoveAll(s.rig.work)
	}
	return s, err
}

func fileExists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// say writes lines of the report. Where the repository lies is nobody's business.
func (s *session) say(format string, args ...any) {
	fmt.Fprintln(s.report, strings.ReplaceAll(fmt.Sprintf(format, args...), s.rig.root+"/", ""))
}

// system makes a system by its name.
func (s *session) system(name string) (system, error) {
	switch name {
	case "tandem":
		return &node{title: name, program: s.tandem, library: s.library}, nil
	case "tandem2":
		return &node{title: name, program: s.tandem2, library: s.library}, nil
	case "sipgo":
		return thinSipgo(), nil
	case "floor":
		return floor(), nil
	case "kamailio":
		return kamailio(), nil
	}
	return nil, fmt.Errorf("there is no system %q: use tandem, tandem2, sipgo, floor or kamailio", name)
}
