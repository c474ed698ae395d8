package core

import (
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip/header"
)

// legState is how far one leg is. A-leg and B-leg are the same type: the A-leg
// begins with a request received, the B-leg with one sent.
type legState uint8

const (
	legInviting legState = iota // INVITE received or sent, no final response
	legUp                       // dialog confirmed
	legClosing                  // our BYE is out
	legGone                     // nothing more to come; out of the tables
)

func (s legState) String() string { return [...]string{"inviting", "up", "closing", "gone"}[s] }

// Leg is one side of a call: a dialog with a peer, or the attempt to get one.
// After its call has ended a leg lives on alone until its BYE is answered, its
// CANCEL took effect, or a late answer was released.
type Leg struct {
	core  *Core
	call  *Call // nil for an orphan: a dialog that exists only to be released
	side  tandem.Side
	id    uint64
	state legState
	dialog
	view     *TrunkView
	endpoint tandem.Endpoint
	att      *tandem.Attempt // B-leg
	rec      int             // index of its LegRecord; -1 = none
	next     *Leg            // other dialog with the same local tag (fork)

	invite   *clientTx // B-leg: the INVITE
	server   *serverTx // A-leg: the INVITE
	awaiting *serverTx // an INVITE whose 2xx waits for its ACK
	modify   *clientTx // re-INVITE or UPDATE of ours in progress
	ack      []byte
	ackSeq   uint32

	due      bool // BYE leaves as soon as the ACK came
	gaveUp   bool // attempt abandoned or call over: an answer is released at once
	settled  bool // its record is final
	cut      bool // orphan of a call that a crash cut
	retried  bool // INVITE was sent again after 422
	alerted  bool // an 18x came
	answered time.Duration

	updates, infos, timers bool // what the peer's Allow and Supported say

	sentSDP, gotSDP   []byte // session descriptions last sent and received
	localIsAnswer     bool   // the one last sent was an answer, so it can be repeated
	response, patient timer  // INVITE to first response; to final response
	watch             timer  // next look at whether the peer lives

	session session
	noted   tandem.DialogRecord // what the last fact says of the dialog
}

// newLeg numbers a leg and files it.
func (c *Core) newLeg(l *Leg, call *Call, side tandem.Side, view *TrunkView) {
	c.nextLeg++
	l.core, l.call, l.side, l.view, l.id, l.rec = c, call, side, view, c.nextLeg, -1
	l.localTag = c.newTag(l.id)
	c.legs[l.id] = l
	c.stats.Legs++
}

// legOf finds the leg of a dialog by our tag, the Call-ID and the peer's tag.
// A leg without a dialog yet matches any tag of its peer: early dialogs.
func (c *Core) legOf(localTag, callID, remoteTag string) *Leg {
	id, ok := legOfTag(localTag)
	if !ok {
		return nil
	}
	for l := c.legs[id]; l != nil; l = l.next {
		if l.localTag == localTag && l.callID == callID && (l.remoteTag == remoteTag || l.remoteTag == "") {
			return l
		}
	}
	return nil
}

// gone takes the leg out of all tables. Its transactions that still absorb
// copies go on without it.
func (l *Leg) gone() {
	if l.state == legGone {
		return
	}
	c := l.core
	l.state = legGone
	for _, t := range []*timer{&l.response, &l.patient, &l.watch, &l.session.timer} {
		c.timers.stop(t)
	}
	if l.awaiting != nil {
		c.confirm(l.awaiting)
		l.awaiting = nil
	}
	if l.server != nil {
		l.server.leg = nil
		l.server = nil
	}
	for _, tx := range []*clientTx{l.invite, l.modify} {
		if tx == nil {
			continue
		}
		tx.leg = nil
		if tx.state == clientAccepted {
			c.dropClient(tx) // a copy of the 2xx after the BYE is a stray and released again
		}
	}
	l.invite, l.modify = nil, nil
	if head := c.legs[l.id]; head == l {
		if l.next == nil {
			delete(c.legs, l.id)
		} else {
			c.legs[l.id] = l.next
		}
	} else {
		for p := head; p != nil; p = p.next {
			if p.next == l {
				p.next = l.next
				break
			}
		}
	}
	c.stats.Legs--
	if l.call != nil {
		l.call.settle()
	} else {
		c.orphans--
	}
}

