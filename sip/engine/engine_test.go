package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gosip "github.com/emiago/sipgo/sip"
	"go.uber.org/goleak"

	"tandem"
	"tandem/sip"
	"tandem/sip/core"
	"tandem/sip/trunk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is a call core that does what a test tells it.
type scripted struct {
	deps   core.Deps
	shard  uint16
	handle func(*scripted, core.Event)
	events []core.Event
	next   time.Time
	ticks  atomic.Int32
	drain  bool
}

func (c *scripted) SetTrunks([]core.TrunkView) {}
func (c *scripted) Handle(ev core.Event) {
	c.events = append(c.events, ev)
	if c.handle != nil {
		c.handle(c, ev)
	}
}
func (c *scripted) NextTimer() (time.Time, bool) { return c.next, !c.next.IsZero() }
func (c *scripted) Tick(time.Time)               { c.ticks.Add(1); c.next = time.Time{} }
func (c *scripted) Live() []tandem.LiveCall {
	return make([]tandem.LiveCall, len(c.events))
}
func (c *scripted) Stats() core.Stats                               { return core.Stats{Calls: len(c.events)} }
func (c *scripted) Drain(on bool)                                   { c.drain = on }
func (c *scripted) ReleaseRecovered(*tandem.LegRecord, tandem.Side) {}
func (c *scripted) Hangup(tandem.CorrelationID, string) bool        { return c.shard == 1 }

// wire records what is sent.
type wire struct {
	mu   sync.Mutex
	sent []string
	to   []sip.Target
}

func (w *wire) Send(to sip.Target, _ sip.SendRef, msg []byte) {
	w.mu.Lock()
	w.sent = append(w.sent, string(msg))
	w.to = append(w.to, to)
	w.mu.Unlock()
}

func (w *wire) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.sent...)
}

// paper is a journal whose writing the test controls.
type paper struct {
	mu      sync.Mutex
	seq     uint64
	refuse  bool
	written func(uint64)
}

func (p *paper) Record(uint16, tandem.FactKind, time.Time, *tandem.CallRecord) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse {
		return 0
	}
	p.seq++
	return p.seq
}
func (p *paper) OnWritten(f func(uint64)) { p.written = f }

// doctor counts what goes to trunk health.
type doctor struct {
	requests, responses, failed, closed, outcomes atomic.Int32
	draining                                      atomic.Bool
}

func (d *doctor) Watch(tandem.TrunkID, tandem.Endpoint, time.Duration, time.Time) {}

func (d *doctor) Health() tandem.Health { return nil }

func (d *doctor) Outcome(tandem.TrunkID, tandem.Endpoint, tandem.Outcome, time.Time) {
	d.outcomes.Add(1)
}
func (d *doctor) Request(sip.Flow, *gosip.Request, time.Time)   { d.requests.Add(1) }
func (d *doctor) Response(sip.Flow, *gosip.Response, time.Time) { d.responses.Add(1) }
func (d *doctor) SendFailed(sip.SendRef, error, time.Time)      { d.failed.Add(1) }
func (d *doctor) SentOn(sip.SendRef, sip.ConnID, time.Time)     {}
func (d *doctor) ConnClosed(sip.ConnID, time.Time)              { d.closed.Add(1) }
func (d *doctor) Drain(on bool)                                 { d.draining.Store(on) }

type rig struct {
	*Engine
	wire    *wire
	journal *paper
	health  *doctor
	cores   []*scripted
}

