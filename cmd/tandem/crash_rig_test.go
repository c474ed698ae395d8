package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tandem"
	"tandem/cdr"
	"tandem/cmd/tandem/emulate"
	"tandem/provisioning/api/client"
)

// histories is what the parties of all calls saw, by SIP Call-ID.
type histories struct {
	callers, callees, teams map[string]sippCall
	// slack is what the parties' clocks of one call may differ by: a second, and
	// what messages took on this machine at this hour (2 x p99 of set-up).
	slack time.Duration
}

// crashLoad is SIPp calling in and being called by Teams, at the same rate.
type crashLoad struct {
	uac, uas *sipp
	cancel   context.CancelFunc
	outbound chan emulate.LoadResult
}

// startLoad calls both ways at rate calls/s each until stopped.
func startLoad(t *testing.T, teams *emulate.Teams, net string, rate int) *crashLoad {
	t.Helper()
	var pairs [][2]string
	for i := range 50 {
		pairs = append(pairs, [2]string{fmt.Sprintf("+1212555%04d", 100+i), []string{"+14255550101", "+14255550102"}[i%2]})
	}
	l := &crashLoad{outbound: make(chan emulate.LoadResult, 1)}
	// Calls cut by a crash may hear nothing any more: SIPp gives them up then.
	patience := sized("8000", "5000", "5000")
	l.uas = startSIPp(t, "uas.xml", "-i", net+".21", "-p", "5060", "-mp", "42000", "-recv_timeout", patience)
	l.uac = startSIPp(t, "uac.xml", "-inf", injection(t, pairs...), "-i", net+".21", "-p", "5070", "-mp", "44000",
		"-r", itoa(rate), "-m", "1000000", "-l", "4000", "-recv_timeout", patience, net+".1:5060")
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(t.Context())
	t.Cleanup(l.cancel)
	go func() {
		result, _ := teams.Load(ctx, emulate.LoadSpec{CallSpec: emulate.CallSpec{Media: emulate.MediaNone, Timeout: tandem.Duration(5 * time.Second)},
			Rate: float64(rate), For: tandem.Duration(time.Hour), Keep: true,
			Vary: func(i int, spec emulate.CallSpec) emulate.CallSpec {
				spec.From = []string{"+14255550101", "+14255550102"}[i%2]
				spec.To = fmt.Sprintf("+1212555%04d", i%10000)
				spec.Hold = tandem.Duration(time.Duration(200+i*37%2800) * time.Millisecond)
				return spec
			}})
		l.outbound <- result
	}()
	return l
}

// stop lets the calls end and returns what the parties saw, and how many calls failed.
func (l *crashLoad) stop(t *testing.T) (h histories, outbound emulate.LoadResult, failed int) {
	t.Helper()
	l.cancel()
	select {
	case outbound = <-l.outbound:
	case <-time.After(time.Minute):
		t.Error("the outbound load does not end")
	}
	if err := l.uac.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-l.uac.done:
		if err != nil {
			failed++ // its exit code: some call did not go as the scenario says
		}
	case <-time.After(30 * time.Second):
		t.Error("sipp does not end")
	}
	l.uas.finish(t)
	failed += outbound.Placed - outbound.Answered + outbound.Skipped
	h = histories{callers: l.uac.history(t), callees: l.uas.history(t), teams: map[string]sippCall{}}
	epoch := time.Now().Add(-24 * time.Hour)
	var setup []time.Duration
	for _, r := range outbound.Results {
		if !r.RingAt.IsZero() {
			setup = append(setup, r.RingAt.Sub(r.Start))
		}
		if !r.AnswerAt.IsZero() {
			c := sippCall{answered: r.AnswerAt.Sub(epoch)}
			if !r.EndAt.IsZero() {
				c.ended = r.EndAt.Sub(epoch)
			}
			h.teams[r.CallID] = c
		}
	}
	h.slack = time.Second + 2*shareOf(setup, 99)
	return h, outbound, failed
}

// inProcess is a node in this process, with the witness table, SIPp for carriers and faults as change says.
func inProcess(t *testing.T, change func(*Config)) *stage {
	t.Helper()
	s := newStage(t, func(o *stageOptions) {
		o.noCarriers, o.document, o.teams = true, unprobedCarriers, quietTeams
		base := o.config
		o.config = func(c *Config) {
			base(c)
			if change != nil {
				change(c)
			}
		}
	})
	witness(t, s)
	return s
}

// victim is a node in a process of its own that can be killed at any moment.
type victim struct {
	t       *testing.T
	stage   *stage
	net     string
	config  string
	api     *client.Client
	p       *process
	started []time.Time
	crashes []time.Time
	logs    []*testLog
}

