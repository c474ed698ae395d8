package sim

import (
	"strconv"
	"strings"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// Script is how a peer treats an incoming call.
type Script struct {
	Steps []Step
	// HangUpAfter the answer the callee sends BYE; 0 = the caller does.
	HangUpAfter time.Duration
	// DeafToCancel answers CANCEL with 200 but goes on with its steps: 200 crosses CANCEL.
	DeafToCancel bool
	// ModifyAfter the answer the callee sends a re-INVITE; 0 = none.
	ModifyAfter time.Duration
	// Then follows the answer.
	Then []Then
}

// Step is one response.
type Step struct {
	After  time.Duration // from the INVITE
	Status int
	Fork   int  // which early dialog
	SDP    bool // with a session description
	Extra  string
	Body   []byte // instead of the plain session description
	// Again sends it although a final response was sent.
	Again bool
	// Spoil changes the response into nonsense: nothing is expected of it but that it does no harm.
	Spoil func(string) string
}

// Answers is the plain script: 100, 180 after ring, 200 after answer.
func Answers(ring, answer time.Duration) Script {
	return Script{Steps: []Step{{Status: 100}, {After: ring, Status: 180}, {After: answer, Status: 200, SDP: true}}}
}

// Refuses is 100, then a final failure.
func Refuses(after time.Duration, status int, extra string) Script {
	return Script{Steps: []Step{{Status: 100}, {After: after, Status: status, Extra: extra}}}
}

// Incoming is an INVITE that a peer got.
type Incoming struct {
	p         *Peer
	s         *server
	Req       *gosip.Request
	script    Script
	cancelled bool
	ended     bool
	spoiled   bool
	tags      map[int]string
	won       map[string]bool
	Dialogs   []*Dialog
}

// incoming runs the script of a new call.
func (p *Peer) incoming(s *server) {
	i := &Incoming{p: p, s: s, Req: s.req, tags: map[int]string{}, won: map[string]bool{}}
	s.incoming = i
	i.script = Answers(time.Second, 3*time.Second)
	if p.Script != nil {
		i.script = p.Script(i)
	}
	for _, step := range i.script.Steps {
		p.w.After(step.After, func() { i.step(step) })
	}
}

// silent reports whether a step is left out: the call is over for this peer.
func (i *Incoming) silent(step Step) bool {
	switch {
	case i.p.Blackhole:
		return true
	case i.cancelled && !i.script.DeafToCancel:
		return true
	case !i.ended || step.Again:
		return false
	case step.Status < 200 || step.Status >= 300:
		return true
	}
	return step.Fork == 0 && !i.won[i.tag(0)] // other forks answer whatever this one did
}

func (i *Incoming) step(step Step) {
	if i.silent(step) {
		return
	}
	p, tag := i.p, i.tag(step.Fork)
	sdp := step.Body
	if step.SDP && sdp == nil {
		sdp = SDP(1)
	}
	switch {
	case step.Spoil != nil:
		i.spoil()
		p.toCoreAs([]byte(step.Spoil(string(p.response(i.Req, step.Status, tag, sdp, step.Extra)))), true)
	case step.Status < 200:
		p.respond(i.s, step.Status, tag, sdp, step.Extra)
	case step.Status >= 300:
		again := i.ended
		i.ended = true
		p.respond(i.s, step.Status, tag, nil, step.Extra)
		if !again {
			p.repeatFinal(i.s, step.Status)
		}
	default:
		i.ended = true
		i.answer(step, tag, sdp)
	}
}

// spoil: what the core makes of nonsense is its own affair; of this call nothing
// is promised to the peer any more.
func (i *Incoming) spoil() {
	i.spoiled = true
	for _, d := range i.Dialogs {
		d.spoiled = true
	}
}

// answer sends a 2xx. Each fork repeats its own until its ACK came.
func (i *Incoming) answer(step Step, tag string, sdp []byte) {
	p := i.p
	if i.won[tag] {
		p.toCore(i.s.last)
		return
	}
	i.won[tag] = true
	d := i.dialog(tag)
	extra := step.Extra
	if !strings.Contains(extra, "Session-Expires") {
		extra += d.takes(i.Req)
	}
	ok := &server{req: i.Req, incoming: i}
	p.respond(ok, step.Status, tag, sdp, extra)
	i.s.last, i.s.final, i.s.acked = ok.last, true, true // from now on the 2xx is repeated
	p.over(i.s)
	p.repeat2xx(ok, d)
	if i.script.HangUpAfter > 0 {
		p.w.After(i.script.HangUpAfter, d.HangUp)
	}
	if i.script.ModifyAfter > 0 {
		p.w.After(i.script.ModifyAfter, func() { d.Modify("INVITE", SDP(7), nil) })
	}
	for _, then := range i.script.Then {
		p.w.After(then.After, func() { then.Do(d) })
	}
}

// repeat2xx sends a 2xx again until the ACK of its dialog came.
func (p *Peer) repeat2xx(s *server, d *Dialog) {
	interval, left := t1, 64*t1
	excuse := p.excuse()
	var again func()
	again = func() {
		if d.Acked || p.Blackhole {
			return
		}
		if left -= interval; left <= 0 {
			if !d.orphan && !d.spoiled && !excuse() {
				p.w.problem(d.CallID, "peer %s: 2xx of call %s was never ACKed", p.Addr, d.CallID)
			}
			d.end()
			return
		}
		p.toCore(s.last)
		interval = min(2*interval, t2)
		p.w.After(interval, again)
	}
	p.w.After(interval, again)
}

func (i *Incoming) tag(fork int) string {
	if i.tags[fork] == "" {
		i.p.serial++
		i.tags[fork] = "as" + strconv.Itoa(i.p.serial) + "-" + strconv.Itoa(fork) + "-" + strings.ReplaceAll(i.p.name, ":", ".")
	}
	return i.tags[fork]
}

func (i *Incoming) dialog(tag string) *Dialog {
	m := i.Req
	d := &Dialog{p: i.p, CallID: m.CallID().Value(), localTag: tag, seq: 100, Up: true, spoiled: i.spoiled}
	d.remoteTag, _ = m.From().Params.Get("tag")
	d.local = "<" + m.To().Address.String() + ">"
	d.remote = "<" + m.From().Address.String() + ">"
	d.target = m.Contact().Address.String()
	d.LastSDP = m.Body()
	i.p.dialogs[tag] = d
	i.Dialogs = append(i.Dialogs, d)
	return d
}

// cancelled takes a CANCEL.
func (p *Peer) cancelled(s *server, branch string) {
	invite := p.servers[branch+"|INVITE"]
	if invite == nil {
		p.respond(s, 481, "", nil, "")
		return
	}
	p.respond(s, 200, "", nil, "")
	i := invite.incoming
	if i == nil || invite.final || i.ended {
		return
	}
	i.cancelled = true
	if i.script.DeafToCancel {
		return
	}
	i.ended = true
	p.respond(invite, 487, i.tag(0), nil, "")
	p.repeatFinal(invite, 487)
}
