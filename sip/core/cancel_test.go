package core_test

import (
	"testing"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip/sim"
)

func TestCancelAtEveryStage(t *testing.T) {
	for name, c := range map[string]struct {
		after   time.Duration
		steps   []sim.Step
		cancels int
	}{
		"before any response":  {500 * time.Millisecond, []sim.Step{{After: time.Minute, Status: 100}}, 0},
		"after 100":            {500 * time.Millisecond, []sim.Step{{Status: 100}}, 1},
		"while ringing":        {5 * time.Second, []sim.Step{{Status: 100}, {After: time.Second, Status: 180}}, 1},
		"with early media":     {5 * time.Second, []sim.Step{{After: time.Second, Status: 183, SDP: true}}, 1},
		"late first response":  {2 * time.Second, []sim.Step{{After: 2500 * time.Millisecond, Status: 180}}, 1},
		"crossing the failure": {time.Second + time.Millisecond, []sim.Step{{Status: 100}, {After: time.Second, Status: 503}}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNet(t, sim.Config{Seed: 1})
			n.teams[0].Script = script(sim.Script{Steps: c.steps})
			o := n.carrier.Call(sim.CallSpec{To: "+14255550100", CancelAfter: c.after})
			n.done(t)
			want(t, "final", o.Final, 487)
			if c.cancels >= 0 {
				want(t, "CANCELs", count(n.teams[0], gosip.CANCEL, false), c.cancels)
			}
			r := n.End()
			want(t, "A disposition", r.Legs[0].Disposition, tandem.Cancelled)
			want(t, "A by", r.Legs[0].ReleasedBy, tandem.ReleasedByCaller)
			last := r.Legs[len(r.Legs)-1]
			want(t, "B disposition", last.Disposition, tandem.Cancelled)
			want(t, "failsafe", rang(n.failover), 0)
		})
	}
}

func TestCancelledLegKeepsTheFinalStatus(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 2})
	n.teams[0].Script = script(sim.Answers(time.Second, time.Minute))
	n.carrier.Call(sim.CallSpec{To: "+14255550100", CancelAfter: 5 * time.Second})
	n.done(t)
	l := n.End().Legs[1]
	want(t, "status", l.Status, tandem.SIPStatus(487))
	want(t, "outcome", l.Outcome, tandem.OutcomeCancelled)
}

// RFC 3261 9.1: the 200 of the callee crosses our CANCEL.
func TestCancelCrossesAnswer(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 3})
	n.teams[0].Script = script(sim.Script{DeafToCancel: true, Steps: []sim.Step{{Status: 100}, {After: time.Second, Status: 180}, {After: 5 * time.Second, Status: 200, SDP: true}}})
	o := n.carrier.Call(sim.CallSpec{To: "+14255550100", CancelAfter: 5*time.Second - time.Millisecond})
	n.done(t)
	want(t, "final", o.Final, 487)
	want(t, "BYE", count(n.teams[0], gosip.BYE, true), 1)
	want(t, "late", n.Core.Stats().LateAnswers, uint64(1))
	want(t, "not billed", n.End().Legs[1].Connected(), false)
}

// The caller's CANCEL crosses our 200: it has no effect, the call is up.
func TestCancelAfterAnswerHasNoEffect(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 4})
	n.teams[0].Script = script(sim.Answers(time.Second, 3*time.Second))
	o := n.carrier.Call(sim.CallSpec{To: "+14255550100", CancelAfter: 3*time.Second + 3*time.Millisecond, HangUpAfter: 10 * time.Second})
	n.done(t)
	want(t, "final", o.Final, 200)
	want(t, "disposition", n.End().Legs[0].Disposition, tandem.Answered)
}

func TestCancelOvertakesInvite(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 5})
	o := n.carrier.Call(sim.CallSpec{To: "+14255550100", CancelFirst: true})
	n.done(t)
	want(t, "final", o.Final, 487)
	want(t, "nothing to Teams", len(n.teams[0].Got), 0)
}

func TestByeInEarlyDialog(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 6})
	n.teams[0].Script = script(sim.Answers(time.Second, time.Minute))
	o := n.carrier.Call(sim.CallSpec{To: "+14255550100", ByeAfter: 5 * time.Second})
	n.done(t)
	want(t, "final", o.Final, 487)
	want(t, "CANCEL", count(n.teams[0], gosip.CANCEL, false), 1)
}

// A peer that answers neither CANCEL nor INVITE keeps nothing alive for ever.
func TestDeadPeerAfterCancel(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 7})
	n.teams[0].Script = script(sim.Answers(time.Second, time.Minute))
	o := n.carrier.Call(sim.CallSpec{To: "+14255550100", CancelAfter: 5 * time.Second})
	n.Run(3 * time.Second)
	n.teams[0].Blackhole = true
	n.done(t)
	want(t, "final", o.Final, 487)
	end := n.Facts[len(n.Facts)-1]
	if d := end.At.Sub(end.Call.Legs[0].ReleaseTime); d > 5*time.Second {
		t.Errorf("record closed %v after the release", d)
	}
}
