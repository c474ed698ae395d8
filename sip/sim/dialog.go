package sim

import (
	"strconv"
	"strings"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

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
	orphan                      bool      // the process at the other end died
	spoiled                     bool      // this end said nonsense: nothing is promised to it
	out                         *Outgoing // caller
	reinvite                    *server   // a re-INVITE of the core's that waits for its ACK
	modifying                   bool      // an offer of ours is open
	LastSDP                     []byte    // last description received

	interval int  // session interval in seconds; 0 = none
	session  int  // counts the refreshes
	refused  bool // this end refused to be refreshed
}

// end: the dialog is over at this end.
func (d *Dialog) end() {
	if d.Over {
		return
	}
	d.Over = true
	if w := d.p.w; w.lean {
		w.forgetLater(func() {
			if d.p.dialogs[d.localTag] == d {
				d.p.checkDialog(d)
				delete(d.p.dialogs, d.localTag)
			}
		})
	}
}

// request builds a request in a dialog.
func (d *Dialog) request(method, branch string, seq int, sdp []byte, extra string) []byte {
	p := d.p
	b := make([]byte, 0, 700+len(sdp)+len(extra))
	b = append(b, method+" "+d.target+" SIP/2.0\r\nVia: SIP/2.0/"+string(p.Transport)+" "+p.name+";branch="+branch+";rport\r\nMax-Forwards: 70\r\n"...)
	for _, r := range d.routes {
		b = append(b, "Route: "+r+"\r\n"...)
	}
	b = append(b, "From: "+d.local+";tag="+d.localTag+"\r\nTo: "+d.remote...)
	if d.remoteTag != "" {
		b = append(b, ";tag="+d.remoteTag...)
	}
	b = append(b, "\r\nCall-ID: "+d.CallID+"\r\nCSeq: "+strconv.Itoa(seq)+" "+method+"\r\n"...)
	if method == "INVITE" || method == "UPDATE" {
		b = append(append(b, p.contact()...), "Supported: timer\r\n"...)
	}
	b = append(b, extra...)
	return withBody(b, sdp, extra)
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
	excuse := d.p.excuse()
	d.p.send("BYE", branch, d.request("BYE", branch, d.seq, nil, ""), func(*gosip.Response) {
		d.ByeAnswered = true
		d.end()
	}, func() {
		if !excuse() && !d.orphan && !d.spoiled && !d.Over {
			d.p.w.problem(d.CallID, "peer %s: BYE of call %s was never answered", d.p.Addr, d.CallID)
		}
		d.end()
	})
}

// excuse tells later whether something happened meanwhile that loses requests
// without their sender's or the core's fault: a connection or the process died.
func (p *Peer) excuse() func() bool {
	died, dropped, down := p.w.turn.died, p.w.Count.Dropped, p.w.turn.down
	return func() bool {
		return p.Blackhole || down || died != p.w.turn.died || p.Transport != "UDP" && dropped != p.w.Count.Dropped
	}
}

// Modify sends a re-INVITE or UPDATE with an offer; done gets the final status.
func (d *Dialog) Modify(method string, sdp []byte, done func(status int)) {
	d.modify(method, sdp, "", done)
}

func (d *Dialog) modify(method string, sdp []byte, extra string, done func(status int)) {
	if d.Over || d.byeSent || !d.Up {
		return
	}
	d.seq++
	seq, branch := d.seq, d.p.newBranch()
	d.modifying = method == "INVITE" || len(sdp) > 0
	final := func(status int) {
		d.modifying = false
		if done != nil {
			done(status)
			done = nil
		}
	}
	d.p.send(method, branch, d.request(method, branch, seq, sdp, extra), func(r *gosip.Response) {
		if r.StatusCode < 200 {
			return
		}
		if method == "INVITE" {
			d.ackFinal(r, branch, seq, len(sdp) == 0)
			if len(sdp) == 0 && r.StatusCode < 300 && len(r.Body()) == 0 {
				d.p.w.problem(d.CallID, "re-INVITE without SDP answered without an offer")
			}
		}
		if r.StatusCode < 300 && done != nil {
			d.agreed(r)
		}
		final(r.StatusCode)
	}, func() { final(408) })
}

// Send sends any other request in the dialog.
func (d *Dialog) Send(method string, body []byte, extra string, done func(status int)) {
	d.seq++
	branch := d.p.newBranch()
	d.p.send(method, branch, d.request(method, branch, d.seq, body, extra), func(r *gosip.Response) {
		if r.StatusCode >= 200 && done != nil {
			done(r.StatusCode)
		}
	}, nil)
}

