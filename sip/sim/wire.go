package sim

import (
	"slices"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// wire watches every message at the core's door, after the network has done its
// worst to it: what the core was told it must act on, whatever is lost later.
type wire struct {
	w *World

	invites  map[string]*attempt // by branch: every INVITE of the core that begins a dialog
	ringing  map[string][]string // correlation -> branches that ring as far as the core can know
	attempts map[string]string   // Call-ID of every attempt -> correlation
	calls    map[string]string   // Call-ID of every A-leg -> correlation
	requests map[uint64]request  // requests that the core was given, by branch and method
	said     map[uint64]uint64   // branch and method -> hash of the request: copies are the same
	seqs     map[string]uint32   // Call-ID and tags -> last CSeq of the core's requests

	// Of this turn.
	answer  *gosip.Response // a 2xx to INVITE that must be ACKed
	refusal *gosip.Response // a 300-699 to INVITE that must be ACKed
	late    bool            // a 2xx to INVITE came, proper or not
	asked   uint64          // a BYE or CANCEL that must be answered
	rang    string          // correlation whose ringing changed
}

// attempt is one INVITE of the core.
type attempt struct {
	correlation string
	lastSent    time.Duration
	over        bool // CANCEL or ACK left: it no longer counts as ringing
	final       bool
}

// request is one request of a peer.
type request struct {
	id, method string
	final      bool
}

func (t *wire) init(w *World) {
	*t = wire{w: w, invites: map[string]*attempt{}, ringing: map[string][]string{}, attempts: map[string]string{}, calls: map[string]string{},
		requests: map[uint64]request{}, said: map[uint64]uint64{}, seqs: map[string]uint32{}}
}

// crash: the process forgets, and nobody is promised anything that is not written.
func (t *wire) crash() {
	t.answer, t.refusal, t.late, t.asked, t.rang = nil, nil, false, 0, ""
	clear(t.requests)
	clear(t.invites)
	clear(t.ringing)
}

func branchOf(m gosip.Message) string {
	if m.Via() == nil {
		return ""
	}
	b, _ := m.Via().Params.Get("branch")
	return b
}

func requestKey(branch, method string) uint64 { return hashOf(branch + "|" + method) }

// received notes what a message of a peer obliges the core to.
func (t *wire) received(m gosip.Message, nonsense bool) {
	switch m := m.(type) {
	case *gosip.Request:
		if nonsense || m.Method == gosip.ACK {
			return
		}
		key := requestKey(branchOf(m), string(m.Method))
		if _, known := t.requests[key]; known {
			return
		}
		t.requests[key] = request{id: m.CallID().Value(), method: string(m.Method)}
		if m.Method == gosip.BYE || m.Method == gosip.CANCEL {
			t.asked = key
		}
	case *gosip.Response:
		if m.CSeq() != nil && m.CSeq().MethodName == gosip.INVITE && m.StatusCode > 100 {
			t.response(m, nonsense)
		}
	}
}

// response notes an 18x or a final response to an INVITE of the core.
func (t *wire) response(m *gosip.Response, nonsense bool) {
	branch := branchOf(m)
	a := t.invites[branch]
	if a != nil && m.StatusCode < 200 && !a.over && !a.final {
		if list := t.ringing[a.correlation]; !slices.Contains(list, branch) {
			t.ringing[a.correlation] = append(list, branch)
		}
		t.rang = a.correlation
	}
	if m.StatusCode < 200 {
		return
	}
	if a != nil {
		if m.StatusCode >= 300 && !a.final && !nonsense && t.w.elapsed-a.lastSent < 60*t1 {
			t.refusal = m
		}
		a.final = true
		t.quiet(a, branch)
	}
	t.late = m.StatusCode < 300
	_, tagged := m.To().Params.Get("tag")
	if m.StatusCode < 300 && !nonsense && tagged && m.Contact() != nil {
		t.answer = m
	}
}

func (t *wire) quiet(a *attempt, branch string) {
	list := t.ringing[a.correlation]
	if i := slices.Index(list, branch); i >= 0 {
		t.ringing[a.correlation] = slices.Delete(list, i, i+1)
	}
}

// read parses what the core says and looks at it.
func (t *wire) read(s *sent) {
	m, err := gosip.ParseMessage(s.msg)
	if err != nil {
		t.w.Problem("the core sent an unreadable message: %v\n%s", err, s.msg)
		return
	}
	s.m = m
	switch m := m.(type) {
	case *gosip.Request:
		t.request(m, s.msg)
	case *gosip.Response:
		t.reply(m)
	}
}

// reply looks at a response of the core.
func (t *wire) reply(m *gosip.Response) {
	id := m.CallID().Value()
	if h := m.GetHeader("X-Correlation-ID"); h != nil {
		t.calls[id] = h.Value()
	}
	if m.StatusCode < 200 {
		return
	}
	key := requestKey(branchOf(m), string(m.CSeq().MethodName))
	if q, known := t.requests[key]; known && !q.final {
		q.final = true
		t.requests[key] = q
	}
}

// request looks at a request of the core.
func (t *wire) request(m *gosip.Request, msg []byte) {
	w, branch := t.w, branchOf(m)
	key, hash, id := requestKey(branch, string(m.Method)), hashOf(msg), m.CallID().Value()
	old, copied := t.said[key]
	switch {
	case !copied:
		t.said[key] = hash
	case old != hash && m.Method != gosip.ACK: // the To tag of an ACK is that of the response
		w.problem(id, "call %s: a copy of %s differs from the first", id, m.Method)
	}
	w.checked(invCopies)
	_, tagged := m.To().Params.Get("tag")
	switch {
	case m.Method == gosip.CANCEL || m.Method == gosip.ACK:
		if a := t.invites[branch]; a != nil {
			a.over = true
			t.quiet(a, branch)
		}
		return
	case copied:
		if a := t.invites[branch]; a != nil {
			a.lastSent = w.elapsed
		}
		return
	case m.Method == gosip.INVITE && !tagged:
		t.attempt(m, branch)
	}
	local, _ := m.From().Params.Get("tag")
	remote, _ := m.To().Params.Get("tag")
	dialog := id + "|" + local + "|" + remote
	switch seq, last := m.CSeq().SeqNo, t.seqs[dialog]; {
	case m.Method == gosip.BYE && t.late: // it releases a 2xx whose dialog nobody remembers
	case seq <= last:
		w.problem(id, "call %s: %s with CSeq %d after %d", id, m.Method, seq, last)
	default:
		t.seqs[dialog] = seq
	}
	w.checked(invSequence)
}

// attempt looks at an INVITE that begins a dialog.
func (t *wire) attempt(m *gosip.Request, branch string) {
	w, id := t.w, m.CallID().Value()
	h := m.GetHeader("X-Correlation-ID")
	if h == nil {
		w.problem(id, "call %s: INVITE without X-Correlation-ID", id)
		return
	}
	correlation := h.Value()
	t.attempts[id] = correlation
	t.invites[branch] = &attempt{correlation: correlation, lastSent: w.elapsed}
	if len(t.ringing[correlation]) > 0 {
		w.problem(id, "call %s: a second INVITE leaves while the first may ring", correlation)
	}
	w.checked(invOneRings)
}

// turnOver holds the core to what the event of this turn obliges it to.
func (t *wire) turnOver(id string) {
	w := t.w
	for i := range w.turn.sends {
		w.wire.read(&w.turn.sends[i])
	}
	if t.answer != nil {
		w.checked(invAcked)
		if !t.acked(t.answer) {
			w.problem(id, "call %s: %d to INVITE was not ACKed", id, t.answer.StatusCode)
		}
	}
	if t.refusal != nil {
		w.checked(invAcked)
		if !t.acked(t.refusal) {
			w.problem(id, "call %s: %d to INVITE was not ACKed", id, t.refusal.StatusCode)
		}
	}
	if t.asked != 0 {
		w.checked(invAnswered)
		if q := t.requests[t.asked]; !q.final {
			w.problem(id, "call %s: %s was not answered", id, q.method)
		}
	}
	if t.rang != "" {
		w.checked(invOneRings)
		if n := len(t.ringing[t.rang]); n > 1 {
			w.problem(t.rang, "call %s: %d destinations ring at a time", t.rang, n)
		}
	}
	t.answer, t.refusal, t.late, t.asked, t.rang = nil, nil, false, 0, ""
}

// acked reports whether this turn said the ACK of a final response.
func (t *wire) acked(r *gosip.Response) bool {
	tag, _ := r.To().Params.Get("tag")
	for i := range t.w.turn.sends {
		m, ok := t.w.turn.sends[i].m.(*gosip.Request)
		if !ok || m.Method != gosip.ACK || m.CallID().Value() != r.CallID().Value() || m.CSeq().SeqNo != r.CSeq().SeqNo {
			continue
		}
		if got, _ := m.To().Params.Get("tag"); got == tag {
			return true
		}
	}
	return false
}

// rest looks for requests that never got a final response.
func (t *wire) rest() {
	for _, q := range t.requests {
		t.w.checked(invAnswered)
		if !q.final {
			t.w.problem(q.id, "call %s: %s never got a final response", q.id, q.method)
		}
	}
}
