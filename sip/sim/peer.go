package sim

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip"
)

// RFC 3261 timers of the peers.
const (
	t1 = 500 * time.Millisecond
	t2 = 4 * time.Second
)

// Peer is a SIP user agent on the network: its own small transaction layer,
// written apart from the core so that both cannot share a mistake.
type Peer struct {
	w         *World
	Trunk     tandem.TrunkID
	Addr      netip.AddrPort
	Transport tandem.Transport
	// Script says how an incoming call is treated; nil answers after a second.
	Script func(*Incoming) Script
	// Refuse: connections to it fail (streams). Blackhole: nothing comes in or out.
	Refuse, Blackhole bool
	// ModifyStatus, when not 0, is the answer to re-INVITE and UPDATE.
	ModifyStatus int
	// Change, when not nil, sees every message of this peer before the network does: nil is lost.
	Change func(msg []byte) []byte
	// Headers are added to every INVITE of this peer, complete lines.
	Headers string
	// Got are the requests that came, copies left out.
	Got []*gosip.Request
	// LastStray is the status of the last response that belonged to nothing.
	LastStray int

	calmUntil time.Time  // Random: no trouble before
	conn      sip.ConnID // the stream that this peer opened to the core
	serial    int
	clients   map[string]*client
	servers   map[string]*server
	dialogs   map[string]*Dialog
	// lastSent is the last request by method.
	lastSent map[string][]byte
}

// client is a client transaction of a peer.
type client struct {
	method    string
	msg       []byte
	heard     bool
	done      bool
	onMessage func(*gosip.Response)
}

// server is a server transaction of a peer.
type server struct {
	req      *gosip.Request
	last     []byte
	final    bool
	acked    bool
	incoming *Incoming
}

// Dialog is a peer's end of a dialog.
type Dialog struct {
	p                           *Peer
	CallID, localTag, remoteTag string
	local, remote, target       string
	routes                      []string
	seq                         int
	caller                      bool
	Up, Over                    bool
	Acked                       bool // callee: the ACK of our 2xx came
	ByeAnswered                 bool
	byeSent                     bool
	correlation                 string
	inviteSeq                   int
	LastSDP                     []byte // last description received
}

// receive takes a message from the core.
func (p *Peer) receive(b []byte) {
	if p.Blackhole {
		return
	}
	msg, err := gosip.ParseMessage(b)
	if err != nil {
		p.w.Problem("peer %s got an unreadable message: %v\n%s", p.Addr, err, b)
		return
	}
	switch m := msg.(type) {
	case *gosip.Request:
		p.request(m)
	case *gosip.Response:
		branch, _ := m.Via().Params.Get("branch")
		if c := p.clients[branch+"|"+string(m.CSeq().MethodName)]; c != nil {
			if m.StatusCode < 200 {
				c.heard = true
			} else {
				if c.method != "INVITE" && c.done {
					return
				}
				c.done = true
			}
			c.onMessage(m)
		} else {
			p.LastStray = m.StatusCode
		}
	}
}

func (p *Peer) request(m *gosip.Request) {
	branch, _ := m.Via().Params.Get("branch")
	key := branch + "|" + string(m.Method)
	switch {
	case m.Method == gosip.ACK:
		p.ack(m, branch)
		return
	case p.servers[key] != nil:
		if s := p.servers[key]; s.last != nil {
			p.toCore(s.last)
		}
		return
	}
	s := &server{req: m}
	p.servers[key] = s
	p.Got = append(p.Got, m)
	if m.Method == gosip.CANCEL {
		p.cancelled(s, branch)
		return
	}
	tag, _ := m.To().Params.Get("tag")
	if tag == "" {
		if m.Method == gosip.INVITE {
			p.incoming(s)
			return
		}
		p.respond(s, 481, "", nil, "")
		return
	}
	d := p.dialogs[tag]
	if d == nil || d.Over && m.Method != gosip.BYE {
		p.respond(s, 481, tag, nil, "")
		return
	}
	switch m.Method {
	case gosip.BYE:
		d.Over = true
		p.respond(s, 200, tag, nil, "")
	case gosip.INVITE, gosip.UPDATE:
		status := 200
		if p.ModifyStatus != 0 {
			status = p.ModifyStatus
		}
		var sdp []byte
		if status == 200 && (m.Method == gosip.INVITE || len(m.Body()) > 0) {
			sdp = SDP(2)
			d.LastSDP = m.Body()
		}
		p.respond(s, status, tag, sdp, "")
		if m.Method == gosip.INVITE {
			p.repeatFinal(s, status)
		}
	default:
		p.respond(s, 200, tag, nil, "")
	}
}

// ack takes an ACK: of a failure by branch, of a 2xx by dialog.
func (p *Peer) ack(m *gosip.Request, branch string) {
	if s := p.servers[branch+"|INVITE"]; s != nil {
		s.acked = true
		return
	}
	tag, _ := m.To().Params.Get("tag")
	for _, s := range p.servers {
		if s.req.Method != gosip.INVITE || s.req.CSeq().SeqNo != m.CSeq().SeqNo || s.req.CallID().Value() != m.CallID().Value() {
			continue
		}
		if s.incoming != nil && s.incoming.tagAnswered(tag) || s.incoming == nil {
			s.acked = true
		}
	}
	if d := p.dialogs[tag]; d != nil {
		d.Acked = true
		if len(m.Body()) > 0 {
			d.LastSDP = m.Body()
		}
	}
}

