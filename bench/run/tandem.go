package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tandem/provisioning/api/client"
)

// node is Tandem: the whole path on, unless a feature is turned off to see
// what it costs.
type node struct {
	title   string
	program string
	library string   // libchdb.so; empty: tandem searches it
	args    []string // after `tandem serve`
	extra   string   // more of tandem.yaml
	secure  bool     // TLS and SRTP on Microsoft's side
	pprof   bool

	process *child
	dir     string
	api     *client.Client
	warm    nodeStatus // after the warm-up
}

// nodeStatus is the part of /api/v1/status that is of interest here.
type nodeStatus struct {
	Parts struct {
		Journal struct {
			Last, Synced uint64
			LastError    string
		} `json:"journal"`
		Pipeline struct {
			Ledger, Backlog, Rows, Inserts, Retries, Quarantined uint64
			LastError                                            string
		} `json:"pipeline"`
		Calls struct {
			Core struct{ Calls, Started, Answered, Ended int }

			LostFacts, BarrierAlarms, Refused, Dropped, Panics uint64
		} `json:"calls"`
		Engine *struct{ Up bool } `json:"engine"`
		Go     struct {
			GCs          int     `json:"gcs"`
			GCCPU        float64 `json:"gc_cpu_s"`
			Objects      uint64  `json:"allocated_objects"`
			Bytes        uint64  `json:"allocated_bytes"`
			PauseP99     float64 `json:"gc_pause_p99_ms"`
			PauseMaximum float64 `json:"gc_pause_max_ms"`
		} `json:"runtime"`
	} `json:"parts"`
}

func (n *node) name() string { return n.title }
func (n *node) pids() []int  { return []int{n.process.pid()} }
func (n *node) stop() {
	n.process.end(15 * time.Second)
	_ = os.RemoveAll(n.dir)
}

// settings is tandem.yaml. The media ports leave room for 12,500 calls: at
// 1,500 calls of 1 s a second 4,500 are open or in their 2 s of quarantine.
func (n *node) settings(r *rig) string {
	text := fmt.Sprintf("node: bench\ndata: data\nsip:\n  listen:\n    - {transport: udp, address: \"%s\"}\nmedia: {address: %s.10, ports: 10000-59999}\nhttp:\n  address: \"%s.10:8080\"\n",
		r.system(), r.net, r.net)
	if n.pprof {
		text += fmt.Sprintf("  pprof: \"%s\"\n", r.profiles())
	}
	if n.secure {
		text = strings.Replace(text, "media:", fmt.Sprintf("    - {transport: tls, address: \"%s\"}\n  certificates: [{name: bench, cert: sbc.pem, key: sbc.key}]\n  roots: [ca.pem]\nmedia:", r.systemTLS()), 1)
	}
	if n.library != "" && !strings.Contains(n.extra, "clickhouse:") {
		text += fmt.Sprintf("clickhouse: {library: %q}\n", n.library)
	}
	return text + n.extra
}

// customers is the apply document. With TLS and SRTP the trunk is Microsoft's
// true profile; only a lab may do without.
func (n *node) customers(r *rig, text string) string {
	text = strings.ReplaceAll(text, "@NET@", r.net)
	if n.secure {
		text = strings.NewReplacer("    lab: true\n    transport: udp\n    srtp: \"off\"\n", "", r.callee(), r.teams()).Replace(text)
	}
	return text
}

func (n *node) start(ctx context.Context, r *rig) error {
	var err error
	n.api, n.warm = nil, nodeStatus{}
	if n.dir, err = r.folder(strings.ReplaceAll(n.title, " ", "-")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(n.dir, "tandem.yaml"), []byte(n.settings(r)), 0o644); err != nil {
		return err
	}
	customers, err := os.ReadFile(filepath.Join(r.root, "bench", "scenarios", "customers.yaml"))
	if err != nil {
		return err
	}
	if n.secure {
		if err := r.certificates(n.dir); err != nil {
			return err
		}
	}
	file := filepath.Join(n.dir, "customers.yaml")
	if err := os.WriteFile(file, []byte(n.customers(r, string(customers))), 0o644); err != nil {
		return err
	}
	if n.process, err = startChild(systemCore, n.dir, n.dir, n.program, append([]string{"serve", "-c", "tandem.yaml"}, n.args...)...); err != nil {
		return err
	}
	if err := n.await(ctx, "start", func() (bool, error) {
		_, err := n.status(ctx, r)
		return err == nil, nil
	}); err != nil {
		return err
	}
	if _, err := n.api.Apply(ctx, file, false); err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	if n.noEngine() {
		return nil
	}
	return n.await(ctx, "start ClickHouse", func() (bool, error) {
		s, err := n.status(ctx, r)
		return err == nil && s.Parts.Engine != nil && s.Parts.Engine.Up, nil
	})
}

