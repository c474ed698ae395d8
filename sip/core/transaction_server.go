package core

import (
	"strconv"
	"strings"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem/sip"
	"tandem/sip/header"
)

// serverState is the state of a server transaction (RFC 3261 17.2, RFC 6026 7.1).
type serverState uint8

const (
	serverProceeding serverState = iota // no final response yet
	serverCompleted                     // final response sent (INVITE: 300-699)
	serverConfirmed                     // INVITE: its ACK came, retransmissions are absorbed
	serverAccepted                      // INVITE: 2xx sent; the 2xx is repeated until its ACK comes (13.3.1.4)
)

// serverTx is one server transaction. After the final response it keeps only
// the bytes of that response.
type serverTx struct {
	key      string
	method   gosip.RequestMethod
	cseq     uint32
	target   sip.Target
	reliable bool
	state    serverState
	gone     bool   // dropped
	spent    bool   // counted in Core.spent
	early    bool   // a CANCEL that came before its INVITE (UDP reorders)
	head     []byte // Via to CSeq of every response, until the final one
	routes   []byte // Record-Route lines of dialog-forming responses
	reply    []byte // last response, for retransmission
	leg      *Leg   // transaction user

	timer    timer
	interval time.Duration
	deadline time.Duration
}

// serverKey matches requests to server transactions (RFC 3261 17.2.3): branch,
// sent-by and method, where ACK belongs to INVITE. Peers of RFC 2543, whose
// branch is missing, lacks the magic cookie or is nothing but the cookie (RFC
// 4475 3.2.1), are told apart by Call-ID, From tag and CSeq as well.
func (c *Core) serverKey(in *inbound, method gosip.RequestMethod) []byte {
	k := append(c.key[:0], in.branch...)
	if !strings.HasPrefix(in.branch, gosip.RFC3261BranchMagicCookie) || len(in.branch) == len(gosip.RFC3261BranchMagicCookie) {
		k = append(k, '|')
		k = append(k, in.callID...)
		k = append(k, '|')
		k = append(k, in.fromTag...)
		k = strconv.AppendUint(append(k, '|'), uint64(in.cseq), 10)
	}
	k = append(k, '|')
	k = append(k, in.via.Host...)
	k = strconv.AppendInt(append(k, ':'), int64(in.via.Port), 10)
	k = append(k, '|')
	k = append(k, method...)
	c.key = k
	return k
}

// newServer opens the transaction of a request.
func (c *Core) newServer(in *inbound, toTag string) *serverTx {
	tx := &serverTx{
		key:      string(c.serverKey(in, in.method)),
		method:   in.method,
		cseq:     in.cseq,
		reliable: in.flow.Transport != "UDP",
	}
	tx.target = responseTarget(in)
	b := c.buf[:0]
	top := true
	for _, h := range in.list {
		if v, ok := h.(*gosip.ViaHeader); ok {
			b = appendVia(b, v, in.flow.Source, top)
			top = false
		}
	}
	b = append(b, "From: "...)
	b = appendAddress(b, in.from.DisplayName, &in.from.Address, in.from.Params, true)
	b = append(b, "\r\nTo: "...)
	b = appendAddress(b, in.to.DisplayName, &in.to.Address, in.to.Params, true)
	if in.toTag == "" && toTag != "" {
		b = append(b, ";tag="...)
		b = append(b, toTag...)
	}
	b = append(b, "\r\nCall-ID: "...)
	b = header.AppendText(b, in.callID)
	b = append(b, "\r\nCSeq: "...)
	b = strconv.AppendUint(b, uint64(in.cseq), 10)
	b = append(b, ' ')
	b = header.AppendText(b, string(in.method))
	b = append(b, crlf...)
	tx.head = append([]byte(nil), b...)
	c.buf = b
	c.servers[tx.key] = tx
	return tx
}

// responseTarget is where responses go: the connection that the request came
// on, else the source as RFC 3261 18.2.2 and RFC 3581 4 say.
func responseTarget(in *inbound) sip.Target {
	source := in.flow.Source
	t := sip.Target{
		Trunk: in.flow.Trunk, Transport: in.flow.Transport, Conn: in.flow.Conn, Addr: source.Addr(), Port: source.Port(),
	}
	if t.Transport != "UDP" {
		t.Host = source.Addr().String() // to dial when the connection is gone
	}
	rport := false
	for _, p := range in.via.Params {
		if strings.EqualFold(p.K, "rport") {
			rport = true
		}
	}
	if t.Transport == "UDP" && rport {
		return t
	}
	// Without rport the response goes to the port in Via; on a stream that is
	// only the fallback when the connection is gone.
	if in.via.Port > 0 && in.via.Port < 1<<16 {
		t.Port = uint16(in.via.Port)
	} else {
		t.Port = defaultPort(string(t.Transport))
	}
	return t
}

func defaultPort(transport string) uint16 {
	if transport == "TLS" {
		return 5061
	}
	return 5060
}

// reply sends a response on tx. extra are complete header lines. body may be nil.
func (c *Core) reply(tx *serverTx, status int, extra, body []byte) {
	c.replyPhrase(tx, status, phraseOf(status), extra, body)
}

