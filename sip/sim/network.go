package sim

import (
	"net/netip"
	"strconv"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip"
	"tandem/sip/core"
)

// router implements core.Router by World.Plan.
type router struct{ w *World }

func (r router) Plan(req *tandem.RouteRequest, _ time.Time) tandem.Plan { return r.w.Plan(req) }

// Send implements sip.Sender: what the core says goes to the peer at that address.
func (w *World) Send(to sip.Target, ref sip.SendRef, msg []byte) {
	w.checkSent(msg)
	host := to.Host
	if to.Addr.IsValid() {
		host = to.Addr.String()
	}
	addr := host + ":" + strconv.Itoa(int(to.Port))
	p := w.peers[addr]
	if p == nil && to.Conn != 0 { // a response on the connection that the peer opened
		for _, q := range w.all {
			if q.conn == to.Conn {
				p = q
			}
		}
	}
	if p == nil {
		w.failSend(ref, "no route to "+addr)
		return
	}
	if p.Refuse && to.Conn == 0 && p.Transport != tandem.UDP {
		w.log("x>", p, msg, "refused")
		w.failSend(ref, "connection refused")
		return
	}
	w.log("->", p, msg, "")
	if p.Transport != tandem.UDP && ref.Watch {
		conn := w.conns[addr]
		if conn == 0 {
			w.nextConn++
			conn = w.nextConn
			w.conns[addr] = conn
		}
		w.After(0, func() {
			w.Core.Handle(core.Event{Kind: core.EventSentOn, At: w.Now, Ref: ref, Conn: conn})
		})
	}
	w.carry(p.Transport, func() { p.receive(msg) })
}

func (w *World) failSend(ref sip.SendRef, why string) {
	if ref.Tx == 0 {
		return
	}
	w.After(time.Millisecond, func() {
		w.Core.Handle(core.Event{Kind: core.EventSendFailed, At: w.Now, Ref: ref, Err: why})
	})
}

// carry moves one message across the network.
func (w *World) carry(transport tandem.Transport, deliver func()) {
	d := max(w.Faults.Delay, time.Millisecond)
	if transport != tandem.UDP {
		w.After(d, deliver)
		return
	}
	copies := 1
	if w.chance(w.Faults.Duplicate) {
		copies = 2
	}
	for range copies {
		if w.chance(w.Faults.Loss) {
			continue
		}
		at := w.Between(d, d+w.Faults.Jitter)
		if w.chance(w.Faults.Reorder) {
			at += w.Faults.LateBy
		}
		w.After(at, deliver)
	}
}

// DropConnection ends the stream that the core has to a peer.
func (w *World) DropConnection(p *Peer) {
	conn := w.conns[p.Addr.String()]
	if conn == 0 {
		return
	}
	delete(w.conns, p.Addr.String())
	w.After(0, func() {
		w.Core.Handle(core.Event{Kind: core.EventConnClosed, At: w.Now, Conn: conn})
	})
}

// toCore hands a message of a peer to the core.
func (p *Peer) toCore(msg []byte) {
	w := p.w
	if p.Blackhole {
		return
	}
	if p.Change != nil {
		if msg = p.Change(msg); msg == nil {
			return
		}
	}
	if p.Transport != tandem.UDP && p.conn == 0 {
		w.nextConn++
		p.conn = w.nextConn
	}
	w.log("<-", p, msg, "")
	flow := sip.Flow{Trunk: p.Trunk, Transport: p.Transport, Conn: p.conn, Source: p.Addr, Local: netip.MustParseAddrPort("192.0.2.1:5060")}
	w.carry(p.Transport, func() {
		w.noteRinging(msg)
		w.Core.Handle(core.Event{Kind: core.EventMessage, At: w.Now, Flow: flow, Msg: parse(msg)})
	})
}

// Record implements core.Output: the journal.
func (w *World) Record(kind tandem.FactKind, at time.Time, call *tandem.CallRecord) {
	r := *call
	r.Legs = append([]tandem.LegRecord(nil), call.Legs...)
	w.Facts = append(w.Facts, Fact{kind, at, r})
}

// Outcome implements core.Output.
func (w *World) Outcome(trunk tandem.TrunkID, ep tandem.Endpoint, o tandem.Outcome, _ time.Time) {
	w.Outcomes = append(w.Outcomes, Reported{trunk, ep, o})
}

// checkSent watches what leaves the core: no control character, and never two
// destinations of one call ringing at a time.
func (w *World) checkSent(msg []byte) {
	m, err := gosip.ParseMessage(msg)
	if err != nil {
		w.Problem("the core sent an unreadable message: %v\n%s", err, msg)
		return
	}
	req, ok := m.(*gosip.Request)
	if !ok {
		return
	}
	branch, _ := req.Via().Params.Get("branch")
	switch {
	case req.Method == gosip.CANCEL || req.Method == gosip.ACK:
		w.cancelled[branch] = true
		if id := w.invites[branch]; w.ringing[id] == branch {
			delete(w.ringing, id)
		}
	case req.Method == gosip.INVITE:
		if _, tagged := req.To().Params.Get("tag"); tagged {
			return
		}
		h := req.GetHeader("X-Correlation-ID")
		if h == nil {
			w.Problem("INVITE without X-Correlation-ID")
			return
		}
		if other := w.ringing[h.Value()]; other != "" && other != branch {
			w.Problem("call %s: a second INVITE leaves while the first may ring", h.Value())
		}
		w.invites[branch] = h.Value()
		w.attempts[req.CallID().Value()] = h.Value()
	}
}

// noteRinging notes that an 18x of an INVITE of the core arrives: it rings, as
// far as the core can know.
func (w *World) noteRinging(msg []byte) {
	r, ok := parse(msg).(*gosip.Response)
	if !ok || r.StatusCode <= 100 || r.CSeq().MethodName != gosip.INVITE {
		return
	}
	branch, _ := r.Via().Params.Get("branch")
	id := w.invites[branch]
	switch {
	case id == "":
	case r.StatusCode < 200 && !w.cancelled[branch]:
		w.ringing[id] = branch
	case r.StatusCode >= 200 && w.ringing[id] == branch:
		delete(w.ringing, id)
	}
}
