package core_test

import (
	"testing"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip/sim"
)

func TestAnsweredCallEndsByCaller(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 1})
	o := n.carrier.Call(sim.CallSpec{To: "+14255550100", HangUpAfter: 90 * time.Second})
	n.done(t)
	want(t, "final", o.Final, 200)
	r := n.End()
	want(t, "legs", len(r.Legs), 2)
	a, b := r.Legs[0], r.Legs[1]
	want(t, "A disposition", a.Disposition, tandem.Answered)
	want(t, "A technology", a.Technology, tandem.Phone)
	want(t, "B technology", b.Technology, tandem.OperatorConnect)
	want(t, "released by", a.ReleasedBy, tandem.ReleasedByCaller)
	want(t, "cause", a.Cause, tandem.CauseNormalClearing)
	want(t, "B outcome", b.Outcome, tandem.OutcomeAnswered)
	if d := a.Duration - 90*time.Second; d < 0 || d > 10*time.Millisecond {
		t.Errorf("duration %v", a.Duration)
	}
	kinds := []tandem.FactKind{}
	for _, f := range n.Facts {
		kinds = append(kinds, f.Kind)
	}
	want(t, "facts", len(kinds), 4) // start, answer, one checkpoint, end
	want(t, "teams BYE", count(n.teams[0], gosip.BYE, true), 1)
	want(t, "second address", rang(n.teams[1]), 0)
}

func TestAnsweredCallEndsByCallee(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 2})
	s := sim.Answers(time.Second, 2*time.Second)
	s.HangUpAfter = 10 * time.Second
	n.teams[0].Script = script(s)
	n.carrier.Call(sim.CallSpec{To: "+14255550100"})
	n.done(t)
	want(t, "released by", n.End().Legs[0].ReleasedBy, tandem.ReleasedByCallee)
	want(t, "carrier BYE", count(n.carrier, gosip.BYE, true), 1)
}

// RFC 3261 15: crossing BYEs are both answered and the call is released once.
func TestCrossingByes(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 3})
	s := sim.Answers(time.Second, 2*time.Second)
	s.HangUpAfter = 10 * time.Second
	n.teams[0].Script = script(s)
	n.carrier.Call(sim.CallSpec{To: "+14255550100", HangUpAfter: 10*time.Second - time.Millisecond})
	n.done(t)
	want(t, "disposition", n.End().Legs[0].Disposition, tandem.Answered)
}

func TestRefusedCallGivesTheUsersAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		status, caller int
		disposition    tandem.Disposition
		cause          tandem.Cause
	}{
		"busy":            {486, 486, tandem.Busy, 17},
		"declined":        {603, 603, tandem.Rejected, 21},
		"not found":       {404, 404, tandem.Unallocated, 1},
		"no endpoint":     {480, 480, tandem.NoAnswer, 18},
		"our fault":       {400, 500, tandem.FailedNetwork, 41},
		"unauthorised":    {401, 500, tandem.FailedNetwork, 21},
		"media refused":   {488, 488, tandem.FailedMedia, 88},
		"redirection":     {302, 480, tandem.FailedNetwork, 127},
		"server failure":  {500, 500, tandem.FailedNetwork, 41},
		"busy everywhere": {600, 600, tandem.Busy, 17},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNet(t, sim.Config{Seed: 4})
			n.teams[0].Script = script(sim.Refuses(time.Second, c.status, ""))
			o := n.carrier.Call(sim.CallSpec{To: "+14255550100"})
			n.done(t)
			want(t, "caller hears", o.Final, c.caller)
			r := n.End()
			want(t, "legs", len(r.Legs), 2)
			want(t, "disposition", r.Legs[1].Disposition, c.disposition)
			want(t, "status on record", r.Legs[1].Status, tandem.SIPStatus(c.status))
			want(t, "cause", r.Legs[1].Cause, c.cause)
			want(t, "failsafe", rang(n.failover), 0)
			want(t, "second address", rang(n.teams[1]), 0)
		})
	}
}

func TestPeersQ850CauseWins(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 5})
	n.teams[0].Script = script(sim.Refuses(time.Second, 480, "Reason: Q.850;cause=31;text=\"5f1b;No callee endpoints were found\"\r\n"))
	o := n.carrier.Call(sim.CallSpec{To: "+14255550100"})
	n.done(t)
	want(t, "cause", n.End().Legs[1].Cause, tandem.CauseNormalUnspecified)
	want(t, "text", n.End().Legs[1].ReasonText, "5f1b;No callee endpoints were found")
	last := o.Responses[len(o.Responses)-1]
	want(t, "Reason onward", last.GetHeader("Reason").Value(), `Q.850;cause=31;text="5f1b;No callee endpoints were found"`)
}

