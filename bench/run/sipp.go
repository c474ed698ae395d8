package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// load is one bounded series of calls.
type load struct {
	rate  int // calls a second
	calls int
	hold  time.Duration
}

// heard is what SIPp saw of a load.
type heard struct {
	OK              int     `json:"ok"`
	Failed          int     `json:"failed"`
	Retransmissions int     `json:"retransmissions"`
	Seconds         float64 `json:"seconds"`
	P50             float64 `json:"setup_p50_ms"`
	P99             float64 `json:"setup_p99_ms"`
	Max             float64 `json:"setup_max_ms"`
}

// callees is the answering SIPp; it serves one system's calls.
type callees struct{ process *child }

// startCallees answers calls on the rig's called address.
func startCallees(r *rig) (*callees, error) {
	dir, err := r.folder("uas")
	if err != nil {
		return nil, err
	}
	ip, port, _ := net.SplitHostPort(r.callee())
	c, err := startChild(loadCore, dir, "sipp", "-sf", filepath.Join(r.root, "bench", "scenarios", "uas.xml"),
		"-i", ip, "-p", port, "-mi", ip, "-mp", "7000", "-nostdin", "-timeout", "600", "-buff_size", "4194304", "-trace_err", "-error_file", "errors.log")
	if err != nil {
		return nil, err
	}
	return &callees{c}, awaitUDP(context.Background(), c, r.callee())
}

func (c *callees) stop() { c.process.end(2 * time.Second) }

// callers is the calling SIPp.
type callers struct {
	process *child
	dir     string
	began   time.Time
	load    load
}

// startCallers places the calls of a load.
func startCallers(r *rig, l load) (*callers, error) {
	dir, err := r.folder("uac")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "calls.csv"), []byte(injection()), 0o644); err != nil {
		return nil, err
	}
	ip, port, _ := net.SplitHostPort(r.caller())
	limit := max(200, int(float64(l.rate)*(l.hold.Seconds()+3)))
	seconds := l.calls/l.rate + int(l.hold.Seconds()) + 20
	c := &callers{dir: dir, load: l, began: time.Now()}
	c.process, err = startChild(loadCore, dir, "sipp", r.system(), "-sf", filepath.Join(r.root, "bench", "scenarios", "uac.xml"),
		"-inf", "calls.csv", "-i", ip, "-p", port, "-mi", ip, "-mp", "6000", "-nostdin", "-r", strconv.Itoa(l.rate), "-m", strconv.Itoa(l.calls),
		"-l", strconv.Itoa(limit), "-d", strconv.FormatInt(l.hold.Milliseconds(), 10), "-timeout", strconv.Itoa(seconds), "-buff_size", "4194304",
		"-trace_rtt", "-rtt_freq", "1", "-trace_stat", "-stf", "stat.csv", "-fd", "1", "-trace_err", "-error_file", "errors.log")
	return c, err
}

// injection are the calls' numbers: 100 callers, 10 DIDs.
func injection() string {
	var b strings.Builder
	b.WriteString("SEQUENTIAL\n")
	for i := range 100 {
		fmt.Fprintf(&b, "+1212555%04d;+142555501%02d\n", 100+i, i%10)
	}
	return b.String()
}

// wait lets the load finish and reads what SIPp noted.
func (c *callers) wait(ctx context.Context) (heard, error) {
	limit := time.Duration(c.load.calls/c.load.rate)*time.Second + c.load.hold + 40*time.Second
	select {
	case <-c.process.done:
	case <-time.After(limit):
		c.process.end(time.Second)
	case <-ctx.Done():
		c.process.end(time.Second)
		return heard{}, ctx.Err()
	}
	h := heard{Seconds: time.Since(c.began).Seconds()}
	if err := h.readStatistics(filepath.Join(c.dir, "stat.csv")); err != nil {
		return h, fmt.Errorf("%w\n%s", err, c.process.tail())
	}
	files, _ := filepath.Glob(filepath.Join(c.dir, "*_rtt.csv"))
	for _, file := range files {
		h.readSetups(file)
	}
	return h, nil
}

func readCSV(name string) ([][]string, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.Comma, r.FieldsPerRecord, r.LazyQuotes = ';', -1, true
	return r.ReadAll()
}

// readStatistics reads the last line of SIPp's counters.
func (h *heard) readStatistics(name string) error {
	lines, err := readCSV(name)
	if err != nil || len(lines) < 2 {
		return fmt.Errorf("SIPp left no statistics: %w", err)
	}
	value := func(column string) int {
		i := slices.Index(lines[0], column)
		if i < 0 || i >= len(lines[len(lines)-1]) {
			return 0
		}
		n, _ := strconv.Atoi(lines[len(lines)-1][i])
		return n
	}
	h.OK, h.Failed, h.Retransmissions = value("SuccessfulCall(C)"), value("FailedCall(C)"), value("Retransmissions(C)")
	return nil
}

// readSetups reads INVITE to 200 of every call (response time 1 of the scenario).
func (h *heard) readSetups(name string) {
	lines, _ := readCSV(name)
	var all []float64
	for _, line := range lines {
		if len(line) < 3 || line[2] != "1" {
			continue
		}
		if ms, err := strconv.ParseFloat(line[1], 64); err == nil {
			all = append(all, ms)
		}
	}
	h.P50, h.P99, h.Max = quantiles(all)
}

// quantiles gives p50, p99 and the largest.
func quantiles(all []float64) (p50, p99, most float64) {
	if len(all) == 0 {
		return 0, 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100], all[len(all)-1]
}