// noEngine tells that rows aren't delivered in this run.
func (n *node) noEngine() bool { return strings.Contains(n.extra, "mode: \"off\"") }

// noRows tells that nothing is recorded at all.
func (n *node) noRows() bool { return strings.Contains(strings.Join(n.args, " "), "journal") }

// status asks the node; the client is made once its token lies in the folder.
func (n *node) status(ctx context.Context, r *rig) (nodeStatus, error) {
	var s nodeStatus
	if n.api == nil {
		token, err := os.ReadFile(filepath.Join(n.dir, "data", "api-token"))
		if err != nil {
			return s, err
		}
		n.api = client.New("http://"+r.net+".10:8080", strings.TrimSpace(string(token)), &http.Client{Timeout: 10 * time.Second})
	}
	return s, n.api.Get(ctx, "/api/v1/status", nil, &s)
}

// await polls a condition for 30 s at most.
func (n *node) await(ctx context.Context, what string, done func() (bool, error)) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		ok, err := done()
		switch {
		case err != nil:
			return err
		case ok:
			return nil
		case n.process.ended():
			return fmt.Errorf("%s ended: %v\n%s", n.title, n.process.err, n.process.tail())
		case time.Now().After(deadline):
			return fmt.Errorf("%s: %s takes more than 30 s\n%s", n.title, what, n.process.tail())
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settle waits until every call is over, on disk and in ClickHouse.
func (n *node) settle(ctx context.Context) (counts, error) {
	var s nodeStatus
	asked := false
	err := n.await(ctx, "delivering rows", func() (bool, error) {
		var err error
		if s, err = n.status(ctx, &rig{}); err != nil {
			return false, err
		}
		p := s.Parts
		if p.Calls.Core.Calls > 0 || p.Journal.Synced < p.Journal.Last {
			return false, nil
		}
		if n.noRows() {
			return true, nil
		}
		if n.noEngine() {
			return p.Pipeline.Ledger == p.Journal.Last, nil
		}
		if !asked { // a report is complete: it has the rest delivered before it reads
			asked = true
			_, err = n.rowAt(ctx, 0)
		}
		return p.Pipeline.Backlog == 0, err
	})
	if err != nil {
		return counts{}, fmt.Errorf("%w: %+v", err, s)
	}
	before := n.warm.Parts
	n.warm = s
	c := counts{Facts: int(s.Parts.Journal.Last - before.Journal.Last), Inserts: int(s.Parts.Pipeline.Inserts - before.Pipeline.Inserts),
		Rows:    int(s.Parts.Pipeline.Rows - before.Pipeline.Rows),
		Objects: float64(s.Parts.Go.Objects - before.Go.Objects), Bytes: float64(s.Parts.Go.Bytes - before.Go.Bytes), GCUs: 1e6 * (s.Parts.Go.GCCPU - before.Go.GCCPU),
		GCs: s.Parts.Go.GCs - before.Go.GCs, GCPauseMs: s.Parts.Go.PauseP99, GCMaxMs: s.Parts.Go.PauseMaximum}
	p := s.Parts
	if bad := p.Calls.LostFacts + p.Calls.BarrierAlarms + p.Calls.Refused + p.Calls.Dropped + p.Calls.Panics + p.Pipeline.Retries + p.Pipeline.Quarantined; bad > 0 && !n.noEngine() {
		c.Complaint = fmt.Sprintf("lost facts %d, barrier alarms %d, refused %d, dropped %d, panics %d, insert retries %d, quarantined %d",
			p.Calls.LostFacts, p.Calls.BarrierAlarms, p.Calls.Refused, p.Calls.Dropped, p.Calls.Panics, p.Pipeline.Retries, p.Pipeline.Quarantined)
	}
	return c, nil
}

// verify counts the rows that ClickHouse holds: the last one is there and the
// one after it is not. It runs after the measurement.
func (n *node) verify(ctx context.Context, want int) error {
	if n.noEngine() || n.noRows() {
		return nil
	}
	last, err1 := n.rowAt(ctx, want-1)
	after, err2 := n.rowAt(ctx, want)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if last != 1 || after != 0 {
		return fmt.Errorf("ClickHouse does not hold exactly %d rows", want)
	}
	return nil
}

// rowAt asks for one row of the log: 1 when there is one at that place, else 0.
func (n *node) rowAt(ctx context.Context, offset int) (int, error) {
	var page struct {
		Items []struct{} `json:"items"`
	}
	err := n.api.Get(ctx, "/api/v1/log", url.Values{"limit": {"1"}, "offset": {fmt.Sprint(offset)}}, &page)
	return len(page.Items), err
}
