package core

import (
	"strconv"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip/header"
)

// dialFirst starts the first attempt of a plan.
func (c *Call) dialFirst(*Leg) {
	p := &c.plan
	if len(p.Attempts) == 0 {
		c.failsafe = true
		c.dial(&p.Failsafe[0])
		return
	}
	if p.SilenceBound > 0 && len(p.Failsafe) > 0 {
		c.core.timers.set(&c.silence, c.core.now+p.SilenceBound, timerSilence, c)
	}
	if p.TryingBound > 0 && len(p.Failsafe) > 0 {
		c.tryingEnd = c.core.now + p.TryingBound
	}
	c.dial(&p.Attempts[0])
}

// dial makes one attempt: a fresh Call-ID, tag, branch and Contact.
func (c *Call) dial(att *tandem.Attempt) {
	k := c.core
	l := &c.b1
	if l.core != nil {
		l = &Leg{}
	}
	if c.state == Ringing && c.tryingEnd > 0 {
		c.tryingEnd = k.now + c.plan.TryingBound // the caller has heard ringing: no time of this is lost yet
	}
	view := k.trunks[att.Trunk]
	if view == nil { // the trunk went away between plan and attempt
		view = &TrunkView{Trunk: tandem.Trunk{ID: att.Trunk, Kind: tandem.TrunkCarrier}}
	}
	k.newLeg(l, c, tandem.SideB, view)
	l.att, l.endpoint, l.callID = att, att.Endpoint, k.newCallID()
	c.b = l
	c.legs = append(c.legs, l)
	c.rec.Legs = append(c.rec.Legs, tandem.LegRecord{
		Technology: att.Technology, Network: att.Network, Trunk: att.Trunk, Endpoint: endpointName(att.Endpoint),
		SIPCallID: l.callID, From: att.From, To: att.To, SetupTime: c.moment(), Failsafe: att.Failsafe,
	})
	l.rec = len(c.rec.Legs) - 1
	if att.Failsafe {
		c.rec.FailsafeTo = c.plan.FailsafeNumber
	}
	fact := tandem.FactStart
	if len(c.legs) > 1 {
		fact = tandem.FactCheckpoint
	}
	c.journal(fact) // before the INVITE leaves: a crash loses no attempt
	if view.ViaHost == "" {
		c.attemptFailed(l, tandem.Outcome{Kind: tandem.OutcomeConnection})
		return
	}
	c.media.SetPeer(mediaProfile(view))
	sdp, err := c.open()
	if err != nil {
		c.best = offerRefusal(err)
		c.attemptFailed(l, tandem.Outcome{Kind: tandem.OutcomeMedia})
		return
	}
	l.sentSDP = sdp
	c.sendInvite(l, 0)
}

// offerRefusal is the caller's answer when its own offer cannot be carried.
func offerRefusal(err error) reply {
	status := tandem.SIPStatus(488)
	if tandem.KindOf(err) == tandem.KindInvalid {
		status = 400
	}
	return reply{status: status, cause: tandem.CauseIncompatible, text: "the offered media cannot be carried", rank: 3}
}

// sendInvite sends the INVITE of an attempt; minSE is what a 422 asked for, else 0.
func (c *Call) sendInvite(l *Leg, minSE int) {
	k := c.core
	tx := k.newClient(gosip.INVITE, forSetup, l, endpointTarget(l.view, l.att.Endpoint))
	l.localSeq++
	tx.cseq = l.localSeq
	l.invite = tx
	k.start(tx, c.buildInvite(l, tx, minSE))
	if !l.retried {
		if d := l.att.ResponseTimeout; d > 0 {
			k.timers.set(&l.response, k.now+d, timerResponse, l)
		}
		k.timers.set(&l.patient, k.now+c.patience(l), timerAnswer, l)
	}
}

func (c *Call) patience(l *Leg) time.Duration {
	if l.att.AnswerTimeout > 0 {
		return l.att.AnswerTimeout
	}
	return min(c.core.cfg.NoAnswer, c.core.cfg.TimerC)
}

