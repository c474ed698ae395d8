package emulate

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"tandem"
	"tandem/media/player"
	"tandem/sip/ua"
)

// Violation is a rule that the peer broke without being refused for it.
type Violation struct {
	At       time.Time `json:"at"`
	Rule     string    `json:"rule"`
	Detail   string    `json:"detail"`
	CallID   string    `json:"call_id,omitempty"`
	Listener string    `json:"listener,omitempty"`
}

// shape is what differs between Microsoft's messages and a carrier's.
type shape interface {
	// answer gives the headers of a response to an INVITE or re-INVITE besides the copied ones.
	answer(call *ua.Call, listener string, status int) []ua.Header
	// request gives the headers of our requests inside a dialog, Contact above all.
	request(call *ua.Call, listener string) []ua.Header
	// media gives the kind of streams.
	media() player.Options
	// inspect looks at a re-INVITE for broken rules; a status refuses it.
	inspect(req *ua.Message, listener string) int
}

// station is what both emulators are made of: an endpoint, a player, faults, and the calls.
type station struct {
	shape
	log     *slog.Logger
	ep      *ua.Endpoint
	player  *player.Player
	options func(*player.Options)
	faults  faultTable
	control *controlServer

	mu         sync.Mutex
	listeners  map[string]*ua.Listener
	order      []string // names of listeners
	byID       map[string]*record
	ids        []string // oldest first
	serial     int
	keep       int
	active     int
	violations []Violation
	broken     map[string]int
	changed    chan struct{} // closed and renewed whenever the faults change
}

// record is a CallResult in the making.
type record struct {
	mu   sync.Mutex
	r    CallResult
	call *ua.Call
	done chan struct{}
}

func (rec *record) update(f func(r *CallResult)) {
	rec.mu.Lock()
	f(&rec.r)
	rec.mu.Unlock()
}

func (rec *record) snapshot() CallResult {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	r := rec.r
	r.Provisional = append([]int(nil), r.Provisional...)
	r.Refreshes = append([]int(nil), r.Refreshes...)
	if !r.Done && rec.call != nil {
		r.Log = rec.call.Log().Entries()
		r.Ladder = rec.call.Log().String()
	}
	return r
}

const maxViolations = 1000

func newStation(log *slog.Logger, keep int) *station {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if keep <= 0 {
		keep = 10_000
	}
	return &station{log: log, keep: keep, listeners: map[string]*ua.Listener{}, byID: map[string]*record{},
		broken: map[string]int{}, changed: make(chan struct{})}
}

func (st *station) begin(r CallResult) *record {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.serial++
	r.ID = strconv.Itoa(st.serial)
	rec := &record{r: r, done: make(chan struct{})}
	st.byID[r.ID] = rec
	st.ids = append(st.ids, r.ID)
	st.active++
	for len(st.ids) > st.keep {
		old := st.byID[st.ids[0]]
		select {
		case <-old.done:
		default:
			return rec // the oldest still talks: keep one more
		}
		delete(st.byID, st.ids[0])
		st.ids = st.ids[1:]
	}
	return rec
}

// finish closes the books of a call.
func (st *station) finish(rec *record, stream *player.Stream) {
	var media player.Counters
	var codec, suite string
	if stream != nil {
		media = stream.Counters()
		codec, suite = stream.Negotiated()
		stream.Close()
	}
	rec.update(func(r *CallResult) {
		if r.EndAt.IsZero() {
			r.EndAt = time.Now()
		}
		r.Sent, r.Received, r.BadSRTP, r.HeardHz = media.Sent, media.Received, media.Bad, media.HeardHz
		r.Codec, r.Suite = codec, suite
		if rec.call != nil {
			r.Log = rec.call.Log().Entries()
			r.Ladder = rec.call.Log().String()
		}
		r.Done = true
	})
	if rec.call != nil {
		rec.call.Close()
	}
	st.mu.Lock()
	st.active--
	st.mu.Unlock()
	close(rec.done)
}

