package sim

import (
	"strconv"
	"strings"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// CallSpec is a call that a peer makes.
type CallSpec struct {
	From, To string
	// CancelAfter: CANCEL so long after the INVITE unless answered; 0 = never.
	CancelAfter time.Duration
	// HangUpAfter the answer the caller sends BYE; 0 = the callee does.
	HangUpAfter time.Duration
	// ModifyAfter the answer the caller sends a re-INVITE; 0 = none.
	ModifyAfter time.Duration
	// NoAck never acknowledges the 200.
	NoAck bool
	// CancelFirst sends CANCEL before the INVITE (UDP reorders).
	CancelFirst bool
	// Early BYE instead of CANCEL.
	ByeAfter time.Duration
	SDP      []byte // nil: a plain offer; empty: none, the answer comes with the ACK
	AckSDP   []byte // that answer; nil: a plain one
	Extra    string // complete header lines
	Host     string // host of the Request-URI
	// After the answer.
	Then []Then
}

// Then is something that a side of a call does once it is up.
type Then struct {
	After time.Duration
	Do    func(*Dialog)
}

// Outgoing is a call that a peer made.
type Outgoing struct {
	*Dialog
	Spec      CallSpec
	Statuses  []int // responses as they came, copies left out
	Responses []*gosip.Response
	Final     int
	Placed    time.Time
	Answered  time.Time
	cancelled bool
	byed      bool // BYE instead of CANCEL was answered
	branch    string
	invite    []byte
	excuse    func() bool
}

// Call places a call now.
func (p *Peer) Call(spec CallSpec) *Outgoing { return p.CallWith(spec, nil) }

// CallWith places a call whose INVITE is changed on its way out.
func (p *Peer) CallWith(spec CallSpec, change func(string) string) *Outgoing {
	p.serial++
	o := &Outgoing{Placed: p.w.Now, excuse: p.excuse()}
	if spec.Host == "" {
		spec.Host = "192.0.2.1:5060"
	}
	if spec.From == "" {
		spec.From = "+12065550111"
	}
	id := "call" + strconv.Itoa(p.serial) + "-" + strings.ReplaceAll(p.name, ":", ".")
	d := &Dialog{p: p, CallID: id, localTag: "uac" + id, seq: 1, caller: true, out: o,
		local: "<sip:" + spec.From + "@" + p.name + ">", remote: "<sip:" + spec.To + "@" + spec.Host + ">", target: "sip:" + spec.To + "@" + spec.Host}
	o.Dialog, o.Spec = d, spec
	p.dialogs[d.localTag] = d
	o.branch = p.newBranch()
	sdp := spec.SDP
	if sdp == nil {
		sdp = SDP(1)
	}
	o.invite = d.request("INVITE", o.branch, 1, sdp, p.Headers+spec.Extra)
	if change != nil {
		o.invite = []byte(change(string(o.invite)))
	}
	if spec.CancelFirst {
		o.Cancel()
		p.w.After(5*time.Millisecond, func() { p.send("INVITE", o.branch, o.invite, o.response, o.unheard) })
		return o
	}
	p.send("INVITE", o.branch, o.invite, o.response, o.unheard)
	if spec.CancelAfter > 0 {
		p.w.After(spec.CancelAfter, o.Cancel)
	}
	if spec.ByeAfter > 0 {
		p.w.After(spec.ByeAfter, o.earlyBye)
	}
	return o
}

// Repeat sends the last request of a method again, changed.
func (p *Peer) Repeat(method string, change func(string) string) {
	if m := p.lastSent[method]; m != nil {
		p.toCore([]byte(change(string(m))))
	}
}

// Cancel sends CANCEL unless a final response came. RFC 3261 9.1 wants a
// provisional first; the core answers 100 at once, so it is there.
func (o *Outgoing) Cancel() {
	if o.Final != 0 || o.cancelled {
		return
	}
	o.cancelled = true
	msg := strings.Replace(string(o.invite), "INVITE ", "CANCEL ", 1)
	msg = strings.Replace(msg, "CSeq: 1 INVITE", "CSeq: 1 CANCEL", 1)
	head, _, _ := strings.Cut(msg, "\r\n\r\n")
	var lines []string
	for _, l := range strings.Split(head, "\r\n") {
		if !strings.HasPrefix(l, "Content-") {
			lines = append(lines, l)
		}
	}
	o.p.send("CANCEL", o.branch, []byte(strings.Join(lines, "\r\n")+"\r\nContent-Length: 0\r\n\r\n"), func(*gosip.Response) {}, nil)
	o.p.w.After(64*t1, func() { // RFC 3261 9.1: then the INVITE counts as cancelled
		if o.Final == 0 {
			o.unheard()
		}
	})
}

// unheard: no final response came.
func (o *Outgoing) unheard() {
	if o.Final == 0 && !o.excuse() && !o.orphan && !o.Spec.CancelFirst {
		o.p.w.problem(o.CallID, "peer %s: INVITE of call %s was never answered", o.p.Addr, o.CallID)
	}
	o.end()
}

func (o *Outgoing) earlyBye() {
	if o.Final != 0 || o.remoteTag == "" {
		return
	}
	o.seq++
	branch := o.p.newBranch()
	o.p.send("BYE", branch, o.request("BYE", branch, o.seq, nil, ""), func(r *gosip.Response) {
		if r.StatusCode < 300 { // the dialog is over, also when a 200 to the INVITE crosses
			o.byed = true
			o.end()
		}
	}, nil)
}

// response takes a response to the INVITE.
func (o *Outgoing) response(r *gosip.Response) {
	if tag, ok := r.To().Params.Get("tag"); ok && (r.StatusCode < 300) {
		o.remoteTag = tag
		if c := r.Contact(); c != nil {
			o.target = c.Address.String()
		}
	}
	if r.StatusCode < 200 {
		o.note(r)
		return
	}
	if r.StatusCode >= 300 {
		if o.Final == 0 {
			o.note(r)
			o.Final = r.StatusCode
			o.end()
		}
		ack := o.request("ACK", o.branch, 1, nil, "")
		to := "To: " + o.remote
		if tag, ok := r.To().Params.Get("tag"); ok {
			ack = []byte(strings.Replace(string(ack), to, to+";tag="+tag, 1))
		}
		o.p.toCore(ack)
		return
	}
	first := o.Final == 0
	if first {
		o.note(r)
		o.Final, o.Up, o.Answered = 200, true, o.p.w.Now
		if o.Over && !o.byed { // given up already; the core hears it by BYE
			o.Over = false
			o.p.w.After(0, o.HangUp)
		}
		for _, h := range r.GetHeaders("Record-Route") {
			o.routes = append([]string{h.Value()}, o.routes...)
		}
	}
	if o.Spec.NoAck {
		return
	}
	o.ackFinal(r, o.branch, 1, o.Spec.SDP != nil && len(o.Spec.SDP) == 0)
	if !first {
		return
	}
	o.agreed(r)
	for _, then := range o.Spec.Then {
		o.p.w.After(then.After, func() { then.Do(o.Dialog) })
	}
	if o.Spec.HangUpAfter > 0 {
		o.p.w.After(o.Spec.HangUpAfter, o.HangUp)
	}
	if o.Spec.ModifyAfter > 0 {
		o.p.w.After(o.Spec.ModifyAfter, func() { o.Modify("INVITE", SDP(5), nil) })
	}
}

func (o *Outgoing) note(r *gosip.Response) {
	if !o.p.w.lean {
		o.Statuses = append(o.Statuses, r.StatusCode)
		o.Responses = append(o.Responses, r)
	}
}
