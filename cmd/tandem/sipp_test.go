package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sippCall is one call in SIPp's own history.
type sippCall struct {
	answered, bye, ended time.Duration // SIPp's clock; 0 = did not happen
}

// length is the call's duration as SIPp saw it: to its own BYE, or to the one it got.
func (c sippCall) length() time.Duration {
	if c.bye > 0 {
		return c.bye - c.answered
	}
	return c.ended - c.answered
}

// sipp is one running SIPp.
type sipp struct {
	cmd    *exec.Cmd
	folder string
	out    *bytes.Buffer
	done   chan error
}

// needSIPp skips a test on machines without SIPp; `make test` installs it.
func needSIPp(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("sipp"); err != nil {
		t.Skip("sipp is not installed: run `make setup-test`, or install Debian's sip-tester")
	}
}

// startSIPp runs a scenario of testdata/sipp in a folder of its own; it is
// killed at the end of the test if it still runs.
func startSIPp(t *testing.T, scenario string, args ...string) *sipp {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", "sipp", scenario))
	if err != nil {
		t.Fatal(err)
	}
	s := &sipp{folder: t.TempDir(), out: &bytes.Buffer{}, done: make(chan error, 1)}
	s.cmd = exec.Command("sipp", append([]string{"-sf", path, "-nostdin", "-trace_logs", "-trace_err"}, args...)...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.folder, s.out, s.out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
	})
	return s
}

// startUAS starts the carrier that answers, at .21. Where datagrams are lost an
// INVITE comes again, and SIPp takes one that comes behind its 200 for unexpected: by
// default it then forgets the call without a word, and neither sends its 200 again
// (RFC 3261 13.3.1.4) nor answers the BYE.
func startUAS(t *testing.T) *sipp {
	t.Helper()
	return startSIPp(t, "uas.xml", "-i", testNet()+".21", "-p", "5060", "-mp", "42000", "-default_behaviors", "all,-abortunexp")
}

// wait lets SIPp finish. Its exit code says whether every call went as the scenario says.
func (s *sipp) wait(t *testing.T, limit time.Duration) {
	t.Helper()
	select {
	case err := <-s.done:
		if err != nil {
			t.Errorf("sipp: %v\n%s%s", err, s.errors(), tail(s.out.String(), 40))
		}
	case <-time.After(limit):
		t.Errorf("sipp still runs after %s\n%s%s", limit, s.errors(), tail(s.out.String(), 40))
	}
}

// finish asks a SIPp that would run for ever to end: it completes its calls and
// writes out its log.
func (s *sipp) finish(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.done:
	case <-time.After(15 * time.Second):
		t.Errorf("sipp does not finish\n%s", tail(s.out.String(), 40))
	}
}

// errors is the beginning of SIPp's error file.
func (s *sipp) errors() string {
	files, _ := filepath.Glob(filepath.Join(s.folder, "*_errors.log"))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		return string(text[:min(len(text), 3000)]) + "\n"
	}
	return ""
}

// history reads SIPp's log: calls by Call-ID.
func (s *sipp) history(t *testing.T) map[string]sippCall {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(s.folder, "*_logs.log"))
	calls := map[string]sippCall{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			var id, what string
			var ms int64
			if _, err := fmt.Sscan(lines.Text(), &id, &what, &ms); err != nil {
				continue // a line cut by a kill
			}
			c, at := calls[id], time.Duration(ms)*time.Millisecond
			switch what {
			case "answered":
				c.answered = at
			case "bye":
				c.bye = at
			default:
				c.ended = at
			}
			calls[id] = c
		}
		_ = f.Close()
	}
	return calls
}

// injection writes SIPp's injection file: lines of caller;called.
func injection(t *testing.T, pairs ...[2]string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "calls.csv")
	var text strings.Builder
	text.WriteString("SEQUENTIAL\n")
	for _, p := range pairs {
		text.WriteString(p[0] + ";" + p[1] + "\n")
	}
	if err := os.WriteFile(name, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func tail(s string, lines int) string {
	all := strings.Split(s, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func itoa(n int) string { return strconv.Itoa(n) }
