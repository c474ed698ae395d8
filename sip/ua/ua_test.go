package ua

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tandem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const anywhere = "127.0.0.1:0"

func endpoint(t *testing.T, cfg Config, transport tandem.Transport) (*Endpoint, *Listener) {
	t.Helper()
	if cfg.T1 == 0 {
		cfg.T1 = 20 * time.Millisecond
	}
	cfg.KeepText = true
	e := New(cfg)
	t.Cleanup(e.Close)
	l, err := e.Listen(ListenConfig{Name: string(transport), Transport: transport, Address: netip.MustParseAddrPort(anywhere)})
	if err != nil {
		t.Fatal(err)
	}
	return e, l
}

func ctx(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	t.Cleanup(cancel)
	return c
}

func invite(from, to *Listener) *Message {
	m := &Message{Method: "INVITE", URI: "sip:b@" + to.Addr().String()}
	m.Add("From", "<sip:a@"+from.Addr().String()+">")
	m.Add("To", "<sip:b@"+to.Addr().String()+">")
	m.AddAll(contact(from))
	return m
}

func contact(l *Listener) []Header {
	return []Header{{"Contact", "<sip:" + l.Addr().String() + ">"}}
}

func next(t *testing.T, c *Call, kind EventKind) Event {
	t.Helper()
	select {
	case ev := <-c.Events():
		if ev.Kind != kind {
			t.Fatalf("event %+v, want kind %d\n%s", ev, kind, c.Log())
		}
		return ev
	case <-time.After(10 * time.Second):
		t.Fatalf("nothing happened, want kind %d\n%s", kind, c.Log())
	}
	return Event{}
}

// pair is a caller and a callee whose calls are handed out.
func pair(t *testing.T, transport tandem.Transport, caller, callee Config) (a *Endpoint, al *Listener, bl *Listener, calls chan *Call) {
	t.Helper()
	calls = make(chan *Call, 10)
	var b *Endpoint
	ready := make(chan struct{})
	callee.Handler = func(tx *ServerTx) {
		<-ready
		if tx.Req.Method == "INVITE" {
			calls <- b.Accept(tx)
			return
		}
		tx.Reply(200, "")
	}
	b, bl = endpoint(t, callee, transport)
	close(ready)
	a, al = endpoint(t, caller, transport)
	return a, al, bl, calls
}

func TestCallWithEveryMethod(t *testing.T) {
	for _, transport := range []tandem.Transport{tandem.UDP, tandem.TCP} {
		t.Run(string(transport), func(t *testing.T) {
			a, al, bl, calls := pair(t, transport, Config{}, Config{UpperCase: true})
			call, err := a.Invite(ctx(t), Target{Transport: transport, Addr: bl.Addr()}, invite(al, bl))
			if err != nil {
				t.Fatal(err)
			}
			in := <-calls
			in.Respond(Answer{Status: 100})
			in.Respond(Answer{Status: 180, Headers: contact(bl)})
			in.Respond(Answer{Status: 200, Headers: contact(bl), Body: []byte("v=0\r\n")})
			for _, want := range []int{100, 180, 200} {
				if ev := next(t, call, EventResponse); ev.Msg.Status != want {
					t.Fatalf("status %d, want %d", ev.Msg.Status, want)
				} else if want == 200 {
					if string(ev.Msg.Body) != "v=0\r\n" || ev.Msg.Headers[0].Name != "VIA" {
						t.Errorf("response\n%s", ev.Msg.Bytes(false))
					}
					if err := call.Ack(ctx(t), ev.Msg, nil); err != nil {
						t.Fatal(err)
					}
				}
			}
			next(t, in, EventAck)
			for _, method := range []string{"UPDATE", "INFO", "OPTIONS", "INVITE", "BYE"} {
				done := make(chan *Message, 1)
				a.Go(func() {
					m, err := call.Request(ctx(t), method, nil, contact(al)...)
					if err != nil {
						t.Error(err)
						m = &Message{}
					}
					done <- m
				})
				ev := next(t, in, EventRequest)
				if ev.Msg.Method != method {
					t.Fatalf("%s came, want %s", ev.Msg.Method, method)
				}
				in.AnswerRequest(ev.Tx, 200, nil, contact(bl)...)
				if m := <-done; m.Status != 200 {
					t.Errorf("%s: %d", method, m.Status)
				}
				if method == "INVITE" {
					next(t, in, EventAck)
				}
			}
			if log := call.Log().String(); !strings.Contains(log, "--> "+string(transport)+" ") || !strings.Contains(log, "<-- ") || strings.Count(log, "\n") < 15 {
				t.Errorf("ladder\n%s", log)
			}
			call.Close()
			in.Close()
			if m, err := call.Request(ctx(t), "INFO", nil); err != nil || m.Status != 481 {
				t.Errorf("request in a dead dialog: %v %v", m, err)
			}
		})
	}
}