// newOrphan is a dialog made from a stray 2xx, only to be released.
func (c *Core) newOrphan(view *TrunkView, in *inbound) *Leg {
	l := &Leg{core: c, side: tandem.SideB, view: view, rec: -1, state: legUp}
	id, known := legOfTag(in.fromTag)
	if !known {
		c.nextLeg++
		id = c.nextLeg
	}
	l.id = id
	l.next = c.legs[id]
	c.legs[id] = l
	c.stats.Legs++
	c.orphans++
	l.callID, l.localTag = in.callID, in.fromTag
	l.dialogOf(in)
	l.localSeq = in.cseq
	l.sendAck(in.cseq)
	return l
}

// dialogOf makes the dialog of a leg of ours from a response (RFC 3261 12.1.2).
func (l *Leg) dialogOf(in *inbound) {
	l.remoteTag = in.toTag
	l.local = l.core.address(in.from.DisplayName, &in.from.Address, in.from.Params)
	l.remote = l.core.address(in.to.DisplayName, &in.to.Address, in.to.Params)
	routes := in.recordRoutes()
	for i, j := 0, len(routes)-1; i < j; i, j = i+1, j-1 {
		routes[i], routes[j] = routes[j], routes[i]
	}
	l.setRemote(in, routes, true)
	l.learn(in)
}

// learn notes what the peer can do.
func (l *Leg) learn(in *inbound) {
	if in.allow != "" {
		l.updates = header.HasToken(in.allow, "UPDATE")
		l.infos = header.HasToken(in.allow, "INFO")
	}
	if in.supported != "" {
		l.timers = header.HasToken(in.supported, "timer")
	}
}

// release ends a confirmed dialog with BYE.
func (l *Leg) release() {
	cause, text := tandem.CauseNormalClearing, ""
	if l.call != nil {
		cause, text = l.call.released.cause, l.call.released.text
	} else if l.cut {
		cause, text = tandem.CauseTemporaryFailure, recoveredText
	}
	if l.state != legUp {
		return
	}
	if l.awaiting != nil && l.awaiting == l.server {
		l.due = true // the callee's side sends no BYE before the ACK came or is overdue (15)
		return
	}
	l.state = legClosing
	l.core.timers.stop(&l.session.timer)
	l.core.extra = appendReason(l.core.extra[:0], cause, text)
	l.send(gosip.BYE, forBye, l.core.extra, "", nil)
}

// record is the leg's part of the call record; nil for orphans and after the record was written.
func (l *Leg) record() *tandem.LegRecord {
	if l.rec < 0 || l.call == nil || l.call.state == Ended {
		return nil
	}
	return &l.call.rec.Legs[l.rec]
}

// provisional takes a 1xx of one of the leg's requests.
func (l *Leg) provisional(tx *clientTx, in *inbound) {
	if tx.purpose == forSetup && l.call != nil {
		l.call.progress(l, in)
	}
}

// answered2xx takes a 2xx to an INVITE of the leg. It reports false when the
// answer is not for this leg: another fork.
func (l *Leg) answered2xx(tx *clientTx, in *inbound) bool {
	switch {
	case in.toTag == "" || in.contact == nil && l.target == "":
		l.unusable(tx)
		return true
	case tx.purpose == forSetup && l.remoteTag == "":
		l.dialogOf(in)
		l.localSeq = tx.cseq
		l.sendAck(in.cseq)
		if l.gaveUp || l.call == nil || l.call.state == Ended {
			l.late()
			return true
		}
		l.state = legUp
		l.call.answer(l, in)
		return true
	case in.toTag != l.remoteTag:
		return false
	case l.ackSeq == in.cseq:
		l.ackAgain(in.cseq)
		return true
	case tx == l.modify:
		l.setRemote(in, nil, false)
		l.learn(in)
		l.sendAck(in.cseq)
		l.modify = nil
		if l.state == legUp && l.call != nil {
			l.call.modified(l, tx, in)
		}
		return true
	}
	l.overtaken(in)
	return true
}

