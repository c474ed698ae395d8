package emulate

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"tandem/sip/ua"
)

// TestTeamsConnectionFaults: what the operator's TLS client meets.
func TestTeamsConnectionFaults(t *testing.T) {
	teams := newTeams(t, nil)
	b := newBorder(t, teams)
	short := func(d time.Duration) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		t.Cleanup(cancel)
		return ctx
	}
	for name, c := range map[string]struct {
		fault    Fault
		patience time.Duration
		check    func(error) bool
	}{
		"Refuse":             {Fault{Kind: FaultRefuse}, 10 * time.Second, func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }},
		"RST":                {Fault{Kind: FaultRST}, 10 * time.Second, func(err error) bool { return err != nil && !errors.Is(err, context.DeadlineExceeded) }},
		"Close":              {Fault{Kind: FaultClose}, 10 * time.Second, func(err error) bool { return err != nil && !errors.Is(err, context.DeadlineExceeded) }},
		"Blackhole":          {Fault{Kind: FaultBlackhole}, 100 * time.Millisecond, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
		"TLSAlert":           {Fault{Kind: FaultTLSAlert}, 10 * time.Second, func(err error) bool { return err != nil && strings.Contains(err.Error(), "remote error: tls") }},
		"ExpiredCertificate": {Fault{Kind: FaultExpiredCert}, 10 * time.Second, func(err error) bool { return err != nil && strings.Contains(err.Error(), "expired") }},
		"WrongName":          {Fault{Kind: FaultWrongName}, 10 * time.Second, func(err error) bool { return err != nil && strings.Contains(err.Error(), "sip.example.test") }},
		"UnknownCA":          {Fault{Kind: FaultUnknownCA}, 10 * time.Second, func(err error) bool { return err != nil && strings.Contains(err.Error(), "unknown authority") }},
		"SlowTLS":            {Fault{Kind: FaultSlowTLS, Delay: ms(10_000)}, 100 * time.Millisecond, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
		"SlowTLSInTime":      {Fault{Kind: FaultSlowTLS, Delay: ms(30)}, 10 * time.Second, func(err error) bool { return err == nil }},
	} {
		t.Run(name, func(t *testing.T) {
			good := func() {
				t.Helper()
				if m, err := b.ep.Do(deadline(t), b.target(sip1), b.options("<sip:"+trunk+">")); err != nil || m.Status != 200 {
					t.Fatalf("without fault: %v %v", m, err)
				}
			}
			good()
			c.fault.Listener = sip1
			if err := teams.SetFault(c.fault); err != nil {
				t.Fatal(err)
			}
			b.ep.CloseConns(true)
			eventually(t, "our connection gone", func() bool { return teams.State().Listeners[0].Connections == 0 && b.ep.Open() == 0 })
			if _, err := b.ep.Do(short(c.patience), b.target(sip1), b.options("<sip:"+trunk+">")); !c.check(err) {
				t.Errorf("error %v", err)
			}
			// Another address is not concerned.
			if m, err := b.ep.Do(deadline(t), b.target("sip2.pstnhub.test"), b.options("<sip:"+trunk+">")); err != nil || m.Status != 200 {
				t.Errorf("sip2: %v %v", m, err)
			}
			if err := teams.ClearFaults(c.fault.Kind, ""); err != nil {
				t.Fatal(err)
			}
			b.ep.CloseConns(true)
			eventually(t, "our connections gone", func() bool { return b.ep.Open() == 0 })
			good()
		})
	}
}

