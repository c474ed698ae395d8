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

// Faults are what the network does to datagrams. Streams only delay.
type Faults struct {
	Loss, Duplicate, Reorder float64       // probabilities
	Storm                    float64       // that a datagram comes 5 to 30 times within two seconds
	Delay                    time.Duration // one way; 0 = 1 ms
	Jitter                   time.Duration // added evenly
	LateBy                   time.Duration // how much a reordered datagram lags
}

// maxLosses is how many copies of one message the network may lose: with more
// no protocol could promise anything. Of the eleven copies that RFC 3261 sends
// within 64*T1 enough come through for every promise to hold.
const maxLosses = 3

// router implements core.Router by World.Plan.
type router struct{ w *World }

func (r router) Plan(req *tandem.RouteRequest, _ time.Time) tandem.Plan { return r.w.Plan(req) }

// transmit takes what the core says to the peer at that address.
func (w *World) transmit(s *sent) {
	p := w.byConn[s.to.Conn] // a response on the connection that the peer opened
	addr := ""
	if p == nil {
		host := s.to.Host
		if s.to.Addr.IsValid() {
			host = s.to.Addr.String()
		}
		addr = host + ":" + strconv.Itoa(int(s.to.Port))
		p = w.peers[addr]
	}
	if p == nil {
		w.failSend(s.ref, "no route to "+addr)
		return
	}
	if p.Refuse && addr != "" && p.Transport != tandem.UDP {
		w.log("x>", p, s.msg, "refused")
		w.Count.Refused++
		w.failSend(s.ref, "connection refused")
		return
	}
	w.log("->", p, s.msg, "")
	if p.Transport != tandem.UDP && s.ref.Watch {
		conn := w.conns[addr]
		if conn == 0 {
			w.nextConn++
			conn = w.nextConn
			w.conns[addr] = conn
		}
		ref := s.ref
		w.After(0, func() { w.handle(core.Event{Kind: core.EventSentOn, Ref: ref, Conn: conn}) })
	}
	if m := s.m; m != nil {
		w.Count.Sent++
		w.carry(p, s.msg, func() { p.receive(m) })
	}
}

// handle gives the core an event at the present instant; a dead process hears nothing.
func (w *World) handle(ev core.Event) {
	if w.turn.down {
		return
	}
	ev.At = w.Now
	w.inTurn("", func() { w.Core.Handle(ev) })
}

func (w *World) failSend(ref sip.SendRef, why string) {
	if ref.Tx == 0 {
		return
	}
	died := w.turn.died
	w.After(time.Millisecond, func() {
		if died == w.turn.died {
			w.handle(core.Event{Kind: core.EventSendFailed, Ref: ref, Err: why})
		}
	})
}

// carry moves one message across the network.
func (w *World) carry(p *Peer, msg []byte, deliver func()) {
	d := max(w.Faults.Delay, time.Millisecond)
	if p.Transport != tandem.UDP {
		died := w.turn.died
		w.After(d, func() {
			if died == w.turn.died { // else the connection is gone
				deliver()
			}
		})
		return
	}
	copies := 1
	if w.chance(w.Faults.Duplicate) {
		copies = 2
		w.Count.Duplicated++
	}
	if w.chance(w.Faults.Storm) {
		w.Count.Storms++
		for range 5 + w.Pick(26) {
			w.After(w.Between(d, d+2*time.Second), deliver)
		}
	}
	for range copies {
		if w.chance(w.Faults.Loss) && w.mayLose(msg) {
			w.Count.Lost++
			w.log("..", p, msg, "lost")
			continue
		}
		at := w.Between(d, d+w.Faults.Jitter)
		if w.chance(w.Faults.Reorder) {
			at += w.Faults.LateBy
			w.Count.Reordered++
		}
		w.After(at, deliver)
	}
}

func (w *World) mayLose(msg []byte) bool {
	key := hashOf(msg)
	if w.losses[key] >= maxLosses {
		return false
	}
	w.losses[key]++
	return true
}

// hashOf names a message or an identifier, the same in every run (FNV-1a).
func hashOf[T string | []byte](b T) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(b); i++ {
		h = (h ^ uint64(b[i])) * 1099511628211
	}
	return h
}

