package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"tandem"
	"tandem/cmd/tandem/emulate"
	"tandem/sip/ua"
)

// TestInjection sends hostile text in every place that travels on: towards the
// other side, into the log, the CSV, the pages and the terminal. It may be
// shown, but it never acts: no new header, line, field or tag.
func TestInjection(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	log := &testLog{}
	raw := startRawCarrier(t)
	s := newStage(t, func(o *stageOptions) {
		withRawCarrier(o)
		o.log = newLogger(log, LogConfig{Level: "debug"})
	})
	c := s.startTalk(t)

	t.Run("TowardsMicrosoft", func(t *testing.T) { s.injectTowardsTeams(t) })
	t.Run("FromTheCallee", func(t *testing.T) { s.injectFromCallee(t, raw) })
	c.end(t)
	t.Run("Reports", func(t *testing.T) { s.checkReports(t) })
	for line := range strings.Lines(log.String()) {
		if !strings.HasPrefix(line, "time=") || strings.ContainsAny(line[:len(line)-1], "\x00\x1b\r") {
			t.Errorf("a value began a line of the log of its own, or acts on a terminal: %q", tandem.Clip(line, 200))
		}
	}
}

// evil is text that would act in one of the places it reaches.
const (
	evilHeader = "%0d%0aX-Evil:%201"
	evilHTML   = "<script>alert(1)</script>"
	evilCSV    = "=cmd|' /C calc'!A0"
)

