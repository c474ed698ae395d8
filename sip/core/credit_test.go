package core_test

import (
	"testing"
	"time"

	"tandem"
	"tandem/sip/sim"
)

// purse grants slices until it is empty.
type purse struct {
	slice, left, granted time.Duration
	asked                int
	failsafe             bool
}

func (p *purse) take() time.Duration {
	d := min(p.slice, p.left)
	p.left -= d
	p.granted += d
	return p.granted
}

func (p *purse) Answered(_ tandem.CorrelationID, failsafe bool, _ time.Time) time.Duration {
	p.failsafe = failsafe
	return p.granted
}

func (p *purse) Extend(tandem.CorrelationID, time.Time) time.Duration {
	p.asked++
	return p.take()
}

func creditNet(t *testing.T, p *purse) *net {
	n := newNet(t, sim.Config{Seed: 31, Credit: p})
	n.plan.Granted = p.take()
	return n
}

// RFC 8506 5.6.1: the service ends when the final unit is used up, and the
// record says so; both sides hear BYE and nobody pays for a late timer.
func TestCallIsCutAtTheLastPaidSecond(t *testing.T) {
	p := &purse{slice: 60 * time.Second, left: 150 * time.Second}
	n := creditNet(t, p)
	n.carrier.Call(sim.CallSpec{To: "+14255550100", HangUpAfter: time.Hour})
	n.done(t)
	r := n.End()
	for i, l := range r.Legs {
		want(t, "duration", l.Duration, 150*time.Second)
		want(t, "release", l.ReleaseTime.Sub(l.AnswerTime), 150*time.Second)
		want(t, "released by", l.ReleasedBy, tandem.ReleasedByEngine)
		want(t, "reason", l.ReasonText, "the account's credit is used up")
		want(t, "disposition", l.Disposition, tandem.Answered)
		_ = i
	}
	want(t, "failsafe", p.failsafe, false)
}

func TestCallThatEndsInTimeIsNotCut(t *testing.T) {
	p := &purse{slice: 60 * time.Second, left: time.Hour}
	n := creditNet(t, p)
	n.carrier.Call(sim.CallSpec{To: "+14255550100", HangUpAfter: 170 * time.Second})
	n.done(t)
	want(t, "released by", n.End().Legs[0].ReleasedBy, tandem.ReleasedByCaller)
	want(t, "asked", p.asked, 2) // at 55 s and at 115 s; 180 s last beyond the call
	want(t, "granted", p.granted, 180*time.Second)
}

// A top-up in the last seconds lets the call go on.
func TestCreditThatComesAtTheEndIsTaken(t *testing.T) {
	p := &purse{slice: 60 * time.Second, left: 60 * time.Second}
	n := creditNet(t, p)
	n.carrier.Call(sim.CallSpec{To: "+14255550100", HangUpAfter: 70 * time.Second})
	n.After(59*time.Second, func() { p.left = time.Minute })
	n.done(t)
	want(t, "released by", n.End().Legs[0].ReleasedBy, tandem.ReleasedByCaller)
}

func TestPlanWithoutGrantHasNoLimit(t *testing.T) {
	p := &purse{}
	n := newNet(t, sim.Config{Seed: 32, Credit: p})
	n.carrier.Call(sim.CallSpec{To: "+14255550100", HangUpAfter: 10 * time.Minute})
	n.done(t)
	want(t, "asked", p.asked, 0)
	want(t, "released by", n.End().Legs[0].ReleasedBy, tandem.ReleasedByCaller)
}
