package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// call is one call that we place; its other end is ours too.
type call struct {
	id       string
	from, to string // header values
	side     *side
	began    time.Time
	setup    time.Duration // INVITE to 200; 0 = not answered
	remote   string        // To of the answer
	target   string
	routes   []string
	stream   *stream
	hungUp   bool
	over     bool
}

// phones place and answer calls.
type phones struct {
	mu       sync.Mutex
	calls    map[string]*call // by Call-ID
	answered map[string]*answer
	hold     time.Duration
	hangups  chan *call // in the order in which they are due
	ended    int
	statuses map[int]int // final failures
	setups   []time.Duration
	late     int // calls that the generator placed more than 20 ms late
}

// answer is a call that we have answered, by the Call-ID of its leg.
type answer struct {
	text   string // the 200
	stream *stream
}

func newPhones(hold time.Duration, capacity int) *phones {
	return &phones{calls: map[string]*call{}, answered: map[string]*answer{}, hold: hold, hangups: make(chan *call, capacity), statuses: map[int]int{}}
}

// place sends the INVITE of the i-th call.
func (p *phones) place(s *side, i int, from, to, host string) {
	c := &call{id: fmt.Sprintf("b%d-%d@%s", os.Getpid(), i, s.own.Addr()), side: s}
	c.from = fmt.Sprintf("<sip:%s@%s>;tag=f%d", from, s.own, i)
	c.target = fmt.Sprintf("sip:%s@%s", to, host)
	c.to = "<" + c.target + ">"
	if s.tls {
		c.target += ";user=phone;transport=tls"
	}
	if s.ports != nil {
		c.stream = s.ports.open(s.secure)
	}
	sdp := describe(s, c.stream)
	extra := fmt.Sprintf("Contact: %s\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\nContent-Type: application/sdp\r\n", s.contact(from))
	text := c.request("INVITE", 1, extra, sdp)
	p.mu.Lock()
	p.calls[c.id] = c
	c.began = time.Now()
	p.mu.Unlock()
	s.send(text)
}

// request builds a request of a call.
func (c *call) request(method string, seq int, extra, sdp string) string {
	var b strings.Builder
	to := c.to
	if c.remote != "" {
		to = c.remote
	}
	branch := method
	if method == "ACK" && c.setup == 0 {
		branch = "INVITE" // of a failure: the transaction's own (RFC 3261 17.1.1.3)
	}
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%s%s;rport\r\n", method, c.target, c.side.transport(), c.side.own, branch, strings.ReplaceAll(c.id, "@", "-"))
	for _, r := range c.routes {
		b.WriteString("Route: " + r + "\r\n")
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nMax-Forwards: 70\r\n%sContent-Length: %d\r\n\r\n%s", c.from, to, c.id, seq, method, extra, len(sdp), sdp)
	return b.String()
}

// receive implements side.receive for both sides.
func (p *phones) receive(s *side, text string, reply func(string)) {
	if code := status(text); code > 0 {
		p.response(s, text, code)
		return
	}
	method, _, _ := strings.Cut(text, " ")
	switch method {
	case "INVITE":
		p.answer(s, text, reply)
	case "ACK":
	case "OPTIONS", "BYE", "UPDATE", "CANCEL":
		reply(respond(text, "200 OK", "opt", "", ""))
	default:
		reply(respond(text, "501 Not Implemented", "opt", "", ""))
	}
}

// response takes a response to a request of ours.
func (p *phones) response(s *side, text string, code int) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.calls[header(text, "Call-ID")]
	if c == nil || code < 200 {
		return
	}
	switch {
	case strings.HasSuffix(header(text, "CSeq"), "BYE"):
		p.end(c)
	case code >= 300:
		c.remote = header(text, "To")
		s.send(c.request("ACK", 1, "", ""))
		if !c.over {
			p.statuses[code]++
			p.end(c)
		}
	default:
		if c.setup == 0 {
			c.setup = now.Sub(c.began)
			p.setups = append(p.setups, c.setup)
			c.remote, c.target = header(text, "To"), uri(header(text, "Contact"))
			c.routes = headers(text, "Record-Route")
			slices.Reverse(c.routes)
			if c.stream != nil {
				c.stream.connect(body(text))
			}
			p.hangups <- c
		}
		s.send(c.request("ACK", 1, "", ""))
	}
}

// end is called with mu held.
func (p *phones) end(c *call) {
	if !c.over {
		c.over = true
		p.ended++
		if c.stream == nil { // with media the streams are read after the run
			delete(p.calls, c.id)
		}
	}
}

// answer takes an INVITE: 100, 180, 200.
func (p *phones) answer(s *side, text string, reply func(string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := s.name + header(text, "Call-ID")
	known := p.answered[key]
	if known != nil { // retransmitted
		reply(known.text)
		return
	}
	known = &answer{}
	if s.ports != nil {
		known.stream = s.ports.open(s.secure)
		known.stream.connect(body(text))
	}
	tag := "t" + strconv.Itoa(len(p.answered))
	contact := "Contact: " + s.contact("callee") + "\r\n"
	known.text = respond(text, "200 OK", tag, contact+"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\nContent-Type: application/sdp\r\n", describe(s, known.stream))
	p.answered[key] = known
	reply(respond(text, "100 Trying", "", "", ""))
	reply(respond(text, "180 Ringing", tag, contact, ""))
	reply(known.text)
}

// hangUp ends answered calls when their time has come, in order: each is held equally long.
func (p *phones) hangUp() {
	for c := range p.hangups {
		time.Sleep(time.Until(c.began.Add(c.setup + p.hold)))
		p.bye(c)
	}
}

func (p *phones) bye(c *call) {
	p.mu.Lock()
	text := ""
	if !c.hungUp {
		c.hungUp = true
		text = c.request("BYE", 2, "", "")
	}
	p.mu.Unlock()
	if text != "" {
		c.side.send(text)
	}
}

func (p *phones) done() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}
