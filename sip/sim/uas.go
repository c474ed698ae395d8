package sim

import (
	"fmt"
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
}

// Step is one response.
type Step struct {
	After  time.Duration // from the INVITE
	Status int
	Fork   int  // which early dialog
	SDP    bool // with a session description
	Extra  string
}

// Answers is the plain script: 100, 180 after ring, 200 after answer.
func Answers(ring, answer time.Duration) Script {
	return Script{Steps: []Step{{0, 100, 0, false, ""}, {ring, 180, 0, false, ""}, {answer, 200, 0, true, ""}}}
}

// Refuses is 100, then a final failure.
func Refuses(after time.Duration, status int, extra string) Script {
	return Script{Steps: []Step{{0, 100, 0, false, ""}, {after, status, 0, false, extra}}}
}

// Incoming is an INVITE that a peer got.
type Incoming struct {
	p         *Peer
	s         *server
	Req       *gosip.Request
	script    Script
	cancelled bool
	ended     bool
	tags      map[int]string
	won       map[string]bool
	Dialogs   []*Dialog
}

func (i *Incoming) tagAnswered(tag string) bool { return i.won[tag] }

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

func (i *Incoming) step(step Step) {
	if i.p.Blackhole || i.cancelled && !i.script.DeafToCancel || i.ended && (step.Status < 200 || step.Status >= 300 || !i.won[i.tag(step.Fork)] && step.Fork == 0) {
		return
	}
	var sdp []byte
	if step.SDP {
		sdp = SDP(1)
	}
	if step.Status < 200 {
		i.p.respond(i.s, step.Status, i.tag(step.Fork), sdp, step.Extra)
		return
	}
	i.ended = true
	if step.Status >= 300 {
		i.p.respond(i.s, step.Status, i.tag(step.Fork), nil, step.Extra)
		i.p.repeatFinal(i.s, step.Status)
		return
	}
	tag := i.tag(step.Fork)
	i.won[tag] = true
	d := i.dialog(tag)
	// Each fork repeats its own 2xx, so each has a server transaction of its own.
	fork := &server{req: i.Req, incoming: i}
	i.p.servers[fmt.Sprintf("fork|%s|%d", tag, step.Status)] = fork
	i.p.respond(fork, 200, tag, sdp, step.Extra)
	i.s.last, i.s.final = fork.last, true
	i.p.repeat2xx(fork, d)
	if i.script.HangUpAfter > 0 {
		i.p.w.After(i.script.HangUpAfter, d.HangUp)
	}
	if i.script.ModifyAfter > 0 {
		i.p.w.After(i.script.ModifyAfter, func() { d.Modify("INVITE", SDP(7), nil) })
	}
}

// repeat2xx sends a 2xx again until the ACK of its dialog came.
func (p *Peer) repeat2xx(s *server, d *Dialog) {
	interval, left := t1, 64*t1
	var again func()
	again = func() {
		if d.Acked || p.Blackhole {
			return
		}
		if left -= interval; left <= 0 {
			p.w.Problem("peer %s: 2xx of call %s was never ACKed", p.Addr, d.CallID)
			d.Over = true
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
		i.tags[fork] = fmt.Sprintf("as%d-%d-%s", i.p.serial, fork, strings.ReplaceAll(i.p.Addr.String(), ":", "."))
	}
	return i.tags[fork]
}

func (i *Incoming) dialog(tag string) *Dialog {
	m := i.Req
	d := &Dialog{p: i.p, CallID: m.CallID().Value(), localTag: tag, seq: 100, Up: true}
	d.remoteTag, _ = m.From().Params.Get("tag")
	d.local = "<" + m.To().Address.String() + ">"
	d.remote = "<" + m.From().Address.String() + ">"
	d.target = m.Contact().Address.String()
	if h := m.GetHeader("X-Correlation-ID"); h != nil {
		d.correlation = h.Value()
	}
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
