package core

import (
	"time"

	"tandem"
)

// Call is one B2BUA call: the A-leg, the attempts made for it, its media and
// its record. Only its shard touches it.
type Call struct {
	core       *Core
	serial     uint64
	prev, next *Call // calls in order of arrival
	state      State
	bound      timer // of the state
	silence    timer // Plan.SilenceBound
	point      timer // checkpoints
	modifyEnd  timer // of a modification that is never answered
	creditEnd  timer // of the credit reserved for the call

	a  Leg
	b  *Leg // current attempt, then the answered leg
	b1 Leg  // storage of the first attempt
	// legs are all B-legs, for the release.
	legs []*Leg

	began    time.Time     // wall clock at the INVITE, see moment
	beganAt  time.Duration // the same instant on the core's clock
	granted  time.Duration // talk time on the credit reserved for the call; 0 = no limit
	plan     tandem.Plan
	rec      tandem.CallRecord
	media    tandem.MediaSession
	offer    []byte // the caller's SDP offer
	delayed  bool   // it made none: see delayed.go
	location []byte // the PIDF-LO part of an emergency call, with its headers
	passed   passed

	tryingEnd time.Duration // when Plan.TryingBound runs out; 0 = it has none
	held      *Leg          // attempt whose CANCEL is out; the next waits for its end

	attempt  int  // index in Attempts or Failsafe
	failsafe bool // Failsafe is being tried
	heard    bool // any response came to any attempt: SilenceBound is over
	silent   bool // SilenceBound or TryingBound ran out: what is left of Attempts is skipped
	outcome  tandem.Outcome
	best     reply // what the caller gets when nothing is left
	released released
	endedAt  time.Duration // release instant on the core's clock
	endWall  time.Time

	mod *modification

	rung      int       // last 18x that the caller heard
	lastSeen  time.Time // media timeout: last packet
	mediaLost bool
	mergeKey  string // in Core.invites until the set-up is over
}

// passed are headers of the caller's INVITE that go onward.
type passed struct {
	diversion, history, geolocation, geolocationRouting string
	hops                                                int // Max-Forwards as received
}

// released says who ended the call and why.
type released struct {
	by     tandem.ReleasedBy
	status tandem.SIPStatus // final status for the caller, when not answered yet
	cause  tandem.Cause
	text   string
}

func (r *released) set(by tandem.ReleasedBy, status tandem.SIPStatus, cause tandem.Cause, text string) {
	*r = released{by, status, cause, text}
}

// newCall files a call. The A-leg has its dialog from the INVITE.
func (c *Core) newCall(in *inbound, view *TrunkView) *Call {
	c.nextCall++
	call := &Call{core: c, serial: c.nextCall, began: c.wall.UTC(), beganAt: c.now}
	if c.last == nil {
		c.first = call
	} else {
		c.last.next, call.prev = call, c.last
	}
	c.last = call
	c.bySerial[call.serial] = call
	c.stats.Calls++
	c.stats.Started++
	c.busy = call
	call.rec.Correlation = c.newCorrelation()
	call.rec.Node = c.cfg.Node
	call.rec.Legs = make([]tandem.LegRecord, 1, 2) // most calls are answered at the first attempt
	c.newLeg(&call.a, call, tandem.SideA, view)
	call.a.rec = 0
	return call
}

// unlink takes an ended call out of the tables.
func (c *Call) unlink() {
	k := c.core
	if k.bySerial[c.serial] == nil {
		return
	}
	delete(k.bySerial, c.serial)
	if c.prev == nil {
		k.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		k.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
	k.stats.Calls--
	k.stats.Ended++
}

// stopTimers stops what only a call in progress needs.
func (c *Call) stopTimers() {
	for _, t := range []*timer{&c.silence, &c.point, &c.modifyEnd, &c.creditEnd, &c.a.session.timer} {
		c.core.timers.stop(t)
	}
	for _, l := range c.legs {
		c.core.timers.stop(&l.response)
		c.core.timers.stop(&l.patient)
		c.core.timers.stop(&l.watch)
		c.core.timers.stop(&l.session.timer)
	}
}

// fire runs the call's own timers.
func (c *Call) fire(k *Core, kind timerKind) {
	k.busy = c
	if c.state == Ended {
		k.stats.Loose++
		return
	}
	switch kind {
	case timerState:
		c.on(evExpire, nil)
	case timerSilence:
		c.silenceOver()
	case timerPoint:
		c.checkpoint()
	case timerCredit:
		c.creditDue()
	case timerModify:
		c.modifyExpired()
	}
}

// fire runs the timers of one leg.
func (l *Leg) fire(k *Core, kind timerKind) {
	k.busy = l.call
	switch {
	case l.state == legGone:
		k.stats.Loose++
		return
	case l.call == nil:
		return
	}
	switch kind {
	case timerTrying:
		l.call.tryingOver(l)
	case timerWatch:
		l.call.lookAfter(l)
	case timerCancel:
		l.call.letGo(l)
	case timerResponse:
		l.call.attemptFailed(l, tandem.Outcome{Kind: tandem.OutcomeSilence, Alerted: l.alerted})
	case timerAnswer:
		l.call.attemptFailed(l, tandem.Outcome{Kind: tandem.OutcomeNoAnswer, Alerted: l.alerted})
	case timerSession:
		l.call.sessionDue(l)
	}
}

// other is the leg on the other side of an established call.
func (c *Call) other(l *Leg) *Leg {
	if l == &c.a {
		return c.b
	}
	return &c.a
}

// mediaProfile is what media towards a trunk must look like.
func mediaProfile(v *TrunkView) tandem.MediaProfile {
	return tandem.MediaProfile{SRTP: v.SRTP, Teams: v.Kind == tandem.TrunkTeams, PeerSources: v.MediaSources}
}

// live describes the call for people.
func (c *Call) live() tandem.LiveCall {
	l := tandem.LiveCall{
		Correlation: c.rec.Correlation, State: c.state.String(), Since: c.rec.Legs[0].SetupTime,
		Direction: c.plan.Direction, Account: c.plan.Account, From: c.rec.From, To: c.rec.To, TrunkA: c.a.view.ID,
	}
	timers := []*timer{&c.bound, &c.silence, &c.point, &c.modifyEnd, &c.creditEnd, &c.a.session.timer}
	if c.b != nil {
		l.TrunkB = c.b.view.ID
		timers = append(timers, &c.b.response, &c.b.patient, &c.b.session.timer)
	}
	first := time.Duration(-1)
	for _, t := range timers {
		if t.active() && (first < 0 || t.at < first) {
			first = t.at
			l.NextTimer, l.TimerName = c.core.epoch.Add(t.at), t.kind.String()
		}
	}
	return l
}