// TestRetransmissions: every lost message of a call over UDP is made good (RFC 3261 17, 13.3.1.4).
func TestRetransmissions(t *testing.T) {
	lose := func(n int64, match func(*Message) bool) func(*Message) bool {
		var count atomic.Int64
		return func(m *Message) bool { return !match(m) || count.Add(1) > n }
	}
	is := func(method string, status int) func(*Message) bool {
		return func(m *Message) bool {
			_, cseq := m.CSeq()
			return m.Method == method && status == 0 || m.Status == status && status != 0 && cseq == method
		}
	}
	for name, c := range map[string]struct{ caller, callee func(*Message) bool }{
		"INVITE":      {lose(2, is("INVITE", 0)), nil},
		"200toINVITE": {nil, lose(2, is("INVITE", 200))},
		"ACK":         {lose(2, is("ACK", 0)), nil},
		"BYE":         {lose(2, is("BYE", 0)), nil},
		"200toBYE":    {nil, lose(2, is("BYE", 200))},
	} {
		t.Run(name, func(t *testing.T) {
			a, al, bl, calls := pair(t, tandem.UDP, Config{Outgoing: c.caller}, Config{Outgoing: c.callee})
			call, err := a.Invite(ctx(t), Target{Transport: tandem.UDP, Addr: bl.Addr()}, invite(al, bl))
			if err != nil {
				t.Fatal(err)
			}
			defer call.Close()
			in := <-calls
			defer in.Close()
			in.Respond(Answer{Status: 200, Headers: contact(bl)})
			if err := call.Ack(ctx(t), next(t, call, EventResponse).Msg, nil); err != nil {
				t.Fatal(err)
			}
			next(t, in, EventAck)
			done := make(chan error, 1)
			a.Go(func() {
				_, err := call.Request(ctx(t), "BYE", nil)
				done <- err
			})
			ev := next(t, in, EventRequest)
			in.AnswerRequest(ev.Tx, 200, nil)
			if err := <-done; err != nil {
				t.Error(err)
			}
			select {
			case ev := <-in.Events():
				t.Errorf("a repetition was taken for new: %+v", ev)
			default:
			}
		})
	}
}

func TestFailureIsAcknowledged(t *testing.T) {
	a, al, bl, calls := pair(t, tandem.UDP, Config{}, Config{})
	call, err := a.Invite(ctx(t), Target{Transport: tandem.UDP, Addr: bl.Addr()}, invite(al, bl))
	if err != nil {
		t.Fatal(err)
	}
	in := <-calls
	in.Respond(Answer{Status: 486})
	if m := next(t, call, EventResponse).Msg; m.Status != 486 || m.Reason != "Busy Here" {
		t.Errorf("%d %s", m.Status, m.Reason)
	}
	for end := time.Now().Add(5 * time.Second); ; {
		in.Tx.mu.Lock()
		confirmed := in.Tx.confirmed
		in.Tx.mu.Unlock()
		if confirmed {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("no ACK\n%s", call.Log())
		}
		<-time.After(time.Millisecond)
	}
	call.Close()
	in.Close()
}

func TestCancel(t *testing.T) {
	a, al, bl, calls := pair(t, tandem.UDP, Config{}, Config{})
	call, err := a.Invite(ctx(t), Target{Transport: tandem.UDP, Addr: bl.Addr()}, invite(al, bl))
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()
	in := <-calls
	defer in.Close()
	in.Respond(Answer{Status: 180, Headers: contact(bl)})
	next(t, call, EventResponse)
	if err := call.Cancel(Header{"Reason", `SIP;cause=200;text="Call completed elsewhere"`}); err != nil {
		t.Fatal(err)
	}
	if ev := next(t, in, EventCancel); ev.Msg.Get("Reason") == "" {
		t.Error("CANCEL lost its Reason")
	}
	in.Respond(Answer{Status: 487})
	if m := next(t, call, EventResponse).Msg; m.Status != 487 {
		t.Errorf("status %d", m.Status)
	}
}