// Calls lists what every remembered call has come to, oldest first.
func (st *station) Calls() []CallResult {
	st.mu.Lock()
	recs := make([]*record, 0, len(st.ids))
	for _, id := range st.ids {
		recs = append(recs, st.byID[id])
	}
	st.mu.Unlock()
	out := make([]CallResult, 0, len(recs))
	for _, rec := range recs {
		out = append(out, rec.snapshot())
	}
	return out
}

// Find is one call by its ID.
func (st *station) Find(id string) (CallResult, bool) {
	st.mu.Lock()
	rec := st.byID[id]
	st.mu.Unlock()
	if rec == nil {
		return CallResult{}, false
	}
	return rec.snapshot(), true
}

// Await waits until an incoming call that match accepts is over. Each call is
// shown to match once, when it is over.
func (st *station) Await(ctx context.Context, match func(CallResult) bool) (CallResult, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	judged := map[string]bool{}
	for {
		for _, rec := range st.finished(judged) {
			if r := rec.snapshot(); r.Incoming && match(r) {
				return r, nil
			}
		}
		select {
		case <-ctx.Done():
			return CallResult{}, ctx.Err()
		case <-tick.C:
		}
	}
}

// finished lists the calls that are over and not yet judged, and marks them so.
func (st *station) finished(judged map[string]bool) []*record {
	st.mu.Lock()
	defer st.mu.Unlock()
	var out []*record
	for _, id := range st.ids {
		if judged[id] {
			continue
		}
		select {
		case <-st.byID[id].done:
			judged[id] = true
			out = append(out, st.byID[id])
		default:
		}
	}
	return out
}

// Forget drops the finished calls and the violations, between two tests.
func (st *station) Forget() {
	st.mu.Lock()
	defer st.mu.Unlock()
	var kept []string
	for _, id := range st.ids {
		select {
		case <-st.byID[id].done:
			delete(st.byID, id)
		default:
			kept = append(kept, id)
		}
	}
	st.ids, st.violations = kept, nil
	clear(st.broken)
}

// Active is the number of calls in progress.
func (st *station) Active() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.active
}

func (st *station) violate(rule, detail, listener string, m *ua.Message) {
	v := Violation{At: time.Now(), Rule: rule, Detail: tandem.Clip(detail, 300), Listener: listener}
	if m != nil {
		v.CallID = m.CallID()
	}
	st.log.Warn("rule broken by the peer", "rule", rule, "detail", v.Detail, "listener", listener, "call_id", v.CallID)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.broken[rule]++
	if len(st.violations) < maxViolations {
		st.violations = append(st.violations, v)
	}
}

// Violations lists the rules that the peer broke, the first thousand.
func (st *station) Violations() []Violation {
	st.mu.Lock()
	defer st.mu.Unlock()
	return append([]Violation(nil), st.violations...)
}

// SetFault puts a fault in force, replacing one of the same kind and scope.
// Connection faults other than blackhole also end the open connections of their
// listeners, so that the peer meets them at once.
func (st *station) SetFault(f Fault) error {
	f, err := ParseFault(f)
	if err != nil {
		return err
	}
	st.mu.Lock()
	_, known := st.listeners[f.Listener]
	st.mu.Unlock()
	if f.Listener != "" && !known {
		return &tandem.Error{Kind: tandem.KindNotFound, Field: "listener", Message: "there is no listener " + strconv.Quote(tandem.Clip(f.Listener, 60)), Mend: "use a name that GET /state shows"}
	}
	st.faults.set(f)
	st.renew()
	for _, l := range st.pick(f.Listener) {
		switch {
		case f.Kind == FaultRefuse:
			l.Shut(true)
		case f.Kind == FaultRST:
			for _, c := range l.Conns() {
				c.Reset()
			}
		case connectionFaults[f.Kind] && f.Kind != FaultBlackhole:
			for _, c := range l.Conns() {
				c.Close()
			}
		}
	}
	return nil
}

