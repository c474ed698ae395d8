package emulate

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"tandem"
	"tandem/media/player"
	"tandem/sip/ua"
)

// TestTeamsOptionsRules is the table of microsoft-teams-trunk.md 2.
func TestTeamsOptionsRules(t *testing.T) {
	teams := newTeams(t, nil)
	b := newBorder(t, teams)
	for name, c := range map[string]struct {
		contact string
		status  int
	}{
		"TrunkFQDN":        {fmt.Sprintf("<sip:%s:%d;transport=tls>", trunk, b.ln.Addr().Port()), 200},
		"TenantFQDN":       {"<sip:" + tenant1 + ":5061;transport=tls>", 200},
		"NoContact":        {"", 400},
		"Address":          {"<sip:127.0.0.1:5061;transport=tls>", 403},
		"UnknownFQDN":      {"<sip:other.customers.test>", 403},
		"NotInCertificate": {"<sip:sbc.elsewhere.test>", 403},
		"TwoLabelsDeep":    {"<sip:a.tenant1.customers.test>", 403},
		"EmptyUser":        {"<sip:@" + trunk + ">", 400},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := b.ep.Do(deadline(t), b.target(sip1), b.options(c.contact))
			if err != nil {
				t.Fatal(err)
			}
			if m.Status != c.status {
				t.Errorf("status %d, want %d", m.Status, c.status)
			}
			if c.contact == "" && !strings.Contains(m.Get("Reason"), "Q.850;cause=63") {
				t.Errorf("Reason %q", m.Get("Reason"))
			}
			if c.status == 200 && m.Headers[0].Name != "VIA" {
				t.Errorf("header names are not upper-case: %q", m.Headers[0].Name)
			}
		})
	}
}

func TestTeamsDialsBackAndGoesActive(t *testing.T) {
	teams := newTeams(t, nil)
	b := newBorder(t, teams)
	contact := fmt.Sprintf("<sip:%s:%d;transport=tls>", trunk, b.ln.Addr().Port())
	for _, name := range []string{sip1, "sip2.pstnhub.test", "sip3.pstnhub.test"} {
		if m, err := b.ep.Do(deadline(t), b.target(name), b.options(contact)); err != nil || m.Status != 200 {
			t.Fatalf("%s: %v %v", name, m, err)
		}
	}
	if err := teams.WaitActive(deadline(t), trunk); err != nil {
		t.Fatal(err)
	}
	seen := <-b.seen
	if !seen.Conn.Listener.Addr().IsValid() || !strings.HasPrefix(seen.URI, "sip:"+trunk) {
		t.Errorf("dial-back was %s", seen.URI)
	}
	p := teams.Peers()[0]
	if len(p.Options) != 3 || p.Allow == "" || p.DialBack != 200 {
		t.Errorf("peer %+v", p)
	}
}

