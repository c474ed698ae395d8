package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDemo plays what `make run` ends in, on the demo's own addresses, and
// wants its report: four connected calls with two rows each.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	t.Setenv("TANDEM_CHDB", needEngine(t))
	parent := t.TempDir()
	before, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	env := &environment{ctx: t.Context(), stdout: &stdout, stderr: &stderr}
	if code := run(env, []string{"demo", "--once", "--data", filepath.Join(parent, "data"), "--http", "127.0.0.1:0"}); code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, &stdout, &stderr)
	}
	report, log, found := strings.Cut(stdout.String(), "\nLog (")
	if !found {
		t.Fatalf("no log in\n%s", &stdout)
	}
	_, report, _ = strings.Cut(report, "Detailed report")
	if n := strings.Count(report, "\nOperator Connect "); n != 3 {
		t.Errorf("%d Operator Connect rows in the report, want 3", n)
	}
	if n := strings.Count(report, "\nPhone "); n != 5 {
		t.Errorf("%d Phone rows in the report, want 5: three calls and the failsafe call's two", n)
	}
	for _, word := range []string{"busy", "cancelled", "failed_network"} {
		if !strings.Contains(log, word) {
			t.Errorf("the log has no %s leg", word)
		}
	}
	if after, _ := os.ReadDir("."); len(after) != len(before) {
		t.Errorf("the demo left something in the working folder: %v", after)
	}
	if left, _ := os.ReadDir(parent); len(left) != 1 {
		t.Errorf("the demo left something beside its data folder: %v", left)
	}
}