// ackFinal acknowledges a final response to INVITE.
func (d *Dialog) ackFinal(r *gosip.Response, branch string, seq int, answer bool) {
	var sdp []byte
	if r.StatusCode < 300 {
		branch = d.p.newBranch()
		if answer { // the offer came with the 2xx: RFC 3261 13.2.2.4
			if sdp = SDP(1); d.out != nil && d.out.Spec.AckSDP != nil && seq == 1 {
				sdp = d.out.Spec.AckSDP
			}
		}
	}
	ack := d.request("ACK", branch, seq, sdp, "")
	if r.StatusCode < 300 && len(r.Body()) > 0 {
		d.LastSDP = r.Body()
	}
	d.p.toCore(ack)
}

// asked takes a re-INVITE or UPDATE of the core.
func (d *Dialog) asked(s *server, tag string) {
	p, m := d.p, s.req
	status, after := 200, time.Duration(0)
	switch {
	case d.modifying && (m.Method == gosip.INVITE || len(m.Body()) > 0):
		status = 491 // glare (RFC 3261 14.2)
	case p.ModifyStatus != 0:
		status = p.ModifyStatus
	case p.OnModify != nil:
		status, after = p.OnModify()
	}
	if after < 0 {
		d.refused = true
		return
	}
	answer := func() {
		var sdp []byte
		extra := ""
		if status == 200 && (m.Method == gosip.INVITE || len(m.Body()) > 0) {
			sdp = SDP(2)
			d.LastSDP = m.Body()
		}
		if status == 200 {
			extra = d.takes(m)
		} else {
			d.refused = true
		}
		p.respond(s, status, tag, sdp, extra)
		if m.Method == gosip.INVITE {
			if status < 300 {
				d.reinvite = s
			}
			p.repeatFinal(s, status)
		}
	}
	if after == 0 {
		answer()
		return
	}
	if m.Method == gosip.INVITE {
		p.respond(s, 100, "", nil, "")
	}
	p.w.After(after, func() {
		if !d.Over && !s.final {
			answer()
		}
	})
}

// takes agrees to the session interval of a request: the lines for its 200.
func (d *Dialog) takes(m *gosip.Request) string {
	n, ours := intervalOf(m, "uas")
	if !d.p.Timers || n == 0 {
		return ""
	}
	d.keep(n, ours)
	if ours {
		return "Session-Expires: " + strconv.Itoa(n) + ";refresher=uas\r\n"
	}
	return "Require: timer\r\nSession-Expires: " + strconv.Itoa(n) + ";refresher=uac\r\n"
}

// agreed takes the session interval of a 2xx to a request of ours.
func (d *Dialog) agreed(r *gosip.Response) {
	if n, ours := intervalOf(r, "uac"); d.p.Timers && n > 0 {
		d.keep(n, ours)
	}
}

// intervalOf reads Session-Expires; ours is whether who is named as the refresher.
func intervalOf(m interface{ GetHeader(string) gosip.Header }, who string) (seconds int, ours bool) {
	h := m.GetHeader("Session-Expires")
	if h == nil {
		return 0, false
	}
	num, params, _ := strings.Cut(h.Value(), ";")
	seconds, _ = strconv.Atoi(strings.TrimSpace(num))
	return seconds, strings.Contains(params, "refresher="+who)
}

// keep starts the session interval anew: half of it later we refresh, or all of
// it later give up a call that the core does not refresh.
func (d *Dialog) keep(seconds int, ours bool) {
	d.session++
	d.interval = seconds
	w, turn := d.p.w, d.session
	span := time.Duration(seconds) * time.Second
	if ours {
		w.After(span/2, func() { d.refresh(turn) })
		return
	}
	w.After(span, func() {
		if d.session != turn || d.Over || d.byeSent {
			return
		}
		if !d.orphan && !d.refused && !d.spoiled {
			w.problem(d.CallID, "peer %s: call %s: the core did not refresh its session of %d s", d.p.Addr, d.CallID, seconds)
		}
		d.HangUp()
	})
}

// refresh sends a session refresh: an UPDATE or a re-INVITE by turns.
func (d *Dialog) refresh(turn int) {
	if d.session != turn || d.Over || d.byeSent {
		return
	}
	method, sdp := "UPDATE", []byte(nil)
	if turn%2 == 0 {
		method, sdp = "INVITE", SDP(1)
	}
	extra := "Session-Expires: " + strconv.Itoa(d.interval) + ";refresher=uac\r\n"
	d.p.w.Count.Refreshes++
	d.modify(method, sdp, extra, func(status int) {
		switch {
		case status == 481 || status == 408:
			d.HangUp()
		case status >= 300:
			d.p.w.After(d.p.w.Between(time.Second, 5*time.Second), func() { d.refresh(turn) })
		}
	})
}
