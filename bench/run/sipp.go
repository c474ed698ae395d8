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

// sipp drives a system with SIPp at both ends over UDP, and with a prober
// beside it that measures set-up: SIPp's own clock ticks in milliseconds.
type sipp struct {
	r       *rig
	s       system
	callees *child
}

func (d *sipp) open(r *rig, s system) error {
	d.r, d.s = r, s
	dir, err := r.folder("uas")
	if err != nil {
		return err
	}
	ip, port, _ := net.SplitHostPort(r.callee())
	d.callees, err = startChild(loadCore, dir, dir, "sipp", "-sf", filepath.Join(r.root, "bench", "scenarios", "uas.xml"),
		"-i", ip, "-p", port, "-mi", ip, "-mp", "7000", "-nostdin", "-timeout", "600", "-buff_size", "4194304", "-trace_err", "-error_file", "errors.log")
	if err != nil {
		return err
	}
	return awaitUDP(context.Background(), d.callees, r.callee())
}

func (d *sipp) close() { d.callees.end(2 * time.Second) }

// place lets SIPp and the prober call, and adds up what they saw.
func (d *sipp) place(ctx context.Context, l load) (heard, error) {
	dir, err := d.r.folder("uac")
	if err != nil {
		return heard{}, err
	}
	began := time.Now()
	callers, err := d.startCallers(dir, l)
	if err != nil {
		return heard{}, err
	}
	defer callers.end(time.Second)
	probe, err := startProbe(d.r, d.s, l)
	if err != nil {
		return heard{}, err
	}
	select {
	case <-callers.done:
	case <-time.After(time.Duration(l.calls/l.rate)*time.Second + l.hold + 40*time.Second):
		callers.end(time.Second)
	case <-ctx.Done():
		probe.process.end(time.Second)
		return heard{}, ctx.Err()
	}
	h := heard{Seconds: time.Since(began).Seconds()}
	probed, err := probe.wait(ctx)
	if err != nil {
		return h, err
	}
	if err := h.readStatistics(filepath.Join(dir, "stat.csv")); err != nil {
		return h, fmt.Errorf("%w\n%s", err, callers.tail())
	}
	h.P50, h.P99, h.Max, h.Probes = probed.P50, probed.P99, probed.Max, probed.OK
	h.Failed += probed.Failed
	return h, nil
}

func (d *sipp) startCallers(dir string, l load) (*child, error) {
	if err := os.WriteFile(filepath.Join(dir, "calls.csv"), []byte(injection()), 0o644); err != nil {
		return nil, err
	}
	ip, port, _ := net.SplitHostPort(d.r.caller())
	limit := max(200, int(float64(l.rate)*(l.hold.Seconds()+3)))
	seconds := l.calls/l.rate + int(l.hold.Seconds()) + 20
	return startChild(loadCore, dir, dir, "sipp", d.r.system(), "-sf", filepath.Join(d.r.root, "bench", "scenarios", "uac.xml"),
		"-inf", "calls.csv", "-i", ip, "-p", port, "-mi", ip, "-mp", "6000", "-nostdin", "-r", strconv.Itoa(l.rate), "-m", strconv.Itoa(l.calls),
		"-l", strconv.Itoa(limit), "-d", strconv.FormatInt(l.hold.Milliseconds(), 10), "-timeout", strconv.Itoa(seconds), "-buff_size", "4194304",
		"-trace_stat", "-stf", "stat.csv", "-fd", "1", "-trace_err", "-error_file", "errors.log")
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

// readStatistics reads the last line of SIPp's counters.
func (h *heard) readStatistics(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("SIPp left no statistics: %w", err)
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.Comma, r.FieldsPerRecord, r.LazyQuotes = ';', -1, true
	lines, err := r.ReadAll()
	if err != nil || len(lines) < 2 {
		return fmt.Errorf("SIPp's statistics can't be read: %w", err)
	}
	last := lines[len(lines)-1]
	for column, to := range map[string]*int{"SuccessfulCall(C)": &h.OK, "FailedCall(C)": &h.Failed, "Retransmissions(C)": &h.Retransmissions} {
		i := slices.Index(lines[0], column)
		if i < 0 || i >= len(last) {
			return fmt.Errorf("SIPp's statistics have no column %s", column)
		}
		if *to, err = strconv.Atoi(last[i]); err != nil {
			return fmt.Errorf("SIPp's %s: %w", column, err)
		}
	}
	return nil
}
