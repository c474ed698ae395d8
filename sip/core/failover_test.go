package core_test

import (
	"strings"
	"testing"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip/core"
	"tandem/sip/sim"
)

// forwarded asserts a call that the failsafe number answered.
func (n *net) forwarded(t *testing.T, o *sim.Outgoing, attempts int) *tandem.CallRecord {
	t.Helper()
	n.done(t)
	r := n.End()
	want(t, "caller hears", o.Final, 200)
	want(t, "failsafe INVITEs", rang(n.failover), 1)
	want(t, "legs", len(r.Legs), 1+attempts+1)
	want(t, "failsafe number", r.FailsafeTo, tandem.E164("+14255559999"))
	last := r.Legs[len(r.Legs)-1]
	want(t, "last leg", last.Failsafe, true)
	want(t, "last leg is Phone", last.Technology, tandem.Phone)
	want(t, "last leg answered", last.Disposition, tandem.Answered)
	return r
}

func call(n *net) *sim.Outgoing {
	return n.carrier.Call(sim.CallSpec{To: "+14255550100", HangUpAfter: time.Minute})
}

func TestRefusedConnectionGoesToTheNextAddress(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 1})
	n.teams[0].Refuse = true
	o := call(n)
	n.done(t)
	want(t, "final", o.Final, 200)
	r := n.End()
	want(t, "legs", len(r.Legs), 3)
	want(t, "first outcome", r.Legs[1].Outcome, tandem.OutcomeConnection)
	want(t, "second outcome", r.Legs[2].Outcome, tandem.OutcomeAnswered)
	want(t, "second endpoint", r.Legs[2].Endpoint, "sip2.pstnhub.test:5061")
}

func TestAllAddressesRefusedForwardsAtOnce(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 2})
	for _, p := range n.teams {
		p.Refuse = true
	}
	o := call(n)
	n.forwarded(t, o, 3)
	inv := n.failover.Got[0]
	want(t, "Diversion", inv.GetHeader("Diversion").Value(), "<sip:+14255550100@sbc.example.com>;reason=unavailable;counter=1;privacy=off;screen=yes")
	if h := inv.GetHeader("History-Info").Value(); !strings.Contains(h, "<sip:+14255550100@sbc.example.com;user=phone?Reason=SIP%3Bcause%3D503>;index=1,") {
		t.Errorf("History-Info %s", h)
	}
	want(t, "correlation", inv.GetHeader("X-Correlation-ID").Value(), n.End().Correlation.String())
}

// Silence on all addresses: the failsafe INVITE leaves within Plan.SilenceBound.
func TestBlackholeForwardsWithinTheBound(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 3})
	for _, p := range n.teams {
		p.Blackhole = true
	}
	o := call(n)
	r := n.forwarded(t, o, 2) // 3 s on the first, 1 s on the second
	if d := r.Legs[3].SetupTime.Sub(r.Legs[0].SetupTime); d < 3900*time.Millisecond || d > 4100*time.Millisecond {
		t.Errorf("failsafe after %v", d)
	}
	want(t, "outcome", r.Legs[1].Outcome, tandem.OutcomeSilence)
}

func TestDeathAfterTryingForwards(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 4})
	for _, p := range n.teams {
		p.Script = script(sim.Script{Steps: []sim.Step{{Status: 100}}})
	}
	o := call(n)
	r := n.forwarded(t, o, 3)
	want(t, "outcome", r.Legs[1].Outcome, tandem.OutcomeSilence)
	want(t, "cancelled", count(n.teams[0], gosip.CANCEL, false), 1)
}

