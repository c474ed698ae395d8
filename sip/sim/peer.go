package sim

import (
	"net/netip"
	"slices"
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
	name      string // Addr as text
	Trunk     tandem.TrunkID
	Addr      netip.AddrPort
	Transport tandem.Transport
	// Script says how an incoming call is treated; nil answers after a second.
	Script func(*Incoming) Script
	// Refuse: connections to it fail (streams). Blackhole: nothing comes in or out.
	Refuse, Blackhole bool
	// ModifyStatus, when not 0, is the answer to re-INVITE and UPDATE.
	ModifyStatus int
	// OnModify, when not nil, says how and when a re-INVITE or UPDATE is answered;
	// 0 = 200 at once, a negative delay = never.
	OnModify func() (status int, after time.Duration)
	// Timers makes the peer keep session timers (RFC 4028): it answers with the
	// interval that it was asked for, refreshes when it is its turn and hangs up
	// when nobody else does.
	Timers bool
	// Change, when not nil, sees every message of this peer before the network does: nil is lost.
	Change func(msg []byte) []byte
	// Headers are added to every INVITE of this peer, complete lines.
	Headers string
	// Got are the requests that came, copies left out, unless the world is lean.
	Got []*gosip.Request
	// LastStray is the status of the last response that belonged to nothing.
	LastStray int

	calmUntil time.Duration // Random: no trouble before
	conn      sip.ConnID    // the stream that this peer opened to the core
	serial    int
	clients   map[string]*client
	servers   map[string]*server
	dialogs   map[string]*Dialog
	// lastSent is the last request by method.
	lastSent map[string][]byte
}

// receive takes a message from the core. Copies share it, so nothing changes it.
func (p *Peer) receive(msg gosip.Message) {
	if p.Blackhole {
		return
	}
	switch m := msg.(type) {
	case *gosip.Request:
		p.request(m)
	case *gosip.Response:
		c := p.clients[branchOf(m)+"|"+string(m.CSeq().MethodName)]
		switch {
		case c == nil:
			p.LastStray = m.StatusCode
			return
		case m.StatusCode < 200:
			c.heard = true
		case c.method != "INVITE" && c.done:
			return
		default:
			p.finished(c)
		}
		c.onMessage(m)
	}
}

func (p *Peer) request(m *gosip.Request) {
	branch := branchOf(m)
	key := branch + "|" + string(m.Method)
	known := p.servers[key]
	switch {
	case m.Method == gosip.ACK:
		p.ack(m, branch)
		return
	case known != nil:
		if known.last != nil {
			p.toCore(known.last)
		}
		return
	}
	s := p.newServer(key, m)
	if !p.w.lean {
		p.Got = append(p.Got, m)
	}
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
		d.end()
		p.respond(s, 200, tag, nil, "")
	case gosip.INVITE, gosip.UPDATE:
		d.asked(s, tag)
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
	d := p.dialogs[tag]
	if d == nil {
		return
	}
	if s := d.reinvite; s != nil && s.req.CSeq().SeqNo == m.CSeq().SeqNo {
		s.acked = true
	} else {
		d.Acked = true
	}
	if len(m.Body()) > 0 {
		d.LastSDP = m.Body()
	}
}

// respond sends a response of s. extra are complete header lines.
func (p *Peer) respond(s *server, status int, tag string, sdp []byte, extra string) {
	s.last = p.response(s.req, status, tag, sdp, extra)
	s.final = status >= 200
	p.toCore(s.last)
}

func (p *Peer) response(m *gosip.Request, status int, tag string, sdp []byte, extra string) []byte {
	b := make([]byte, 0, 640+len(sdp)+len(extra))
	b = append(b, "SIP/2.0 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, " Peer\r\n"...)
	for _, h := range m.Headers() {
		if h.Name() == "Via" {
			b = append(append(append(b, "Via: "...), h.Value()...), "\r\n"...)
		}
	}
	b = append(append(b, "From: "...), m.From().Value()...)
	b = append(append(b, "\r\nTo: "...), m.To().Value()...)
	if _, ok := m.To().Params.Get("tag"); !ok && tag != "" {
		b = append(append(b, ";tag="...), tag...)
	}
	b = append(append(b, "\r\nCall-ID: "...), m.CallID().Value()...)
	b = append(append(b, "\r\nCSeq: "...), m.CSeq().Value()...)
	b = append(b, "\r\n"...)
	if status > 100 && status < 300 && m.Method != gosip.BYE {
		b = append(b, p.contact()...)
	}
	b = append(b, extra...)
	return withBody(b, sdp, extra)
}

func withBody(b, sdp []byte, extra string) []byte {
	if len(sdp) > 0 && !strings.Contains(extra, "Content-Type") {
		b = append(b, "Content-Type: application/sdp\r\n"...)
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(sdp)), 10)
	return append(append(b, "\r\n\r\n"...), sdp...)
}

func (p *Peer) contact() string {
	return "Contact: <sip:peer@" + p.name + p.transportParam() + ">\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE, INFO\r\n"
}

func (p *Peer) transportParam() string {
	if p.Transport == tandem.UDP {
		return ""
	}
	return ";transport=" + strings.ToLower(string(p.Transport))
}

// orphaned: the process at the other end died. Nobody will end what it had; a
// peer notices by and by that no media comes, or that nobody answers.
func (p *Peer) orphaned() {
	tags := make([]string, 0, len(p.dialogs))
	for tag := range p.dialogs {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	for _, tag := range tags {
		d := p.dialogs[tag]
		d.orphan = true
		switch {
		case d.Over:
		case d.Up:
			p.w.After(p.w.Between(time.Second, 40*time.Second), d.HangUp)
		case d.out != nil:
			p.w.After(p.w.Between(time.Second, 40*time.Second), d.out.Cancel)
		}
	}
}

// Dialogs lists the peer's dialogs that are or were up.
func (p *Peer) Dialogs() []*Dialog {
	var list []*Dialog
	for _, d := range p.dialogs {
		list = append(list, d)
	}
	return list
}