// TestTeamsFaultMeetsOpenConnection: setting a fault must reach a trunk that is connected already.
func TestTeamsFaultMeetsOpenConnection(t *testing.T) {
	for _, kind := range []FaultKind{FaultRefuse, FaultRST, FaultTLSAlert, FaultBlackhole} {
		t.Run(string(kind), func(t *testing.T) {
			teams := newTeams(t, nil)
			b := newBorder(t, teams)
			if _, err := b.ep.Do(deadline(t), b.target(sip1), b.options("<sip:"+trunk+">")); err != nil {
				t.Fatal(err)
			}
			if err := teams.SetFault(Fault{Kind: kind}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if _, err := b.ep.Do(ctx, b.target(sip1), b.options("<sip:"+trunk+">")); err == nil {
				t.Error("OPTIONS was answered")
			}
		})
	}
}

// TestTeamsRequestFaults: what an INVITE meets.
func TestTeamsRequestFaults(t *testing.T) {
	teams := newTeams(t, func(c *TeamsConfig) { c.Behaviour.Ring = ms(20) })
	b := newBorder(t, teams)
	for name, c := range map[string]struct {
		fault    Fault
		statuses []int // in order; ends with a final one or with what comes before the silence
		lost     bool  // the connection dies
		check    func(*ua.Message) bool
	}{
		"503":           {Fault{Kind: "503"}, []int{503}, false, func(m *ua.Message) bool { return !m.Has("Retry-After") }},
		"503RetryAfter": {Fault{Kind: "503", RetryAfter: 1, CloseAfter: true}, []int{503}, false, func(m *ua.Message) bool { return m.Get("Retry-After") == "1" }},
		"504":           {Fault{Kind: "504"}, []int{504}, false, nil},
		"408":           {Fault{Kind: "408"}, []int{408}, false, nil},
		"500":           {Fault{Kind: "500"}, []int{500}, false, nil},
		"603":           {Fault{Kind: "603"}, []int{603}, false, nil},
		"Silent":        {Fault{Kind: FaultSilent}, nil, false, nil},
		"OptionsOnly":   {Fault{Kind: FaultOptionsOnly}, nil, false, nil},
		"TryingOnly":    {Fault{Kind: FaultTryingOnly}, []int{100}, false, nil},
		"SlowTrying":    {Fault{Kind: FaultSlowTrying, Delay: ms(50)}, []int{100, 180, 200}, false, nil},
		"ResetAfter100": {Fault{Kind: FaultResetTrying}, []int{100}, true, nil},
		"ResetAfter180": {Fault{Kind: FaultResetRinging, Delay: ms(20)}, []int{100, 180}, true, nil},
		"LateAnswer":    {Fault{Kind: FaultLateAnswer, Delay: ms(50)}, []int{200}, false, nil},
		"ForOtherHost":  {Fault{Kind: "503", Host: tenant1}, []int{100, 180, 200}, false, nil},
		"OptionsFault":  {Fault{Kind: "503", Method: "OPTIONS"}, []int{100, 180, 200}, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if err := teams.ClearFaults("", ""); err != nil {
				t.Fatal(err)
			}
			if err := teams.SetFault(c.fault); err != nil {
				t.Fatal(err)
			}
			b.ep.CloseConns(false) // an earlier case may have left a dying one
			eventually(t, "our connection gone", func() bool { return teams.State().Listeners[0].Connections == 0 && b.ep.Open() == 0 })
			call, err := b.ep.Invite(deadline(t), b.target(sip1), b.invite(user, b.offer()))
			if err != nil {
				t.Fatal(err)
			}
			defer call.Close()
			for i, want := range c.statuses {
				ev := next(t, call)
				if ev.Kind != ua.EventResponse || ev.Msg.Status != want {
					t.Fatalf("event %d is %+v, want status %d\n%s", i, ev, want, call.Log())
				}
				if want == 200 {
					if err := call.Ack(deadline(t), ev.Msg, nil); err != nil {
						t.Fatal(err)
					}
					if m, err := call.Request(deadline(t), "BYE", nil); err != nil || m.Status != 200 {
						t.Errorf("BYE %v %v", m, err)
					}
				}
				if c.check != nil && !c.check(ev.Msg) {
					t.Errorf("response\n%s", ev.Msg.Bytes(false))
				}
			}
			switch {
			case c.lost:
				if ev := next(t, call); ev.Kind != ua.EventFailed || !errors.Is(ev.Err, net.ErrClosed) {
					t.Errorf("event %+v", ev)
				}
			case len(c.statuses) < 2 && (c.statuses == nil || c.statuses[0] == 100):
				select {
				case ev := <-call.Events():
					t.Errorf("event %+v", ev)
				case <-time.After(50 * time.Millisecond): // silence can only be waited for
				}
			}
			if c.fault.Method != "OPTIONS" && (c.fault.Kind == FaultOptionsOnly || connectionFaults[c.fault.Kind] || c.lost) {
				if m, err := b.ep.Do(deadline(t), b.target(sip1), b.options("<sip:"+trunk+">")); err != nil || m.Status != 200 {
					t.Errorf("OPTIONS %v %v", m, err)
				}
			}
			if c.fault.Method == "OPTIONS" {
				if m, err := b.ep.Do(deadline(t), b.target(sip1), b.options("<sip:"+trunk+">")); err != nil || m.Status != 503 {
					t.Errorf("OPTIONS %v %v", m, err)
				}
			}
		})
	}
}