// 100, then nothing: with a bound in the plan the failsafe INVITE leaves by then,
// whatever addresses are left, and not before the CANCEL took effect.
func TestTryingAloneForwardsWithinTheBound(t *testing.T) {
	cases := map[string]struct {
		script  sim.Script
		earlier time.Duration // than the bound
		bye     int
	}{
		"CancelIsAnswered": {sim.Script{Steps: []sim.Step{{Status: 100}}}, 490 * time.Millisecond, 0},
		"AnswerCrossesCancel": {sim.Script{DeafToCancel: true, Steps: []sim.Step{{Status: 100}, {After: 9600 * time.Millisecond, Status: 200, SDP: true}}},
			390 * time.Millisecond, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n := newNet(t, sim.Config{Seed: 20})
			n.plan.TryingBound = 10 * time.Second
			n.teams[0].Script = script(c.script)
			o := call(n)
			r := n.forwarded(t, o, 1)
			if d := r.Legs[2].SetupTime.Sub(r.Legs[0].SetupTime); (d - 10*time.Second + c.earlier).Abs() > 10*time.Millisecond {
				t.Errorf("failsafe after %v", d)
			}
			want(t, "cancelled", count(n.teams[0], gosip.CANCEL, false), 1)
			want(t, "released", count(n.teams[0], gosip.BYE, true), c.bye)
			want(t, "other addresses", rang(n.teams[1])+rang(n.teams[2]), 0)
		})
	}
}

// A proxy that died after its 100 answers no CANCEL either: the bound holds.
func TestTryingThenDeadForwardsWithinTheBound(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 21})
	n.plan.TryingBound = 10 * time.Second
	n.teams[0].Script = script(sim.Script{Steps: []sim.Step{{Status: 100}}})
	o := call(n)
	n.Run(time.Second)
	for _, p := range n.teams {
		p.Blackhole = true
	}
	r := n.forwarded(t, o, 1)
	if d := r.Legs[2].SetupTime.Sub(r.Legs[0].SetupTime); d != 10*time.Second {
		t.Errorf("failsafe after %v", d)
	}
}

// The first address is silent and the second says 100 alone: one bound for both.
func TestTryingBoundCountsFromTheFirstInvite(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 22})
	n.plan.TryingBound = 10 * time.Second
	n.teams[0].Blackhole = true
	n.teams[1].Script = script(sim.Script{Steps: []sim.Step{{Status: 100}}})
	o := call(n)
	r := n.forwarded(t, o, 2)
	if d := r.Legs[3].SetupTime.Sub(r.Legs[0].SetupTime); d > 10*time.Second {
		t.Errorf("failsafe after %v", d)
	}
}

// The user rang for longer than the trying bound when the address died: the next
// address has the whole bound again.
func TestTryingBoundBeginsAnewAfterRinging(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 28})
	n.plan.TryingBound = 10 * time.Second
	n.teams[0].Script = script(sim.Answers(time.Second, 40*time.Second))
	n.teams[1].Script = script(sim.Answers(3*time.Second, 5*time.Second))
	o := call(n)
	n.Run(15 * time.Second)
	n.DropConnection(n.teams[0])
	n.done(t)
	want(t, "final", o.Final, 200)
	want(t, "failsafe INVITEs", rang(n.failover), 0)
	want(t, "second rang", rang(n.teams[1]), 1)
}

// The caller gives up while a withdrawn attempt is waited for: nothing else rings.
func TestCallerCancelsDuringWithdrawal(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 23})
	n.plan.TryingBound = 10 * time.Second
	n.teams[0].Script = script(sim.Script{DeafToCancel: true, Steps: []sim.Step{{Status: 100}}})
	o := n.carrier.Call(sim.CallSpec{To: "+14255550100", CancelAfter: 9700 * time.Millisecond})
	n.done(t)
	want(t, "final", o.Final, 487)
	want(t, "failsafe INVITEs", rang(n.failover), 0)
}

// Microsoft dies without a sign while the call rings: trunk health is asked to look
// after the address as long as it rings, and not after.
func TestRingingAddressIsLookedAfter(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 24})
	n.plan.RingingBound = 8 * time.Second
	n.teams[0].Script = script(sim.Answers(time.Second, 21*time.Second))
	o := call(n)
	n.done(t)
	want(t, "final", o.Final, 200)
	want(t, "looks", len(n.Watched), 10) // each 2 s of 21
	want(t, "endpoint", n.Watched[0].Endpoint.Host, "sip.pstnhub.test")
	want(t, "bound", n.Watched[0].Bound, 8*time.Second)
}

