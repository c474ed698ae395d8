package core

import (
	gosip "github.com/emiago/sipgo/sip"

	"tandem"
)

// message takes one received message to its transaction, dialog or new call.
func (c *Core) message(ev *Event) {
	in := &c.in
	if !in.read(ev) {
		// Without Via, From, To, Call-ID or CSeq there is nothing to match a
		// response by; what is left is answered.
		c.stats.BadMessages++
		if in.req != nil && in.method != gosip.ACK && in.callID != "" && in.via.Host != "" && in.via.Transport != "" && in.cseqMethod == in.method {
			c.answerOnce(in, 400, nil)
		}
		return
	}
	if in.res != nil {
		c.responseMessage(in)
		return
	}
	c.request(in)
}

func (c *Core) responseMessage(in *inbound) {
	if in.status < 100 || in.status > 699 {
		c.stats.BadMessages++
		return
	}
	tx := c.clientOf(in)
	if tx == nil {
		if in.cseqMethod == gosip.INVITE && in.status >= 200 && in.status < 300 {
			c.strayAnswer(in)
		} else {
			c.stats.Stray++
		}
		return
	}
	if in.unclean { // a hostile value never travels on; the transaction runs into its timer
		c.stats.BadMessages++
		return
	}
	if tx.leg != nil {
		c.busy = tx.leg.call
	}
	c.response(tx, in)
}

// request takes a request: copies to their transaction, ACK and CANCEL to their
// INVITE, the rest to its dialog or to a new one.
func (c *Core) request(in *inbound) {
	method := in.method
	if method == gosip.ACK {
		method = gosip.INVITE
	}
	key := c.serverKey(in, method)
	tx := c.servers[string(key)]
	status, done := 0, false
	if tx == nil && (method == gosip.INVITE || method == gosip.BYE) {
		status, done = c.done.find(c.now, key)
	}
	switch {
	case in.method == gosip.ACK:
		c.ackRequest(in, tx)
	case tx != nil:
		c.repeated(tx)
	case done:
		c.repeatedDone(in, status)
	case in.unclean:
		c.stats.BadMessages++
		c.answerOnce(in, 400, appendReason(nil, tandem.CauseInterworking, "control character in a header, or one repeated too often"))
	case in.req.SipVersion != "SIP/2.0":
		c.answerOnce(in, 505, nil)
	case in.cseqMethod != in.method:
		c.stats.BadMessages++
		c.answerOnce(in, 400, appendReason(nil, tandem.CauseInterworking, "CSeq names another method (RFC 3261 8.1.1.5)"))
	case in.method == gosip.CANCEL:
		c.cancelRequest(in)
	case in.toTag != "":
		c.inDialog(in)
	case in.method == gosip.INVITE:
		c.invite(in)
	default:
		c.outside(in)
	}
}

// ackRequest takes an ACK: of a 300-699 to its transaction, of a 2xx to its dialog.
func (c *Core) ackRequest(in *inbound, tx *serverTx) {
	if tx != nil && tx.cseq == in.cseq {
		if tx.leg != nil {
			c.busy = tx.leg.call
		}
		c.ack(tx)
		return
	}
	l := c.legOf(in.toTag, in.callID, in.fromTag)
	if l == nil || l.awaiting == nil || l.awaiting.cseq != in.cseq {
		c.stats.Absorbed++ // a copy, or an ACK of something long over: ACK has no response
		return
	}
	c.busy = l.call
	l.ackFor(l.awaiting)
}

// inDialog takes a request with a To tag.
func (c *Core) inDialog(in *inbound) {
	l := c.legOf(in.toTag, in.callID, in.fromTag)
	tx := c.newServer(in, "")
	if l == nil {
		c.reply(tx, 481, nil, nil)
		return
	}
	c.busy = l.call
	if l.remoteSeq != 0 && in.cseq <= l.remoteSeq { // RFC 3261 12.2.2
		c.reply(tx, 500, nil, nil)
		return
	}
	l.remoteSeq = in.cseq
	switch in.method {
	case gosip.BYE:
		l.bye(in, tx)
	case gosip.INVITE, gosip.UPDATE:
		l.modifyRequest(in, tx)
	case gosip.INFO:
		l.info(in, tx)
	case gosip.OPTIONS:
		c.reply(tx, 200, []byte(allowHeader+"Accept: application/sdp\r\n"), nil)
	case gosip.PRACK:
		c.reply(tx, 481, nil, nil) // we send no reliable provisional response (RFC 3262 3)
	default:
		c.unsupported(tx)
	}
}

// outside takes a request that belongs to no dialog and begins no call.
func (c *Core) outside(in *inbound) {
	tx := c.newServer(in, c.newTag(0))
	switch in.method {
	case gosip.BYE, gosip.UPDATE, gosip.INFO, gosip.PRACK:
		c.reply(tx, 481, nil, nil)
	case gosip.OPTIONS:
		c.reply(tx, 200, []byte(allowHeader+"Accept: application/sdp\r\n"), nil)
	default:
		c.unsupported(tx)
	}
}

// unsupported answers a method that we do not serve (RFC 3261 8.2.1; events:
// RFC 6665 4.2.1.1).
func (c *Core) unsupported(tx *serverTx) {
	switch tx.method {
	case gosip.SUBSCRIBE, gosip.NOTIFY, gosip.PUBLISH:
		c.reply(tx, 489, []byte(allowHeader), nil)
	case gosip.REFER, gosip.MESSAGE, gosip.REGISTER:
		c.reply(tx, 405, []byte(allowHeader), nil)
	default:
		c.reply(tx, 501, []byte(allowHeader), nil)
	}
}

// answerOnce refuses a request that leads to nothing.
func (c *Core) answerOnce(in *inbound, status int, extra []byte) {
	if status == 503 {
		extra = append(extra, "Retry-After: 5\r\n"...)
	}
	c.reply(c.newServer(in, c.newTag(0)), status, extra, nil)
}