func newRig(t *testing.T, shape func(*Config), handle func(*scripted, core.Event)) *rig {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Shards = 2
	if shape != nil {
		shape(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	r := &rig{wire: &wire{}, journal: &paper{}, health: &doctor{}}
	r.Engine = start(cfg, Deps{Recorder: r.journal, Sender: r.wire, Health: r.health}, func(c core.Config, d core.Deps) callCore {
		s := &scripted{deps: d, shard: c.Shard, handle: handle}
		r.cores = append(r.cores, s)
		return s
	})
	t.Cleanup(r.Close)
	return r
}

var flow = sip.Flow{Trunk: "carrier", Transport: tandem.UDP, Source: netip.MustParseAddrPort("192.0.2.7:5060"), Local: netip.MustParseAddrPort("192.0.2.1:5060")}

func message(t testing.TB, method, callID, user, toTag string) gosip.Message {
	t.Helper()
	if toTag != "" {
		toTag = ";tag=" + toTag
	}
	m, err := gosip.ParseMessage([]byte(fmt.Sprintf("%s sip:%s@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bK%s\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:%s@c>%s\r\nCall-ID: %s\r\nCSeq: 1 %s\r\nContent-Length: 0\r\n\r\n",
		method, user, callID, user, toTag, callID, method)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// sync waits until every shard has run what was posted before.
func (r *rig) sync() { r.onAll(func(*shard) {}) }

func TestMessagesOfOneCallKeepTheirOrderOnTheirShard(t *testing.T) {
	r := newRig(t, nil, nil)
	for i := range 500 {
		for _, id := range []string{"x", "y", "td0001-00000000000000000000000000000000"} {
			m := message(t, "INVITE", id, "+14255550100", "")
			m.CSeq().SeqNo = uint32(i)
			r.Receive(flow, m, nil, time.Now())
		}
	}
	r.sync()
	last := map[string]uint32{}
	n := 0
	for _, c := range r.cores {
		for _, ev := range c.events {
			id := ev.Msg.CallID().Value()
			if want := core.ShardOf(id, 2); want != c.shard {
				t.Fatalf("%s came to shard %d, belongs to %d", id, c.shard, want)
			}
			if seq := ev.Msg.CSeq().SeqNo; seq != 0 && seq != last[id]+1 {
				t.Fatalf("%s: %d after %d", id, seq, last[id])
			}
			last[id] = ev.Msg.CSeq().SeqNo
			n++
		}
	}
	if n != 1500 {
		t.Fatalf("%d events, want 1500", n)
	}
}

func TestOptionsAndProbesGoToHealth(t *testing.T) {
	r := newRig(t, nil, nil)
	r.Receive(flow, message(t, "OPTIONS", "o", "x", ""), nil, time.Now())
	res, err := gosip.ParseMessage([]byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKtdopt1.ff\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>;tag=2\r\nCall-ID: z\r\nCSeq: 1 OPTIONS\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	r.Receive(flow, res, nil, time.Now())
	r.SendFailed(sip.SendRef{Shard: trunk.Shard, Tx: 1}, errors.New("x"), time.Now())
	r.ConnClosed(9, time.Now())
	r.SendFailed(sip.SendRef{Shard: 99, Tx: 1}, errors.New("x"), time.Now()) // of a shard that is not there
	r.sync()
	if r.health.requests.Load() != 1 || r.health.responses.Load() != 1 || r.health.failed.Load() != 1 || r.health.closed.Load() != 1 {
		t.Errorf("health saw %+v", r.health)
	}
	for _, c := range r.cores {
		if len(c.events) != 1 || c.events[0].Kind != core.EventConnClosed || c.events[0].Conn != 9 {
			t.Errorf("shard %d saw %v", c.shard, c.events)
		}
	}
	r.Receive(flow, message(t, "OPTIONS", "o", "x", "tag"), nil, time.Now()) // in a dialog: the call's
	r.sync()
	if r.health.requests.Load() != 1 {
		t.Error("an in-dialog OPTIONS went to trunk health")
	}
}

// recordAndSend makes a scripted core record a fact and send.
func recordAndSend(c *scripted, ev core.Event) {
	if ev.Kind != core.EventMessage {
		return
	}
	id := ev.Msg.CallID().Value()
	c.deps.Output.Send(sip.Target{}, sip.SendRef{}, []byte(id+"-before"))
	if id[0] == 'f' {
		c.deps.Output.Record(tandem.FactAnswer, ev.At, &tandem.CallRecord{})
	}
	c.deps.Output.Send(sip.Target{}, sip.SendRef{}, []byte(id+"-after"))
}

func oneShard(c *Config) { c.Shards = 1 }

func TestMessagesWaitForTheFactsOfTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, oneShard, recordAndSend)
		r.Receive(flow, message(t, "INVITE", "a", "1", ""), nil, time.Now())
		synctest.Wait()
		if got := r.wire.all(); len(got) != 2 {
			t.Fatalf("without a fact nothing waits: %v", got)
		}
		r.Receive(flow, message(t, "INVITE", "f1", "1", ""), nil, time.Now())
		r.Receive(flow, message(t, "INVITE", "b", "1", ""), nil, time.Now())
		r.Receive(flow, message(t, "INVITE", "f2", "1", ""), nil, time.Now())
		synctest.Wait()
		if got := r.wire.all(); len(got) != 2 {
			t.Fatalf("messages left before their fact: %v", got)
		}
		r.journal.written(1)
		synctest.Wait()
		if got := fmt.Sprint(r.wire.all()[2:]); got != "[f1-before f1-after b-before b-after]" {
			t.Fatalf("after fact 1: %v", got)
		}
		r.journal.written(2)
		synctest.Wait()
		if got := fmt.Sprint(r.wire.all()[6:]); got != "[f2-before f2-after]" {
			t.Fatalf("after fact 2: %v", got)
		}
		if n := r.Stats().BarrierAlarms; n != 0 {
			t.Errorf("%d alarms", n)
		}
		r.Close()
	})
}

func TestAHangingJournalDelaysOneTurnOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, oneShard, recordAndSend)
		begin := time.Now()
		r.Receive(flow, message(t, "INVITE", "f1", "1", ""), nil, begin)
		synctest.Wait()
		time.Sleep(199 * time.Millisecond) // virtual
		synctest.Wait()
		if len(r.wire.all()) != 0 {
			t.Fatal("left before the limit")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if len(r.wire.all()) != 2 || r.Stats().BarrierAlarms != 1 {
			t.Fatalf("after the limit: %v, %d alarms", r.wire.all(), r.Stats().BarrierAlarms)
		}
		r.Receive(flow, message(t, "INVITE", "f2", "1", ""), nil, time.Now())
		synctest.Wait()
		if len(r.wire.all()) != 4 {
			t.Fatal("the second turn waited for a journal known to hang")
		}
		r.journal.written(2) // it recovers
		r.Receive(flow, message(t, "INVITE", "f3", "1", ""), nil, time.Now())
		synctest.Wait()
		if len(r.wire.all()) != 4 {
			t.Fatal("after recovery messages must wait again")
		}
		r.journal.written(3)
		synctest.Wait()
		if len(r.wire.all()) != 6 {
			t.Fatal("not released")
		}
		r.journal.refuse = true
		r.Receive(flow, message(t, "INVITE", "f4", "1", ""), nil, time.Now())
		synctest.Wait()
		if len(r.wire.all()) != 8 || r.Stats().LostFacts != 1 {
			t.Fatal("a fact that the journal refused holds nothing and is counted")
		}
		r.Close()
	})
}

func TestTimersRunWhenDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, oneShard, func(c *scripted, ev core.Event) { c.next = ev.At.Add(30 * time.Second) })
		r.Receive(flow, message(t, "INVITE", "a", "1", ""), nil, time.Now())
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if r.cores[0].ticks.Load() != 0 {
			t.Fatal("too early")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if r.cores[0].ticks.Load() != 1 {
			t.Fatalf("%d ticks", r.cores[0].ticks.Load())
		}
		r.Close()
	})
}

func TestAFullMailboxRefusesNewCallsFirst(t *testing.T) {
	block, entered := make(chan struct{}), make(chan struct{}, 32)
	var once sync.Once
	r := newRig(t, func(c *Config) { c.Shards, c.Mailbox = 1, 16 }, func(*scripted, core.Event) { entered <- struct{}{}; <-block })
	open := func() { once.Do(func() { close(block) }) }
	defer open()
	r.Receive(flow, message(t, "INVITE", "first", "1", ""), nil, time.Now())
	<-entered // the shard sits in the first one
	for i := range 12 {
		r.Receive(flow, message(t, "INVITE", fmt.Sprint("call", i), "1", ""), nil, time.Now())
	}
	if r.Stats().Refused != 0 {
		t.Fatal("refused below three quarters")
	}
	r.Receive(flow, message(t, "INVITE", "late", "1", ""), nil, time.Now())
	got := r.wire.all()
	if len(got) != 1 || got[0][:11] != "SIP/2.0 503" || !strings.Contains(got[0], "Retry-After: 2\r\n") {
		t.Fatalf("answer %q", got)
	}
	if to := r.wire.to[0]; to.Port != 5070 || to.Addr != flow.Source.Addr() {
		t.Errorf("503 goes to %+v, want the Via's port (RFC 3261 18.2.2)", to)
	}
	r.Receive(flow, message(t, "INVITE", "call3", "1", ""), nil, time.Now())
	if r.Stats().Refused != 1 || r.Stats().Dropped != 1 {
		t.Fatal("a retransmission of an INVITE in the mailbox must be dropped, not refused")
	}
	r.Receive(flow, message(t, "INVITE", "sos", "911", ""), nil, time.Now())
	r.Receive(flow, message(t, "BYE", "call1", "1", "t"), nil, time.Now())
	r.Receive(flow, message(t, "CANCEL", "call2", "1", ""), nil, time.Now())
	r.SendFailed(sip.SendRef{Tx: 1}, errors.New("x"), time.Now())
	if st := r.Stats(); st.Waiting != 16 || st.Refused != 1 {
		t.Fatalf("emergency, BYE, CANCEL and own news must find room: %+v", st)
	}
	open()
	r.sync()
	if n := len(r.cores[0].events); n != 17 {
		t.Errorf("%d events", n)
	}
}