// The connection dies while the call rings. Addresses that died meanwhile are on
// record but not tried, one that is plainly up is rung.
func TestLossWhileRingingPassesOverTheDead(t *testing.T) {
	cases := map[string]struct {
		second, third tandem.HealthState
		failsafe      int
		answeredBy    int // teams address, -1 = the failsafe number
	}{
		"AllDown":         {tandem.HealthDown, tandem.HealthDown, 1, -1},
		"DownAndDoubtful": {tandem.HealthDown, tandem.HealthDemoted, 1, -1},
		"ThirdIsUp":       {tandem.HealthDown, tandem.HealthUp, 0, 2},
		"Unknown":         {tandem.HealthUnknown, tandem.HealthDown, 0, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n := newNet(t, sim.Config{Seed: 25})
			n.teams[0].Script = script(sim.Answers(time.Second, 30*time.Second))
			o := call(n)
			n.Run(5 * time.Second)
			n.States = map[string]tandem.HealthState{"sip2.pstnhub.test": c.second, "sip3.pstnhub.test": c.third}
			n.DropConnection(n.teams[0])
			n.done(t)
			want(t, "final", o.Final, 200)
			want(t, "failsafe INVITEs", rang(n.failover), c.failsafe)
			for i := 1; i < 3; i++ {
				tried := 0
				if i == c.answeredBy {
					tried = 1
				}
				want(t, "INVITEs to "+n.plan.Attempts[i].Endpoint.Host, rang(n.teams[i]), tried)
			}
			r := n.End()
			want(t, "second on record", r.Legs[2].Endpoint, "sip2.pstnhub.test:5061")
			if c.second == tandem.HealthDown {
				want(t, "second's outcome", r.Legs[2].Outcome, tandem.OutcomeSkipped)
			}
		})
	}
}

// Without a failsafe number the dead addresses are a last resort.
func TestLossWhileRingingWithoutFailsafeTriesAll(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 26})
	n.plan.Failsafe = nil
	n.teams[0].Script = script(sim.Answers(time.Second, 30*time.Second))
	o := call(n)
	n.Run(5 * time.Second)
	n.States = map[string]tandem.HealthState{"sip2.pstnhub.test": tandem.HealthDown, "sip3.pstnhub.test": tandem.HealthDown}
	n.DropConnection(n.teams[0])
	n.done(t)
	want(t, "final", o.Final, 200)
	want(t, "second", rang(n.teams[1]), 1)
}

// A 403 for our trunk's configuration is an outage: every call would fail. A 403
// about the user is his own affair.
func TestForbiddenForwardsOnlyForTheTrunk(t *testing.T) {
	const guid = "6a8f7c1e-1111-4222-8333-123456789012"
	cases := map[string]struct {
		reason  string
		forward bool
	}{
		"NoTrunkConfiguration":     {"Q.850;cause=21;text=\"" + guid + ";510532 no trunk configuration for the Contact FQDN\"", true},
		"TextAlone":                {"Q.850;cause=63;text=\"" + guid + ";Get Inbound Direct Routing - no trunk config found\"", true},
		"FQDN":                     {"Q.850;cause=63;text=\"" + guid + ";Provided Trunk FQDN is not allowed\"", true},
		"CallerBlocked":            {"Q.850;cause=21;text=\"" + guid + ";510534 caller is blocked\"", false},
		"LocationSpeaksOfTrunks":   {"Q.850;cause=21;text=\"" + guid + ";no trunk config found by LBR selection criteria\"", false},
		"LocationCode":             {"Q.850;cause=21;text=\"" + guid + ";510546 no trunk config\"", false},
		"UserNotVoiceEnabled":      {"Q.850;cause=21;text=\"" + guid + ";510560\"", false},
		"NoReason":                 {"", false},
		"CauseOnly":                {"Q.850;cause=21", false},
		"DigitsOfTheGUIDAreNoCode": {"Q.850;cause=21;text=\"12345678-5105-4222-8333-510532510532;denied\"", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n := newNet(t, sim.Config{Seed: 27})
			n.plan.FailsafeOn = outcomes("408", "503", "504", "silence", "connection", "misconfigured")
			extra := ""
			if c.reason != "" {
				extra = "Reason: " + c.reason + "\r\n"
			}
			n.teams[0].Script = script(sim.Refuses(100*time.Millisecond, 403, extra))
			o := call(n)
			want(t, "other addresses", rang(n.teams[1])+rang(n.teams[2]), 0)
			if !c.forward {
				n.done(t)
				want(t, "final", o.Final, 403)
				want(t, "failsafe INVITEs", rang(n.failover), 0)
				want(t, "outcome", n.End().Legs[1].Outcome, tandem.OutcomeStatus)
				return
			}
			r := n.forwarded(t, o, 1)
			want(t, "outcome", r.Legs[1].Outcome, tandem.OutcomeMisconfigured)
			want(t, "status", r.Legs[1].Status, tandem.SIPStatus(403))
			want(t, "disposition", r.Legs[1].Disposition, tandem.FailedNetwork)
			want(t, "name in the outcome", n.Outcomes[0].Outcome.LocalHost, "sbc1.customers.example")
		})
	}
}

