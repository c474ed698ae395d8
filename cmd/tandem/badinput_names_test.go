package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/provisioning"
	"tandem/rating/deck"
	"tandem/sip/ua"
)

// TestInjectionInDocument puts line breaks and NUL into every value of a document,
// one after the other: none is taken, and the message names the place on one line.
func TestInjectionInDocument(t *testing.T) {
	s := alone(t)
	node, err := StartNode(t.Context(), mustLoad(t, s.file), newLogger(&testLog{}, LogConfig{}))
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	apply := func(text string) error {
		_, err := node.service.Apply(t.Context(), "customers.yaml", []byte(text), provisioning.Source{ParseDeckCSV: deck.ParseCSV}, true)
		return err
	}
	document := string(demoCustomers)
	if err := apply(document); err != nil {
		t.Fatal(err)
	}
	values := regexp.MustCompile(`(?m)^[ {-]*?\w+: *("[^"]*"|[^\s"{\[#][^,}#\n]*)|, +\w+: *("[^"]*"|[^\s"{\[#][^,}#\n]*)`).FindAllStringSubmatchIndex(document, -1)
	if len(values) < 70 {
		t.Fatalf("%d values found: the test proves nothing", len(values))
	}
	for _, at := range values {
		from, to := at[2], at[3]
		if from < 0 {
			from, to = at[4], at[5]
		}
		for _, evil := range []string{`\r\nX-Evil: 1`, `\nX-Evil: 1`, `\0`, `\x1b[31m`} {
			value := strings.Trim(strings.TrimSpace(document[from:to]), `"`)
			err := apply(document[:from] + `"` + value + evil + `"` + document[to:])
			line := 1 + strings.Count(document[:from], "\n")
			if err == nil {
				t.Errorf("line %d: %q with %s is taken", line, value, evil)
				continue
			}
			if text := err.Error(); strings.ContainsAny(text, "\r\x00\x1b") || strings.Contains(text, "\nX-Evil") || !strings.Contains(text, fmt.Sprint(":", line, ":")) {
				t.Errorf("line %d: %q", line, text)
			}
		}
	}
}

// TestInjectionInNames: names of an operator's own that would act in a page, a
// spreadsheet or a header are taken, shown as text, and nothing more. The same
// goes for what calls bring along: SDP and the Reason of a BYE or CANCEL.
func TestInjectionInNames(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	log := &testLog{}
	evil := `=cmd|'C' <script>alert(1)</script> \"quoted\" %0d%0aX-Evil: 1`
	s := newStage(t, func(o *stageOptions) {
		o.log = newLogger(log, LogConfig{Level: "debug"})
		o.document = func(text []byte) []byte {
			return []byte(strings.NewReplacer("name: Contoso Ltd", `name: "`+evil+`"`, "name: Contoso", `name: "`+evil+`"`, "1 Main Street", `"`+evil+`"`, "Redmond", `"`+evil+`"`,
				"Adele", `"`+evil+`"`, "Vance", `"`+evil+`"`, "Front desk", `"`+evil+`"`, "network: Carrier East", `network: "`+evil+`"`,
				"destination: United States", `destination: "`+evil+`"`, "destination: US voice DID", `destination: "`+evil+`"`).Replace(string(text)))
		}
	})
	p := s.rawDial(t, tandem.UDP, "21")
	for name, sdp := range map[string]string{
		"origin":     strings.Replace(goodSDP, "o=- 1 1", "o=<script>alert(1)</script>\"%0d%0a 1 1", 1),
		"session":    strings.Replace(goodSDP, "s=-", `s="<script>alert(1)</script> =cmd`, 1),
		"codec":      strings.Replace(goodSDP, "RTP/AVP 0\r\n", "RTP/AVP 0 96\r\na=rtpmap:96 =cmd<script>alert(1)</script>\"/8000\r\na=fmtp:96 x=\"<script>\r\n", 1),
		"bare CR":    strings.Replace(goodSDP, "s=-", "s=a\rm=audio 1 RTP/AVP 0\ra=crypto:1 x", 1),
		"NUL":        strings.Replace(goodSDP, "s=-", "s=a\x00b\r\na=x-evil:\x00", 1),
		"formats":    strings.Replace(goodSDP, "RTP/AVP 0\r\n", "RTP/AVP 0 =cmd 1;2 \"\r\n", 1),
		"attributes": goodSDP + "a=\"<script>\r\na=X-Evil: 1\r\n=\r\nX-Evil: 1\r\n",
	} {
		s.teams.Forget()
		m := p.invite("+14255550101").sdp(sdp).add("User-Agent: %s", evilHTML)
		answer := p.ask(m)
		if answer.Status != 200 && answer.Status != 400 && answer.Status != 488 {
			t.Errorf("SDP %s: %d", name, answer.Status)
		}
		if answer.Status == 200 {
			p.hangUp(t, m, answer)
			checkSDP(t, name+", answer", string(answer.Body))
		}
		for _, call := range s.teams.Calls() {
			checkSDP(t, name+", offer to Microsoft", call.Offer)
		}
	}
	s.injectReasons(t, p)
	s.checkReports(t)
	for line := range strings.Lines(log.String()) {
		if !strings.HasPrefix(line, "time=") || strings.ContainsAny(line[:len(line)-1], "\x00\x1b\r") {
			t.Errorf("a value began a line of the log of its own, or acts on a terminal: %q", tandem.Clip(line, 200))
		}
	}
}

