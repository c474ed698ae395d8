package core

import "tandem"

// bye takes a BYE inside a dialog (RFC 3261 15.1.2). It is always answered 200,
// also when it crosses ours.
func (l *Leg) bye(in *inbound, tx *serverTx) {
	c := l.core
	call := l.call
	switch {
	case l.state == legInviting && l.side == tandem.SideB:
		c.reply(tx, 481, nil, nil) // only the caller may end an early dialog by BYE (15)
		return
	case l.state == legInviting:
		c.reply(tx, 200, nil, nil)
		call.released.set(tandem.ReleasedByCaller, 487, tandem.CauseNormalClearing, "BYE before the answer")
		call.on(evCancel, l)
		return
	}
	c.reply(tx, 200, nil, nil)
	if l.state == legUp && call != nil && (call.state == Answering || call.state == Talking) && !l.gaveUp {
		by := tandem.ReleasedByCaller
		if l.side == tandem.SideB {
			by = tandem.ReleasedByCallee
		}
		cause, text := tandem.CauseNormalClearing, ""
		if q, ok := in.q850(); ok {
			cause, text = tandem.Cause(q.Cause), tandem.Clip(q.Text, 200)
		}
		call.released.set(by, 0, cause, text)
		call.on(evBye, l)
	}
	l.gone()
}