// progress takes a 1xx to the INVITE of an attempt.
func (c *Call) progress(l *Leg, in *inbound) {
	k := c.core
	if l != c.b || l.gaveUp || c.state > Ringing {
		return
	}
	c.heard = true
	k.timers.stop(&c.silence)
	k.timers.stop(&l.response)
	l.learn(in)
	if d := c.plan.RingingBound; d > 0 && !l.watch.active() && l.view.Kind == tandem.TrunkTeams {
		k.timers.set(&l.watch, k.now+d/4, timerWatch, l)
	}
	if in.status == 100 {
		if l.view.Kind == tandem.TrunkTeams && !l.alerted {
			end := c.tryingEnd
			if end == 0 {
				end = k.now + k.cfg.TryingTimeout
			}
			k.timers.set(&l.response, max(end-k.cfg.CancelWait, k.now), timerTrying, l)
		}
		return
	}
	l.alerted = true
	if r := l.record(); r != nil && r.RingTime.IsZero() {
		r.RingTime = c.moment()
	}
	if l.att.AnswerTimeout == 0 { // Timer C starts anew with each 18x (RFC 3261 16.7 step 2)
		k.timers.set(&l.patient, k.now+c.patience(l), timerAnswer, l)
	}
	c.on(evRing, l)
}

// lookAfter has trunk health probe the address where the call waits: a peer that
// dies without a sign would be rung until the answer timeout.
func (c *Call) lookAfter(l *Leg) {
	k, d := c.core, c.plan.RingingBound
	if l != c.b || l.gaveUp || l.state != legInviting || c.state > Ringing {
		return
	}
	k.deps.Output.Watch(l.att.Trunk, l.att.Endpoint, d, k.wall)
	k.timers.set(&l.watch, k.now+d/4, timerWatch, l)
}

// refused takes the final failure of an attempt.
func (c *Call) refused(l *Leg, tx *clientTx, in *inbound) {
	if in.status == 422 && !l.retried { // RFC 4028 7.4: once more with the interval asked for
		if n, err := header.ParseMinSE(in.minSE); err == nil && n > 0 {
			l.retried = true
			c.sendInvite(l, n)
			return
		}
	}
	o := tandem.Outcome{Kind: tandem.OutcomeStatus, Status: tandem.SIPStatus(in.status), Alerted: l.alerted}
	if in.retryAfter != "" {
		o.RetryAfter, _ = header.ParseRetryAfter(in.retryAfter)
	}
	c.heard = true
	cause, text := tandem.CauseOf(o.Status), ""
	if q, ok := in.q850(); ok {
		cause, text = tandem.Cause(q.Cause), tandem.Clip(q.Text, 200)
	}
	if l.view.Kind == tandem.TrunkTeams && in.status == 403 && aboutOurTrunk(text) {
		o.Kind, o.Text = tandem.OutcomeMisconfigured, text
	}
	c.endAttempt(l, o, cause, text, tandem.ReleasedByCallee)
	l.settled = true
	l.gone()
	c.failover(l, o, cause, text)
}

// unreachable takes an attempt whose INVITE got no answer or could not be sent.
func (c *Call) unreachable(l *Leg, why lost) {
	o := tandem.Outcome{Kind: tandem.OutcomeSilence, Alerted: l.alerted}
	if why == lostConnection {
		o.Kind = tandem.OutcomeConnection
	}
	cause, text := causeOfOutcome(o)
	c.endAttempt(l, o, cause, text, tandem.ReleasedByEngine)
	l.settled = true
	l.gone()
	c.failover(l, o, cause, text)
}

// attemptFailed gives up an attempt from our side: a timer ran out, or media failed.
func (c *Call) attemptFailed(l *Leg, o tandem.Outcome) {
	if l != c.b || c.state > Ringing || l.gaveUp {
		return
	}
	cause, text := causeOfOutcome(o)
	c.endAttempt(l, o, cause, text, tandem.ReleasedByEngine)
	l.drop()
	c.failover(l, o, cause, text)
}

