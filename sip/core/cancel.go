package core

import (
	gosip "github.com/emiago/sipgo/sip"

	"tandem"
)

// cancelRequest takes a CANCEL (RFC 3261 9.2): 200 for the CANCEL itself, then 487
// for the INVITE if that is still open. After a final response it has no
// effect. On UDP it may overtake its INVITE: then it is kept, and the INVITE
// finds it.
func (c *Core) cancelRequest(in *inbound) {
	invite := c.servers[string(c.serverKey(in, gosip.INVITE))]
	tag := c.newTag(0)
	if invite != nil && invite.leg != nil {
		tag = invite.leg.localTag // 9.2: the same To tag as the INVITE's responses
	}
	tx := c.newServer(in, tag)
	switch {
	case invite == nil && tx.reliable:
		c.reply(tx, 481, nil, nil)
		return
	case invite == nil:
		tx.early = true
		c.reply(tx, 200, nil, nil)
		return
	}
	c.reply(tx, 200, nil, nil)
	l := invite.leg
	if l == nil || l.call == nil || invite.state != serverProceeding {
		return
	}
	c.busy = l.call
	if invite != l.server {
		l.call.cancelModify(invite)
		return
	}
	cause, text := tandem.CauseNormalClearing, "cancelled by the caller"
	if q, ok := in.q850(); ok {
		cause, text = tandem.Cause(q.Cause), tandem.Clip(q.Text, 200)
	}
	l.call.released.set(tandem.ReleasedByCaller, 487, cause, text)
	l.call.on(evCancel, l)
}
