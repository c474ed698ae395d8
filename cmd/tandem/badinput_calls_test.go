package main

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem"
	"tandem/cmd/tandem/emulate"
	"tandem/sip/ua"
)

// rawCarrier is a carrier of last resort on .23: it answers each called number
// as the test says, byte for byte. Numbers in +1206556 are refused by the others.
type rawCarrier struct {
	conn net.PacketConn

	mu      sync.Mutex
	answers map[string][]string // by called number: responses with {head} for Via to CSeq
	seen    []string            // requests received, "METHOD number"
}

// withRawCarrier adds the raw carrier to a stage.
func withRawCarrier(o *stageOptions) {
	o.carriers = func(c *emulate.CarrierConfig) {
		c.Rules = append(c.Rules, emulate.Rule{Number: "+1206556*", Behaviour: emulate.Behaviour{Status: 503}})
	}
	o.document = func(text []byte) []byte {
		return bytes.Replace(text, []byte("\ndecks:"), []byte(fmt.Sprintf(`  - id: carrier-raw
    network: Carrier Raw
    fqdn: sbc.customers.test
    endpoints: ["%[1]s.23:5060"]
    sources: [%[1]s.23/32]
    transport: udp
    priority: 3
    options_interval: 0s

decks:`, o.net)), 1)
	}
}

func startRawCarrier(t *testing.T) *rawCarrier {
	t.Helper()
	conn, err := net.ListenPacket("udp", testNet()+".23:5060")
	if err != nil {
		t.Fatal(err)
	}
	c := &rawCarrier{conn: conn, answers: map[string][]string{}}
	done := make(chan struct{})
	go func() { defer close(done); c.serve() }()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return c
}

func (c *rawCarrier) serve() {
	buf := make([]byte, 65536)
	for {
		n, peer, err := c.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		m := readRaw(string(buf[:n]))
		uri, _ := ua.ParseURI(m.URI)
		c.mu.Lock()
		c.seen = append(c.seen, m.Method+" "+uri.User)
		answers := c.answers[uri.User]
		c.mu.Unlock()
		switch m.Method {
		case "INVITE":
		case "BYE", "CANCEL", "OPTIONS":
			answers = []string{"SIP/2.0 200 OK\r\n{head}Content-Length: 0\r\n\r\n"}
		default:
			continue
		}
		for _, a := range answers {
			_, _ = c.conn.WriteTo([]byte(strings.ReplaceAll(a, "{head}", headOf(m))), peer)
		}
	}
}

// headOf repeats what a response takes from its request.
func headOf(m *ua.Message) string {
	var b strings.Builder
	for _, h := range m.Headers {
		switch h.Name {
		case "Via", "From", "Call-ID", "CSeq":
			fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
		case "To":
			if ua.Param(h.Value, "tag") == "" {
				h.Value += ";tag=raw"
			}
			fmt.Fprintf(&b, "To: %s\r\n", h.Value)
		}
	}
	return b.String()
}

func (c *rawCarrier) answer(number string, responses ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers[number] = responses
}

// got reports whether a request came for a number.
func (c *rawCarrier) got(request string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.seen {
		if s == request {
			return true
		}
	}
	return false
}

// TestBadCalls places calls that can't be carried: from both sides, and with a
// callee that answers nonsense. Each caller hears the right refusal with its
// reason; nothing is forwarded to the failsafe number for it.
func TestBadCalls(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	raw := startRawCarrier(t)
	s := newStage(t, withRawCarrier)
	before := s.shortCall(t)
	c := s.startTalk(t)

	t.Run("OfferOfCarrier", func(t *testing.T) { checkOffers(t, s.rawDial(t, tandem.UDP, "21")) })
	c.check(t, "bad offers of a carrier")
	t.Run("CallsOfTeams", func(t *testing.T) { s.checkTeamsCalls(t) })
	c.check(t, "bad calls of Microsoft")
	t.Run("AnswersOfCarrier", func(t *testing.T) { s.checkAnswers(t, raw) })
	c.check(t, "bad answers of a carrier")
	t.Run("InDialog", func(t *testing.T) { s.checkInDialog(t) })
	c.check(t, "bad requests in a dialog")

	for _, call := range s.east.Calls() {
		if call.Incoming && strings.Contains(call.To, "+12065550199") {
			t.Error("a bad call was forwarded to the failsafe number")
		}
	}
	c.end(t)
	s.checkOnRecord(t, before)
}

