package sim

import (
	"strconv"
	"strings"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
)

// client is a client transaction of a peer.
type client struct {
	key, method string
	msg         []byte
	heard       bool
	done        bool
	onMessage   func(*gosip.Response)
	onSilence   func() // no final response within 64*T1; nil = nobody cares
}

// server is a server transaction of a peer.
type server struct {
	req      *gosip.Request
	last     []byte
	final    bool
	acked    bool
	incoming *Incoming
}

// newServer opens the transaction of a request.
func (p *Peer) newServer(key string, m *gosip.Request) *server {
	s := &server{req: m}
	p.servers[key] = s
	if m.Method != gosip.INVITE {
		p.w.forgetLater(func() { delete(p.servers, key) })
	}
	return s
}

// over forgets an INVITE transaction when its final response can no longer be asked for.
func (p *Peer) over(s *server) {
	key := branchOf(s.req) + "|INVITE"
	p.w.forgetLater(func() { delete(p.servers, key) })
}

// repeatFinal sends the final response to INVITE again until its ACK comes.
func (p *Peer) repeatFinal(s *server, status int) {
	p.over(s)
	if p.Transport != tandem.UDP && status >= 300 {
		return
	}
	interval, left := t1, 64*t1
	var again func()
	again = func() {
		if s.acked || p.Blackhole {
			return
		}
		if left -= interval; left <= 0 {
			return
		}
		p.toCore(s.last)
		interval = min(2*interval, t2)
		p.w.After(interval, again)
	}
	p.w.After(interval, again)
}

// send starts a client transaction.
func (p *Peer) send(method, branch string, msg []byte, on func(*gosip.Response), onSilence func()) *client {
	c := &client{key: branch + "|" + method, method: method, msg: msg, onMessage: on, onSilence: onSilence}
	p.clients[c.key] = c
	p.lastSent[method] = msg
	p.toCore(msg)
	interval, left := t1, 64*t1
	if p.Transport != tandem.UDP {
		interval = left
	}
	var again func()
	again = func() {
		left -= interval
		switch {
		case c.done || c.heard && method == "INVITE":
			return
		case left <= 0:
			p.finished(c)
			if c.onSilence != nil {
				c.onSilence()
			}
			return
		}
		p.toCore(c.msg)
		interval *= 2
		if method != "INVITE" {
			interval = min(interval, t2)
		}
		interval = min(interval, left)
		p.w.After(interval, again)
	}
	p.w.After(interval, again)
	return c
}

// finished forgets a client transaction when no copy of its final response can come any more.
func (p *Peer) finished(c *client) {
	if !c.done {
		c.done = true
		p.w.forgetLater(func() { delete(p.clients, c.key) })
	}
}

// newBranch numbers a transaction of this peer.
func (p *Peer) newBranch() string {
	p.serial++
	return "z9hG4bKpeer" + strconv.Itoa(p.serial) + strings.ReplaceAll(p.name, ":", "")
}
