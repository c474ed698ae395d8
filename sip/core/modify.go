package core

import (
	"bytes"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
)

// modification is a change of an established session in progress: a re-INVITE
// or UPDATE of one side passed to the other, one answered here, or a refresh of
// ours. A call has at most one; whoever comes second gets 491 (RFC 3261 14.2).
type modification struct {
	from    *Leg      // who asked; nil: a refresh of ours
	server  *serverTx // its request
	to      *Leg      // who is asked; nil: answered here
	tx      *clientTx // our request to it
	sdp     []byte    // the offer as received from from
	offered bool      // an offer of ours is open at to, or at from when to is nil
}

// modifyRequest takes a re-INVITE or UPDATE inside a dialog.
func (l *Leg) modifyRequest(in *inbound, tx *serverTx) {
	c, call := l.core, l.call
	sdp, _, ok := in.sdp()
	status, extra := c.intervalRefusal(in)
	switch bad := unknownOptions(in.require); {
	case call == nil || l.state == legClosing || call.state > Talking:
		c.reply(tx, 481, nil, nil)
		return
	case bad != "":
		c.reply(tx, 420, unsupportedHeader(bad), nil)
		return
	case !ok:
		c.reply(tx, 415, []byte("Accept: application/sdp\r\n"), nil)
		return
	case status != 0:
		c.reply(tx, status, extra, nil)
		return
	case call.state != Talking && len(sdp) == 0 && in.method == gosip.UPDATE && l.state == legUp:
		// A refresh without an offer is fine at any time.
	case call.mod != nil && call.mod.from == l && call.mod.server != nil && call.mod.server.state == serverProceeding:
		c.reply(tx, 500, []byte("Retry-After: 3\r\n"), nil) // 14.2: a second one before the first was answered
		return
	case call.state != Talking || call.mod != nil || l.awaiting != nil:
		c.reply(tx, 491, nil, nil)
		return
	}
	l.setRemote(in, nil, false)
	l.learn(in)
	l.startSession(in)
	switch {
	case len(sdp) == 0 && in.method == gosip.UPDATE:
		l.accept(tx, nil)
	case len(sdp) == 0:
		call.offerHere(l, tx)
	case bytes.Equal(sdp, l.gotSDP) && l.localIsAnswer:
		l.accept(tx, l.sentSDP) // a session refresh: nothing changed, SRTP stays undisturbed
	default:
		call.relay(l, tx, in.method, sdp)
	}
}

// accept answers a modification with 200.
func (l *Leg) accept(tx *serverTx, sdp []byte) {
	if tx.method == gosip.INVITE {
		tx.leg, l.awaiting = l, tx
	}
	l.core.reply(tx, 200, l.call.dialogLines(l, l.sessionLines(tx.method, true)), sdp)
	l.renewSession()
}

// offerHere answers a re-INVITE without SDP by our current description; the
// peer's answer comes with its ACK. The other side hears of it only if the
// answer changes the direction.
func (c *Call) offerHere(l *Leg, tx *serverTx) {
	sdp, err := c.media.Reoffer(l.side)
	if err != nil {
		c.core.reply(tx, 488, appendReason(nil, tandem.CauseIncompatible, "no description to offer"), nil)
		return
	}
	c.mod = &modification{from: l, server: tx, offered: true}
	l.sentSDP, l.localIsAnswer = sdp, false
	l.accept(tx, sdp)
}

// modifyAcked takes the ACK of a modification; after offerHere it carries the answer.
func (c *Call) modifyAcked(l *Leg) {
	m := c.mod
	c.endModify()
	if !m.offered || m.to != nil {
		return
	}
	sdp, _, ok := c.core.in.sdp()
	if !ok || len(sdp) == 0 {
		c.media.Rollback()
		return
	}
	if _, err := c.media.Answer(l.side, sdp, true); err != nil {
		c.media.Rollback()
		return
	}
	l.gotSDP = sdp
	c.tell(c.other(l))
}

// relay passes an offer to the other side.
func (c *Call) relay(l *Leg, tx *serverTx, method gosip.RequestMethod, sdp []byte) {
	k, other := c.core, c.other(l)
	if other.awaiting != nil {
		k.reply(tx, 491, nil, nil)
		return
	}
	offer, err := c.media.Offer(l.side, sdp)
	if err != nil {
		c.media.Rollback()
		k.reply(tx, int(offerRefusal(err).status), appendReason(nil, tandem.CauseIncompatible, "the offered media cannot be carried"), nil)
		return
	}
	if method == gosip.INVITE {
		tx.leg = l
		k.reply(tx, 100, nil, nil)
	}
	if !other.updates || other.view.Kind == tandem.TrunkTeams {
		method = gosip.INVITE // Microsoft takes no UPDATE (microsoft-teams-trunk.md 5)
	}
	m := &modification{from: l, server: tx, to: other, sdp: sdp, offered: true}
	other.sentSDP, other.localIsAnswer = offer, false
	m.tx = other.send(method, forModify, other.sessionLines(method, false), sdpType, offer)
	other.modify = m.tx
	c.mod = m
	k.timers.set(&c.modifyEnd, k.now+65*k.cfg.T1, timerModify, c) // silence is Timer B's or F's to tell, at 64*T1
}