// tryingOver: Microsoft has said 100 and nothing else. With a failsafe number
// what is left of Attempts is skipped: the caller has waited, another address
// could take as long again, and trunk health puts this one last from now on.
func (c *Call) tryingOver(l *Leg) {
	o := tandem.Outcome{Kind: tandem.OutcomeSilence, Alerted: l.alerted}
	if l != c.b || c.state > Ringing || l.gaveUp {
		return
	}
	c.silent = c.tryingEnd > 0 && !c.failsafe && c.plan.FailsafeOn.Has(o)
	c.withdraw(l, o)
}

// withdraw gives up an attempt at a peer that may be alive: the user's phones
// must be silent before something else rings. The call goes on when the
// CANCEL took effect, after CancelWait at the latest.
func (c *Call) withdraw(l *Leg, o tandem.Outcome) {
	cause, text := causeOfOutcome(o)
	c.endAttempt(l, o, cause, text, tandem.ReleasedByEngine)
	l.drop()
	c.outcome, c.held = o, l
	if l.state != legInviting {
		c.letGo(l)
		return
	}
	c.core.timers.set(&l.response, c.core.now+c.core.cfg.CancelWait, timerCancel, l)
}

// letGo ends the wait for a withdrawn attempt.
func (c *Call) letGo(l *Leg) {
	if c.held != l || l == nil {
		return
	}
	c.held = nil
	c.core.timers.stop(&l.response)
	cause, text := causeOfOutcome(c.outcome)
	c.failover(l, c.outcome, cause, text)
}

// drop gives up the INVITE of an attempt. CANCEL leaves before anything else
// rings; the leg stays to release a late answer.
func (l *Leg) drop() {
	if l.gaveUp || l.state == legGone {
		return
	}
	l.gaveUp = true
	l.core.timers.stop(&l.response)
	l.core.timers.stop(&l.patient)
	l.core.timers.stop(&l.watch)
	l.settled = true
	switch {
	case l.state == legUp:
		l.release()
	case l.invite == nil || l.invite.state > clientProceeding:
		l.gone()
	default:
		l.core.abandon(l.invite)
	}
}

// endAttempt puts the outcome of an attempt on record and tells trunk health.
func (c *Call) endAttempt(l *Leg, o tandem.Outcome, cause tandem.Cause, text string, by tandem.ReleasedBy) {
	l.closeFailed(o, o.Status, cause, text, by)
	o.LocalHost = l.att.LocalHost
	c.core.deps.Output.Outcome(l.att.Trunk, l.att.Endpoint, o, c.core.wall)
}

// failover keeps the best answer for the caller and lets the plan decide what follows.
func (c *Call) failover(l *Leg, o tandem.Outcome, cause tandem.Cause, text string) {
	if r := replyFor(o, cause, text); r.rank >= c.best.rank {
		c.best = r
	}
	c.outcome = o
	if l == c.b {
		c.on(evFail, l)
	}
}

// tryNext dials the next attempt that the plan allows after the last outcome:
// the next of Attempts, then Failsafe, then nothing.
func (c *Call) tryNext(l *Leg) {
	p, o := &c.plan, c.outcome
	list := p.Attempts
	if c.failsafe {
		list = p.Failsafe
	}
	next, forward := l.att.NextOn.Has(o), p.FailsafeOn.Has(o)
	if o.Kind == tandem.OutcomeStatus && o.Alerted && l.view.Kind == tandem.TrunkTeams {
		// The user was rung: another address would ring the same user again, and
		// 408 means that nobody answered (microsoft-teams-trunk.md 4.2).
		next, forward = false, forward && o.Status != 408
	}
	if next && !c.failsafe && len(p.Failsafe) > 0 && forward {
		c.skipDead(list, o.Alerted)
	}
	switch {
	case !c.silent && c.attempt+1 < len(list) && next:
		c.attempt++
		c.dial(&list[c.attempt])
	case !c.failsafe && len(p.Failsafe) > 0 && forward:
		c.failsafe, c.silent, c.attempt = true, false, 0
		c.core.timers.stop(&c.silence)
		c.dial(&p.Failsafe[0])
	default:
		c.released.set(c.exhaustedBy(o), c.best.status, c.best.cause, c.best.text)
		c.on(evExhaust, nil)
	}
}

