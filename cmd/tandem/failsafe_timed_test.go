package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"tandem"
	"tandem/cmd/tandem/emulate"
	"tandem/sip/core"
)

// failsafeCalls is set by `make failsafe`.
var (
	failsafeCalls = flag.Int("failsafe-calls", 0, "calls per case of TestFailsafeTimed, with the product's default bounds; 0 = a short form with short bounds")
	failsafeRate  = flag.Float64("failsafe-rate", 60, "calls a second of the full form: what the machine bears")
)

// timedPlan is how much a run places and the bounds that it is held against.
type timedPlan struct {
	calls                    int
	rate                     float64
	silence, trying, ringing time.Duration // the node's routing bounds
	ring                     time.Duration // longest ringing before Microsoft dies
	slack                    time.Duration // on top of a bound
	knownDown                time.Duration
	short                    bool
}

func newTimedPlan() timedPlan {
	if n := *failsafeCalls; n > 0 {
		d := DefaultConfig().Routing
		return timedPlan{calls: n, rate: *failsafeRate, silence: d.FailsafeBound, trying: d.TryingBound, ringing: d.RingingBound,
			ring: 20 * time.Second, slack: 200 * time.Millisecond, knownDown: 50 * time.Millisecond}
	}
	// Beside other tests on two processors; the full run measures.
	return timedPlan{calls: 15, rate: 100, silence: 1500 * time.Millisecond, trying: 2 * time.Second, ringing: 2500 * time.Millisecond,
		ring: time.Second, slack: time.Second, knownDown: time.Second, short: true}
}

// The stage's DIDs: one answers, one rings for ever, one answers after Microsoft has died.
const (
	didAnswers = "+14255550101"
	didRings   = "+14255550102"
	didSlow    = "+14255550103"
)

// timedCase is one way for Microsoft to fail, or not to fail.
type timedCase struct {
	name   string
	faults []emulate.Fault
	did    string // didAnswers when empty
	// learned: the calls come when trust in every Microsoft address is lost. Else
	// health forgets all the time, and each call meets the fault for the first time.
	learned bool
	// dies: the faults come when the last call was placed, calls ring by then for 0 to timedPlan.ring.
	dies bool
	// outage: every call belongs to the failsafe number; else none does.
	outage bool
	status int           // what the caller hears when it is no outage; 200 when 0
	bound  time.Duration // fault met to failsafe INVITE; 0 = nothing promised
	// dead: what rings at Microsoft when the fault comes rings nowhere.
	dead bool
}

func timedCases(p timedPlan) []timedCase {
	one := func(f emulate.Fault) []emulate.Fault { return []emulate.Fault{f} }
	at := func(kind emulate.FaultKind, hosts ...string) (list []emulate.Fault) {
		for _, h := range hosts {
			list = append(list, emulate.Fault{Kind: kind, Listener: h + ".pstnhub.test"})
		}
		return list
	}
	seconds := func(n int) tandem.Duration { return tandem.Duration(time.Duration(n) * time.Second) }
	var cases []timedCase
	both := func(name string, bound time.Duration, faults ...emulate.Fault) {
		cases = append(cases, timedCase{name: name + ", first met", faults: faults, outage: true, bound: bound, dead: true})
		if p.short && faults[0].Kind != emulate.FaultRefuse && faults[0].Kind != emulate.FaultOptionsOnly {
			return // what is known is skipped, whatever it was
		}
		cases = append(cases, timedCase{name: name + ", known", faults: faults, outage: true, learned: true, bound: p.knownDown, dead: true})
	}
	both("refused", p.silence, emulate.Fault{Kind: emulate.FaultRefuse})
	both("RST", p.silence, emulate.Fault{Kind: emulate.FaultRST})
	both("black-holed before 100", p.silence, emulate.Fault{Kind: emulate.FaultBlackhole})
	both("503", p.silence, emulate.Fault{Kind: "503"})
	both("503, Retry-After, closing", p.silence, emulate.Fault{Kind: "503", RetryAfter: 60, CloseAfter: true})
	both("TLS alert", p.silence, emulate.Fault{Kind: emulate.FaultTLSAlert})
	both("expired certificate", p.silence, emulate.Fault{Kind: emulate.FaultExpiredCert})
	both("OPTIONS healthy, INVITE silent", p.silence, emulate.Fault{Kind: emulate.FaultOptionsOnly})
	if !p.short { // as black-holed, and as 503
		both("TLS handshake of 8 s", p.silence, emulate.Fault{Kind: emulate.FaultSlowTLS, Delay: seconds(8)})
		both("OPTIONS healthy, INVITE 503", p.silence, emulate.Fault{Kind: emulate.FaultOptionsOnly, Status: 503})
	}
	both("black-holed after 100", p.trying, emulate.Fault{Kind: emulate.FaultTryingOnly})
	return append(cases,
		timedCase{name: "dies after 180: TLS reset", faults: one(emulate.Fault{Kind: emulate.FaultRefuse}), did: didRings, dies: true, outage: true, bound: p.silence, dead: true},
		timedCase{name: "dies after 180: silence", faults: one(emulate.Fault{Kind: emulate.FaultBlackhole}), did: didRings, dies: true, outage: true, bound: p.ringing, dead: true},
		timedCase{name: "one of three dies after 180: reset", faults: at(emulate.FaultRefuse, "sip"), did: didSlow, dies: true, dead: true},
		timedCase{name: "one of three dies after 180: silence", faults: at(emulate.FaultBlackhole, "sip"), did: didSlow, dies: true, dead: true},
		timedCase{name: "403 for the trunk, 510532", faults: one(emulate.Fault{Kind: "403", Method: "INVITE", Reason: `Q.850;cause=21;text="6a8f7c1e;510532 no trunk configuration"`}), outage: true, bound: p.knownDown},
		timedCase{name: "one of three refused", faults: at(emulate.FaultRefuse, "sip")},
		timedCase{name: "two of three refused", faults: at(emulate.FaultRefuse, "sip", "sip2")},
		timedCase{name: "one of three black-holed", faults: at(emulate.FaultBlackhole, "sip")},
		timedCase{name: "two of three black-holed", faults: at(emulate.FaultBlackhole, "sip", "sip2")},
		timedCase{name: "TLS handshake of 100 ms", faults: one(emulate.Fault{Kind: emulate.FaultSlowTLS, Delay: tandem.Duration(100 * time.Millisecond)})},
		timedCase{name: "100 after 150 or 300 ms", faults: one(emulate.Fault{Kind: emulate.FaultSlowTrying, Delay: tandem.Duration(min(p.silence/10, 300*time.Millisecond))})},
		timedCase{name: "user-level 403", faults: one(emulate.Fault{Kind: "403", Method: "INVITE", Reason: `Q.850;cause=21;text="6a8f7c1e;510534 The caller is blocked by the user"`}), status: 403},
		timedCase{name: "busy", faults: one(emulate.Fault{Kind: "486", Method: "INVITE"}), status: 486},
		timedCase{name: "no fault"},
	)
}