// checkSDP wants lines of types that we write, and nothing of the hostile text.
func checkSDP(t *testing.T, what, body string) {
	t.Helper()
	for line := range strings.SplitSeq(strings.TrimSuffix(body, "\r\n"), "\r\n") {
		if len(line) < 2 || line[1] != '=' || !strings.ContainsRune("vosctmab", rune(line[0])) || strings.ContainsAny(line, "\r\n\x00\x1b") {
			t.Errorf("%s: line %q", what, line)
		}
		if strings.HasPrefix(line, "o=") && strings.ContainsAny(line, "<\"%") || strings.HasPrefix(line, "s=") && line != "s=-" || strings.Contains(strings.ToLower(line), "x-evil") {
			t.Errorf("%s: hostile text went through: %q", what, line)
		}
	}
}

// injectReasons ends calls and attempts with hostile Reason fields; what Microsoft
// sees is in the ladder of its calls.
func (s *stage) injectReasons(t *testing.T, p *rawPeer) {
	for i, reason := range []string{`Q.850;cause=16;text="` + evilHTML + `\" =cmd"`, `Q.850;cause=16;text="never closed`, "Q.850;cause=16;text=\"a\r\n X-Evil: 1\"", "X-Evil: 1\r\n ;cause=16", `SIP;cause=200;text="%0d%0aX-Evil: 1"`} {
		for _, method := range []string{"BYE", "CANCEL"} {
			s.teams.Forget()
			user := map[string]string{"BYE": "+14255550101", "CANCEL": "+14255550104"}[method]
			m := p.invite(user)
			p.send(m.String())
			for {
				answer, err := p.receive(5 * time.Second)
				if err != nil {
					t.Fatalf("%s %d: no answer: %v", method, i, err)
				}
				if answer.CallID() != m.get("Call-ID") {
					continue
				}
				if method == "BYE" && answer.Status == 200 {
					target := ua.URIOf(answer.Get("Contact"))
					ack := m.follow("ACK").set("To", answer.Get("To"))
					ack.set("Via", strings.Replace(m.get("Via"), "z9hG4bK", "z9hG4bKack", 1)).start = "ACK " + target + " SIP/2.0"
					p.send(ack.String())
					bye := m.follow("BYE").set("To", answer.Get("To")).set("CSeq", "2 BYE").add("Reason: %s", reason)
					bye.set("Via", strings.Replace(m.get("Via"), "z9hG4bK", "z9hG4bKbye", 1)).start = "BYE " + target + " SIP/2.0"
					if got := p.ask(bye); got.Status != 200 {
						t.Errorf("BYE with Reason %q: %d", reason, got.Status)
					}
					break
				}
				if method == "CANCEL" && answer.Status == 180 {
					p.send(m.cancel().add("Reason: %s", reason).String())
					if final := p.final(m); final.Status != 487 {
						t.Errorf("CANCEL with Reason %q: %d", reason, final.Status)
					}
					break
				}
			}
			eventually(t, "the call is over", func() bool { return len(s.node.engine.Live()) == 0 })
			for _, call := range s.teams.Calls() {
				for line := range strings.Lines(call.Ladder) {
					if strings.HasPrefix(strings.TrimSpace(line), "X-Evil") || strings.ContainsAny(strings.TrimRight(line, "\r\n"), "\x00\x1b\r") {
						t.Errorf("%s with Reason %q reaches Microsoft as %q", method, reason, line)
					}
				}
			}
		}
	}
}
