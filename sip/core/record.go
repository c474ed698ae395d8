package core

import (
	"time"

	"tandem"
)

// moment is the present instant for the record. All times of a call lie on one
// axis, the wall clock at its INVITE continued by the monotonic clock: a step of
// the wall clock in between neither puts them out of order nor changes what a
// recovery bills.
func (c *Call) moment() time.Time { return c.began.Add(c.core.now - c.beganAt) }

// begin fills the record of an INVITE that was taken in.
func (c *Call) begin(in *inbound) {
	r := &c.rec.Legs[0]
	r.Technology = technologyOf(c.a.view)
	r.Network = c.a.view.Network
	r.Trunk = c.a.view.ID
	r.Endpoint = in.flow.Source.String()
	r.SIPCallID = in.callID
	r.From = tandem.Clip(in.from.Address.User, 64)
	r.To = tandem.Clip(in.req.Recipient.User, 64)
	r.SetupTime = c.moment()
	c.rec.Dialled = r.To
}

// planned copies what routing decided.
func (c *Call) planned() {
	p, r := &c.plan, &c.rec
	r.Direction, r.Account, r.Tenant, r.DID = p.Direction, p.Account, p.Tenant, p.DID
	r.UserType, r.Plan, r.Emergency = p.UserType, p.PlanKind, p.Emergency
	r.From, r.To, r.Trace = p.From, p.To, p.Trace
	for _, s := range p.Skipped {
		c.skipped(s)
	}
}

// skipped puts an address on record that is not tried.
func (c *Call) skipped(s tandem.SkippedAttempt) {
	c.rec.Legs = append(c.rec.Legs, tandem.LegRecord{
		Technology: s.Technology, Network: s.Network, Trunk: s.Trunk, Endpoint: endpointName(s.Endpoint),
		SetupTime: c.moment(), ReleaseTime: c.moment(), Outcome: tandem.OutcomeSkipped,
		ReasonText: s.Reason, ReleasedBy: tandem.ReleasedByEngine, Disposition: tandem.FailedNetwork,
	})
}

// technologyOf is the CDR's word for a trunk.
func technologyOf(v *TrunkView) tandem.Technology {
	if v.Kind == tandem.TrunkTeams {
		return tandem.OperatorConnect
	}
	return tandem.Phone
}

func endpointName(ep tandem.Endpoint) string {
	if ep.Port == 0 {
		return ep.Host
	}
	return string(appendHostPort(nil, ep.Host, ep.Port))
}

// journal writes a fact.
func (c *Call) journal(kind tandem.FactKind) {
	c.rec.Checkpoint = c.moment()
	c.noteDialogs(kind)
	c.core.deps.Output.Record(kind, c.core.wall, &c.rec)
}

// checkpoint journals a call that is still up.
func (c *Call) checkpoint() {
	if c.state != Talking && c.state != Answering {
		return
	}
	c.readMedia()
	c.journal(tandem.FactCheckpoint)
	c.core.timers.set(&c.point, c.core.now+c.core.cfg.CheckpointEvery, timerPoint, c)
}

// readMedia copies counters and codecs of the two connected legs.
func (c *Call) readMedia() {
	if c.media == nil {
		return
	}
	c.readSide(&c.a, tandem.SideA)
	if c.b != nil {
		c.readSide(c.b, tandem.SideB)
	}
}

func (c *Call) readSide(l *Leg, side tandem.Side) {
	if r := l.record(); r != nil {
		r.RX, r.TX = c.media.Stats(side)
		r.Codec, r.SRTP = c.media.Describe(side)
	}
}

// closeMedia reads the counters a last time and gives the ports back.
func (c *Call) closeMedia() {
	if c.media == nil {
		return
	}
	c.readMedia()
	c.media.Close()
	c.media = nil
}

