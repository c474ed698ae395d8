package core

import (
	"time"

	"tandem"
)

// creditAhead is how long before the granted talk time ends more is asked for.
const creditAhead = 5 * time.Second

// startCredit begins to count the talk time that the call's account can pay.
func (c *Call) startCredit(l *Leg) {
	if c.plan.Granted <= 0 || c.core.deps.Credit == nil {
		return
	}
	c.granted = c.core.deps.Credit.Answered(c.rec.Correlation, l.att.Failsafe, c.core.wall)
	c.watchCredit(creditAhead)
}

// watchCredit sets the clock so long before the granted time ends.
func (c *Call) watchCredit(ahead time.Duration) {
	if c.granted > 0 {
		c.core.timers.set(&c.creditEnd, c.a.answered+max(c.granted-ahead, 0), timerCredit, c)
	}
}

// creditDue asks for more talk time; without more the call ends at the last
// second that is paid for.
func (c *Call) creditDue() {
	if c.state != Answering && c.state != Talking {
		return
	}
	more := c.core.deps.Credit.Extend(c.rec.Correlation, c.core.wall)
	switch {
	case more == 0: // the limit is gone
		c.granted = 0
	case more > c.granted:
		c.granted = more
		c.watchCredit(creditAhead)
	case c.core.now-c.a.answered < c.granted:
		c.watchCredit(0) // ask once more then: somebody may have topped up
	default:
		c.released.set(tandem.ReleasedByEngine, 402, tandem.CauseRejected, "the account's credit is used up")
		c.on(evHangup, nil)
	}
}

// capAtCredit ends a call on record no later than its credit did: what the
// timer was late by is nobody's to pay.
func (c *Call) capAtCredit() {
	if c.granted > 0 && c.endedAt-c.a.answered > c.granted {
		c.endedAt, c.endWall = c.a.answered+c.granted, c.rec.Legs[0].AnswerTime.Add(c.granted)
	}
}
