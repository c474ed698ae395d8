package emulate

import (
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/sip/ua"
)

// pair is two carriers that call each other.
func pair(t *testing.T, transport tandem.Transport, change func(*CarrierConfig)) (caller, callee *Carrier) {
	callee = newCarrier(t, "22", change)
	caller = newCarrier(t, "21", func(c *CarrierConfig) {
		c.Transport = transport
		c.SBC = callee.Addr()
		c.Behaviour.ToneHz = 750
		if change != nil {
			change(c)
		}
	})
	return caller, callee
}

func TestCarrierCall(t *testing.T) {
	for name, c := range map[string]struct {
		transport tandem.Transport
		srtp      bool
	}{"UDP": {tandem.UDP, false}, "TCP": {tandem.TCP, false}, "UDPwithSRTP": {tandem.UDP, true}} {
		t.Run(name, func(t *testing.T) {
			caller, callee := pair(t, c.transport, func(cfg *CarrierConfig) { cfg.SRTP = c.srtp })
			r, err := caller.Call(deadline(t), CallSpec{From: pstn, To: "+12065550199", Hold: ms(300)})
			if err != nil {
				t.Fatal(err)
			}
			in, err := callee.Await(deadline(t), func(in CallResult) bool { return in.CallID == r.CallID })
			if err != nil {
				t.Fatal(err)
			}
			if r.Status != 200 || r.Error != "" || in.Error != "" || r.EndedBy != "local" || in.EndedBy != "remote" {
				t.Fatalf("caller %d %q %s, callee %q %s\n%s", r.Status, r.Error, r.EndedBy, in.Error, in.EndedBy, r.Ladder)
			}
			if !r.HeardTone(600) || !in.HeardTone(750) || r.Received < 5 || in.Received < 5 {
				t.Errorf("heard %d and %d Hz in %d and %d packets, want 600 and 750 Hz\n%s", r.HeardHz, in.HeardHz, r.Received, in.Received, r.Ladder)
			}
			if c.srtp && (r.Suite == "" || r.BadSRTP+in.BadSRTP > 0) {
				t.Errorf("suite %q, %d bad packets", r.Suite, r.BadSRTP+in.BadSRTP)
			}
			if d := r.Duration() - in.Duration(); d > 100*time.Millisecond || d < -100*time.Millisecond {
				t.Errorf("durations %s and %s differ", r.Duration(), in.Duration())
			}
			if in.Header("P-Asserted-Identity") == "" || !strings.Contains(r.Ladder, "INVITE sip:+12065550199") {
				t.Errorf("headers or ladder incomplete:\n%s", r.Ladder)
			}
		})
	}
}