// modified takes the final response to a re-INVITE or UPDATE of ours.
func (c *Call) modified(l *Leg, tx *clientTx, in *inbound) {
	m := c.mod
	if m == nil || m.tx != tx {
		if in.status < 300 && tx.method == gosip.INVITE {
			c.refresh(l) // accepted after we had given it up: put our description in force again
		}
		return
	}
	c.endModify()
	if in.status < 300 && tx.method == gosip.UPDATE {
		l.setRemote(in, nil, false)
		l.learn(in)
	}
	if m.from == nil {
		c.refreshAnswered(l, m, in)
		return
	}
	k := c.core
	if in.status >= 300 {
		c.media.Rollback()
		if in.status == 481 || in.status == 408 { // RFC 3261 12.2.1.2: the dialog is over
			k.reply(m.server, 500, nil, nil)
			c.released.set(tandem.ReleasedByEngine, 0, tandem.CauseTemporaryFailure, "the peer no longer knows the call")
			c.on(evLost, nil)
			return
		}
		k.reply(m.server, modifyStatus(in.status), nil, nil)
		return
	}
	sdp, _, ok := in.sdp()
	var answer []byte
	if ok && len(sdp) > 0 {
		answer, _ = c.media.Answer(l.side, sdp, true)
	}
	if answer == nil {
		c.media.Rollback()
		k.reply(m.server, 488, appendReason(nil, tandem.CauseIncompatible, "answer that cannot be carried"), nil)
		c.refresh(l) // its sender took it for settled (RFC 3261 14.1): put our description in force again
		return
	}
	l.gotSDP = sdp
	m.from.gotSDP, m.from.sentSDP, m.from.localIsAnswer = m.sdp, answer, true
	if in.sessionExpires != "" {
		l.startAgreed(in)
	}
	l.renewSession()
	m.from.accept(m.server, answer)
}

// modifyStatus is what the asking side hears when the other refused.
func modifyStatus(status int) int {
	switch {
	case status == 491, status == 488:
		return status
	case status >= 500 && status < 600:
		return 500
	}
	return 488
}

// modifyLost takes a modification whose request got no answer. No response
// means that the dialog is over (RFC 3261 12.2.1.2); a connection that failed does not.
func (c *Call) modifyLost(l *Leg, tx *clientTx, why lost) {
	m := c.mod
	if m == nil || m.tx != tx {
		return
	}
	c.endModify()
	if m.offered {
		c.media.Rollback()
	}
	if m.from != nil {
		c.core.reply(m.server, 500, nil, nil)
	}
	if why == lostSilence {
		c.released.set(tandem.ReleasedByEngine, 0, tandem.CauseTimerExpiry, "the peer does not answer within the call")
		c.on(evLost, nil)
		return
	}
	if m.from == nil {
		l.retrySession(c.core.cfg.T2)
	}
}

// modifyExpired gives up a re-INVITE that only got provisional responses.
func (c *Call) modifyExpired() {
	m := c.mod
	if m == nil || m.tx == nil {
		return
	}
	c.giveUpModify(m)
	if m.from != nil {
		c.core.reply(m.server, 480, nil, nil)
	} else {
		m.to.retrySession(refusedPause(m.to))
	}
}

func (c *Call) giveUpModify(m *modification) {
	c.endModify()
	if m.offered {
		c.media.Rollback()
	}
	if m.tx != nil {
		c.core.abandon(m.tx)
	}
}

// cancelModify takes the CANCEL of a re-INVITE in progress.
func (c *Call) cancelModify(tx *serverTx) {
	m := c.mod
	if m == nil || m.server != tx {
		return
	}
	c.giveUpModify(m)
	c.core.reply(tx, 487, nil, nil)
}

func (c *Call) endModify() {
	c.core.timers.stop(&c.modifyEnd)
	c.mod = nil
}

// abortModify ends a modification because the call ends: its request still gets
// a final response (RFC 3261 15.1.2).
func (c *Call) abortModify() {
	m := c.mod
	if m == nil {
		return
	}
	c.endModify()
	if m.tx != nil {
		c.core.abandon(m.tx)
	}
	if m.server != nil {
		c.core.reply(m.server, 487, nil, nil)
	}
}
