package core

import (
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
)

// ring relays an 18x of the current attempt to the caller. Early media goes
// along only from trunks that are trusted with it: Microsoft's early audio can
// be silence, which would kill the caller's ringback (microsoft-teams-trunk.md 5).
func (c *Call) ring(l *Leg) {
	in := &c.core.in
	status := in.status
	var body []byte
	if sdp, _, ok := in.sdp(); ok && len(sdp) > 0 && l.view.Relay183 {
		if early, err := c.media.Answer(tandem.SideB, sdp, false); err == nil && !c.delayed { // an offer needs a reliable response (RFC 3262 5)
			body = early
		}
	}
	if body == nil && status == 183 {
		status = 180
	}
	if body == nil && c.rung == status {
		return // other forks ring too: the caller knows
	}
	c.rung = status
	if r := c.a.record(); r != nil && r.RingTime.IsZero() {
		r.RingTime = c.moment()
	}
	c.core.reply(c.a.server, status, c.dialogLines(&c.a, nil), body)
}

// dialogLines are the headers of a response of ours that forms or keeps a dialog.
func (c *Call) dialogLines(l *Leg, more []byte) []byte {
	b := append(c.core.extra[:0], "Contact: "...)
	b = append(b, l.contact...)
	b = append(b, crlf...)
	b = append(b, allowHeader...)
	b = c.appendCorrelation(b)
	b = append(b, more...)
	c.core.extra = b
	return b
}

// answer takes the first 2xx of the current attempt. The leg has ACKed it.
func (c *Call) answer(l *Leg, in *inbound) {
	sdp, _, ok := in.sdp()
	var forCaller []byte
	if ok && len(sdp) > 0 {
		forCaller = c.agree(sdp)
	}
	if forCaller == nil { // an answer that cannot work: RFC 3261 13.2.2.4, ACK then BYE
		c.attemptFailed(l, tandem.Outcome{Kind: tandem.OutcomeMedia, Alerted: l.alerted})
		return
	}
	l.gotSDP = sdp
	c.a.sentSDP, c.a.localIsAnswer = forCaller, !c.delayed
	l.startAgreed(in)
	c.on(evAnswer, l)
}

// connect is the instant of the answer: both legs' AnswerTime, the answer fact,
// and the 200 to the caller, in this order.
func (c *Call) connect(l *Leg) {
	k := c.core
	k.timers.stop(&l.response)
	k.timers.stop(&l.patient)
	k.timers.stop(&l.watch)
	k.timers.stop(&c.silence)
	c.setUpOver()
	k.stats.Answered++
	now := c.moment()
	for _, leg := range [...]*Leg{&c.a, l} {
		leg.answered = k.now
		if r := leg.record(); r != nil {
			r.AnswerTime, r.Status, r.Disposition = now, 200, tandem.Answered
		}
	}
	o := tandem.Outcome{Kind: tandem.OutcomeAnswered, Alerted: l.alerted, LocalHost: l.att.LocalHost}
	l.record().Outcome = o.Kind
	k.deps.Output.Outcome(l.att.Trunk, l.att.Endpoint, o, k.wall)
	c.readMedia()
	c.journal(tandem.FactAnswer)
	c.startCredit(l)
	a := &c.a
	a.state, a.awaiting = legUp, a.server
	k.reply(a.server, 200, c.dialogLines(a, a.sessionLines(gosip.INVITE, true)), a.sentSDP)
	c.offer, c.location = nil, nil
	k.timers.set(&c.point, k.now+k.cfg.CheckpointEvery, timerPoint, c)
	a.renewSession()
	l.renewSession()
}

// setUpOver forgets what only the set-up needs.
func (c *Call) setUpOver() {
	if c.core.invites[c.mergeKey] == c {
		delete(c.core.invites, c.mergeKey)
	}
}

// established is done when the caller's ACK came; all that is left is to talk.
func (c *Call) established(*Leg) {}

// acked takes the ACK of a 2xx on a leg: of the call, or of a modification.
func (c *Call) acked(l *Leg, tx *serverTx) {
	if m := c.mod; m != nil && m.server == tx {
		c.modifyAcked(l)
		return
	}
	switch {
	case l != &c.a:
	case c.delayed && c.state == Answering && !c.answeredInACK():
		c.on(evLost, nil)
	case c.delayed && c.state == Answering:
		c.on(evAck, l)
		c.tell(c.b)
	default:
		c.on(evAck, l)
	}
}

// refuse ends the set-up with the final response that c.released names.
func (c *Call) refuse(*Leg) {
	r := &c.released
	if r.status < 300 {
		r.status = 480
	}
	c.dropAttempts(tandem.OutcomeCancelled)
	c.rejectCaller(tandem.Outcome{Kind: tandem.OutcomeStatus, Status: r.status, Alerted: c.outcome.Alerted})
}

// cancelled ends the set-up because the caller gave up.
func (c *Call) cancelled(*Leg) {
	c.dropAttempts(tandem.OutcomeCancelled)
	c.rejectCaller(tandem.Outcome{Kind: tandem.OutcomeCancelled, Status: 487})
}

// rejectCaller sends the final response and closes the A-leg's record.
func (c *Call) rejectCaller(o tandem.Outcome) {
	r, k, a := &c.released, c.core, &c.a
	c.setUpOver()
	extra := c.appendCorrelation(k.extra[:0])
	if r.status != 487 {
		extra = appendReason(extra, r.cause, r.text)
	}
	if r.status == 503 {
		extra = append(extra, "Retry-After: 5\r\n"...)
	}
	k.extra = extra
	k.reply(a.server, int(r.status), extra, nil)
	a.closeFailed(o, r.status, r.cause, r.text, r.by)
	if rec := a.record(); rec != nil && c.plan.Reject != nil && (r.status == 403 || r.status == 402) {
		rec.Disposition = tandem.BlockedPolicy
	}
	c.closeMedia()
	a.settled = true
	a.gone()
	c.settle()
}

// dropAttempts gives up the attempt in progress. The record waits for its final
// status as long as ReleaseWait.
func (c *Call) dropAttempts(kind tandem.OutcomeKind) {
	l := c.b
	if l == nil || l.gaveUp || l.state == legGone {
		return
	}
	r := &c.released
	l.closeFailed(tandem.Outcome{Kind: kind}, 0, r.cause, r.text, r.by)
	l.drop()
	if l.state != legGone {
		l.settled = false
	}
}

// hangUp ends an established call: BYE to the side that did not send one, the
// records closed at one shared instant. from is the side that sent BYE, nil
// when the engine ends the call.
func (c *Call) hangUp(from *Leg) {
	c.endNow(c.lastSeen, c.mediaLost)
	if c.released.by == "" {
		c.released.set(tandem.ReleasedByEngine, 0, tandem.CauseNormalUnspecified, "")
	}
	c.closeMedia()
	c.abortModify()
	for _, l := range [...]*Leg{&c.a, c.b} {
		c.closeConnected(l)
		if l.state == legUp && l != from {
			l.release()
		}
	}
	c.settle()
}

// mediaTimeout: a side that should send is silent; the call ends at its last packet.
func (c *Call) mediaTimeout(lastSeen time.Time) {
	if c.state != Answering && c.state != Talking {
		return
	}
	c.lastSeen, c.mediaLost = lastSeen, true
	c.on(evMediaLost, nil)
}
