package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// The flags of `make crash`. Without -crash the proof runs in its short form.
var (
	crashFull = flag.Bool("crash", false, "the whole crash proof, about 20 minutes")
	crashSeed = flag.Uint64("crash.seed", 0, "seed of the crash proof's moments; 0 = a new one")
	crashOut  = flag.String("crash.out", "", "folder that keeps the crash proof's result table")
)

// crashResult is one line of the table.
type crashResult struct {
	name                 string
	kills                int // kill -9, SIGSTOP or faults put in
	calls, rows          int // answered in the histories; rows stored, by plain count()
	late                 int // answers of callees that nobody waited for any more: attempts on record
	recovered            int // connected rows that a crash ended
	cut, released        int // cut calls at SIPp as callee, and those of them that were hung up
	missing, doubled     int // rows
	unmarked             int // cut calls without the mark, or an end more than 5 s from the crash
	charges              int // rows whose charge is not the second computation's, or not the ledger's
	restarts             []time.Duration
	drain                time.Duration // until ClickHouse had all that was recorded
	callsP99, faultP99   time.Duration // set-up without and with the fault; 0 = not measured
	failed               int           // calls that failed where none may
	note                 string
	failedOnThisAccounts bool
}

// crashReport gathers the lines and prints them in the end.
type crashReport struct {
	seed    uint64
	began   time.Time
	results []crashResult
}

func (r *crashReport) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "case\tkills\tcalls\tlate answers\trows\trecovered\tmissing\tdoubled\tunmarked\tcharges wrong\tfailed calls\trestart p50/max\tbacklog drained\tset-up p99 before/during\tverdict\t")
	for _, c := range r.results {
		restart, drain, setup := "-", "-", "-"
		if n := len(c.restarts); n > 0 {
			slices.Sort(c.restarts)
			restart = fmt.Sprintf("%s / %s", ms(c.restarts[n/2]), ms(c.restarts[n-1]))
		}
		if c.drain > 0 {
			drain = ms(c.drain)
		}
		if c.faultP99 > 0 {
			setup = fmt.Sprintf("%s / %s", ms(c.callsP99), ms(c.faultP99))
		}
		verdict := "ok"
		if c.failedOnThisAccounts {
			verdict = "FAILED"
		}
		if c.note != "" {
			verdict += ": " + c.note
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t\n", c.name, c.kills, c.calls, c.late, c.rows, c.recovered, c.missing, c.doubled,
			c.unmarked, c.charges, c.failed, restart, drain, setup, verdict)
	}
	_ = w.Flush()
	return b.String()
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// keep writes the table with what is needed to judge and repeat it.
func (r *crashReport) keep(t *testing.T, folder string) {
	t.Helper()
	commit, _ := exec.Command("git", "describe", "--always", "--dirty").Output()
	kernel, _ := exec.Command("uname", "-srm").Output()
	text := fmt.Sprintf("Crash proof, %s UTC\nmachine: %s, %d CPUs (%s), %s\ncommit:  %s\ncommand: make crash SEED=%d\ntook:    %s\n\n%s",
		r.began.UTC().Format("2006-01-02 15:04"), strings.TrimSpace(string(kernel)), runtime.NumCPU(), cpuModel(), runtime.Version(),
		strings.TrimSpace(string(commit)), r.seed, time.Since(r.began).Round(time.Second), r)
	name := filepath.Join(folder, "crash-"+r.began.UTC().Format("2006-01-02")+".txt")
	if err := errors.Join(os.MkdirAll(folder, 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
		t.Error(err)
	}
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown model"
}