// TestTeamsInviteRules is the table of microsoft-teams-trunk.md 3.1.
func TestTeamsInviteRules(t *testing.T) {
	teams := newTeams(t, nil)
	b := newBorder(t, teams)
	plain, err := b.play.Open(player.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	for name, c := range map[string]struct {
		spoil  func(m *ua.Message)
		status int
		code   string // in Reason
	}{
		"ContactMissing":       {func(m *ua.Message) { m.Del("Contact") }, 400, "540400"},
		"ContactAddress":       {func(m *ua.Message) { m.Set("Contact", "<sip:+1@127.0.0.1>") }, 403, "510532"},
		"ContactUnknown":       {func(m *ua.Message) { m.Set("Contact", "<sip:+1@other.customers.test>") }, 403, "510532"},
		"ContactNotInCert":     {func(m *ua.Message) { m.Set("Contact", "<sip:+1@tenant1.elsewhere.test>") }, 403, "510532"},
		"RecordRouteDiffers":   {func(m *ua.Message) { m.Add("Record-Route", "<sip:tenant1.customers.test;lr>") }, 403, "510532"},
		"NumberWithoutPlus":    {func(m *ua.Message) { m.URI = "sip:14255550100@" + sip1 + ";user=phone" }, 404, "511404"},
		"NumberUnknown":        {func(m *ua.Message) { m.URI = "sip:+13125550100@" + sip1 + ";user=phone" }, 404, "511404"},
		"Replaces":             {func(m *ua.Message) { m.Add("Replaces", "x;to-tag=1;from-tag=2") }, 400, "540400"},
		"Require100rel":        {func(m *ua.Message) { m.Add("Require", "100rel") }, 420, ""},
		"SessionExpiresSmall":  {func(m *ua.Message) { m.Add("Session-Expires", "90") }, 422, ""},
		"NoSDP":                {func(m *ua.Message) { m.Body = nil }, 488, "531000"},
		"NoContentType":        {func(m *ua.Message) { m.Del("Content-Type") }, 415, "540415"},
		"PIDF":                 {func(m *ua.Message) { m.Set("Content-Type", "multipart/mixed;boundary=x") }, 415, "540415"},
		"BrokenSDP":            {func(m *ua.Message) { m.Body = []byte("hello") }, 400, "540400"},
		"PlainRTP":             {func(m *ua.Message) { m.Body = plain.Offer(player.OfferOptions{}) }, 488, "531000"},
		"Only32":               {func(m *ua.Message) { m.Body = replace(m.Body, player.Suite80, player.Suite32) }, 488, "531000"},
		"HoldAddress":          {func(m *ua.Message) { m.Body = zero(m.Body) }, 488, "531052"},
		"NoCommonCodec":        {func(m *ua.Message) { m.Body = replace(m.Body, "RTP/SAVP 0 8 101", "RTP/SAVP 9 101") }, 488, "531000"},
		"BusyUser":             {func(m *ua.Message) { m.URI = "sip:+14255550486@" + sip1 + ";user=phone" }, 486, ""},
		"DecliningUser":        {func(m *ua.Message) { m.URI = "sip:+14255550603@" + sip1 + ";user=phone" }, 603, ""},
		"CompactHeadersAccept": {func(m *ua.Message) { m.URI = "sip:+14255550486@" + sip1; compactNames(m) }, 486, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := b.invite(user, b.offer())
			c.spoil(m)
			call, err := b.ep.Invite(deadline(t), b.target(sip1), m)
			if err != nil {
				t.Fatal(err)
			}
			defer call.Close()
			resp, _ := final(t, call)
			if resp.Status != c.status || !strings.Contains(resp.Get("Reason"), c.code) {
				t.Errorf("%d %s, Reason %q; want %d %s", resp.Status, resp.Reason, resp.Get("Reason"), c.status, c.code)
			}
		})
	}
}

func replace(b []byte, old, with string) []byte {
	return []byte(strings.Replace(string(b), old, with, 1))
}

func zero(b []byte) []byte {
	return []byte(strings.ReplaceAll(string(b), "IP4 127.0.0.1", "IP4 0.0.0.0"))
}

func compactNames(m *ua.Message) {
	for i, h := range m.Headers {
		if short, ok := map[string]string{"From": "f", "To": "t", "Contact": "m", "Content-Type": "c"}[h.Name]; ok {
			m.Headers[i].Name = short
		}
	}
}

