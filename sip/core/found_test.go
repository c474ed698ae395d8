package core_test

import (
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/sip/sim"
)

// What the simulator (sip/sim) found, each fault as the shortest call that shows it.

// overUDP routes calls to the carrier alone.
func overUDP(t *testing.T, seed uint64) *net {
	n := newNet(t, sim.Config{Seed: seed})
	n.plan.Attempts, n.plan.Failsafe = n.plan.Failsafe, nil
	return n
}

// A peer that refused and then answers believes itself in a call, also while
// its refusal is still remembered (Timer D): ACK, then BYE.
func TestAnswerAfterARefusalIsReleased(t *testing.T) {
	n := overUDP(t, 41)
	n.failover.Script = script(sim.Script{Steps: []sim.Step{{Status: 100}, {After: time.Second, Status: 486}, {After: 2 * time.Second, Status: 200, SDP: true, Again: true}}})
	o := n.carrier.Call(sim.CallSpec{To: "+14255550100"})
	n.done(t)
	want(t, "the caller heard", o.Final, 486)
	want(t, "BYE", count(n.failover, "BYE", true), 1)
	want(t, "never billed", n.End().Legs[1].Connected(), false)
}

// RFC 3261 8.2.6.2: a 200 with another CSeq number answers nothing of ours. Taken
// for the answer, it kept the true one from being ACKed.
func TestAnswerWithAnotherCSeqIsNoAnswer(t *testing.T) {
	n := overUDP(t, 42)
	wrong := func(m string) string { return strings.Replace(m, "CSeq: 1", "CSeq: 91", 1) }
	n.failover.Script = script(sim.Script{Steps: []sim.Step{{Status: 100}, {After: time.Second, Status: 200, SDP: true, Spoil: wrong}, {After: 3 * time.Second, Status: 200, SDP: true}}})
	n.carrier.Call(sim.CallSpec{To: "+14255550100", HangUpAfter: 10 * time.Second})
	n.done(t)
	want(t, "BYE", count(n.failover, "BYE", true), 1)
	want(t, "duration", n.End().Legs[1].Duration.Round(100*time.Millisecond), 10*time.Second)
}

// RFC 3261 13.3.1.4: a peer repeats its 200 until the ACK comes, whatever
// happened in the dialog meanwhile; without ACK it ends the call.
func TestCopyOfTheFirstAnswerIsAckedAfterAReinvite(t *testing.T) {
	n := overUDP(t, 43)
	n.failover.Script = script(sim.Script{Steps: []sim.Step{{Status: 100}, {After: time.Second, Status: 200, SDP: true}, {After: 20 * time.Second, Status: 200, SDP: true, Again: true}}})
	n.carrier.Call(sim.CallSpec{To: "+14255550100", ModifyAfter: 5 * time.Second, HangUpAfter: time.Minute})
	n.done(t) // holds every 200 to its ACK
	want(t, "re-INVITE", count(n.failover, "INVITE", true), 1)
}

// A step of the wall clock neither changes what is billed nor the order of times,
// nor what a recovery after a crash would bill.
func TestClockStepDuringACall(t *testing.T) {
	for name, step := range map[string]time.Duration{"back": -time.Hour, "forth": 25 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			n := overUDP(t, 44)
			n.carrier.Call(sim.CallSpec{To: "+14255550100", HangUpAfter: 90 * time.Second})
			n.Run(20 * time.Second)
			n.StepClock(step)
			n.done(t) // holds times and durations to the truth
			for _, f := range n.Facts {
				if f.Kind == tandem.FactCheckpoint {
					known := f.Call.Checkpoint.Round(0).Sub(f.Call.Legs[1].AnswerTime.Round(0))
					want(t, "a recovery would bill", known.Round(time.Second), time.Minute)
				}
			}
		})
	}
}

// The journal knows an attempt before its INVITE leaves, so that a crash loses
// no attempt from the record.
func TestAttemptIsOnTheJournalBeforeItsInvite(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 45})
	n.teams[0].Script = script(sim.Refuses(time.Second, 503, ""))
	n.teams[1].Script = script(sim.Script{Steps: []sim.Step{{Status: 100}, {After: time.Second, Status: 180}}})
	n.carrier.Call(sim.CallSpec{To: "+14255550100", CancelAfter: 10 * time.Second})
	n.Run(5 * time.Second)
	if len(n.Facts) != 2 || n.Facts[0].Kind != tandem.FactStart || len(n.Facts[0].Call.Legs) != 2 || n.Facts[1].Kind != tandem.FactCheckpoint || len(n.Facts[1].Call.Legs) != 3 {
		t.Errorf("facts of a call whose second attempt rings: %+v", n.Facts)
	}
	n.done(t)
}