func TestStatusesThatAllowTheNextAddress(t *testing.T) {
	for _, status := range []int{408, 503, 504} {
		n := newNet(t, sim.Config{Seed: 5})
		for _, p := range n.teams {
			p.Script = script(sim.Refuses(100*time.Millisecond, status, "Retry-After: 7\r\n"))
		}
		o := call(n)
		r := n.forwarded(t, o, 3)
		want(t, "status", r.Legs[1].Status, tandem.SIPStatus(status))
		want(t, "Retry-After", n.Outcomes[0].Outcome.RetryAfter, 7)
	}
}

// The connection dies while the Teams leg rings: the call still goes to the
// failsafe number, and the old leg is stopped first.
func TestConnectionDiesWhileRinging(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 6})
	n.teams[0].Script = script(sim.Answers(time.Second, 30*time.Second))
	n.teams[1].Refuse, n.teams[2].Refuse = true, true
	o := call(n)
	n.Run(5 * time.Second)
	n.DropConnection(n.teams[0])
	r := n.forwarded(t, o, 3)
	want(t, "alerted", n.Outcomes[0].Outcome.Alerted, true)
	want(t, "outcome", r.Legs[1].Outcome, tandem.OutcomeConnection)
	want(t, "stopped", count(n.teams[0], gosip.CANCEL, false), 1)
}

// A 200 after the attempt was abandoned is ACKed, released and never billed.
func TestLateAnswerAfterSilence(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 7})
	n.teams[0].Script = script(sim.Script{Steps: []sim.Step{{After: 5 * time.Second, Status: 200, SDP: true}}})
	n.teams[1].Blackhole, n.teams[2].Blackhole = true, true
	o := call(n)
	r := n.forwarded(t, o, 2)
	want(t, "released", count(n.teams[0], gosip.BYE, true), 1)
	want(t, "late answers", n.Core.Stats().LateAnswers, uint64(1))
	want(t, "never billed", r.Legs[1].Connected(), false)
	want(t, "on record", r.Legs[1].Status, tandem.SIPStatus(200))
}

// 200 crosses the CANCEL of an abandoned attempt.
func TestLateAnswerCrossesCancel(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 8})
	s := sim.Script{DeafToCancel: true, Steps: []sim.Step{{Status: 100}, {After: 12 * time.Second, Status: 200, SDP: true}}}
	n.teams[0].Script = script(s)
	o := call(n)
	n.done(t)
	want(t, "final", o.Final, 200)
	want(t, "old leg released", count(n.teams[0], gosip.BYE, true), 1)
	want(t, "second leg", rang(n.teams[1]), 1)
}

// An answer that comes when even the transaction is forgotten is released too.
func TestVeryLateAnswerIsReleased(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 9})
	n.teams[0].Script = script(sim.Script{DeafToCancel: true, Steps: []sim.Step{{After: 3 * time.Minute, Status: 200, SDP: true}}})
	o := call(n)
	n.done(t)
	want(t, "final", o.Final, 200)
	want(t, "released", count(n.teams[0], gosip.BYE, true), 1)
}