// newVictim provisions a data folder in this process; the node itself is not started yet.
func newVictim(t *testing.T) *victim {
	t.Helper()
	library, net, data := needEngine(t), testNet(), t.TempDir()
	v := &victim{t: t, net: net, stage: &stage{}}
	settings := stageOptions{data: data, net: net, log: newLogger(io.Discard, LogConfig{}), say: t.Logf, teams: quietTeams, noCarriers: true, document: unprobedCarriers}
	if err := v.stage.startTeams(settings); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.stage.Close)
	v.config = writeNodeConfig(t, v.stage.teams, net, data, library)
	settings.config = func(c *Config) { *c = mustLoad(t, v.config) }
	if err := v.stage.startNode(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	witness(t, v.stage)
	v.stage.node.Close()
	v.stage.node = nil
	token, err := os.ReadFile(filepath.Join(data, tokenFile))
	if err != nil {
		t.Fatal(err)
	}
	v.api = client.New("http://"+net+".1:8080", strings.TrimSpace(string(token)), nil)
	t.Cleanup(func() {
		if v.p != nil {
			_ = v.p.cmd.Process.Kill()
			_ = v.p.cmd.Wait()
		}
		if t.Failed() {
			for i, l := range v.logs {
				for line := range strings.Lines(l.String()) {
					if strings.Contains(line, "level=ERROR") || strings.Contains(line, "journal:") {
						t.Logf("start %d: %s", i, strings.TrimSpace(line))
					}
				}
			}
			for _, l := range v.logs[max(0, len(v.logs)-2):] {
				t.Logf("node's log:\n%s", tail(l.String(), 30))
			}
		}
	})
	return v
}

func (v *victim) start() {
	v.t.Helper()
	log := &testLog{}
	v.logs = append(v.logs, log)
	v.p = &process{cmd: exec.Command(os.Args[0], "serve", "--config", v.config), log: log}
	v.p.cmd.Stdout, v.p.cmd.Stderr = log, log
	v.started = append(v.started, time.Now())
	if err := v.p.cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
}

func (v *victim) kill() {
	v.t.Helper()
	if err := v.p.cmd.Process.Kill(); err != nil {
		v.t.Fatal(err)
	}
	v.crashes = append(v.crashes, time.Now())
	_ = v.p.cmd.Wait()
	v.p = nil
}

// waitRecovering returns when the node has read its journal back, or does not do so.
func (v *victim) waitRecovering() {
	deadline := time.Now().Add(3 * time.Second)
	for !strings.Contains(v.p.log.String(), "read back") && time.Now().Before(deadline) {
		<-time.After(time.Millisecond)
	}
}

// drained waits until the node has delivered all that was on record, and says how long that took.
func (v *victim) drained() time.Duration {
	v.t.Helper()
	began, target := time.Now(), tandem.JournalPos(0)
	for {
		var status struct {
			Parts struct {
				Pipeline cdr.Status `json:"pipeline"`
			} `json:"parts"`
		}
		err := v.api.Get(v.t.Context(), "/api/v1/status", nil, &status)
		now := status.Parts.Pipeline
		if err == nil && target == 0 {
			target = now.Synced
		}
		if err == nil && now.Writer >= target {
			return time.Since(began)
		}
		if time.Since(began) > 90*time.Second {
			v.t.Errorf("the backlog does not drain: %+v, %v", now, err)
			return time.Since(began)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// read stops the node and opens its data folder in this process, for the check.
func (v *victim) read() *stage {
	v.t.Helper()
	if v.p != nil {
		if err := v.p.cmd.Process.Signal(os.Interrupt); err != nil {
			v.t.Fatal(err)
		}
		_ = v.p.cmd.Wait()
		v.p = nil
	}
	node, err := StartNode(v.t.Context(), mustLoad(v.t, v.config), newLogger(io.Discard, LogConfig{}))
	if err != nil {
		v.t.Fatal(err)
	}
	v.stage.node = node
	return v.stage
}

// restarts is, for each start that was let live, the time to its first answered call.
func (v *victim) restarts(rows []tandem.CDR) (all []time.Duration) {
	for i, began := range v.started[1:] {
		until := time.Now()
		for _, c := range v.crashes {
			if c.After(began) {
				until = c
				break
			}
		}
		first := time.Time{}
		for _, r := range rows {
			if r.AnswerTime != nil && r.AnswerTime.After(began) && r.AnswerTime.Before(until) && (first.IsZero() || r.AnswerTime.Before(first)) {
				first = *r.AnswerTime
			}
		}
		if !first.IsZero() {
			all = append(all, first.Sub(began))
		} else if until.Sub(began) > 3*time.Second {
			v.t.Errorf("start %d took no call in %s", i+1, until.Sub(began))
			all = append(all, until.Sub(began))
		}
	}
	return all
}

// between draws a time.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(to-from)))
}

// pause waits for real time to pass: the moments of a crash proof are its input.
func pause(d time.Duration) { <-time.After(d) }