func TestCarrierBehaviours(t *testing.T) {
	caller, callee := pair(t, tandem.UDP, func(c *CarrierConfig) {
		c.Rules = append(c.Rules, Rule{"+12065550010", Behaviour{Hold: ms(50), HangUpBy: HangUpCallee}},
			Rule{"+12065550183", Behaviour{Early: true, Ring: ms(100)}},
			Rule{"+12065550021", Behaviour{HoldAfter: ms(30), HoldFor: ms(30)}})
	})
	for name, c := range map[string]struct {
		spec   CallSpec
		status int
		ended  string
	}{
		"NotFound":        {CallSpec{To: "+12065550404"}, 404, "remote"},
		"Busy":            {CallSpec{To: "+12065550486"}, 486, "remote"},
		"Decline":         {CallSpec{To: "+12065550603"}, 603, "remote"},
		"Unavailable":     {CallSpec{To: "+12065550503"}, 503, "remote"},
		"NoAnswerCancel":  {CallSpec{To: "+12065550408", CancelAfter: ms(60)}, 487, "local"},
		"CancelOnRing":    {CallSpec{To: "+12065550408", CancelOnRing: ms(-1)}, 487, "local"},
		"CalleeHangsUp":   {CallSpec{To: "+12065550010", HangUpBy: HangUpCallee}, 200, "remote"},
		"EarlyMedia":      {CallSpec{To: "+12065550183", Hold: ms(50)}, 200, "local"},
		"DelayedOffer":    {CallSpec{To: "+12065550100", NoSDP: true, Hold: ms(150)}, 200, "local"},
		"CallerRefreshes": {CallSpec{To: "+12065550100", RefreshAfter: ms(30), Hold: ms(100)}, 200, "local"},
		"CalleeHolds":     {CallSpec{To: "+12065550021", Hold: ms(200)}, 200, "local"},
		"Echo":            {CallSpec{To: "+12065550100", Media: MediaEcho, Hold: ms(100)}, 200, "local"},
		"NoMedia":         {CallSpec{To: "+12065550100", Media: MediaNone, Hold: ms(30)}, 200, "local"},
	} {
		t.Run(name, func(t *testing.T) {
			c.spec.From = pstn
			r, err := caller.Call(deadline(t), c.spec)
			if err != nil {
				t.Fatal(err)
			}
			if r.Status != c.status || r.EndedBy != c.ended || r.Error != "" {
				t.Errorf("status %d ended by %s, error %q; want %d by %s\n%s", r.Status, r.EndedBy, r.Error, c.status, c.ended, r.Ladder)
			}
			switch name {
			case "CallerRefreshes":
				if len(r.Refreshes) != 1 || r.Refreshes[0] != 200 {
					t.Errorf("refreshes %v\n%s", r.Refreshes, r.Ladder)
				}
			case "CalleeHolds":
				if r.Reinvites != 2 {
					t.Errorf("%d re-INVITEs came\n%s", r.Reinvites, r.Ladder)
				}
			case "DelayedOffer", "EarlyMedia":
				if !r.HeardTone(600) {
					t.Errorf("heard %d Hz\n%s", r.HeardHz, r.Ladder)
				}
			}
		})
	}
	eventually(t, "every call over", func() bool { return callee.Active() == 0 && caller.Active() == 0 })
	if v := callee.Violations(); len(v) > 0 {
		t.Errorf("violations %+v", v)
	}
}

func TestCarrierFaults(t *testing.T) {
	for name, c := range map[string]struct {
		transport tandem.Transport
		fault     Fault
		spec      CallSpec
		check     func(r CallResult) bool
	}{
		"Refuse":          {tandem.TCP, Fault{Kind: FaultRefuse}, CallSpec{}, func(r CallResult) bool { return strings.Contains(r.Error, "refused") }},
		"RST":             {tandem.TCP, Fault{Kind: FaultRST}, CallSpec{}, func(r CallResult) bool { return r.Status == 0 && r.Error != "" }},
		"Status":          {tandem.UDP, Fault{Kind: "503", RetryAfter: 7}, CallSpec{}, func(r CallResult) bool { return r.Status == 503 && hasHeader(r, "Retry-After", "7") }},
		"StatusOverTCP":   {tandem.TCP, Fault{Kind: "408"}, CallSpec{}, func(r CallResult) bool { return r.Status == 408 }},
		"SilentUDP":       {tandem.UDP, Fault{Kind: FaultSilent}, CallSpec{}, func(r CallResult) bool { return r.Status == 0 && r.Provisional == nil }},
		"BlackholeUDP":    {tandem.UDP, Fault{Kind: FaultBlackhole}, CallSpec{}, func(r CallResult) bool { return r.Status == 0 && strings.Contains(r.Error, "64*T1") }},
		"LossAll":         {tandem.UDP, Fault{Kind: FaultLoss, Percent: 100}, CallSpec{}, func(r CallResult) bool { return r.Status == 0 }},
		"LossSome":        {tandem.UDP, Fault{Kind: FaultLoss, Percent: 20}, CallSpec{}, func(r CallResult) bool { return r.Status == 200 }},
		"NoByeResponse":   {tandem.UDP, Fault{Kind: FaultNoBye}, CallSpec{}, func(r CallResult) bool { return r.Status == 200 && strings.Contains(r.Error, "BYE") }},
		"Late200OnCancel": {tandem.UDP, Fault{Kind: FaultLateCancel200, Delay: ms(30)}, CallSpec{CancelAfter: ms(30)}, func(r CallResult) bool { return r.Status == 200 && r.EndedBy == "local" }},
		"CountedOnce":     {tandem.UDP, Fault{Kind: "500", Count: 1}, CallSpec{}, func(r CallResult) bool { return r.Status == 500 }},
	} {
		t.Run(name, func(t *testing.T) {
			caller, callee := pair(t, c.transport, func(cfg *CarrierConfig) { cfg.T1 = ms(10) })
			if err := callee.SetFault(c.fault); err != nil {
				t.Fatal(err)
			}
			c.spec.From, c.spec.To, c.spec.Media = pstn, "+12065550100", MediaNone
			r, err := caller.Call(deadline(t), c.spec)
			if err != nil {
				t.Fatal(err)
			}
			if !c.check(r) {
				t.Errorf("status %d, %v, error %q\n%s", r.Status, r.Provisional, r.Error, r.Ladder)
			}
			if err := callee.ClearFaults("", ""); err != nil {
				t.Fatal(err)
			}
			if r, err = caller.Call(deadline(t), CallSpec{From: pstn, To: "+12065550100", Media: MediaNone}); err != nil || r.Status != 200 {
				t.Errorf("after the fault: status %d %q %v\n%s", r.Status, r.Error, err, r.Ladder)
			}
		})
	}
}

