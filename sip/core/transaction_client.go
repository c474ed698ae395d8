package core

import (
	"strconv"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem/sip"
)

// clientState is the state of a client transaction (RFC 3261 17.1, RFC 6026 7.2).
type clientState uint8

const (
	clientCalling    clientState = iota // sent, nothing heard ("trying" for non-INVITE)
	clientProceeding                    // 1xx came
	clientCompleted                     // final response came (INVITE: 300-699)
	clientAccepted                      // INVITE: 2xx came; its copies are ACKed again
	clientGone
)

// purpose says what a request of ours is for.
type purpose uint8

const (
	forSetup   purpose = iota + 1 // the INVITE of an attempt
	forModify                     // a re-INVITE or UPDATE relayed for the other side
	forRefresh                    // a re-INVITE or UPDATE of our own (RFC 4028)
	forInfo                       // a relayed INFO
	forBye                        //
	forCancel                     //
)

// lost is why a transaction ended without a final response.
type lost uint8

const (
	lostSilence    lost = iota + 1 // Timer B or F
	lostConnection                 // could not be sent, or its connection died
)

// clientTx is one client transaction.
type clientTx struct {
	id       uint64 // also SendRef.Tx, and in clear in the branch
	branch   string
	method   gosip.RequestMethod
	purpose  purpose
	target   sip.Target
	reliable bool
	state    clientState
	msg      []byte // as sent, until a final response
	ack      []byte // INVITE: the ACK, for copies of the final response
	cseq     uint32
	leg      *Leg      // transaction user; nil: nobody is interested any more
	ofInvite uint64    // CANCEL: the INVITE's transaction
	relay    *serverTx // INFO: the request of the other side that this one passes on
	heard    bool      // a provisional response came
	giveUp   bool      // INVITE: abandoned; CANCEL goes out as soon as RFC 3261 9.1 allows
	cancel   bool      // INVITE: CANCEL was sent
	redialed bool      // sent again after its connection died

	timer    timer
	interval time.Duration
	deadline time.Duration

	conn               sip.ConnID
	connPrev, connNext *clientTx
}

// newClient numbers a transaction; start sends it.
func (c *Core) newClient(method gosip.RequestMethod, why purpose, leg *Leg, target sip.Target) *clientTx {
	c.nextTx++
	tx := &clientTx{id: c.nextTx, method: method, purpose: why, leg: leg, target: target, reliable: target.Transport != "UDP"}
	tx.branch = c.newBranch(tx.id)
	return tx
}

// start sends the request for the first time.
func (c *Core) start(tx *clientTx, msg []byte) {
	tx.msg = msg
	if tx.method == gosip.CANCEL {
		c.cancels[tx.ofInvite] = tx
	}
	c.clients[tx.id] = tx
	tx.deadline = c.now + 64*c.cfg.T1 // Timer B, F
	tx.interval = c.cfg.T1
	c.transmit(tx)
	next := tx.deadline
	if !tx.reliable {
		next = c.now + tx.interval // Timer A, E
	}
	c.timers.set(&tx.timer, next, timerTx, tx)
}

func (c *Core) transmit(tx *clientTx) {
	c.deps.Output.Send(tx.target, sip.SendRef{Shard: c.cfg.Shard, Tx: tx.id, Watch: tx.reliable}, tx.msg)
}

func (c *Core) dropClient(tx *clientTx) {
	c.timers.stop(&tx.timer)
	c.unwatch(tx)
	delete(c.clients, tx.id)
	if tx.method == gosip.CANCEL && c.cancels[tx.ofInvite] == tx {
		delete(c.cancels, tx.ofInvite)
	}
	tx.state = clientGone
	tx.msg = nil
}

// clientOf finds the transaction of a response (RFC 3261 17.1.3). One with
// another CSeq number is no response to our request (8.2.6.2).
func (c *Core) clientOf(in *inbound) *clientTx {
	id, ok := txOfBranch(in.branch)
	if !ok {
		return nil
	}
	tx := c.clients[id]
	if in.cseqMethod == gosip.CANCEL {
		tx = c.cancels[id]
	}
	if tx == nil || tx.branch != in.branch || tx.method != in.cseqMethod || tx.cseq != in.cseq {
		return nil
	}
	return tx
}

// response takes a response into its transaction.
func (c *Core) response(tx *clientTx, in *inbound) {
	switch {
	case tx.state == clientAccepted:
		if in.status >= 200 && in.status < 300 {
			c.stats.Absorbed++
			c.accepted(tx, in)
		}
	case tx.state == clientCompleted && tx.method == gosip.INVITE && in.status < 300 && in.status >= 200:
		c.strayAnswer(in) // a fork, or a peer that changed its mind: it believes itself in a call
	case tx.state == clientCompleted:
		c.stats.Absorbed++
		if tx.method == gosip.INVITE && in.status >= 300 && tx.ack != nil {
			c.stats.Retransmits++
			c.deps.Output.Send(tx.target, sip.SendRef{}, tx.ack)
		}
	case in.status < 200:
		c.provisional(tx, in)
	case tx.method == gosip.INVITE && in.status < 300:
		tx.state, tx.msg = clientAccepted, nil
		c.unwatch(tx)
		c.timers.set(&tx.timer, c.now+64*c.cfg.T1, timerTx, tx) // Timer M
		c.accepted(tx, in)
	default:
		c.completed(tx, in)
	}
}

func (c *Core) provisional(tx *clientTx, in *inbound) {
	tx.heard = true
	if tx.state == clientCalling {
		tx.state = clientProceeding
		if tx.method == gosip.INVITE {
			if !tx.giveUp {
				c.timers.stop(&tx.timer)
			}
		} else {
			tx.interval = c.cfg.T2
		}
	}
	if tx.giveUp {
		c.cancelNow(tx)
		return
	}
	if tx.leg != nil {
		tx.leg.provisional(tx, in)
	}
}