// TestTeamsLate200: the 200 that comes although a CANCEL was sent, or after the
// caller has gone, is acknowledged and hung up.
func TestTeamsLate200(t *testing.T) {
	teams := newTeams(t, nil)
	b := newBorder(t, teams)
	if err := teams.SetFault(Fault{Kind: FaultLateCancel200, Delay: ms(30), Count: 1}); err != nil {
		t.Fatal(err)
	}
	call, err := b.ep.Invite(deadline(t), b.target(sip1), b.invite(user, b.offer()))
	if err != nil {
		t.Fatal(err)
	}
	for ev := next(t, call); ev.Msg.Status != 180; ev = next(t, call) {
	}
	if err := call.Cancel(); err != nil {
		t.Fatal(err)
	}
	call.Close()
	r, err := teams.Await(deadline(t), func(CallResult) bool { return true })
	if err != nil || r.Status != 200 || r.EndedBy != "remote" {
		t.Errorf("%v: status %d ended by %s %q\n%s", err, r.Status, r.EndedBy, r.Error, r.Ladder)
	}
	if n := b.ep.Stats().Late2xx.Load(); n != 1 {
		t.Errorf("%d late 2xx", n)
	}
}

func TestTeamsNoAnswerCancelled(t *testing.T) {
	teams := newTeams(t, nil)
	b := newBorder(t, teams)
	call, err := b.ep.Invite(deadline(t), b.target(sip1), b.invite("+14255550408", b.offer()))
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()
	for ev := next(t, call); ev.Msg.Status != 180; ev = next(t, call) {
	}
	if err := call.Cancel(ua.Header{Name: "Reason", Value: "SIP;cause=200"}); err != nil {
		t.Fatal(err)
	}
	if m, _ := final(t, call); m.Status != 487 {
		t.Errorf("status %d", m.Status)
	}
	if r, err := teams.Await(deadline(t), func(CallResult) bool { return true }); err != nil || r.EndedBy != "remote" || r.ReasonField == "" {
		t.Errorf("%v ended by %s, Reason %q", err, r.EndedBy, r.ReasonField)
	}
}

func TestFaultValidation(t *testing.T) {
	for name, c := range map[string]struct {
		f  Fault
		ok bool
	}{
		"Word":          {Fault{Kind: FaultRefuse}, true},
		"Number":        {Fault{Kind: "503"}, true},
		"UnknownWord":   {Fault{Kind: "explode"}, false},
		"SuccessStatus": {Fault{Kind: "200"}, false},
		"NoPercent":     {Fault{Kind: FaultLoss}, false},
		"PercentHigh":   {Fault{Kind: FaultLoss, Percent: 101}, false},
		"NegativeDelay": {Fault{Kind: FaultSlowTrying, Delay: -1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseFault(c.f); (err == nil) != c.ok {
				t.Errorf("error %v", err)
			}
		})
	}
}