func hasHeader(r CallResult, name, value string) bool {
	return (&ua.Message{Headers: r.Response}).Get(name) == value
}

func TestCarrierChecksRedirection(t *testing.T) {
	caller, callee := pair(t, tandem.UDP, nil)
	for name, c := range map[string]struct {
		header ua.Header
		broken int
	}{
		"GoodDiversion":     {ua.Header{Name: "Diversion", Value: "<sip:" + user + "@x.test>;reason=unavailable"}, 0},
		"DiversionNoReason": {ua.Header{Name: "Diversion", Value: "<sip:" + user + "@x.test>"}, 1},
		"GoodHistory":       {ua.Header{Name: "History-Info", Value: "<sip:" + user + "@x.test>;index=1, <sip:" + pstn + "@x.test>;index=1.1"}, 0},
		"HistoryNoIndex":    {ua.Header{Name: "History-Info", Value: "<sip:" + user + "@x.test>"}, 1},
		"BadPAI":            {ua.Header{Name: "P-Asserted-Identity", Value: "nobody"}, 0}, // a second PAI: the first counts
	} {
		t.Run(name, func(t *testing.T) {
			callee.Forget()
			r, err := caller.Call(deadline(t), CallSpec{From: pstn, To: "+12065550100", Media: MediaNone, Headers: []ua.Header{c.header}})
			if err != nil || r.Status != 200 {
				t.Fatalf("status %d %v", r.Status, err)
			}
			in, err := callee.Await(deadline(t), func(in CallResult) bool { return in.CallID == r.CallID })
			if err != nil || in.Header(c.header.Name) == "" {
				t.Errorf("header not handed to the test: %v", err)
			}
			if v := callee.Violations(); len(v) != c.broken {
				t.Errorf("violations %+v", v)
			}
		})
	}
}

func TestCarrierLoad(t *testing.T) {
	caller, callee := pair(t, tandem.UDP, func(c *CarrierConfig) { c.KeepText = false; c.Behaviour.Ring = ms(5); c.Behaviour.Media = MediaNone })
	res, err := caller.Load(deadline(t), LoadSpec{CallSpec: CallSpec{From: pstn, To: "+12065550100", Hold: ms(50), Media: MediaNone}, Rate: 200, For: ms(500), Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	if res.Placed != 100 || res.Answered != 100 || len(res.Results) != 100 {
		t.Errorf("placed %d answered %d %v", res.Placed, res.Answered, res.Statuses)
	}
	eventually(t, "every call over", func() bool { return callee.Active() == 0 })
	if n := len(callee.Calls()); n != 100 {
		t.Errorf("callee saw %d calls", n)
	}
}
