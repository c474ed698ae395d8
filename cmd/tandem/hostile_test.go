package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
	"tandem/cmd/tandem/emulate"
	"tandem/sip/transport"
)

var (
	hostileFor  = flag.Duration("hostile", 2*time.Second, "how long each attack of TestHostileSources lasts")
	hostileLoad = flag.Int("hostile-load", 5, "calls a second each way while attacks last")
	hostileRate = flag.Int("hostile-rate", 10_000, "messages a second that a flood asks of the machine")
)

// TestHostileSources runs a load both ways and attacks the node meanwhile, one
// attack after the other and, in the full form, all at once: no call of the load fails, memory,
// connections and transactions stay within bounds, and so does the log.
func TestHostileSources(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	needSIPp(t)
	log := &testLog{}
	s := newStage(t, func(o *stageOptions) {
		withTortureCarrier(o)
		document := o.document
		o.noCarriers, o.teams = true, quietTeams
		o.document = func(text []byte) []byte { return document(unprobedCarriers(text)) }
		o.log = newLogger(log, LogConfig{Level: "info"})
	})
	attacks := s.attacks(t)
	all := append([]attack{{"none", func(ctx context.Context) string { <-ctx.Done(); return "nothing" }}}, attacks...)
	together := attack{"all at once", func(ctx context.Context) string {
		done := make(chan string, len(attacks))
		for _, a := range attacks {
			go func() { done <- a.run(ctx) }()
		}
		for range attacks {
			<-done
		}
		return "all of the above"
	}}
	if *hostileFor >= 5*time.Second { // the full form
		all = append(all, together)
	}
	load := s.startLoad(t, *hostileLoad, int((time.Duration(len(all))**hostileFor)/time.Second)+2)
	idle := rssMB()
	var table []string
	began := make([]time.Time, len(all))
	for i, a := range all {
		began[i] = time.Now()
		table = append(table, s.suffer(t, log, idle, a))
	}
	failed := make([]int, len(all))
	for _, at := range load.finish(t) {
		for i := len(all) - 1; i >= 0; i-- {
			if at.After(began[i]) || i == 0 {
				failed[i]++
				break
			}
		}
	}
	for i := range table {
		table[i] += fmt.Sprintf(" %6d", failed[i])
	}
	t.Logf("%-22s %-40s %9s %9s %6s %6s %6s %6s %6s\n%s", "attack", "what was sent", "dropped", "refused", "conns", "tx", "RSS MB", "log", "failed", strings.Join(table, "\n"))
	if m, st := s.node.transport.Metrics(), s.node.engine.Stats(); m.Panics != 0 || st.Panics != 0 {
		t.Errorf("%d panics in the transport, %d in the core", m.Panics, st.Panics)
	}
}

// attack is one way to do harm; run does it until its context ends, and says what it did.
type attack struct {
	name string
	run  func(context.Context) string
}

// suffer runs one attack and checks the bounds meanwhile.
func (s *stage) suffer(t *testing.T, log *testLog, idle int, a attack) string {
	t.Helper()
	before, lines := s.node.transport.Metrics(), strings.Count(log.String(), "\n")
	ctx, cancel := context.WithTimeout(t.Context(), *hostileFor)
	defer cancel()
	done := make(chan string, 1)
	go func() { done <- a.run(ctx) }()
	var sent string
	conns, tx, rss := 0, 0, 0
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for sent == "" {
		select {
		case sent = <-done:
		case <-tick.C:
		}
		conns = max(conns, s.node.transport.Metrics().Conns)
		tx = max(tx, s.node.engine.Stats().Core.ServerTx)
		rss = max(rss, rssMB())
	}
	after, more := s.node.transport.Metrics(), strings.Count(log.String(), "\n")-lines
	cfg := transport.DefaultConfig()
	if conns > cfg.MaxConnsPerSource+16 { // the load's own
		t.Errorf("%s: %d connections", a.name, conns)
	}
	if limit := runtime.GOMAXPROCS(0)*8192 + 40_000; tx > limit {
		t.Errorf("%s: %d server transactions, over %d", a.name, tx, limit)
	}
	if rss > idle+400 {
		t.Errorf("%s: %d MB, %d before", a.name, rss, idle)
	}
	if more > 40 {
		t.Errorf("%s: %d lines of log", a.name, more)
	}
	dropped := after.UnknownSource + after.OverRate + after.Unparsed - before.UnknownSource - before.OverRate - before.Unparsed
	refused := after.Rejected + after.RefusedConns + after.HandshakeFailures + after.Slow - before.Rejected - before.RefusedConns - before.HandshakeFailures - before.Slow
	return fmt.Sprintf("%-22s %-40s %9d %9d %6d %6d %6d %6d", a.name, sent, dropped, refused, conns, tx, rss, more)
}