// skipDead passes over attempts of the plan whose addresses have died since it was
// made: with a failsafe number nobody waits for those. After ringing, only an
// address that is plainly up is worth another.
func (c *Call) skipDead(list []tandem.Attempt, rang bool) {
	for c.attempt+1 < len(list) {
		att := &list[c.attempt+1]
		switch state := c.core.deps.Output.Health(att.Trunk, att.Endpoint); {
		case state == tandem.HealthDown, rang && state == tandem.HealthDemoted:
			c.skipped(tandem.SkippedAttempt{Trunk: att.Trunk, Endpoint: att.Endpoint, Technology: att.Technology, Network: att.Network,
				Reason: "went " + string(state) + " while the call was being set up"})
			c.attempt++
		default:
			return
		}
	}
}

func (c *Call) exhaustedBy(o tandem.Outcome) tandem.ReleasedBy {
	if o.Kind == tandem.OutcomeStatus {
		return tandem.ReleasedByCallee
	}
	return tandem.ReleasedByEngine
}

// silenceOver: no endpoint has said anything within Plan.SilenceBound. What is
// left of Attempts is skipped and the failsafe starts, if silence allows it.
func (c *Call) silenceOver() {
	if c.heard || c.failsafe || c.state > Ringing {
		return
	}
	o := tandem.Outcome{Kind: tandem.OutcomeSilence}
	if !c.plan.FailsafeOn.Has(o) {
		return
	}
	c.silent = true
	c.attemptFailed(c.b, o)
}

// buildInvite prints the INVITE of an attempt with the header rules of its
// trunk (microsoft-teams-trunk.md 3.1; carriers: TrunkView.SendXxx).
func (c *Call) buildInvite(l *Leg, tx *clientTx, minSE int) []byte {
	k, v, att := c.core, l.view, l.att
	host := att.LocalHost
	if !isHost(host) {
		host = v.ViaHost
	}
	l.contact = contactOf(v, att.From, host)
	hops := 70
	if c.passed.hops > 0 {
		hops = min(c.passed.hops-1, hops)
	}
	b := append(k.buf[:0], "INVITE "...)
	b = appendTarget(b, v, att)
	b = append(b, " SIP/2.0\r\n"...)
	b = appendTop(b, v, tx.target.Transport, tx.branch)
	b = append(b, "Max-Forwards: "...)
	b = strconv.AppendInt(b, int64(hops), 10)
	b = append(b, "\r\nFrom: "...)
	b = c.appendFrom(b, att, host)
	b = append(b, ";tag="...)
	b = append(b, l.localTag...)
	b = append(b, "\r\nTo: <"...)
	b = appendTarget(b, v, att)
	b = append(b, ">\r\nCall-ID: "...)
	b = append(b, l.callID...)
	b = append(b, "\r\nCSeq: "...)
	b = strconv.AppendUint(b, uint64(tx.cseq), 10)
	b = append(b, " INVITE\r\nContact: "...)
	b = append(b, l.contact...)
	b = append(b, crlf...)
	b = append(b, allowHeader...)
	b = append(b, "Supported: timer\r\n"...)
	b = k.appendIdentity(b, v)
	b = c.appendCorrelation(b)
	b = appendInterval(b, v, minSE)
	b = c.appendCaller(b, v, att, host)
	b = c.appendRedirection(b, v, att, host)
	b = c.appendOffer(b, v, l.sentSDP)
	k.buf = b
	return append(make([]byte, 0, len(b)), b...)
}

func (c *Call) appendCorrelation(b []byte) []byte {
	b = append(b, "X-Correlation-ID: "...)
	id := c.rec.Correlation
	for i, x := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = append(b, hexDigits[x>>4], hexDigits[x&15])
	}
	return append(b, crlf...)
}