// ClearFaults ends the faults of a kind and listener; "" = any. Listeners that
// were refusing listen again.
func (st *station) ClearFaults(kind FaultKind, listener string) error {
	if _, err := strconv.Atoi(string(kind)); err == nil {
		kind = FaultStatus
	}
	st.faults.clear(kind, listener)
	st.renew()
	var errs []error
	st.mu.Lock()
	names := append([]string(nil), st.order...)
	st.mu.Unlock()
	for _, name := range names {
		if !st.faults.has(name, FaultRefuse) {
			for _, l := range st.pick(name) {
				errs = append(errs, l.Open())
			}
		}
	}
	return errors.Join(errs...)
}

// Faults lists the faults in force, with their hits.
func (st *station) Faults() []Fault { return st.faults.all() }

func (st *station) renew() {
	st.mu.Lock()
	defer st.mu.Unlock()
	close(st.changed)
	st.changed = make(chan struct{})
}

func (st *station) pick(name string) []*ua.Listener {
	st.mu.Lock()
	defer st.mu.Unlock()
	var out []*ua.Listener
	for _, n := range st.order {
		if name == "" || n == name {
			out = append(out, st.listeners[n])
		}
	}
	return out
}

// listenerOf names the listener of a connection: the one that accepted it, or
// the one from whose address we dialled.
func (st *station) listenerOf(c *ua.Conn) string {
	if c.Listener != nil {
		return c.Listener.Config.Name
	}
	for _, l := range st.pick("") {
		if l.Addr().Addr() == c.Local.Addr() {
			return l.Config.Name
		}
	}
	return ""
}

// gate applies connection faults before the handshake.
func (st *station) gate(name string) func(net.Conn) net.Conn {
	return func(c net.Conn) net.Conn {
		f, ok := st.faults.take(name, func(f *Fault) bool {
			return f.Kind == FaultClose || f.Kind == FaultRST || f.Kind == FaultBlackhole || f.Kind == FaultSlowTLS
		})
		if !ok {
			return c
		}
		switch f.Kind {
		case FaultRST:
			if tcp, is := c.(*net.TCPConn); is {
				tcp.SetLinger(0)
			}
		case FaultBlackhole:
			for st.faults.has(name, FaultBlackhole) && st.untilChange(time.Hour) {
			}
		case FaultSlowTLS:
			for end := time.Now().Add(f.Delay.D()); time.Now().Before(end) && st.faults.has(name, FaultSlowTLS); {
				if !st.untilChange(time.Until(end)) {
					break
				}
			}
			return c
		}
		c.Close()
		return nil
	}
}

// untilChange waits until the faults change or the time is up; false when the emulator closes.
func (st *station) untilChange(d time.Duration) bool {
	st.mu.Lock()
	changed := st.changed
	st.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-changed:
		return true
	case <-timer.C:
		return true
	case <-st.ep.Context().Done():
		return false
	}
}

// deaf reports whether a message must vanish: the listener is black-holed, or
// plays dead in a way that UDP can only show by silence.
func (st *station) deaf(m *ua.Message) bool {
	name := st.listenerOf(m.Conn)
	if m.Conn.Transport != tandem.UDP {
		return st.faults.has(name, FaultBlackhole)
	}
	return st.faults.has(name, FaultBlackhole, FaultRefuse, FaultClose, FaultRST) || st.lose()
}

// lose throws the dice of FaultLoss.
func (st *station) lose() bool {
	p := st.faults.lossPercent()
	return p > 0 && rand.IntN(100) < p
}

func (st *station) startPlayer(m MediaConfig, fallback netip.Addr) {
	if !m.Address.IsValid() {
		m.Address = fallback
	}
	st.options = m.Stream
	st.player = player.New(player.Config{Address: m.Address, PortMin: m.PortMin, PortMax: m.PortMax, Record: m.Record, Lost: st.lose, Logger: st.log})
}

// close ends everything; safe when half started.
func (st *station) close() {
	if st.control != nil {
		st.control.close()
	}
	if st.ep != nil {
		st.ep.Close()
	}
	if st.player != nil {
		st.player.Close()
	}
}