func (c *Core) replyPhrase(tx *serverTx, status int, phrase string, extra, body []byte) {
	if tx.state != serverProceeding {
		return // a final response was sent already
	}
	b := append(c.buf[:0], "SIP/2.0 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, phrase...)
	b = append(b, crlf...)
	b = append(b, tx.head...)
	if status > 100 && status < 300 {
		b = append(b, tx.routes...)
	}
	b = append(b, "Server: "...)
	b = append(b, c.cfg.UserAgent...)
	b = append(b, crlf...)
	b = append(b, extra...)
	b = appendBody(b, sdpType, body)
	c.buf = b
	tx.reply = append(make([]byte, 0, len(b)), b...)
	c.deps.Output.Send(tx.target, sip.SendRef{}, tx.reply)
	switch {
	case status < 200:
		if status > 100 {
			// RFC 3261 13.3.1.1: repeat a provisional each minute, or proxies give up.
			c.timers.set(&tx.timer, c.now+time.Minute, timerTx, tx)
		}
		return
	case tx.method != gosip.INVITE:
		tx.state = serverCompleted
		if tx.reliable {
			c.dropServer(tx) // Timer J is zero
			return
		}
		if tx.method == gosip.BYE && status < 300 && len(extra) == 0 {
			c.done.add(c.now, tx.key, status) // a copy is answered from what it says itself
			c.dropServer(tx)
			return
		}
		if tx.leg == nil && !c.keepSpent(tx) {
			return
		}
		c.timers.set(&tx.timer, c.now+64*c.cfg.T1, timerTx, tx) // Timer J
	case status < 300:
		tx.state, tx.interval = serverAccepted, c.cfg.T1
		tx.deadline = c.now + 64*c.cfg.T1
		c.timers.set(&tx.timer, c.now+tx.interval, timerTx, tx)
	default:
		tx.state, tx.interval = serverCompleted, c.cfg.T1
		tx.deadline = c.now + 64*c.cfg.T1 // Timer H
		tx.leg = nil
		if !c.keepSpent(tx) {
			return
		}
		next := tx.deadline
		if !tx.reliable {
			next = c.now + tx.interval // Timer G
		}
		c.timers.set(&tx.timer, next, timerTx, tx)
	}
	tx.head, tx.routes = nil, nil
}

// keepSpent counts a transaction that lives on only to repeat its answer. A trunk
// that has maxSpent of them gets further answers without a transaction
// (RFC 3261 8.2.7): copies of the request are then answered anew, and what a
// flood of requests holds for 32 s is bounded.
func (c *Core) keepSpent(tx *serverTx) bool {
	trunk := tx.target.Trunk
	if c.spent[trunk] >= maxSpent {
		c.stats.Stateless++
		c.dropServer(tx)
		return false
	}
	c.spent[trunk]++
	tx.spent = true
	return true
}

// maxSpent is 256 such answers a second for the 32 s of Timer H or J, about 10 MB.
const maxSpent = 8192

func (c *Core) dropServer(tx *serverTx) {
	if tx.spent {
		tx.spent = false
		if c.spent[tx.target.Trunk]--; c.spent[tx.target.Trunk] <= 0 {
			delete(c.spent, tx.target.Trunk)
		}
	}
	c.timers.stop(&tx.timer)
	tx.gone = true
	if c.servers[tx.key] == tx {
		delete(c.servers, tx.key)
	}
	tx.leg = nil
}

// fire runs timers G, H, I and J and the repetition of 1xx and 2xx.
func (tx *serverTx) fire(c *Core, _ timerKind) {
	switch {
	case tx.gone:
		c.stats.Loose++
	case tx.state == serverProceeding:
		c.resend(tx)
		c.timers.set(&tx.timer, c.now+time.Minute, timerTx, tx)
	case tx.state == serverAccepted && c.now >= tx.deadline:
		leg := tx.leg
		c.dropServer(tx)
		if leg != nil {
			c.busy = leg.call
			leg.ackMissing(tx)
		}
	case tx.method == gosip.INVITE && c.now < tx.deadline && tx.state != serverConfirmed:
		c.resend(tx)
		tx.interval = min(2*tx.interval, c.cfg.T2)
		c.timers.set(&tx.timer, min(c.now+tx.interval, tx.deadline), timerTx, tx)
	default:
		c.dropServer(tx)
	}
}

func (c *Core) resend(tx *serverTx) {
	c.stats.Retransmits++
	c.deps.Output.Send(tx.target, sip.SendRef{}, tx.reply)
}

// repeated takes a retransmission of the request of tx.
func (c *Core) repeated(tx *serverTx) {
	c.stats.Absorbed++
	switch tx.state {
	case serverProceeding, serverCompleted:
		if tx.reply != nil {
			c.resend(tx)
		}
	}
}

// ack takes the ACK of an INVITE transaction: of 300-699, or of a 2xx when the
// peer reuses the branch of the INVITE, which some do.
func (c *Core) ack(tx *serverTx) {
	switch tx.state {
	case serverCompleted:
		tx.state = serverConfirmed
		tx.reply = nil
		if tx.reliable {
			c.dropServer(tx) // Timer I is zero
			return
		}
		c.timers.set(&tx.timer, c.now+c.cfg.T4, timerTx, tx)
	case serverAccepted:
		if leg := tx.leg; leg != nil {
			leg.ackFor(tx)
		}
	default:
		c.stats.Absorbed++
	}
}

// confirm ends the repetition of a 2xx. The transaction is remembered until
// Timer L so that a late copy of the INVITE does not begin a new call.
func (c *Core) confirm(tx *serverTx) {
	tx.reply = nil
	c.done.add(c.now, tx.key, 200)
	c.dropServer(tx)
}

// repeatedDone takes a copy of a request whose transaction is done.
func (c *Core) repeatedDone(in *inbound, status int) {
	c.stats.Absorbed++
	if in.method == gosip.BYE {
		c.stats.Retransmits++
		c.reply(c.newServer(in, ""), status, nil, nil)
	}
}