// TestFailsafeTimed places calls into every way in which Microsoft can fail, and
// holds time, destination, ringing and rows of each against what is promised.
// `make failsafe` runs 1,000 calls a case with the default bounds and prints the table.
func TestFailsafeTimed(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	p := newTimedPlan()
	s := timedStage(t, p, nil)
	table := newTimedTable(t, p)
	for _, c := range timedCases(p) {
		t.Run(c.name, func(t *testing.T) { table.add(s.timed(t, p, c)) })
	}
	s.checkBooks(t, s.rows(t, tandem.CDRFilter{}))
	s.checkNothingLeft(t)
}

// TestFailsafeUnderLoss: 5 % loss on Microsoft's side (TCP, as delay) and on the
// carrier's (UDP, as loss) is no outage: not one call goes to the failsafe number.
func TestFailsafeUnderLoss(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	p := newTimedPlan()
	if *failsafeCalls == 0 { // the product's bounds: loss must fit into those
		d := DefaultConfig().Routing
		p.silence, p.trying, p.ringing = d.FailsafeBound, d.TryingBound, d.RingingBound
	}
	network := testNet()
	s := timedStage(t, p, func(o *stageOptions) {
		for i := range 3 {
			startLossyRelay(t, fmt.Sprintf("%s.%d:5061", network, 31+i), fmt.Sprintf("%s.%d:5061", network, 11+i), 0.05, 15*time.Millisecond)
		}
		o.document = func(text []byte) []byte {
			for i := range 3 {
				text = bytes.ReplaceAll(text, fmt.Appendf(nil, "address: %s.%d}", network, 11+i), fmt.Appendf(nil, "address: %s.%d}", network, 31+i))
			}
			return text
		}
	})
	table := newTimedTable(t, p)
	t.Run("TLS", func(t *testing.T) { table.add(s.timed(t, p, timedCase{name: "5 % loss towards Microsoft"})) })
	t.Run("UDP", func(t *testing.T) {
		if err := s.east.SetFault(emulate.Fault{Kind: emulate.FaultLoss, Percent: 5}); err != nil {
			t.Fatal(err)
		}
		table.add(s.timed(t, p, timedCase{name: "5 % loss on both sides"}))
		_ = s.east.ClearFaults("", "")
	})
	s.checkNothingLeft(t)
}