func TestAPanicCostsOneEvent(t *testing.T) {
	r := newRig(t, oneShard, func(c *scripted, ev core.Event) {
		if ev.Msg.CallID().Value() == "bad" {
			panic("boom")
		}
	})
	r.Receive(flow, message(t, "INVITE", "bad", "1", ""), nil, time.Now())
	r.Receive(flow, message(t, "INVITE", "good", "1", ""), nil, time.Now())
	r.sync()
	if r.Stats().Panics != 1 || len(r.cores[0].events) != 2 {
		t.Errorf("%+v, %d events", r.Stats(), len(r.cores[0].events))
	}
}

func TestControlReachesEveryShard(t *testing.T) {
	r := newRig(t, nil, nil)
	r.Drain(true)
	if !r.cores[0].drain || !r.cores[1].drain || !r.health.draining.Load() {
		t.Error("drain did not reach everyone")
	}
	if !r.Hangup(tandem.CorrelationID{}, "test") {
		t.Error("shard 1 has the call")
	}
	r.Receive(flow, message(t, "INVITE", "a", "1", ""), nil, time.Now())
	if n := len(r.Live()); n != 1 {
		t.Errorf("%d live", n)
	}
	r.Close()
	r.Drain(false) // must not hang
	if n := len(r.Live()); n != 0 {
		t.Errorf("%d live after Close", n)
	}
}

func TestEmergencyNumbers(t *testing.T) {
	for user, want := range map[string]class{"911": classEmergency, "+911": classEmergency, "933": classEmergency, "112": classEmergency,
		"911;phone-context=+1": classEmergency, "9110": classNewCall, "+14255550911": classNewCall, "": classNewCall} {
		req := message(t, "INVITE", "a", "x", "").(*gosip.Request)
		req.Recipient.User = user
		if got := classify(req); got != want {
			t.Errorf("%q: class %d, want %d", user, got, want)
		}
	}
}

func TestConfigRules(t *testing.T) {
	for name, break_ := range map[string]func(*Config){
		"shards": func(c *Config) { c.Shards = 257 }, "max_calls": func(c *Config) { c.MaxCalls = -1 }, "mailbox": func(c *Config) { c.Mailbox = 1 },
		"barrier": func(c *Config) { c.BarrierLimit = 0 }, "retry": func(c *Config) { c.RetryAfter = time.Millisecond },
	} {
		c := DefaultConfig()
		break_(&c)
		if tandem.KindOf(c.Validate()) != tandem.KindInvalid {
			t.Errorf("%s: accepted", name)
		}
	}
}

func BenchmarkTurn(b *testing.B) {
	e := start(func() Config { c := DefaultConfig(); c.Shards = 1; c.Mailbox = 1 << 30; return c }(),
		Deps{Recorder: &paper{}, Sender: nullSender{}, Health: &doctor{}}, func(c core.Config, d core.Deps) callCore {
			return &scripted{deps: d, handle: func(s *scripted, ev core.Event) {
				s.events = s.events[:0]
				s.deps.Output.Send(sip.Target{}, sip.SendRef{}, nil)
			}}
		})
	defer e.Close()
	m := message(b, "BYE", "bench", "1", "t")
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		e.Receive(flow, m, nil, now)
	}
	e.onAll(func(*shard) {})
}

type nullSender struct{}

func (nullSender) Send(sip.Target, sip.SendRef, []byte) {}
