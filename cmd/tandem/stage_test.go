package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"tandem"
	chdb "tandem/cdr/engine"
)

// TestMain lets the test binary stand in for tandem: the embedded engine is
// started as its child, and kill tests run a whole node in a process.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "engine" || os.Args[1] == "serve") {
		main()
	}
	os.Exit(m.Run())
}

// testNet gives each test process its own /24 of the loopback network, so that
// standard ports never collide with another process's.
func testNet() string { return fmt.Sprintf("127.%d.%d", 100+os.Getpid()>>8&63, os.Getpid()&255) }

// needEngine skips a test on machines without the ClickHouse library; `make test` installs it.
func needEngine(t *testing.T) string {
	t.Helper()
	for _, explicit := range []string{"", filepath.Join("..", "..", ".tools", "chdb", "libchdb.so")} {
		if path, err := chdb.Locate(explicit, ""); err == nil {
			return path
		}
	}
	t.Skip("the ClickHouse library is not installed: run `make setup`")
	return ""
}

// testLog collects a node's log and shows it when the test fails.
type testLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *testLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newStage starts a stage for a test and waits until all trunks are up.
func newStage(t *testing.T, change func(*stageOptions)) *stage {
	t.Helper()
	library := needEngine(t)
	log := &testLog{}
	o := stageOptions{data: t.TempDir(), net: testNet(), log: newLogger(log, LogConfig{Level: "info"}), say: t.Logf,
		config: func(c *Config) {
			c.Node = "test"
			c.HTTP.Address = "127.0.0.1:0"
			c.ClickHouse.Library = library
		}}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := startStage(ctx, o)
	if err != nil {
		t.Fatalf("start stage: %v\n%s", err, log)
	}
	t.Cleanup(func() {
		s.Close()
		if t.Failed() {
			t.Logf("log:\n%s", tail(log.String(), 80))
		}
	})
	if err := s.waitHealthy(ctx); err != nil {
		t.Fatalf("%v\n%s", err, tail(log.String(), 40))
	}
	return s
}

// rows flushes and reads rows from ClickHouse.
func (s *stage) rows(t *testing.T, f tandem.CDRFilter) []tandem.CDR {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := s.node.chdb.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.node.Flush(ctx); err != nil {
		t.Fatalf("flush: %v", err)
	}
	var all []tandem.CDR
	for f.Limit = 5000; ; f.Offset += f.Limit {
		page, err := s.node.service.CDRs(ctx, f)
		if err != nil {
			t.Fatalf("read rows: %v", err)
		}
		all = append(all, page...)
		if len(page) < f.Limit {
			return all
		}
	}
}

// byCall groups rows by Correlation ID.
func byCall(rows []tandem.CDR) map[tandem.CorrelationID][]tandem.CDR {
	calls := map[tandem.CorrelationID][]tandem.CDR{}
	for _, r := range rows {
		calls[r.Correlation] = append(calls[r.Correlation], r)
	}
	return calls
}