func TestNoAnswerTimerCancelsAndNeverForwards(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 6})
	n.teams[0].Script = script(sim.Script{Steps: []sim.Step{{Status: 100}, {After: time.Second, Status: 180}}})
	o := n.carrier.Call(sim.CallSpec{To: "+14255550100"})
	n.done(t)
	want(t, "caller hears", o.Final, 480)
	want(t, "cancel", count(n.teams[0], gosip.CANCEL, false), 1)
	want(t, "disposition", n.End().Legs[1].Disposition, tandem.NoAnswer)
	want(t, "failsafe", rang(n.failover), 0)
}

// Missing ACK of our 200: BYE both ways (RFC 3261 13.3.1.4).
func TestMissingAckEndsTheCall(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 7})
	o := n.carrier.Call(sim.CallSpec{To: "+14255550100", NoAck: true})
	n.done(t)
	want(t, "final", o.Final, 200)
	want(t, "teams BYE", count(n.teams[0], gosip.BYE, true), 1)
	want(t, "carrier BYE", count(n.carrier, gosip.BYE, true), 1)
	want(t, "by", n.End().Legs[0].ReleasedBy, tandem.ReleasedByEngine)
}

// RFC 3261 15: the callee's side sends no BYE before its 2xx was ACKed.
func TestByeWaitsForTheAck(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 8})
	s := sim.Answers(time.Second, 2*time.Second)
	s.HangUpAfter = 5 * time.Millisecond
	n.teams[0].Script = script(s)
	n.carrier.Call(sim.CallSpec{To: "+14255550100", NoAck: true})
	n.done(t)
	var at time.Duration
	for i, r := range n.carrier.Got {
		if r.Method == gosip.BYE {
			at = time.Duration(i + 1)
		}
	}
	if at == 0 {
		t.Error("no BYE after the ACK was given up")
	}
	want(t, "disposition", n.End().Legs[0].Disposition, tandem.Answered)
}

func TestMediaTimeoutEndsAtTheLastPacket(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 9})
	n.carrier.Call(sim.CallSpec{To: "+14255550100"})
	n.Run(2 * time.Minute)
	n.MediaTimeout(30 * time.Second)
	n.done(t)
	l := n.End().Legs[0]
	want(t, "by", l.ReleasedBy, tandem.ReleasedByEngine)
	if got := n.Now.Sub(l.ReleaseTime); l.Duration < 80*time.Second || l.Duration > 90*time.Second {
		t.Errorf("duration %v, released %v ago", l.Duration, got)
	}
}

func TestHangupByOperator(t *testing.T) {
	for name, after := range map[string]time.Duration{"while ringing": 2 * time.Second, "while talking": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			n := newNet(t, sim.Config{Seed: 10})
			n.carrier.Call(sim.CallSpec{To: "+14255550100"})
			n.Run(after)
			live := n.Core.Live()
			if len(live) != 1 {
				t.Fatalf("%d live calls", len(live))
			}
			n.Core.Tick(n.Now)
			if !n.Core.Hangup(live[0].Correlation, "operator") {
				t.Fatal("no such call")
			}
			n.done(t)
			want(t, "text", n.End().Legs[0].ReasonText, "operator")
		})
	}
}

func TestDrainRefusesAllButEmergency(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 11})
	n.Core.Drain(true)
	o := n.carrier.Call(sim.CallSpec{To: "+14255550100"})
	n.Run(time.Second)
	want(t, "refused", o.Final, 503)
	n.plan.Emergency = true
	e := n.carrier.Call(sim.CallSpec{To: "911", HangUpAfter: time.Second})
	n.done(t)
	want(t, "emergency", e.Final, 200)
}

func TestRejectionByRouting(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 12})
	n.plan.Reject = &tandem.Rejection{Status: 403, Reason: "number not of this tenant", Cause: 21}
	o := n.carrier.Call(sim.CallSpec{To: "+14255550100"})
	n.done(t)
	want(t, "final", o.Final, 403)
	want(t, "facts", len(n.Facts), 1)
	want(t, "disposition", n.End().Legs[0].Disposition, tandem.BlockedPolicy)
}
