package core

// strayAnswer ends a call that nobody waits for any more: a 2xx that came after
// its attempt was abandoned or forgotten, or from another fork. It is ACKed and
// released (RFC 3261 13.2.2.4), built from the response alone.
func (c *Core) strayAnswer(in *inbound) {
	id, ours := txOfBranch(in.branch)
	if !ours || in.contact == nil || in.toTag == "" || in.unclean {
		c.stats.Stray++
		return
	}
	if tx := c.clients[id]; tx != nil && tx.branch == in.branch && tx.cseq != in.cseq {
		c.stats.BadMessages++ // its INVITE still waits for an answer, and this is none
		return
	}
	view := c.trunks[in.flow.Trunk]
	if view == nil {
		c.stats.Stray++
		return
	}
	// A leg or an orphan may know this very dialog: then the ACK was lost, or it answers what we gave up.
	if leg := c.legOf(in.fromTag, in.callID, in.toTag); leg != nil && leg.state != legInviting {
		leg.overtaken(in)
		return
	}
	if c.orphans >= maxOrphans { // its peer sends again, and finds room or gives up
		c.stats.Stray++
		return
	}
	c.stats.LateAnswers++
	c.newOrphan(view, in).release()
}

// maxOrphans bounds the dialogs that exist only to be released: anyone on a
// trunk can invent answers.
const maxOrphans = 1024
