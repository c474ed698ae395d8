package core

import (
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem/sip"
)

// failed takes the loss of the way to the peer: it could not be dialled, or the
// connection died under a request that waits.
//
// BYE and CANCEL are tried again until Timer F: a call must not stay up at a
// peer that is away for a moment. An INVITE fails at once, for the next attempt;
// but when it was sent, the peer may have it: it stays as abandoned, so that
// what rings is cancelled and what answers is released. Everything else is
// sent once more when its connection died, and fails when dialling fails.
func (c *Core) failed(tx *clientTx, dial bool) {
	c.unwatch(tx)
	if tx.state > clientProceeding {
		return
	}
	tx.target.Conn = 0
	switch {
	case tx.method == gosip.BYE || tx.method == gosip.CANCEL:
		if dial || tx.redialed {
			c.timers.set(&tx.timer, min(c.now+retryEvery, tx.deadline), timerTx, tx)
			return
		}
		tx.redialed = true
		c.transmit(tx)
		return
	case tx.method != gosip.INVITE && !dial && !tx.redialed:
		tx.redialed = true
		c.transmit(tx)
		return
	case tx.giveUp && (!dial || tx.heard):
		return // still waits for what the peer may say
	}
	leg := tx.leg
	tx.leg = nil
	if tx.method == gosip.INVITE && (tx.heard || !dial) {
		c.abandon(tx)
	} else {
		c.dropClient(tx)
	}
	if leg != nil {
		c.busy = leg.call
		leg.lost(tx, lostConnection)
	}
}

// retryEvery is the pause between two tries to reach a peer with BYE or CANCEL.
const retryEvery = time.Second

// watch files tx under the connection that it went out on.
func (c *Core) watch(tx *clientTx, conn sip.ConnID) {
	c.unwatch(tx)
	if conn == 0 || tx.state > clientProceeding {
		return
	}
	tx.conn = conn
	if head := c.conns[conn]; head != nil {
		tx.connNext, head.connPrev = head, tx
	}
	c.conns[conn] = tx
}

func (c *Core) unwatch(tx *clientTx) {
	if tx.conn == 0 {
		return
	}
	switch {
	case tx.connPrev != nil:
		tx.connPrev.connNext = tx.connNext
	case tx.connNext != nil:
		c.conns[tx.conn] = tx.connNext
	default:
		delete(c.conns, tx.conn)
	}
	if tx.connNext != nil {
		tx.connNext.connPrev = tx.connPrev
	}
	tx.conn, tx.connPrev, tx.connNext = 0, nil, nil
}

// connClosed fails every transaction that waits on a connection, oldest last filed first.
func (c *Core) connClosed(conn sip.ConnID) {
	for tx := c.conns[conn]; tx != nil; tx = c.conns[conn] {
		c.failed(tx, false)
	}
}