// respond sends a response of s. extra are complete header lines.
func (p *Peer) respond(s *server, status int, tag string, sdp []byte, extra string) {
	m := s.req
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %d Peer\r\n", status)
	for _, h := range m.Headers() {
		if h.Name() == "Via" {
			b.WriteString("Via: " + h.Value() + "\r\n")
		}
	}
	to := m.To().Value()
	if _, ok := m.To().Params.Get("tag"); !ok && tag != "" {
		to += ";tag=" + tag
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\n", m.From().Value(), to, m.CallID().Value(), m.CSeq().Value())
	if status > 100 && status < 300 && m.Method != gosip.BYE {
		fmt.Fprintf(&b, "Contact: <sip:peer@%s%s>\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE, INFO\r\n", p.Addr, p.transportParam())
	}
	b.WriteString(extra)
	if len(sdp) > 0 {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(sdp), sdp)
	s.last = []byte(b.String())
	s.final = status >= 200
	p.toCore(s.last)
}

func (p *Peer) transportParam() string {
	if p.Transport == tandem.UDP {
		return ""
	}
	return ";transport=" + strings.ToLower(string(p.Transport))
}

// repeatFinal sends the final response to INVITE again until its ACK comes.
func (p *Peer) repeatFinal(s *server, status int) {
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
func (p *Peer) send(method, branch string, msg []byte, on func(*gosip.Response)) *client {
	c := &client{method: method, msg: msg, onMessage: on}
	p.clients[branch+"|"+method] = c
	p.lastSent[method] = msg
	p.toCore(msg)
	if p.Transport != tandem.UDP {
		return c
	}
	interval, left := t1, 64*t1
	var again func()
	again = func() {
		if left -= interval; c.done || left <= 0 || c.heard && method == "INVITE" {
			return
		}
		p.toCore(c.msg)
		interval *= 2
		if method != "INVITE" || c.heard {
			interval = min(interval, t2)
		}
		p.w.After(interval, again)
	}
	p.w.After(interval, again)
	return c
}

// newBranch numbers a transaction of this peer.
func (p *Peer) newBranch() string {
	p.serial++
	return "z9hG4bKpeer" + strconv.Itoa(p.serial) + strings.ReplaceAll(p.Addr.String(), ":", "")
}

// request builds a request in a dialog.
func (d *Dialog) request(method, branch string, seq int, sdp []byte, extra string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=%s;rport\r\nMax-Forwards: 70\r\n", method, d.target, d.p.Transport, d.p.Addr, branch)
	for _, r := range d.routes {
		b.WriteString("Route: " + r + "\r\n")
	}
	from, to := d.local+";tag="+d.localTag, d.remote
	if d.remoteTag != "" {
		to += ";tag=" + d.remoteTag
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n", from, to, d.CallID, seq, method)
	if method == "INVITE" || method == "UPDATE" {
		fmt.Fprintf(&b, "Contact: <sip:peer@%s%s>\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE, INFO\r\nSupported: timer\r\n", d.p.Addr, d.p.transportParam())
	}
	b.WriteString(extra)
	if len(sdp) > 0 && !strings.Contains(extra, "Content-Type") {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(sdp), sdp)
	return []byte(b.String())
}

// HangUp sends BYE.
func (d *Dialog) HangUp() {
	if d.Over || d.byeSent || !d.Up {
		return
	}
	if !d.caller && !d.Acked { // RFC 3261 15: not before the ACK
		d.p.w.After(t1, d.HangUp)
		return
	}
	d.byeSent = true
	d.seq++
	branch := d.p.newBranch()
	d.p.send("BYE", branch, d.request("BYE", branch, d.seq, nil, ""), func(*gosip.Response) {
		d.ByeAnswered, d.Over = true, true
	})
}

// Modify sends a re-INVITE or UPDATE with an offer; done gets the final status.
func (d *Dialog) Modify(method string, sdp []byte, done func(status int)) {
	if d.Over || d.byeSent || !d.Up {
		return
	}
	d.seq++
	seq, branch := d.seq, d.p.newBranch()
	d.p.send(method, branch, d.request(method, branch, seq, sdp, ""), func(r *gosip.Response) {
		if r.StatusCode < 200 {
			return
		}
		if method == "INVITE" {
			d.ackFinal(r, branch, seq, len(sdp) == 0)
			if len(sdp) == 0 && r.StatusCode < 300 && len(r.Body()) == 0 {
				d.p.w.Problem("re-INVITE without SDP answered without an offer")
			}
		}
		if done != nil {
			done(r.StatusCode)
			done = nil
		}
	})
}

// Send sends any other request in the dialog.
func (d *Dialog) Send(method string, body []byte, extra string, done func(status int)) {
	d.seq++
	branch := d.p.newBranch()
	d.p.send(method, branch, d.request(method, branch, d.seq, body, extra), func(r *gosip.Response) {
		if r.StatusCode >= 200 && done != nil {
			done(r.StatusCode)
		}
	})
}

// ackFinal acknowledges a final response to INVITE.
func (d *Dialog) ackFinal(r *gosip.Response, branch string, seq int, answer bool) {
	var sdp []byte
	if r.StatusCode < 300 {
		branch = d.p.newBranch()
		if answer { // the offer came with the 2xx: RFC 3261 13.2.2.4
			sdp = SDP(1)
		}
	}
	ack := d.request("ACK", branch, seq, sdp, "")
	if r.StatusCode < 300 && len(r.Body()) > 0 {
		d.LastSDP = r.Body()
	}
	d.p.toCore(ack)
}

// Dialogs lists the peer's dialogs that are or were up.
func (p *Peer) Dialogs() []*Dialog {
	var list []*Dialog
	for _, d := range p.dialogs {
		list = append(list, d)
	}
	return list
}