// timedStage is a stage without media and ladders, so that two processors bear the load.
func timedStage(t *testing.T, p timedPlan, change func(*stageOptions)) *stage {
	t.Helper()
	return newStage(t, func(o *stageOptions) {
		node := o.config
		o.config = func(c *Config) {
			node(c)
			c.Routing.FailsafeBound, c.Routing.TryingBound, c.Routing.RingingBound = p.silence, p.trying, p.ringing
		}
		o.teams = func(c *emulate.TeamsConfig) {
			quietTeams(c)
			slow := p.ring + p.ringing + time.Second
			c.Tenants[0].Users = []emulate.Rule{{Number: "+1425555*"}, {Number: didRings, Behaviour: emulate.Behaviour{NoAnswer: true}},
				{Number: didSlow, Behaviour: emulate.Behaviour{Ring: tandem.Duration(slow)}}}
		}
		o.carriers = func(c *emulate.CarrierConfig) {
			c.KeepText, c.KeepCalls = false, 100_000
			c.Behaviour = emulate.Behaviour{Ring: tandem.Duration(50 * time.Millisecond), Media: emulate.MediaNone}
		}
		if change != nil {
			change(o)
		}
	})
}

// timed runs one case.
func (s *stage) timed(t *testing.T, p timedPlan, c timedCase) timedResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	s.afresh(ctx, t)
	begun := time.Now()
	spec := emulate.LoadSpec{CallSpec: emulate.CallSpec{From: outsideNumber, To: didAnswers, Hold: tandem.Duration(300 * time.Millisecond), Timeout: tandem.Duration(100 * time.Second), Media: emulate.MediaNone},
		Rate: p.rate, For: tandem.Duration((float64(p.calls) + 0.5) / p.rate * float64(time.Second)), Keep: true}
	if c.did != "" {
		spec.To = c.did
	}
	died, death := time.Time{}, make(chan time.Time, 1)
	forgetting, stopForgetting := context.WithCancel(ctx)
	defer stopForgetting()
	switch {
	case c.dies:
		spec.Rate = float64(p.calls) / p.ring.Seconds()
		spec.For = tandem.Duration((float64(p.calls) + 0.5) / spec.Rate * float64(time.Second))
		timer := time.AfterFunc(p.ring, func() {
			death <- time.Now()
			s.breakTeams(t, c.faults)
		})
		defer timer.Stop()
	case c.learned:
		s.breakTeams(t, c.faults)
		s.learn(ctx, t)
	default:
		s.breakTeams(t, c.faults)
		if c.outage {
			go s.forget(forgetting, t)
		}
	}
	machine := watchMachine()
	load, err := s.east.Load(ctx, spec)
	stopForgetting()
	stall := machine()
	if c.dies {
		died = <-death
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.waitIdle(ctx); err != nil {
		t.Fatal(err)
	}
	r := s.measure(t, c, load, begun, died)
	r.stall = stall
	r.check(t, p, c)
	return r
}

func (s *stage) breakTeams(t *testing.T, faults []emulate.Fault) {
	for _, f := range faults {
		if err := s.teams.SetFault(f); err != nil {
			t.Error(err)
		}
	}
}

// afresh mends Microsoft, forgets what health learned, and waits until all is up.
func (s *stage) afresh(ctx context.Context, t *testing.T) {
	t.Helper()
	if err := s.teams.ClearFaults("", ""); err != nil {
		t.Fatal(err)
	}
	s.teams.Forget()
	s.east.Forget()
	s.forgetOnce(t, true)
	if err := s.waitHealthy(ctx); err != nil {
		t.Fatal(err)
	}
}

// learn lets calls fail until no Microsoft address is trusted any more.
func (s *stage) learn(ctx context.Context, t *testing.T) {
	t.Helper()
	for {
		if _, err := s.east.Load(ctx, emulate.LoadSpec{CallSpec: emulate.CallSpec{From: outsideNumber, To: didAnswers, Media: emulate.MediaNone},
			Rate: 100, For: tandem.Duration(20 * time.Millisecond)}); err != nil { // two failures bring an address down
			t.Fatal(err)
		}
		down := 0
		for _, e := range s.node.monitor.Health()["teams"] {
			if e.State == tandem.HealthDown {
				down++
			}
		}
		if down == 3 {
			break
		}
	}
	if err := s.waitIdle(ctx); err != nil {
		t.Fatal(err)
	}
	s.teams.Forget()
	s.east.Forget()
}

// forget keeps trunk health from learning until ctx ends.
func (s *stage) forget(ctx context.Context, t *testing.T) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.forgetOnce(t, false)
		}
	}
}

// forgetOnce makes every address unknown again, or up without probing: a hundred
// times a second OPTIONS to addresses never asked before would be a load of its own.
func (s *stage) forgetOnce(t *testing.T, probing bool) {
	dir, err := s.node.store.Directory(context.Background())
	if err != nil {
		t.Error(err)
		return
	}
	var views []core.TrunkView
	for _, trunk := range dir.Trunks {
		if !probing {
			trunk.OptionsInterval = 0
		}
		if local, ok := s.node.transport.LocalFor(trunk); ok {
			views = append(views, core.TrunkView{Trunk: trunk, ViaHost: trunk.FQDN, ViaPort: local.Port()})
		}
	}
	s.node.monitor.SetTrunks(nil)
	s.node.monitor.SetTrunks(views)
}