// TestTeamsNotesWhatItCannotRefuse: rules without a documented refusal.
func TestTeamsNotesWhatItCannotRefuse(t *testing.T) {
	teams := newTeams(t, nil)
	b := newBorder(t, teams)
	for rule, spoil := range map[string]func(m *ua.Message){
		"request_uri_host":  func(m *ua.Message) { m.URI = "sip:+14255550486@sip2.pstnhub.test;user=phone" },
		"from_number":       func(m *ua.Message) { m.Set("From", "<sip:2065550100@"+trunk+">") },
		"user_phone":        func(m *ua.Message) { m.URI = "sip:+14255550486@" + sip1 },
		"contact_transport": func(m *ua.Message) { m.Set("Contact", "<sip:+1@"+trunk+">") },
		"to_number":         func(m *ua.Message) { m.Set("To", "<sip:+14255550199@"+sip1+">") },
	} {
		t.Run(rule, func(t *testing.T) {
			teams.Forget()
			m := b.invite("+14255550486", b.offer())
			spoil(m)
			call, err := b.ep.Invite(deadline(t), b.target(sip1), m)
			if err != nil {
				t.Fatal(err)
			}
			defer call.Close()
			final(t, call)
			if v := teams.Violations(); len(v) != 1 || v[0].Rule != rule {
				t.Errorf("violations %+v", v)
			}
		})
	}
}