// endNow notes the release instant of a connected call, once: the first BYE or
// the decision to end. back sets it to an earlier instant, the last packet seen.
func (c *Call) endNow(lastSeen time.Time, back bool) {
	k := c.core
	c.endedAt, c.endWall = k.now, c.moment()
	defer c.capAtCredit()
	if !back {
		return
	}
	c.endedAt, c.endWall = c.a.answered, c.rec.Legs[0].AnswerTime
	if ago := k.wall.Sub(lastSeen); !lastSeen.IsZero() && ago >= 0 && k.now-ago > c.a.answered {
		c.endedAt, c.endWall = k.now-ago, c.moment().Add(-ago)
	}
}

// connected closes the record of a connected leg: both legs share one release
// instant, and the duration comes from the monotonic clock.
func (c *Call) closeConnected(l *Leg) {
	r := l.record()
	if r == nil || !r.Connected() {
		return
	}
	r.ReleaseTime = c.endWall
	r.Duration = max(c.endedAt-l.answered, 0)
	r.Cause, r.ReasonText, r.ReleasedBy = c.released.cause, c.released.text, c.released.by
	r.Disposition = tandem.Answered
	l.settled = true
}

// closeFailed closes the record of a leg that never connected.
func (l *Leg) closeFailed(o tandem.Outcome, status tandem.SIPStatus, cause tandem.Cause, text string, by tandem.ReleasedBy) {
	r := l.record()
	if r == nil || !r.ReleaseTime.IsZero() {
		return
	}
	r.ReleaseTime = l.call.moment()
	if l.side == tandem.SideB {
		r.Outcome = o.Kind
	}
	r.Status, r.Cause, r.ReasonText, r.ReleasedBy = status, cause, text, by
	r.Disposition = dispositionOf(o, cause)
}

// settle writes the final fact as soon as every leg's record is final.
func (c *Call) settle() {
	if c.state != Releasing || !c.a.settled {
		return
	}
	for _, l := range c.legs {
		if !l.settled {
			return
		}
	}
	c.on(evSettle, nil)
}

// close writes the one FactEnd of the call and forgets it; legs that still wait
// for an answer to their BYE or CANCEL live on without it.
func (c *Call) close(*Leg) {
	c.closeMedia()
	now := c.moment()
	for i := range c.rec.Legs {
		if r := &c.rec.Legs[i]; r.ReleaseTime.IsZero() {
			r.ReleaseTime = now
		}
	}
	c.core.timers.stop(&c.bound)
	c.stopTimers()
	c.journal(tandem.FactEnd)
	c.unlink()
	c.offer, c.location = nil, nil
}

// dispositionOf maps how a leg ended to the CDR's word (rating-and-cdr.md 4.3).
func dispositionOf(o tandem.Outcome, cause tandem.Cause) tandem.Disposition {
	switch o.Kind {
	case tandem.OutcomeAnswered:
		return tandem.Answered
	case tandem.OutcomeNoAnswer:
		return tandem.NoAnswer
	case tandem.OutcomeCancelled:
		return tandem.Cancelled
	case tandem.OutcomeMedia:
		return tandem.FailedMedia
	case tandem.OutcomeStatus:
		return dispositionOfStatus(o, cause)
	}
	return tandem.FailedNetwork
}

func dispositionOfStatus(o tandem.Outcome, cause tandem.Cause) tandem.Disposition {
	switch o.Status {
	case 486, 600:
		return tandem.Busy
	case 404, 410, 484, 485, 604:
		return tandem.Unallocated
	case 487:
		return tandem.Cancelled
	case 408, 480:
		if o.Alerted || cause == tandem.CauseNoAnswer || cause == tandem.CauseNoUserResponding {
			return tandem.NoAnswer
		}
		return tandem.FailedNetwork
	case 402, 403, 603, 607, 608:
		return tandem.Rejected
	case 415, 488, 606:
		return tandem.FailedMedia
	case 503:
		if cause == tandem.CauseNoCircuit || cause == tandem.CauseCongestion || o.RetryAfter > 0 {
			return tandem.Congestion
		}
	}
	return tandem.FailedNetwork
}
