package core

import (
	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip/header"
)

// info takes an INFO inside a dialog (RFC 6086). One without a body is a
// keep-alive and answered here. Others (application/dtmf-relay and the like)
// go to the other side when its Allow lists INFO; else 415: Microsoft, for
// one, takes telephone-event in RTP only.
func (l *Leg) info(in *inbound, tx *serverTx) {
	c, call := l.core, l.call
	switch {
	case call == nil || l.state != legUp || call.state != Answering && call.state != Talking:
		c.reply(tx, 481, nil, nil)
		return
	case in.infoPackage != "":
		c.reply(tx, 469, []byte("Recv-Info: \r\n"), nil)
		return
	case len(in.body) == 0:
		c.reply(tx, 200, nil, nil)
		return
	case len(in.body) > c.cfg.MaxBody:
		c.reply(tx, 413, nil, nil)
		return
	}
	other := call.other(l)
	if !other.infos || other.state != legUp || other.view.Kind == tandem.TrunkTeams || !header.Clean(in.contentType) {
		c.reply(tx, 415, []byte("Accept: application/sdp\r\n"), nil)
		return
	}
	out := other.send(gosip.INFO, forInfo, nil, in.contentType, in.body)
	out.relay = tx
}

// infoAnswered passes the response of a relayed INFO back.
func (c *Call) infoAnswered(tx *clientTx, in *inbound) {
	status := in.status
	switch {
	case tx.relay == nil:
		return
	case status < 300:
		status = 200
	case status == 401, status == 407, status == 481, status == 408:
		status = 500
	}
	c.core.reply(tx.relay, status, nil, nil)
}

// infoLost answers an INFO whose relayed copy got no answer.
func (c *Call) infoLost(tx *clientTx) {
	if tx.relay != nil {
		c.core.reply(tx.relay, 504, nil, nil)
	}
}