// checkOffers sends offers that make no sense (400) or can't be carried (488),
// and bodies that are none (415).
func checkOffers(t *testing.T, p *rawPeer) {
	replace := func(old, new string) string {
		if !strings.Contains(goodSDP, old) {
			panic(old + " is not in the good offer")
		}
		return strings.Replace(goodSDP, old, new, 1)
	}
	key := "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"
	cases := map[string]struct {
		body, contentType string
		want              int
	}{
		"no SDP":                   {"this is no SDP", "", 400},
		"no v=":                    {replace("v=0\r\n", ""), "", 400},
		"no c=":                    {replace("c=IN IP4 127.0.0.1\r\n", ""), "", 400},
		"c= of letters":            {replace("c=IN IP4 127.0.0.1", "c=IN IP4 999.1.1.1"), "", 0},
		"c= multicast":             {replace("c=IN IP4 127.0.0.1", "c=IN IP4 224.1.2.3/127"), "", 488},
		"c= IPv6 on an IPv4 node":  {replace("c=IN IP4 127.0.0.1", "c=IN IP6 ::1"), "", 488},
		"no m=":                    {replace("m=audio 9 RTP/AVP 0\r\n", ""), "", 400},
		"port over 65535":          {replace("m=audio 9 ", "m=audio 70000 "), "", 400},
		"port below 0":             {replace("m=audio 9 ", "m=audio -9 "), "", 400},
		"m= cut":                   {replace("m=audio 9 RTP/AVP 0", "m=audio 9"), "", 400},
		"payload type over 127":    {replace("RTP/AVP 0", "RTP/AVP 300"), "", 0},
		"1,000 m=":                 {replace("m=audio 9 RTP/AVP 0", strings.Repeat("m=audio 9 RTP/AVP 0\r\n", 999)+"m=audio 9 RTP/AVP 0"), "", 400},
		"video only":               {replace("m=audio", "m=video"), "", 488},
		"fax only":                 {replace("m=audio 9 RTP/AVP 0", "m=image 9 udptl t38"), "", 488},
		"audio refused":            {replace("m=audio 9 ", "m=audio 0 "), "", 488},
		"profile of browsers":      {replace("RTP/AVP 0", "UDP/TLS/RTP/SAVPF 0"), "", 488},
		"profile unknown":          {replace("RTP/AVP 0", "TCP/MSRP *"), "", 0},
		"SRTP where it is off":     {replace("RTP/AVP 0", "RTP/SAVP 0") + key + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNk\r\n", "", 488},
		"SRTP without a key":       {replace("RTP/AVP 0", "RTP/SAVP 0"), "", 488},
		"SRTP with a short key":    {replace("RTP/AVP 0", "RTP/SAVP 0") + key + "MDEy\r\n", "", 488},
		"text":                     {goodSDP, "text/plain", 415},
		"content type cut":         {goodSDP, "application", 415},
		"multipart without SDP":    {"--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x--\r\n", "multipart/mixed;boundary=x", 415},
		"multipart without parts":  {goodSDP, "multipart/mixed;boundary=x", 415},
		"multipart, no boundary":   {goodSDP, "multipart/mixed", 415},
		"SDP with a NUL in a line": {replace("c=IN IP4 127.0.0.1", "c=IN IP4 127.0.0.1\x00"), "", 400},
	}
	for name, c := range cases {
		m := p.invite("+14255550101").sdp(c.body)
		switch {
		case c.contentType != "":
			m.set("Content-Type", c.contentType)
		case c.body == "":
			m.drop("Content-Type")
		}
		answer := p.ask(m)
		if answer.Status != c.want && (c.want != 0 || answer.Status != 400 && answer.Status != 488) {
			t.Errorf("%s: answered %d %s, want %d", name, answer.Status, answer.Get("Reason"), c.want)
		}
		switch {
		case answer.Status == 415 && !strings.Contains(answer.Get("Accept"), "application/sdp"):
			t.Errorf("%s: 415 does not say what is taken: Accept %q", name, answer.Get("Accept")) // RFC 3261 21.4.13
		case answer.Status != 415 && (!strings.HasPrefix(answer.Get("Reason"), "Q.850;cause=") || !strings.Contains(answer.Get("Reason"), "text=")):
			t.Errorf("%s: %d without a reason: %q", name, answer.Status, answer.Get("Reason"))
		}
	}
	encoded := p.invite("+14255550101").add("Content-Encoding: gzip")
	if answer := p.ask(encoded); answer.Status != 415 {
		t.Errorf("compressed body: answered %d, want 415", answer.Status)
	}
	p.alive("bad offers")
}

// checkTeamsCalls: calls from Microsoft that are not a customer's to make.
func (s *stage) checkTeamsCalls(t *testing.T) {
	cases := map[string]struct {
		spec   emulate.CallSpec
		want   int
		reason string
	}{
		"unknown tenant":          {emulate.CallSpec{From: "+14255550101", To: outsideNumber, Tenant: "nobody.customers.test"}, 403, "tenant"},
		"number of nobody":        {emulate.CallSpec{From: "+14259990000", To: outsideNumber, Tenant: "contoso.customers.test"}, 403, "not a number of the tenant"},
		"tenant ID of nobody":     {emulate.CallSpec{From: "+14255550101", To: outsideNumber, Headers: []ua.Header{{Name: "X-MS-TenantID", Value: "11111111-2222-4333-8444-555555555555"}}}, 403, "X-MS-TenantID"},
		"tenant ID of letters":    {emulate.CallSpec{From: "+14255550101", To: outsideNumber, Headers: []ua.Header{{Name: "X-MS-TenantID", Value: "'; DROP TABLE tenants --"}}}, 403, "X-MS-TenantID"},
		"number that is none":     {emulate.CallSpec{From: "+14255550101", To: "alice"}, 404, ""},
		"number too short":        {emulate.CallSpec{From: "+14255550101", To: "+1"}, 484, ""},
		"RTP where SRTP is due":   {emulate.CallSpec{From: "+14255550101", To: outsideNumber, Body: goodSDP, ContentType: "application/sdp"}, 488, "media"},
		"no offer":                {emulate.CallSpec{From: "+14255550101", To: outsideNumber, NoSDP: true}, 488, "delayed offer"},
		"offer that is nonsense":  {emulate.CallSpec{From: "+14255550101", To: outsideNumber, Body: "v=1\r\n", ContentType: "application/sdp"}, 400, "media"},
		"destination not allowed": {emulate.CallSpec{From: "+14255550101", To: "+882130000000"}, 403, ""},
	}
	for name, c := range cases {
		result, err := s.teams.Call(t.Context(), c.spec)
		if err != nil {
			t.Fatal(err)
		}
		if result.Status != c.want || !strings.Contains(result.ReasonField, c.reason) || !strings.HasPrefix(result.ReasonField, "Q.850;cause=") {
			t.Errorf("%s: answered %d, Reason %q, want %d with %q", name, result.Status, result.ReasonField, c.want, c.reason)
		}
	}
}

// checkAnswers: a callee whose answers make no sense fails its attempt; the
// caller gets an answer in time, and nothing stays up at the callee.
func (s *stage) checkAnswers(t *testing.T, raw *rawCarrier) {
	ok := func(extra, body string) string {
		return "SIP/2.0 200 OK\r\n{head}" + extra + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
	}
	contact := "Contact: <sip:raw@" + testNet() + ".23:5060>\r\n"
	sdp := "Content-Type: application/sdp\r\n"
	busy := "SIP/2.0 486 Busy Here\r\n{head}Content-Length: 0\r\n\r\n"
	cases := []struct {
		name      string
		responses []string
		want      []int // one of them
		bye       bool  // the callee has to be hung up on
	}{
		{"answer without SDP", []string{ok(contact, "")}, []int{488, 500}, true},
		{"answer that is no SDP", []string{ok(contact+sdp, "nonsense")}, []int{488, 500}, true},
		{"answer with video only", []string{ok(contact+sdp, strings.Replace(goodSDP, "m=audio", "m=video", 1))}, []int{488, 500}, true},
		{"answer that refuses audio", []string{ok(contact+sdp, strings.Replace(goodSDP, "audio 9", "audio 0", 1))}, []int{488, 500}, true},
		{"answer of type text", []string{ok(contact+"Content-Type: text/plain\r\n", goodSDP)}, []int{488, 500}, true},
		// No dialog can be made of it (RFC 3261 12.1.2), so nobody can be hung up on.
		{"answer without Contact", []string{ok(sdp, goodSDP)}, []int{488}, false},
		{"garbage, then busy", []string{"\x00\xff\r\n\r\n", "SIP/2.0 banana\r\n{head}\r\n", "SIP/2.0 99 Low\r\n{head}\r\n", "SIP/2.0 1000 High\r\n{head}\r\n", busy}, []int{486}, false},
		{"wrong branch, then busy", []string{strings.ReplaceAll("SIP/2.0 200 OK\r\n{head}Content-Length: 0\r\n\r\n", "{head}", "Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKwrong\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: nobody\r\nCSeq: 1 INVITE\r\n"), busy}, []int{486}, false},
		{"redirection", []string{"SIP/2.0 302 Moved\r\n{head}Contact: <sip:+19005551234@evil.example.com>\r\nContent-Length: 0\r\n\r\n"}, []int{480}, false},
		{"challenge", []string{"SIP/2.0 407 Auth\r\n{head}Proxy-Authenticate: Digest realm=\"a\"\r\nContent-Length: 0\r\n\r\n"}, []int{500}, false},
		{"status 699", []string{"SIP/2.0 699 Never\r\n{head}Content-Length: 0\r\n\r\n"}, []int{500, 600, 603}, false},
		{"Retry-After of letters", []string{"SIP/2.0 503 No\r\n{head}Retry-After: never (99999999999999999999)\r\nContent-Length: 0\r\n\r\n"}, []int{480, 503}, false},
	}
	for i, c := range cases {
		number := fmt.Sprintf("+1206556%04d", i)
		raw.answer(number, c.responses...)
		result, err := s.teams.Call(t.Context(), emulate.CallSpec{From: "+14255550101", To: number, Timeout: tandem.Duration(15 * time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		good := false
		for _, w := range c.want {
			good = good || result.Status == w
		}
		if !good {
			t.Errorf("%s: the caller hears %d %q, want %v", c.name, result.Status, result.ReasonField, c.want)
		}
		if !strings.HasPrefix(result.ReasonField, "Q.850;cause=") {
			t.Errorf("%s: no reason: %q", c.name, result.ReasonField)
		}
		if c.bye {
			eventually(t, c.name+": ACK and BYE to the callee", func() bool { return raw.gotAny("ACK", number) && raw.gotAny("BYE", number) })
		}
	}
}

// gotAny is got for a method, to the number or to the Contact of the callee.
func (c *rawCarrier) gotAny(method, number string) bool {
	return c.got(method+" "+number) || c.got(method+" raw")
}

// checkInDialog sends requests that make no sense in an established dialog: it
// stays up, and ends by its BYE.
func (s *stage) checkInDialog(t *testing.T) {
	p := s.rawDial(t, tandem.UDP, "21")
	invite, answer := p.connect(t, "+14255550102")
	next := 2
	inDialog := func(method string) *rawMessage {
		m := p.request(method, "x")
		m.start = method + " " + ua.URIOf(answer.Get("Contact")) + " SIP/2.0"
		m.set("From", invite.get("From")).set("To", answer.Get("To")).set("Call-ID", invite.get("Call-ID")).set("CSeq", fmt.Sprintf("%d %s", next, method))
		next++
		return m
	}
	cases := []struct {
		name string
		m    *rawMessage
		want []int
	}{
		{"re-INVITE with nonsense", inDialog("INVITE").sdp("nonsense"), []int{400}},
		{"re-INVITE with video only", inDialog("INVITE").sdp(strings.Replace(goodSDP, "m=audio", "m=video", 1)), []int{488}},
		{"re-INVITE of type text", inDialog("INVITE").sdp(goodSDP).set("Content-Type", "text/plain"), []int{415, 488}},
		{"UPDATE with nonsense", inDialog("UPDATE").sdp("nonsense"), []int{400}},
		{"old CSeq", inDialog("INFO").set("CSeq", "1 INFO"), []int{500}},
		{"REFER", inDialog("REFER").add("Refer-To: <sip:a@example.com>"), []int{405}},
		{"NOTIFY", inDialog("NOTIFY").add("Event: x"), []int{489}},
		{"unknown method", inDialog("FROBNICATE"), []int{501, 405}},
		{"PRACK of nothing", inDialog("PRACK").add("RAck: 1 1 INVITE"), []int{481}},
		{"INFO of a strange package", inDialog("INFO").add("Info-Package: nonsense"), []int{469}},
	}
	for _, c := range cases {
		answer := p.ask(c.m)
		good := false
		for _, w := range c.want {
			good = good || answer.Status == w
		}
		if !good {
			t.Errorf("%s: answered %d %s, want %v", c.name, answer.Status, answer.Get("Reason"), c.want)
		}
	}
	if got := p.ask(inDialog("BYE")); got.Status != 200 {
		t.Errorf("BYE after all that: %d", got.Status)
	}
}

// connect places a call and acknowledges its answer.
func (p *rawPeer) connect(t *testing.T, number string) (invite *rawMessage, answer *ua.Message) {
	t.Helper()
	return p.connectAs(t, p.invite(number))
}

func (p *rawPeer) connectAs(t *testing.T, invite *rawMessage) (*rawMessage, *ua.Message) {
	t.Helper()
	answer := p.ask(invite)
	if answer.Status != 200 {
		t.Fatalf("the call is answered %d %s", answer.Status, answer.Get("Reason"))
	}
	ack := invite.ack(answer)
	ack.start = "ACK " + ua.URIOf(answer.Get("Contact")) + " SIP/2.0"
	ack.set("Via", strings.Replace(invite.get("Via"), "z9hG4bK", "z9hG4bKack", 1))
	p.send(ack.String())
	return invite, answer
}
