package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// profile runs Tandem under load at each rate and says where its time goes, by
// package and by function. The profiles stay in bin/ for `go tool pprof`.
func (s *session) profile(ctx context.Context) error {
	for _, rate := range s.rates {
		d := &profiled{seconds: s.seconds, file: filepath.Join(s.rig.root, "bin", fmt.Sprintf("tandem-%d.pprof", rate))}
		n := &node{title: "tandem", program: s.tandem, library: s.library, pprof: true}
		if _, err := s.once(ctx, n, d, load{rate, rate * (s.seconds + 3), time.Second}, "profile"); err != nil {
			return err
		}
		out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=2000", "-nodefraction=0", s.tandem, d.file).Output()
		if err != nil {
			return fmt.Errorf("read %s: %w", d.file, err)
		}
		lines := strings.Split(string(out), "\n")
		s.say("\n%d calls/s, by package, percent of the time:\n", rate)
		for _, a := range byPackage(lines) {
			s.say("  %5.1f  %s", a.percent, a.name)
		}
		s.say("\nby function (flat, flat%%, sum%%, cum, cum%%), go tool pprof %s:\n", d.file)
		for _, line := range lines[min(6, len(lines)):min(46, len(lines))] {
			s.say("  %s", line)
		}
	}
	return nil
}

// profiled is SIPp with a profile taken once the load is steady.
type profiled struct {
	sipp
	seconds int
	file    string
}

func (d *profiled) place(ctx context.Context, l load) (heard, error) {
	if l == warmUp {
		return d.sipp.place(ctx, l)
	}
	failed := make(chan error, 1)
	go func() { failed <- d.take(ctx) }()
	h, err := d.sipp.place(ctx, l)
	if fault := <-failed; err == nil {
		err = fault
	}
	return h, err
}

// take fetches a CPU profile from 2 s after the load's start.
func (d *profiled) take(ctx context.Context) error {
	select {
	case <-time.After(2 * time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", d.r.profiles(), d.seconds), nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("profile: %s: %w", answer.Status, err)
	}
	return os.WriteFile(d.file, data, 0o644)
}

// share of the time.
type share struct {
	name    string
	percent float64
}

// byPackage adds up the flat times of pprof's table. The runtime is split by
// what it works on.
func byPackage(lines []string) []share {
	sums := map[string]float64{}
	for _, line := range lines {
		f := strings.Fields(line)
		if len(f) < 6 || !strings.HasSuffix(f[1], "%") {
			continue
		}
		percent, err := strconv.ParseFloat(strings.TrimSuffix(f[1], "%"), 64)
		if err == nil {
			sums[area(f[5])] += percent
		}
	}
	var all []share
	for name, percent := range sums {
		if percent >= 0.3 {
			all = append(all, share{name, percent})
		}
	}
	slices.SortFunc(all, func(a, b share) int {
		if a.percent != b.percent {
			if a.percent > b.percent {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return all
}

// area is the package of a function, or the part of the runtime.
func area(function string) string {
	slash := strings.LastIndexByte(function, '/')
	pkg, rest, _ := strings.Cut(function[slash+1:], ".")
	pkg = function[:slash+1] + pkg
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(rest, w) })
	}
	switch {
	case strings.Contains(pkg, "runtime/syscall") || pkg == "syscall" || pkg == "internal/poll":
		return "system calls"
	case function == pkg, strings.HasPrefix(rest, "mem"): // indexbytebody, memeqbody: assembler
		return "runtime: copying, clearing, comparing bytes"
	case strings.HasPrefix(pkg, "internal/runtime/maps"):
		return "runtime: maps"
	case pkg != "runtime":
		return pkg
	case has("futex", "epollwait", "netpoll", "usleep", "osyield"):
		return "runtime: waiting and waking (system calls)"
	case has("malloc", "nextFree", "mcache", "mcentral", "newobject", "growslice", "makeslice", "makemap", "rawbyte", "heapSetType", "deductAssist", "publicationBarrier"):
		return "runtime: allocation"
	case has("gc", "scan", "mark", "grey", "sweep", "wb", "heapBits", "findObject", "spanOf", "bulkBarrier"):
		return "runtime: garbage collection"
	case has("sched", "findRunnable", "park", "ready", "runq", "steal", "goexit", "mcall", "gogo", "lock", "sema", "chan", "select", "timer", "casgstatus", "pidle", "wakep", "startm", "stopm", "nanotime", "entersyscall", "exitsyscall", "reentersyscall"):
		return "runtime: scheduling"
	case has("map", "aeshash", "memhash", "strhash"):
		return "runtime: maps"
	}
	return "runtime: other"
}