func TestSecondForkIsReleased(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 10})
	n.teams[0].Script = script(sim.Script{Steps: []sim.Step{
		{Status: 100}, {After: time.Second, Status: 180, Fork: 1}, {After: 1100 * time.Millisecond, Status: 180, Fork: 2},
		{After: 1200 * time.Millisecond, Status: 183, Fork: 3, SDP: true},
		{After: 3 * time.Second, Status: 200, Fork: 4, SDP: true}, {After: 3100 * time.Millisecond, Status: 200, Fork: 2, SDP: true},
	}})
	o := call(n)
	n.done(t)
	want(t, "final", o.Final, 200)
	want(t, "one 180 to the caller", len(o.Statuses), 3)
	want(t, "both forks ended", count(n.teams[0], gosip.BYE, true), 2)
	want(t, "late answers", n.Core.Stats().LateAnswers, uint64(1))
}

func TestAnswerWithoutUsableMedia(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 11})
	n.teams[0].Script = script(sim.Script{Steps: []sim.Step{{Status: 100}, {After: time.Second, Status: 200}}})
	o := call(n)
	n.done(t)
	want(t, "caller hears", o.Final, 488)
	want(t, "released", count(n.teams[0], gosip.BYE, true), 1)
	want(t, "outcome", n.End().Legs[1].Outcome, tandem.OutcomeMedia)
	want(t, "disposition", n.End().Legs[1].Disposition, tandem.FailedMedia)
}

func TestKnownDownEndpointsAreOnRecord(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 12})
	for _, a := range n.plan.Attempts {
		n.plan.Skipped = append(n.plan.Skipped, tandem.SkippedAttempt{Trunk: a.Trunk, Endpoint: a.Endpoint, Technology: a.Technology, Network: a.Network, Reason: "down since 11:59"})
	}
	n.plan.Attempts = nil
	o := call(n)
	r := n.forwarded(t, o, 3)
	want(t, "outcome", r.Legs[1].Outcome, tandem.OutcomeSkipped)
	if d := r.Legs[4].SetupTime.Sub(r.Legs[0].SetupTime); d != 0 {
		t.Errorf("failsafe INVITE after %v, must leave at once", d)
	}
	want(t, "no message to Teams", len(n.teams[0].Got), 0)
}

func TestMostTellingAnswerReachesTheCaller(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 13})
	n.plan.Failsafe = nil
	n.plan.Attempts[0].NextOn = outcomes("480")
	n.teams[0].Script = script(sim.Refuses(time.Second, 480, ""))
	n.teams[1].Refuse, n.teams[2].Refuse = true, true
	n.plan.Attempts[1].NextOn = nextOn
	o := call(n)
	n.done(t)
	want(t, "final", o.Final, 480)
	want(t, "cause", o.Responses[len(o.Responses)-1].GetHeader("Reason").Value(), "Q.850;cause=18")
}

func TestSessionIntervalTooSmallIsRaised(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 14})
	first := true
	n.teams[0].Script = func(*sim.Incoming) sim.Script {
		if first {
			first = false
			return sim.Refuses(10*time.Millisecond, 422, "Min-SE: 1800\r\n")
		}
		return sim.Answers(time.Second, 2*time.Second)
	}
	o := call(n)
	n.done(t)
	want(t, "final", o.Final, 200)
	want(t, "INVITEs", rang(n.teams[0]), 2)
	want(t, "same leg", len(n.End().Legs), 2)
	want(t, "interval", n.teams[0].Got[1].GetHeader("Session-Expires").Value(), "1800")
}

func TestTrunkGoneBetweenPlanAndAttempt(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 15})
	n.plan.Attempts = n.plan.Attempts[:1]
	n.plan.Attempts[0].Trunk = "removed"
	n.forwarded(t, call(n), 1)
}

func TestPanicEndsThatCallAlone(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 16})
	good := call(n)
	n.Run(10 * time.Second)
	plan := n.Plan
	n.Plan = func(r *tandem.RouteRequest) tandem.Plan { panic("router") }
	bad := n.carrier.Call(sim.CallSpec{To: "+14255550100"})
	n.Run(time.Second)
	n.Plan = plan
	want(t, "bad call", bad.Final, 500)
	n.RunIdle(time.Hour)
	want(t, "good call", good.Final, 200)
	want(t, "panics", n.Core.Stats().Panics, uint64(1))
	want(t, "calls left", n.Core.Stats(), core.Stats{Started: 2, Answered: 1, Ended: 2, Panics: 1})
}
