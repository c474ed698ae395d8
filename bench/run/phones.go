package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// placed is what bench/load found; see its outcome.
type placed struct {
	OK         int     `json:"ok"`
	Failed     int     `json:"failed"`
	P50        float64 `json:"setup_p50_ms"`
	P99        float64 `json:"setup_p99_ms"`
	Max        float64 `json:"setup_max_ms"`
	Late       int     `json:"placed_late"`
	Seconds    float64 `json:"seconds"`
	Sent       int     `json:"packets_sent"`
	Heard      int     `json:"packets_heard"`
	Bad        int     `json:"packets_bad"`
	Window     float64 `json:"window_s"`
	DelayP50   float64 `json:"delay_p50_us"`
	DelayP99   float64 `json:"delay_p99_us"`
	CPU        float64 `json:"cpu_us"`
	ClickHouse float64 `json:"of_which_children_us"`
	RSS        int64   `json:"rss_kb"`
	Children   int64   `json:"children_rss_kb"`
}

// phones is a running bench/load.
type phones struct{ process *child }

// startPhones runs the generator on the load's core.
func startPhones(r *rig, args ...string) (*phones, error) {
	dir, err := r.folder("load")
	if err != nil {
		return nil, err
	}
	c, err := startChild(loadCore, dir, dir, r.load, args...)
	return &phones{c}, err
}

// wait reads what it found once it has ended; it bounds itself.
func (p *phones) wait(ctx context.Context) (placed, error) {
	var found placed
	select {
	case <-p.process.done:
	case <-ctx.Done():
		p.process.end(time.Second)
		return found, ctx.Err()
	}
	text, err := os.ReadFile(p.process.output)
	if err != nil {
		return found, err
	}
	if p.process.err != nil {
		return found, fmt.Errorf("load generator: %w: %s", p.process.err, text)
	}
	return found, json.Unmarshal(text, &found)
}

// certificates puts ca.pem, sbc.pem and teams.pem with their keys into a folder.
func (r *rig) certificates(dir string) error {
	out, err := exec.Command(r.load, "-make-certs", "-certs", dir, "-teams", r.teams()).CombinedOutput()
	if err != nil {
		return errors.Join(err, errors.New(string(out)))
	}
	return nil
}

// startProbe calls beside a load, 20 times a second, and measures set-up to the
// microsecond.
func startProbe(r *rig, s system, l load) (*phones, error) {
	calls := max(20, 20*l.calls/l.rate)
	return startPhones(r, "-probe", "-system", r.probed(s), "-carrier", r.prober(), "-rate", "20", "-calls", strconv.Itoa(calls), "-hold", "200ms")
}

// between are the arguments that put the generator on both sides of a system:
// Microsoft's is TLS and SRTP with a node that is so, UDP with all others.
func between(r *rig, s system) []string {
	args := []string{"-system", r.system(), "-carrier", r.caller()}
	if n, ok := s.(*node); ok && n.secure {
		return append(args, "-system-tls", r.systemTLS(), "-teams", r.teams(), "-certs", n.dir, "-srtp")
	}
	return append(args, "-teams", r.callee(), "-plain")
}

// generator drives a system with bench/load at both ends.
type generator struct {
	r *rig
	s system
}

func (d *generator) open(r *rig, s system) error {
	d.r, d.s = r, s
	return nil
}

func (d *generator) close() {}

// place has half of a secure node's calls come from Microsoft.
func (d *generator) place(ctx context.Context, l load) (heard, error) {
	args := append(between(d.r, d.s), "-rate", strconv.Itoa(l.rate), "-calls", strconv.Itoa(l.calls), "-hold", l.hold.String())
	if n, ok := d.s.(*node); ok && n.secure {
		args = append(args, "-both")
	}
	p, err := startPhones(d.r, args...)
	if err != nil {
		return heard{}, err
	}
	found, err := p.wait(ctx)
	return heard{OK: found.OK, Failed: found.Failed, Seconds: found.Seconds, P50: found.P50, P99: found.P99, Max: found.Max}, err
}