// overtaken takes a 2xx to a re-INVITE that we had given up. It is ACKed all the
// same, or the peer ends the call (RFC 3261 14.2), and our description is put
// in force again.
func (l *Leg) overtaken(in *inbound) {
	switch {
	case in.cseq > l.localSeq: // of no INVITE of ours
		l.core.stats.Stray++
		return
	case l.state != legUp || in.cseq <= l.ackSeq:
		l.ackAgain(in.cseq)
		return
	}
	l.sendAck(in.cseq)
	if l.call != nil && l.call.state == Talking {
		l.core.busy = l.call
		l.call.refresh(l)
	}
}

// unusable takes a 2xx of which no dialog can be made (RFC 3261 12.1.1): there is
// nobody to send ACK or BYE to, its sender will give up. The attempt is over.
func (l *Leg) unusable(tx *clientTx) {
	switch {
	case tx.purpose != forSetup || l.state != legInviting:
	case l.gaveUp || l.call == nil:
		l.settled = true
		l.gone()
	default:
		l.call.attemptFailed(l, tandem.Outcome{Kind: tandem.OutcomeMedia, Alerted: l.alerted})
	}
}

// late releases an answer that came after its attempt was abandoned. It is on
// record, but has no AnswerTime and is never billed.
func (l *Leg) late() {
	l.core.stats.LateAnswers++
	if r := l.record(); r != nil {
		r.Status = 200
		r.ReasonText = "answered after the attempt was given up: released at once"
	}
	l.settled = true
	l.state = legUp
	l.release()
	if l.call != nil {
		l.call.settle()
		l.call.letGo(l)
	}
}

// final takes a final response other than 2xx to INVITE.
func (l *Leg) final(tx *clientTx, in *inbound) {
	switch tx.purpose {
	case forSetup:
		if l.gaveUp || l.call == nil {
			l.overdue(in)
			return
		}
		l.call.refused(l, tx, in)
	case forBye:
		l.gone()
	case forModify, forRefresh:
		if l.modify == tx {
			l.modify = nil
		}
		if l.state == legUp && l.call != nil {
			l.call.modified(l, tx, in)
		}
	case forInfo:
		if l.call != nil {
			l.call.infoAnswered(tx, in)
		}
	}
}

// overdue takes the final response of an abandoned attempt: mostly the 487 to our CANCEL.
func (l *Leg) overdue(in *inbound) {
	if r := l.record(); r != nil && r.Status == 0 {
		r.Status = tandem.SIPStatus(in.status)
		if q, ok := in.q850(); ok && r.Outcome != tandem.OutcomeCancelled {
			r.Cause, r.ReasonText = tandem.Cause(q.Cause), tandem.Clip(q.Text, 200)
		}
	}
	l.settled = true
	l.gone()
	if l.call != nil {
		l.call.letGo(l)
	}
}

// lost takes the end of a transaction without a final response.
func (l *Leg) lost(tx *clientTx, why lost) {
	switch tx.purpose {
	case forSetup:
		if l.gaveUp || l.call == nil {
			l.settled = true
			l.gone()
			if l.call != nil {
				l.call.letGo(l)
			}
			return
		}
		l.call.unreachable(l, why)
	case forBye:
		l.gone()
	case forModify, forRefresh:
		if l.modify == tx {
			l.modify = nil
		}
		if l.state == legUp && l.call != nil {
			l.call.modifyLost(l, tx, why)
		}
	case forInfo:
		if l.call != nil {
			l.call.infoLost(tx)
		}
	}
}

// ackFor takes the ACK of a 2xx that we sent.
func (l *Leg) ackFor(tx *serverTx) {
	l.core.confirm(tx)
	if l.awaiting == tx {
		l.awaiting = nil
	}
	if l.call != nil {
		l.call.acked(l, tx)
	}
	if l.due {
		l.release()
	}
}

// ackMissing: 64*T1 went by without the ACK of our 2xx (RFC 3261 13.3.1.4).
func (l *Leg) ackMissing(tx *serverTx) {
	if l.awaiting == tx {
		l.awaiting = nil
	}
	if l.call != nil {
		l.call.on(evNoAck, nil)
	}
	if l.due {
		l.release()
	}
}