// completed takes a final response other than 2xx to INVITE.
func (c *Core) completed(tx *clientTx, in *inbound) {
	leg := tx.leg
	tx.state = clientCompleted
	if tx.method == gosip.INVITE {
		tx.ack = c.ackOf(tx, in)
		c.deps.Output.Send(tx.target, sip.SendRef{}, tx.ack)
	}
	tx.msg = nil
	c.unwatch(tx)
	if tx.reliable || tx.method != gosip.INVITE {
		// Timer K would only swallow copies of the response, and what belongs to
		// nothing is swallowed too: one timer and one wake-up less for each call.
		c.dropClient(tx)
	} else {
		c.timers.set(&tx.timer, c.now+max(64*c.cfg.T1, 32*time.Second), timerTx, tx) // Timer D
	}
	tx.leg = nil
	if leg != nil {
		leg.final(tx, in)
	}
}

// accepted takes a 2xx to INVITE, a copy of it, or that of another fork.
func (c *Core) accepted(tx *clientTx, in *inbound) {
	if tx.leg != nil && tx.leg.answered2xx(tx, in) {
		return
	}
	c.strayAnswer(in)
}

// ackOf builds the ACK of a 300-699 response: the request's own top Via, route
// and Request-URI, the response's To (RFC 3261 17.1.1.3).
func (c *Core) ackOf(tx *clientTx, in *inbound) []byte {
	return c.sameHop(tx, "ACK", in)
}

// sameHop builds a request that goes the way of tx: ACK or CANCEL. For ACK, To
// comes from the response.
func (c *Core) sameHop(tx *clientTx, method string, in *inbound) []byte {
	b := append(c.buf[:0], method...)
	lines := headerLines(tx.msg)
	first := true
	for line := lines.next(); line != nil; line = lines.next() {
		switch {
		case first: // "INVITE uri SIP/2.0"
			b = append(b, line[len("INVITE"):]...)
			first = false
		case lineIs(line, "Via"), lineIs(line, "From"), lineIs(line, "Call-ID"), lineIs(line, "Route"), lineIs(line, "Max-Forwards"):
			b = append(b, line...)
		case lineIs(line, "To") && in != nil:
			b = append(b, "To: "...)
			b = appendAddress(b, in.to.DisplayName, &in.to.Address, in.to.Params, true)
			b = append(b, crlf...)
		case lineIs(line, "To"):
			b = append(b, line...)
		}
	}
	b = append(b, "CSeq: "...)
	b = strconv.AppendUint(b, uint64(tx.cseq), 10)
	b = append(b, ' ')
	b = append(b, method...)
	b = append(b, crlf...)
	if method == "CANCEL" {
		b = append(b, "Reason: SIP;cause=487;text=\"Call ended or moved on\"\r\n"...)
	}
	b = appendBody(b, "", nil)
	c.buf = b
	return append(make([]byte, 0, len(b)), b...)
}

// abandon gives up an INVITE: no copy of it leaves any more, CANCEL goes out
// now or after the first provisional response (RFC 3261 9.1), and a late 2xx is
// ACKed and released.
func (c *Core) abandon(tx *clientTx) {
	if tx.method != gosip.INVITE || tx.giveUp || tx.state > clientProceeding {
		return
	}
	tx.giveUp = true
	if tx.state == clientProceeding {
		c.cancelNow(tx)
		return
	}
	tx.deadline = c.now + 64*c.cfg.T1
	c.timers.set(&tx.timer, tx.deadline, timerTx, tx)
}

// cancelNow sends CANCEL; when no final response follows within 64*T1 the INVITE is
// considered over (RFC 3261 9.1).
func (c *Core) cancelNow(tx *clientTx) {
	if tx.cancel {
		return
	}
	tx.cancel = true
	tx.deadline = c.now + 64*c.cfg.T1
	c.timers.set(&tx.timer, tx.deadline, timerTx, tx)
	c.nextTx++
	cx := &clientTx{
		id: c.nextTx, branch: tx.branch, method: gosip.CANCEL, purpose: forCancel,
		target: tx.target, reliable: tx.reliable, cseq: tx.cseq, ofInvite: tx.id,
	}
	c.start(cx, c.sameHop(tx, "CANCEL", nil))
}

// fire runs timers A, B, D, E, F and M.
func (tx *clientTx) fire(c *Core, _ timerKind) {
	if tx.state == clientGone {
		c.stats.Loose++
		return
	}
	if tx.state >= clientCompleted || tx.giveUp {
		leg := tx.leg
		gaveUp := tx.state < clientCompleted
		c.dropClient(tx)
		tx.leg = nil
		if leg != nil && gaveUp {
			c.busy = leg.call
			leg.lost(tx, lostSilence)
		}
		return
	}
	if c.now >= tx.deadline {
		leg := tx.leg
		c.dropClient(tx)
		tx.leg = nil
		if leg != nil {
			c.busy = leg.call
			leg.lost(tx, lostSilence)
		}
		return
	}
	c.stats.Retransmits++
	c.transmit(tx)
	if tx.reliable { // a try after a failed connection; the next failure sets the timer again
		c.timers.set(&tx.timer, tx.deadline, timerTx, tx)
		return
	}
	tx.interval *= 2
	if tx.method != gosip.INVITE {
		tx.interval = min(tx.interval, c.cfg.T2)
	}
	c.timers.set(&tx.timer, min(c.now+tx.interval, tx.deadline), timerTx, tx)
}