// injectTowardsTeams places calls of a carrier with hostile identities.
func (s *stage) injectTowardsTeams(t *testing.T) {
	p := s.rawDial(t, tandem.UDP, "21")
	from := func(display, user string) string {
		return display + "<sip:" + user + "@raw.example.com>;tag=" + fmt.Sprint(p.serial.Add(1))
	}
	quoted := `"` + evilCSV + `\" ` + evilHTML + ` \\" `
	cases := map[string]struct {
		m    *rawMessage
		want int // 0 = no answer is due: From itself can't be read
	}{
		"display name with quotes, tags and a formula": {p.invite("+14255550101").set("From", from(quoted, "+12125550123")), 200},
		"display name with a bare LF":                  {p.invite("+14255550101").set("From", from("\"a\nX-Evil: 1\" ", "+12125550123")), 0},
		"display name with a bare CR":                  {p.invite("+14255550101").set("From", from("\"a\rX-Evil: 1\" ", "+12125550123")), 0},
		"display name with a NUL":                      {p.invite("+14255550101").set("From", from("\"a\x00X-Evil: 1\" ", "+12125550123")), 0},
		"display name with an escape":                  {p.invite("+14255550101").set("From", from("\"a\x1b[31mX-Evil: 1\" ", "+12125550123")), 400},
		"display name that is folded":                  {p.invite("+14255550101").set("From", from("\"a\r\n X-Evil: 1\" ", "+12125550123")), 200},
		"display name of bytes that are no UTF-8":      {p.invite("+14255550101").set("From", from("\"\xff\xfe\xc0\" ", "+12125550123")), 200},
		"user with escapes":                            {p.invite("+14255550101").set("From", from("", "+12125550123"+evilHeader)), 200},
		"user with tags":                               {p.invite("+14255550101").set("From", from("", "%3Cscript%3Ealert(1)%3C/script%3E")), 200},
		"called user with escapes":                     {p.invite("+14255550101" + evilHeader), 404},
		"called user with a formula":                   {p.invite("=cmd"), 404},
		"asserted identity with escapes":               {p.invite("+14255550101").add("P-Asserted-Identity: %s<sip:+12125550123%s@x.example.com>", quoted, evilHeader), 200},
		"Diversion with escapes":                       {p.invite("+14255550101").add(`Diversion: %s<sip:%s@x.example.com>;reason="a\"%s"`, quoted, evilHeader, evilHTML), 200},
		"Diversion that ends early":                    {p.invite("+14255550101").add(`Diversion: <sip:a@x.example.com>;reason="a\`), 200},
		"History-Info with escapes":                    {p.invite("+14255550101").add("History-Info: <sip:%s@x.example.com?Reason=SIP%%3Bcause%%3D302%s>;index=1, <sip:+14255550101@x.example.com>;index=1.1", evilHeader, evilHeader), 200},
		"Call-ID with tags":                            {p.invite("+14255550101").set("Call-ID", evilHTML+"@x.example.com"), 200},
		"Call-ID with a formula":                       {p.invite("+14255550101").set("Call-ID", "=1+cmd@x.example.com"), 200},
		"Subject and User-Agent":                       {p.invite("+14255550101").add("Subject: %s", evilHTML).add("User-Agent: %s", evilHTML), 200},
		"line of its own":                              {p.invite("+14255550101").add("X-Evil: 1").add("Route: <sip:evil.example.com;lr>"), 200},
	}
	for name, c := range cases {
		s.teams.Forget()
		if c.want == 0 {
			p.send(c.m.String())
			p.alive(name)
			continue
		}
		answer := p.ask(c.m)
		if answer.Status != c.want {
			t.Errorf("%s: answered %d %s, want %d", name, answer.Status, answer.Get("Reason"), c.want)
		}
		checkHeaders(t, name+", answer", answer.Headers)
		if answer.Status != 200 {
			continue
		}
		p.hangUp(t, c.m, answer)
		for _, call := range s.teams.Calls() {
			checkHeaders(t, name+", INVITE to Microsoft", call.Invite)
			if u, ok := ua.AddressOf(call.Header("From")); !ok || strings.ContainsAny(u.User, "\"<> \r\n") {
				t.Errorf("%s: From towards Microsoft is %q", name, call.Header("From"))
			}
		}
	}
}

// hangUp acknowledges an answer and ends the call.
func (p *rawPeer) hangUp(t *testing.T, invite *rawMessage, answer *ua.Message) {
	t.Helper()
	target := ua.URIOf(answer.Get("Contact"))
	for i, method := range []string{"ACK", "BYE"} {
		m := invite.follow(method)
		m.start = method + " " + target + " SIP/2.0"
		m.set("To", answer.Get("To")).set("CSeq", fmt.Sprintf("%d %s", i+1, method))
		m.set("Via", strings.Replace(invite.get("Via"), "z9hG4bK", "z9hG4bK"+method, 1))
		if method == "ACK" {
			p.send(m.String())
		} else if bye := p.ask(m); bye.Status != 200 {
			t.Errorf("BYE: %d", bye.Status)
		}
	}
}

// checkHeaders wants only headers that we write, each on one clean line.
func checkHeaders(t *testing.T, what string, headers []ua.Header) {
	t.Helper()
	for _, h := range headers {
		if strings.EqualFold(h.Name, "X-Evil") || strings.EqualFold(h.Name, "Subject") || strings.Contains(h.Name, "script") {
			t.Errorf("%s: hostile header %s: %s", what, h.Name, h.Value)
		}
		if !ua.Clean(h.Value) || strings.ContainsAny(h.Value, "\x1b\x7f") {
			t.Errorf("%s: control character in %s: %q", what, h.Name, h.Value)
		}
		unescaped := strings.NewReplacer(`\\`, "", `\"`, "").Replace(h.Value)
		if strings.Count(unescaped, `"`)%2 != 0 {
			t.Errorf("%s: open quote in %s: %s", what, h.Name, h.Value)
		}
	}
}

// injectFromCallee: a callee's phrase and Reason are as hostile as it likes.
func (s *stage) injectFromCallee(t *testing.T, raw *rawCarrier) {
	for i, reason := range []string{
		`Q.850;cause=17;text="` + evilHTML + `"`,
		`Q.850;cause=17;text="a\"` + evilCSV + `\\"`,
		`Q.850;cause=17;text="` + evilCSV + `"`,
		`Q.850;cause=17;text="never closed`,
		`Q.850;cause=99999999999999999999;text=x`,
		`Q.850;cause=17;text="` + strings.Repeat("x", 9000) + `"`,
		"Q.850;cause=17;text=\"a\nX-Evil: 1\"",
		"Q.850;cause=17;text=\"a\r\n\tX-Evil: 1\"",
		"Q.850;cause=17;text=\"a\x1b[31m\xff\u202e\u2028\"",
		`;;;,,,"`,
	} {
		number := fmt.Sprintf("+1206556%04d", 100+i)
		raw.answer(number, "SIP/2.0 486 "+evilHTML+"\r\n{head}Reason: "+reason+"\r\nX-Evil: 1\r\nContent-Length: 0\r\n\r\n")
		result, err := s.teams.Call(t.Context(), emulate.CallSpec{From: "+14255550101", To: number, Timeout: tandem.Duration(8e9)})
		if err != nil {
			t.Fatal(err)
		}
		if result.Status != 486 {
			// A control character makes the whole response unfit; the attempt then ends by silence.
			if result.Status != 480 || !strings.ContainsAny(reason, "\x1b") {
				t.Errorf("Reason %q: the caller hears %d %s", tandem.Clip(reason, 60), result.Status, result.ReasonField)
			}
		}
		checkHeaders(t, "answer to the caller", result.Response)
		if strings.Contains(result.Reason, "script") || len(result.ReasonField) > 1000 {
			t.Errorf("the callee's phrase or a text without limit reached the caller: %q %d bytes", result.Reason, len(result.ReasonField))
		}
	}
}

// checkReports reads everything that was said back by CSV, page and command.
func (s *stage) checkReports(t *testing.T) {
	rows := s.rows(t, tandem.CDRFilter{})
	text := httpGet(t, s.node.URL()+"/api/v1/log?format=csv&limit=1000")
	records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatalf("CSV: %v", err)
	}
	if len(records) != len(rows)+1 || strings.Count(text, "\n") != len(rows)+1 {
		t.Errorf("CSV has %d records on %d lines for %d rows", len(records), strings.Count(text, "\n"), len(rows))
	}
	for _, record := range records[1:] {
		for i, field := range record {
			first := strings.TrimLeft(field, " ")
			number := strings.Trim(field, "+-0123456789.") == ""
			if first != "" && strings.ContainsRune("=+-@\t\r", rune(first[0])) && !number {
				t.Errorf("CSV column %s begins like a formula: %q", records[0][i], tandem.Clip(field, 80))
			}
			if strings.ContainsAny(field, "\r\n\x00\x1b") {
				t.Errorf("CSV column %s holds a control character: %q", records[0][i], tandem.Clip(field, 80))
			}
		}
	}
	pages := []string{"/", "/log"}
	for id := range byCall(rows) {
		pages = append(pages, "/calls/"+id.String())
	}
	shown := false
	for _, path := range pages {
		page := httpGet(t, s.node.URL()+path)
		if strings.Contains(page, "<script>alert") || strings.Contains(page, "\x1b") {
			t.Errorf("page %s runs what a peer sent", path)
		}
		shown = shown || strings.Contains(page, "&lt;script&gt;")
	}
	if !shown {
		t.Error("no page shows the hostile text as text: the test proves nothing")
	}
	for _, args := range [][]string{{"cdr", "--log", "--limit", "1000"}, {"cdr"}, {"calls"}} {
		said := command(t.Context(), append(args, "--api", s.node.URL())...)
		if said.code != 0 || strings.ContainsAny(said.out, "\x00\x1b\r") {
			t.Errorf("tandem %v: exit code %d, control characters %v: %s", args, said.code, strings.ContainsAny(said.out, "\x00\x1b\r"), said.err)
		}
		if slices.ContainsFunc(strings.Split(said.out, "\n"), func(l string) bool { return strings.HasPrefix(strings.TrimSpace(l), "X-Evil") }) {
			t.Errorf("tandem %v: a value began a line of its own", args)
		}
	}
}

// httpGet reads a page that must be there; httpGetAny whatever the node answers.
func httpGet(t *testing.T, address string) string {
	t.Helper()
	status, text := httpGetAny(t, address)
	if status != http.StatusOK {
		t.Fatalf("GET %s: %d\n%s", address, status, tail(text, 5))
	}
	return text
}

func httpGetAny(t *testing.T, address string) (status int, text string) {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}