// rssMB is the resident memory of this process: node, emulator and attackers.
func rssMB() int {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int
	_, _ = fmt.Sscan(string(text), &size, &resident)
	return resident * os.Getpagesize() >> 20
}

// underLoad is a load both ways that no attack may disturb.
type underLoad struct {
	s        *stage
	uac, uas *sipp
	total    int
	outbound chan emulate.LoadResult
}

func (s *stage) startLoad(t *testing.T, rate, secs int) *underLoad {
	t.Helper()
	net := testNet()
	l := &underLoad{s: s, total: rate * secs, outbound: make(chan emulate.LoadResult, 1)}
	l.uas = startUAS(t)
	l.uac = startSIPp(t, "uac.xml", "-inf", injection(t, [2]string{outsideNumber, "+14255550101"}, [2]string{outsideNumber, "+14255550102"}),
		"-i", net+".21", "-p", "5070", "-mp", "44000", "-r", itoa(rate), "-m", itoa(l.total), net+".1:5060")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Duration(secs+60)*time.Second)
	go func() {
		defer cancel()
		result, err := s.teams.Load(ctx, emulate.LoadSpec{
			CallSpec: emulate.CallSpec{From: "+14255550101", To: "+12125550123", Media: emulate.MediaNone},
			Rate:     float64(rate), For: tandem.Duration(time.Duration(secs) * time.Second), Keep: true,
			Vary: func(i int, spec emulate.CallSpec) emulate.CallSpec {
				spec.Hold = tandem.Duration(time.Duration(200+i*37%2000) * time.Millisecond)
				return spec
			}})
		if err != nil {
			t.Errorf("outbound load: %v", err)
		}
		l.outbound <- result
	}()
	return l
}

// finish waits for the load and wants every call to have gone as it should, and
// its rows. It returns when those calls began that did not.
func (l *underLoad) finish(t *testing.T) (failed []time.Time) {
	t.Helper()
	l.uac.wait(t, time.Minute)
	out := <-l.outbound
	if out.Answered != out.Placed || out.Skipped > 0 {
		t.Errorf("outbound: %d placed, %d answered, %d skipped, statuses %v", out.Placed, out.Answered, out.Skipped, out.Statuses)
	}
	l.uas.finish(t)
	callers := l.uac.history(t)
	if len(callers) != l.total {
		t.Errorf("SIPp called %d times, want %d", len(callers), l.total)
	}
	l.s.checkNothingLeft(t)
	rows := l.s.rows(t, tandem.CDRFilter{Connected: true})
	// A 200 that came on its second try makes SIPp's call shorter than ours, so
	// lengths are TestLoadBothDirections' to compare.
	connected := map[string]bool{}
	for _, r := range rows {
		connected[r.SIPCallID] = true
	}
	for id, call := range callers {
		if call.answered > 0 && !connected[id] {
			t.Errorf("no connected row for SIPp's call %s: %s", id, l.s.describe(t, id))
		}
	}
	if want := 2 * (l.total + out.Answered); len(rows) != want {
		t.Errorf("%d connected rows, want %d", len(rows), want)
	}
	t.Logf("load: %d calls in by SIPp, %d out; set-up of those out p50 %s p99 %s max %s", len(callers), out.Answered,
		out.SetupP50.Round(time.Millisecond), out.SetupP99.Round(time.Millisecond), out.SetupMax.Round(time.Millisecond))
	for _, r := range out.Results {
		if r.Status != 200 {
			failed = append(failed, r.Start)
		}
	}
	return failed
}

// describe says what is on record of a call, by its SIP Call-ID.
func (s *stage) describe(t *testing.T, id string) string {
	t.Helper()
	said := "nothing on record"
	for _, r := range s.rows(t, tandem.CDRFilter{}) {
		if r.SIPCallID == id {
			said = fmt.Sprintf("attempt %d, %s, SIP %d, released by %s, %q, %d ms, connected %v, recovered %v, invited %s", r.Attempt, r.Disposition, r.SIPCode, r.ReleasedBy, r.Reason, r.DurationMs, r.Connected, r.Recovered, r.InviteTime)
		}
	}
	return said
}

// sender counts what an attacker sent.
type sender struct{ sent, failed atomic.Uint64 }

func (c *sender) told(began time.Time, what string) string {
	secs := time.Since(began).Seconds()
	return fmt.Sprintf("%d %s, %.0f/s", c.sent.Load(), what, float64(c.sent.Load())/secs)
}