// up places a correct call to Teams and acknowledges its answer.
func up(t *testing.T, b *border, to string) (*ua.Call, *player.Stream) {
	t.Helper()
	s := b.stream()
	t.Cleanup(s.Close)
	call, err := b.ep.Invite(deadline(t), b.target(sip1), b.invite(to, s.Offer(player.OfferOptions{})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(call.Close)
	resp, statuses := final(t, call)
	if resp == nil || resp.Status != 200 || statuses[0] != 100 {
		t.Fatalf("responses %v\n%s", statuses, call.Log())
	}
	if err := s.Answered(resp.Body); err != nil {
		t.Fatal(err)
	}
	if err := call.Ack(deadline(t), resp, nil); err != nil {
		t.Fatal(err)
	}
	return call, s
}

func TestTeamsCallInbound(t *testing.T) {
	teams := newTeams(t, nil)
	b := newBorder(t, teams)
	call, s := up(t, b, user)
	hear(t, s, 1000)
	eventually(t, "enough sent to be heard", func() bool { return s.Counters().Sent > 10 })
	resp, err := call.Request(deadline(t), "BYE", nil)
	if err != nil || resp.Status != 200 {
		t.Fatalf("BYE: %v %v", resp, err)
	}
	r, err := teams.Await(deadline(t), func(CallResult) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	if !r.HeardTone(500) || r.Suite != player.Suite80 || r.BadSRTP != 0 || r.EndedBy != "remote" {
		t.Errorf("Teams heard %d Hz over %q, %d bad, ended by %s\n%s", r.HeardHz, r.Suite, r.BadSRTP, r.EndedBy, r.Ladder)
	}
	if target := call.Dialog().Target; !strings.Contains(target, ":443;x-i=") {
		t.Errorf("Contact %s is not Microsoft's shape", target)
	}
	if v := teams.Violations(); len(v) > 0 {
		t.Errorf("violations %+v", v)
	}
}

func TestTeamsUserHangsUp(t *testing.T) {
	teams := newTeams(t, nil)
	b := newBorder(t, teams)
	call, _ := up(t, b, "+14255550010")
	ev := next(t, call)
	if ev.Kind != ua.EventRequest || ev.Msg.Method != "BYE" {
		t.Fatalf("event %+v", ev)
	}
	if ev.Msg.Conn.Dialled {
		t.Error("Microsoft's BYE came over our connection")
	}
	call.AnswerRequest(ev.Tx, 200, nil)
	if r, err := teams.Await(deadline(t), func(CallResult) bool { return true }); err != nil || r.EndedBy != "local" || r.Error != "" {
		t.Errorf("%v %s %q", err, r.EndedBy, r.Error)
	}
}

func TestTeamsForks(t *testing.T) {
	teams := newTeams(t, nil)
	b := newBorder(t, teams)
	s := b.stream()
	defer s.Close()
	call, err := b.ep.Invite(deadline(t), b.target(sip1), b.invite("+14255550005", s.Offer(player.OfferOptions{})))
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()
	tags := map[string]bool{}
	for {
		ev := next(t, call)
		if ev.Kind != ua.EventResponse {
			t.Fatalf("event %+v", ev)
		}
		if ev.Msg.Status > 100 {
			tags[ev.Msg.ToTag()] = true
		}
		if ev.Msg.Status >= 200 {
			if err := call.Ack(deadline(t), ev.Msg, nil); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	if len(tags) != 5 {
		t.Errorf("%d To-tags, want 4 ringing and one answering", len(tags))
	}
	if m, err := call.Request(deadline(t), "BYE", nil); err != nil || m.Status != 200 {
		t.Errorf("BYE %v %v", m, err)
	}
}

func TestTeamsRefreshAndHold(t *testing.T) {
	for name, to := range map[string]string{"RefreshWithNewKey": "+14255550020", "HoldAndResume": "+14255550021"} {
		t.Run(name, func(t *testing.T) {
			teams := newTeams(t, nil)
			b := newBorder(t, teams)
			call, s := up(t, b, to)
			times := 1
			if name == "HoldAndResume" {
				times = 2
			}
			for i := range times {
				ev := next(t, call)
				if ev.Kind != ua.EventRequest || ev.Msg.Method != "INVITE" {
					t.Fatalf("event %+v", ev)
				}
				d, err := player.ParseSDP(ev.Msg.Body)
				if err != nil {
					t.Fatal(err)
				}
				if want := []string{"sendonly", "sendrecv"}[i]; times == 2 && d.Direction != want {
					t.Errorf("direction %s, want %s", d.Direction, want)
				}
				answer, err := s.Answer(ev.Msg.Body)
				if err != nil {
					t.Fatal(err)
				}
				call.AnswerRequest(ev.Tx, 200, answer, ua.Header{Name: "Contact", Value: "<sip:" + trunk + ">"})
				if ev = next(t, call); ev.Kind != ua.EventAck {
					t.Fatalf("event %+v", ev)
				}
			}
			hear(t, s, 1000)
			call.Request(deadline(t), "BYE", nil)
			r, err := teams.Await(deadline(t), func(CallResult) bool { return true })
			if err != nil || len(r.Refreshes) != times || r.Refreshes[0] != 200 || r.BadSRTP != 0 {
				t.Errorf("%v: re-INVITEs %v, bad %d %q\n%s", err, r.Refreshes, r.BadSRTP, r.Error, r.Ladder)
			}
		})
	}
}

func TestTeamsReinviteRules(t *testing.T) {
	teams := newTeams(t, nil)
	b := newBorder(t, teams)
	call, s := up(t, b, user)
	offer := s.Offer(player.OfferOptions{})
	for _, c := range []struct {
		name   string
		body   []byte
		status int
		rule   string
	}{
		{"Unchanged", offer, 200, ""},
		{"Inactive", replace(offer, "a=sendrecv", "a=inactive"), 200, ""},
		{"Sendonly", replace(offer, "a=sendrecv", "a=sendonly"), 200, "hold_direction"},
		{"OtherPort", replace(offer, "m=audio ", "m=audio 1"), 200, "media_retarget"},
		{"ZeroAddress", zero(offer), 488, ""},
		{"DelayedOffer", nil, 488, "delayed_offer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			teams.Forget()
			if c.name == "OtherPort" { // keep it a port
				c.body = replace(offer, fmt.Sprintf("m=audio %d", s.Local().Port()), "m=audio 40000")
			}
			m, err := call.Request(deadline(t), "INVITE", c.body, ua.Header{Name: "Contact", Value: "<sip:+1@" + trunk + ";transport=tls>"})
			if err != nil || m.Status != c.status {
				t.Fatalf("%v %v, want %d", m, err, c.status)
			}
			v := teams.Violations()
			if c.rule == "" && len(v) > 0 || c.rule != "" && (len(v) != 1 || v[0].Rule != c.rule) {
				t.Errorf("violations %+v, want %q", v, c.rule)
			}
		})
	}
	call.Request(deadline(t), "BYE", nil)
}

// TestTeamsCallOutbound: the shapes of microsoft-teams-trunk.md 3.2 in both modes.
func TestTeamsCallOutbound(t *testing.T) {
	teams := newTeams(t, nil)
	b := newBorder(t, teams)
	answer := func(tone int) <-chan *ua.Message {
		done := make(chan *ua.Message, 1)
		b.ep.Go(func() {
			var call *ua.Call
			select {
			case call = <-b.calls:
			case <-b.ep.Context().Done():
				return
			}
			defer call.Close()
			s, err := b.play.Open(player.Options{Hz: tone, Secure: true})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			body, err := s.Answer(call.Invite.Body)
			if err != nil {
				t.Error(err)
				return
			}
			call.Respond(ua.Answer{Status: 100})
			contact := []ua.Header{{Name: "Contact", Value: "<sip:" + trunk + ";transport=tls>"}}
			call.Respond(ua.Answer{Status: 180, Headers: contact})
			call.Respond(ua.Answer{Status: 200, Headers: contact, Body: body})
			for ev := range call.Events() {
				if ev.Kind == ua.EventRequest {
					call.AnswerRequest(ev.Tx, 200, nil)
					done <- call.Invite
					return
				}
				if ev.Kind == ua.EventLost {
					return
				}
			}
		})
		return done
	}
	t.Run("OperatorConnect", func(t *testing.T) {
		done := answer(550)
		r, err := teams.Call(deadline(t), CallSpec{From: user, To: pstn, Hold: ms(250)})
		if err != nil || r.Status != 200 || r.Error != "" {
			t.Fatalf("%d %v %q\n%s", r.Status, err, r.Error, r.Ladder)
		}
		m := <-done
		if !r.HeardTone(550) || r.Suite != player.Suite80 {
			t.Errorf("heard %d Hz over %q\n%s", r.HeardHz, r.Suite, r.Ladder)
		}
		text := string(m.Bytes(false))
		for _, want := range []string{"FROM: Emulated User<sip:" + user + "@sip.pstnhub.test", "X-MS-TENANTID: " + DefaultTenant, "RECORD-ROUTE: <sip:sip.pstnhub.test:",
			":443;x-i=", player.Suite32, player.Suite80, "|1:1", "INVITE sip:" + pstn + "@" + trunk, "MIN-SE: 300"} {
			if !strings.Contains(text, want) {
				t.Errorf("INVITE lacks %q:\n%s", want, text)
			}
		}
		if got := r.Provisional; len(got) != 2 || got[1] != 180 || r.RingAt.IsZero() {
			t.Errorf("provisional %v", got)
		}
	})
	t.Run("DirectRoutingAnonymous", func(t *testing.T) {
		done := answer(550)
		r, err := teams.Call(deadline(t), CallSpec{From: user, To: "911", Mode: DirectRouting, Anonymous: true, Hold: ms(20), Listener: "sip2.pstnhub.test"})
		if err != nil || r.Status != 200 {
			t.Fatalf("%d %v %q", r.Status, err, r.Error)
		}
		m := <-done
		if !strings.HasPrefix(m.URI, "sip:911@"+tenant1) || m.Has("X-MS-TenantID") || m.Get("Privacy") != "id" || !strings.Contains(m.Get("P-Asserted-Identity"), user) {
			t.Errorf("INVITE\n%s", m.Bytes(false))
		}
		if m.Source.Addr() != netip.MustParseAddr("127.0.0.12") {
			t.Errorf("came from %s", m.Source)
		}
	})
	t.Run("UnknownCaller", func(t *testing.T) {
		if _, err := teams.Call(deadline(t), CallSpec{From: "+13125550100", To: pstn}); err == nil {
			t.Error("a number of no tenant may call")
		}
	})
	if v := teams.Violations(); len(v) > 0 {
		t.Errorf("violations %+v", v)
	}
}

// TestTeamsNoConnectionAlias: requests on Microsoft's own connection are ignored and noted.
func TestTeamsNoConnectionAlias(t *testing.T) {
	teams := newTeams(t, nil)
	b := newBorder(t, teams)
	if status, err := teams.Probe(trunk); err != nil || status != 200 {
		t.Fatal(status, err)
	}
	seen := <-b.seen
	alias := b.options("<sip:" + trunk + ">")
	alias.Headers = append([]ua.Header{{Name: "Via", Value: "SIP/2.0/TLS sbc;branch=z9hG4bKalias"}, {Name: "Call-ID", Value: "alias"}, {Name: "CSeq", Value: "1 OPTIONS"}}, alias.Headers...)
	if err := seen.Conn.Write(alias.Bytes(false)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the violation", func() bool { return len(teams.Violations()) == 1 })
	if v := teams.Violations()[0]; v.Rule != "connection_alias" {
		t.Errorf("violation %+v", v)
	}
}

// TestTeamsClientCertificate: who may connect (microsoft-teams-trunk.md 1.2, 12.1).
func TestTeamsClientCertificate(t *testing.T) {
	teams := newTeams(t, nil)
	b := newBorder(t, teams)
	foreign, err := MakeCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	issue := func(ca *CA, spec IssueSpec) []tls.Certificate {
		spec.Names, spec.Client = []string{trunk}, true
		cert, err := ca.Issue(spec)
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{cert}
	}
	past := teams.CA().cert.NotBefore.AddDate(0, 0, -1)
	for name, c := range map[string]struct {
		certs []tls.Certificate
		ok    bool
	}{
		"Good":       {issue(teams.CA(), IssueSpec{}), true},
		"Missing":    {nil, false},
		"Expired":    {issue(teams.CA(), IssueSpec{NotBefore: past.AddDate(0, 0, -1), NotAfter: past}), false},
		"SelfSigned": {issue(teams.CA(), IssueSpec{SelfSigned: true}), false},
		"UnknownCA":  {issue(foreign, IssueSpec{}), false},
	} {
		t.Run(name, func(t *testing.T) {
			to := b.target(sip1)
			to.TLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(c.certs) == 0 {
					return &tls.Certificate{}, nil
				}
				return &c.certs[0], nil
			}
			b.ep.CloseConns(false)
			eventually(t, "a closed connection", func() bool { return teams.State().Listeners[0].Connections == 0 && b.ep.Open() == 0 })
			_, err := b.ep.Do(deadline(t), to, b.options("<sip:"+trunk+">"))
			if (err == nil) != c.ok {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestTeamsPlain is the lab mode for load tests: UDP, plain RTP, no certificates.
func TestTeamsPlain(t *testing.T) {
	teams := newTeams(t, func(c *TeamsConfig) {
		c.Transport = tandem.UDP
		c.CADir = ""
	})
	carrier := newCarrier(t, "23", func(c *CarrierConfig) { c.SBC = teams.Addr("") })
	teams.SetSBC(carrier.Addr())
	// A carrier is no SBC: its Contact is an address, which Microsoft refuses.
	if r, err := carrier.Call(deadline(t), CallSpec{From: pstn, To: user}); err != nil || r.Status != 403 {
		t.Errorf("status %d %v", r.Status, err)
	}
	r, err := teams.Call(deadline(t), CallSpec{From: user, To: pstn, Hold: ms(200)})
	if err != nil || r.Status != 200 || r.Error != "" || !r.HeardTone(600) || r.Suite != "" {
		t.Errorf("status %d %v %q heard %d\n%s", r.Status, err, r.Error, r.HeardHz, r.Ladder)
	}
}

func TestTeamsRecordRouteNext(t *testing.T) {
	teams := newTeams(t, func(c *TeamsConfig) { c.RecordRouteNext = true })
	b := newBorder(t, teams)
	call, _ := up(t, b, user)
	if m, err := call.Request(deadline(t), "BYE", nil); err != nil || m.Status != 200 {
		t.Fatal(m, err)
	}
	if got := call.Log().String(); !strings.Contains(got, "127.0.0.12") {
		t.Errorf("the BYE did not go to sip2:\n%s", got)
	}
}