// TestForks: several early dialogs, and a 2xx on a second tag after the first.
func TestForks(t *testing.T) {
	a, al, bl, calls := pair(t, tandem.UDP, Config{}, Config{})
	call, err := a.Invite(ctx(t), Target{Transport: tandem.UDP, Addr: bl.Addr()}, invite(al, bl))
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()
	in := <-calls
	defer in.Close()
	for _, tag := range []string{"one", "two", "three"} {
		in.Respond(Answer{Status: 180, Tag: tag, Headers: contact(bl)})
		if got := next(t, call, EventResponse).Msg.ToTag(); got != tag {
			t.Errorf("tag %s, want %s", got, tag)
		}
	}
	for _, tag := range []string{"two", "four"} {
		in.Respond(Answer{Status: 200, Tag: tag, Headers: contact(bl)})
		m := next(t, call, EventResponse).Msg
		if m.ToTag() != tag {
			t.Fatalf("tag %s, want %s", m.ToTag(), tag)
		}
		if err := call.Ack(ctx(t), m, nil); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	a.Go(func() {
		_, err := call.RequestOn(ctx(t), "two", "BYE", nil)
		done <- err
	})
	for {
		ev := <-in.Events()
		if ev.Kind == EventRequest {
			if ev.Msg.ToTag() != "two" {
				t.Errorf("BYE in dialog %s", ev.Msg.ToTag())
			}
			in.AnswerRequest(ev.Tx, 200, nil)
			break
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestLate2xx: after Close a 2xx gets ACK and BYE (RFC 3261 13.2.2.4).
func TestLate2xx(t *testing.T) {
	a, al, bl, calls := pair(t, tandem.UDP, Config{}, Config{})
	call, err := a.Invite(ctx(t), Target{Transport: tandem.UDP, Addr: bl.Addr()}, invite(al, bl))
	if err != nil {
		t.Fatal(err)
	}
	in := <-calls
	defer in.Close()
	in.Respond(Answer{Status: 180, Headers: contact(bl)})
	next(t, call, EventResponse)
	call.Close()
	in.Respond(Answer{Status: 200, Headers: contact(bl)})
	next(t, in, EventAck)
	if ev := next(t, in, EventRequest); ev.Msg.Method != "BYE" {
		t.Errorf("%s came", ev.Msg.Method)
	} else {
		in.AnswerRequest(ev.Tx, 200, nil)
	}
	if n := a.Stats().Late2xx.Load(); n != 1 {
		t.Errorf("%d late 2xx", n)
	}
}

func TestNobodyThere(t *testing.T) {
	a, al, bl, _ := pair(t, tandem.UDP, Config{T1: 20 * time.Millisecond}, Config{Filter: func(*Message) bool { return false }})
	call, err := a.Invite(ctx(t), Target{Transport: tandem.UDP, Addr: bl.Addr()}, invite(al, bl))
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()
	if ev := next(t, call, EventFailed); !errors.Is(ev.Err, ErrTimeout) {
		t.Errorf("error %v", ev.Err)
	}
	if log := call.Log().Entries(); len(log) < 6 {
		t.Errorf("%d INVITEs were sent, want timer A's 7", len(log))
	}
}

func TestNoAck(t *testing.T) {
	a, al, bl, calls := pair(t, tandem.UDP, Config{}, Config{T1: 5 * time.Millisecond})
	call, err := a.Invite(ctx(t), Target{Transport: tandem.UDP, Addr: bl.Addr()}, invite(al, bl))
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()
	in := <-calls
	defer in.Close()
	in.Respond(Answer{Status: 200, Headers: contact(bl)})
	next(t, in, EventNoAck)
}

func TestConnectionLost(t *testing.T) {
	a, al, bl, calls := pair(t, tandem.TCP, Config{}, Config{})
	call, err := a.Invite(ctx(t), Target{Transport: tandem.TCP, Addr: bl.Addr()}, invite(al, bl))
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()
	in := <-calls
	defer in.Close()
	in.Conn().Reset()
	next(t, call, EventFailed)
}

// TestRouteSet: the caller's is the Record-Route of the 2xx reversed, the callee's that of the INVITE (RFC 3261 12.1).
func TestRouteSet(t *testing.T) {
	a, al, bl, calls := pair(t, tandem.UDP, Config{}, Config{})
	req := invite(al, bl)
	proxy := "<sip:" + bl.Addr().String() + ";lr>"
	call, err := a.Invite(ctx(t), Target{Transport: tandem.UDP, Addr: bl.Addr()}, req)
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()
	in := <-calls
	defer in.Close()
	in.Respond(Answer{Status: 200, Headers: append(contact(bl), Header{"Record-Route", "<sip:far.test;lr>, " + proxy})})
	if err := call.Ack(ctx(t), next(t, call, EventResponse).Msg, nil); err != nil {
		t.Fatal(err)
	}
	ack := next(t, in, EventAck).Msg
	if got := ack.Values("Route"); len(got) != 2 || got[0] != proxy || got[1] != "<sip:far.test;lr>" {
		t.Errorf("route set %v", got)
	}
}

func TestRefusesInjection(t *testing.T) {
	a, al, bl, _ := pair(t, tandem.UDP, Config{}, Config{})
	for _, bad := range []string{"x\r\nEvil: 1", "x\nEvil: 1", "x\x00"} {
		req := invite(al, bl)
		req.Add("Subject", bad)
		if _, err := a.Invite(ctx(t), Target{Transport: tandem.UDP, Addr: bl.Addr()}, req); err == nil {
			t.Errorf("%q was sent", bad)
		}
	}
}

// TestStreamFraming: messages split at every byte and pipelined (microsoft-teams-trunk.md 12.6).
func TestStreamFraming(t *testing.T) {
	m := &Message{Method: "OPTIONS", URI: "sip:a@b.test", Headers: []Header{{"v", "SIP/2.0/TCP x;branch=z9hG4bK1"}, {"i", "1"}, {"CSeq", "1 OPTIONS"},
		{"f", "<sip:a@b.test>;tag=1"}, {"t", "<sip:b@b.test>"}, {"m", "broken <<<"}}, Body: []byte("body\r\n\r\n")}
	one := m.Bytes(false)
	three := append(append(append([]byte("\r\n"), one...), one...), one...)
	for name, step := range map[string]int{"Bytes": 1, "Threes": 3, "Whole": len(three)} {
		t.Run(name, func(t *testing.T) {
			n, pings := 0, 0
			err := readStream(&stepReader{three, step}, func(got *Message) {
				n++
				if string(got.Body) != string(m.Body) || got.Get("Contact") != "broken <<<" || got.Get("From") == "" {
					t.Errorf("message %s", got.Bytes(false))
				}
			}, func() { pings++ })
			if n != 3 || err == nil {
				t.Errorf("%d messages, error %v", n, err)
			}
		})
	}
	pings := 0
	readStream(bytes.NewReader([]byte("\r\n\r\n")), func(*Message) {}, func() { pings++ })
	if pings != 1 {
		t.Errorf("%d pings", pings)
	}
}

type stepReader struct {
	data []byte
	step int
}

func (r *stepReader) Read(p []byte) (int, error) {
	n := min(r.step, len(r.data), len(p))
	if n == 0 {
		return 0, errors.New("end")
	}
	copy(p, r.data[:n])
	r.data = r.data[n:]
	return n, nil
}

func TestListenerShutAndOpen(t *testing.T) {
	a, _, bl, _ := pair(t, tandem.TCP, Config{}, Config{})
	options := func() error {
		m := &Message{Method: "OPTIONS", URI: "sip:b"}
		m.Add("From", "<sip:a@a.test>")
		m.Add("To", "<sip:b@b.test>")
		_, err := a.Do(ctx(t), Target{Transport: tandem.TCP, Addr: bl.Addr()}, m)
		return err
	}
	if err := options(); err != nil {
		t.Fatal(err)
	}
	bl.Shut(true)
	a.CloseConns(true)
	if err := options(); err == nil {
		t.Error("a shut listener answers")
	}
	if err := bl.Open(); err != nil {
		t.Fatal(err)
	}
	if err := options(); err != nil {
		t.Error(err)
	}
}

func TestIdleConnectionIsClosed(t *testing.T) {
	b := New(Config{Handler: func(tx *ServerTx) { tx.Reply(200, "") }})
	t.Cleanup(b.Close)
	bl, err := b.Listen(ListenConfig{Transport: tandem.TCP, Address: netip.MustParseAddrPort(anywhere), Idle: 30 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := endpoint(t, Config{}, tandem.TCP)
	conn, err := a.connect(ctx(t), Target{Transport: tandem.TCP, Addr: bl.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-conn.done:
	case <-time.After(10 * time.Second):
		t.Error("the idle connection stays open")
	}
}
