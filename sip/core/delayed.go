package core

import "tandem"

// Delayed offer (RFC 3261 13.2.1): a carrier's INVITE without SDP. We offer to
// the callee what every peer takes, and what the callee answered to the caller in
// the 200; the caller's answer comes with its ACK. Microsoft sends no such INVITE
// and takes none, so that towards it there is always an offer.

// open is our offer to the callee of an attempt.
func (c *Call) open() ([]byte, error) {
	if c.delayed {
		return c.media.Reoffer(tandem.SideB)
	}
	return c.media.Offer(tandem.SideA, c.offer)
}

// agree takes the callee's final answer and returns the description for the
// caller: the answer to its offer, or our offer; nil when the answer cannot work.
func (c *Call) agree(sdp []byte) []byte {
	forCaller, err := c.media.Answer(tandem.SideB, sdp, true)
	if c.delayed && err == nil {
		forCaller, err = c.media.Reoffer(tandem.SideA)
	}
	if err != nil {
		return nil
	}
	return forCaller
}

// answeredInACK takes the caller's answer to our offer in the 200.
func (c *Call) answeredInACK() bool {
	sdp, _, ok := c.core.in.sdp()
	if ok && len(sdp) > 0 {
		if _, err := c.media.Answer(tandem.SideA, sdp, true); err == nil {
			c.a.gotSDP = sdp
			return true
		}
	}
	c.media.Rollback()
	c.released.set(tandem.ReleasedByEngine, 0, tandem.CauseIncompatible, "the ACK brought no answer to our offer")
	return false
}