// DropConnection ends the stream that the core has to a peer.
func (w *World) DropConnection(p *Peer) {
	conn := w.conns[p.name]
	if conn == 0 {
		return
	}
	delete(w.conns, p.name)
	w.Count.Dropped++
	w.log("xx", p, nil, "the connection to it dies")
	w.After(0, func() { w.handle(core.Event{Kind: core.EventConnClosed, Conn: conn}) })
}

// DropInbound ends the stream that a peer has to the core.
func (w *World) DropInbound(p *Peer) {
	conn := p.conn
	if conn == 0 {
		return
	}
	p.conn = 0
	delete(w.byConn, conn)
	w.Count.Dropped++
	w.log("xx", p, nil, "the connection from it dies")
	w.After(0, func() { w.handle(core.Event{Kind: core.EventConnClosed, Conn: conn}) })
}

// toCore hands a message of a peer to the core.
func (p *Peer) toCore(msg []byte) { p.toCoreAs(msg, false) }

// toCoreAs is toCore; of nonsense nothing is expected but that it does no harm.
func (p *Peer) toCoreAs(msg []byte, nonsense bool) {
	w := p.w
	if p.Blackhole {
		return
	}
	if p.Change != nil {
		nonsense = true
		if msg = p.Change(msg); msg == nil {
			return
		}
	}
	if p.Transport != tandem.UDP && p.conn == 0 {
		w.nextConn++
		p.conn = w.nextConn
		w.byConn[p.conn] = p
	}
	w.log("<-", p, msg, "")
	flow := sip.Flow{Trunk: p.Trunk, Transport: p.Transport, Conn: p.conn, Source: p.Addr, Local: local}
	w.carry(p, msg, func() { w.deliver(flow, msg, nonsense) })
}

var local = netip.MustParseAddrPort("192.0.2.1:5060")

// deliver is the arrival of a message at the core.
func (w *World) deliver(flow sip.Flow, msg []byte, nonsense bool) {
	if w.turn.down {
		return
	}
	m, err := gosip.ParseMessage(msg)
	if err != nil { // the transport answers or drops it; the core never sees it
		return
	}
	w.Count.Received++
	w.wire.received(m, nonsense)
	id := ""
	if h := m.CallID(); h != nil {
		id = h.Value()
	}
	w.inTurn(id, func() {
		w.Core.Handle(core.Event{Kind: core.EventMessage, At: w.Now, Flow: flow, Msg: m})
	})
	spoil(m)
}

// spoil does to a message what the transport may do once the core has handled it
// (sip.Lease): who kept a pointer into it finds another's values there.
func spoil(m gosip.Message) {
	other := gosip.Uri{Scheme: "sip", User: "spoiled", Host: "spoiled.invalid"}
	params := func(p gosip.HeaderParams) {
		for i := range p {
			p[i] = gosip.HeaderKV{K: "spoiled", V: "spoiled"}
		}
	}
	for _, h := range m.(interface{ Headers() []gosip.Header }).Headers() {
		switch h := h.(type) {
		case *gosip.ViaHeader:
			params(h.Params)
			*h = gosip.ViaHeader{Host: "spoiled.invalid"}
		case *gosip.FromHeader:
			params(h.Params)
			*h = gosip.FromHeader{Address: other}
		case *gosip.ToHeader:
			params(h.Params)
			*h = gosip.ToHeader{Address: other}
		case *gosip.ContactHeader:
			params(h.Params)
			params(h.Address.UriParams)
			*h = gosip.ContactHeader{Address: other}
		case *gosip.CSeqHeader:
			*h = gosip.CSeqHeader{SeqNo: 999, MethodName: "SPOILED"}
		case *gosip.CallIDHeader:
			*h = "spoiled"
		case *gosip.ContentTypeHeader:
			*h = "spoiled"
		}
	}
	switch m := m.(type) {
	case *gosip.Request:
		params(m.Recipient.UriParams)
		m.Recipient, m.Method = other, "SPOILED"
	case *gosip.Response:
		m.StatusCode, m.Reason = 699, "spoiled"
	}
}
