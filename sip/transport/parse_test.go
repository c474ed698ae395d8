package transport

import (
	"strings"
	"testing"

	gosip "github.com/emiago/sipgo/sip"
)

func parseOne(t *testing.T, text string) (gosip.Message, bool, error) {
	t.Helper()
	m, _, repaired, err := newParser().datagram([]byte(text))
	return m, repaired, err
}

// TestSipgoFacts states what we rely on in sipgo's parser (sipgo-notes.md 6):
// an upgrade that changes it is seen here.
func TestSipgoFacts(t *testing.T) {
	bad := request("OPTIONS", 1, "Refer-To: <<<>>>sip:\r\n", "")
	if _, err := gosip.ParseMessage([]byte(strings.Replace(bad, "Refer-To: <<<>>>sip:", "Max-Forwards: abc", 1))); err == nil {
		t.Error("sipgo takes a bad Max-Forwards now: lenient() may be simplified")
	}
	m, err := gosip.ParseMessage([]byte(request("OPTIONS", 1, "k: timer\r\n", "")))
	if err != nil {
		t.Fatal(err)
	}
	if m.(*gosip.Request).GetHeader("Supported") != nil {
		t.Error("sipgo knows the short name k now: fullName may shrink")
	}
	m, err = gosip.ParseMessage([]byte(request("OPTIONS", 1, "Subject: a\nX-Evil: b\r\n", "")))
	if err != nil || !strings.Contains(m.(*gosip.Request).GetHeader("Subject").Value(), "\n") {
		t.Error("sipgo refuses a bare LF in a value now: cleanLines may go")
	}
	if _, err := gosip.ParseMessage([]byte(request("OPTIONS", 1, "no colon here\r\n", ""))); err == nil {
		t.Error("sipgo takes a line without a colon now: repair may shrink")
	}
	m, err = gosip.ParseMessage([]byte(request("OPTIONS", 1, "Contact: <sip:a@b>, <sip:c@d>\r\n", "")))
	if err != nil || len(m.(*gosip.Request).GetHeaders("Contact")) != 2 {
		t.Error("sipgo no longer splits lists of typed headers")
	}
	if m.(*gosip.Request).Recipient.User != "+14255550100" {
		t.Error("sipgo no longer keeps the user part raw")
	}
}

func TestOneBadHeaderDoesNotLoseTheMessage(t *testing.T) {
	for name, line := range map[string]string{
		"Max-Forwards": "Max-Forwards: seventy", "Contact": "Contact: <<>", "Refer-To": "Refer-To: <sip:", "Referred-By": "b: <sip:",
		"Content-Type": "Content-Type:", "Record-Route": "Record-Route: <", "no colon": "this is no header", "no name": ": value",
		"bare LF": "Subject: a\nX-Evil: b", "bare CR": "Subject: a\rX-Evil: b", "NUL": "Subject: a\x00b",
		"folded": "Subject: a\r\n b\r\n\tc", "second bad in list": "Contact: <sip:a@b>, <<",
	} {
		t.Run(name, func(t *testing.T) {
			m, _, err := parseOne(t, request("INVITE", 7, line+"\r\nX-Last: here\r\n", "body"))
			if err != nil {
				t.Fatal(err)
			}
			req := m.(*gosip.Request)
			if seqOf(m) != 7 || string(m.Body()) != "body" || req.GetHeader("X-Last") == nil {
				t.Errorf("message came out damaged:\n%s", m)
			}
			if req.GetHeader("X-Evil") != nil || strings.Contains(m.String(), "\nX-Evil") || strings.Contains(m.String(), "\x00") {
				t.Errorf("a header was smuggled in:\n%q", m)
			}
		})
	}
}

func TestShortNamesComeOutInFull(t *testing.T) {
	m, _, err := parseOne(t, "INVITE sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP h;branch=z9hG4bK1\r\nf: <sip:a>;tag=1\r\nt: <sip:b>\r\ni: call\r\nCSeq: 1 INVITE\r\nm: <sip:me@h>\r\nk: timer, replaces\r\nx: 1800\r\nr: <sip:c@d>\r\nb: <sip:e@f>\r\no: refer\r\nu: talk\r\ne: gzip\r\nc: application/sdp\r\nl: 3\r\n\r\nv=0")
	if err != nil {
		t.Fatal(err)
	}
	req := m.(*gosip.Request)
	for name, want := range map[string]string{"Supported": "timer, replaces", "Session-Expires": "1800", "Refer-To": "<sip:c@d>", "Referred-By": "<sip:e@f>",
		"Event": "refer", "Allow-Events": "talk", "Content-Encoding": "gzip", "Contact": "<sip:me@h>", "Call-ID": "call"} {
		if h := req.GetHeader(name); h == nil || h.Value() != want {
			t.Errorf("%s: %v, want %q", name, h, want)
		}
	}
	if string(m.Body()) != "v=0" {
		t.Errorf("body %q", m.Body())
	}
}

func TestWhatAMessageMustHave(t *testing.T) {
	ok := request("INVITE", 1, "", "")
	for name, text := range map[string]string{
		"no Via": strings.Replace(ok, "Via", "Vio", 1), "no From": strings.Replace(ok, "From", "Fram", 1), "bad To": strings.Replace(ok, "To: <sip:b@example.com>", "To: <<", 1),
		"no Call-ID": strings.Replace(ok, "Call-ID: call", "Call-ID:", 1), "bad CSeq": strings.Replace(ok, "CSeq: 1 INVITE", "CSeq: INVITE", 1),
		"CSeq of another method": strings.Replace(ok, "CSeq: 1 INVITE", "CSeq: 1 BYE", 1), "two Call-IDs": strings.Replace(ok, "Call-ID: call", "Call-ID: call\r\nCall-ID: two", 1),
		"version 7": strings.Replace(ok, "SIP/2.0\r\n", "SIP/7.0\r\n", 1), "no headers' end": strings.TrimSuffix(ok, "\r\n"), "no SIP": "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"status 99":      "SIP/2.0 99 Low\r\n" + ok[strings.Index(ok, "Via"):],
		"body too short": strings.Replace(ok, "Content-Length: 0", "Content-Length: 10", 1), "empty": "", "blank": "\r\n\r\n",
		"bad length": strings.Replace(ok, "Content-Length: 0", "Content-Length: x", 1), "method is no token": strings.Replace(ok, "INVITE ", "INV(ITE ", 2),
	} {
		t.Run(name, func(t *testing.T) {
			if m, _, err := parseOne(t, text); err == nil {
				t.Errorf("taken as\n%s", m)
			}
		})
	}
	m, _, err := parseOne(t, strings.Replace(request("INVITE", 1, "", "body and more"), "Content-Length: 13", "Content-Length: 4", 1))
	if err != nil || string(m.Body()) != "body" {
		t.Errorf("RFC 3261 18.3: bytes beyond Content-Length are ignored: %v, %v", m, err)
	}
}

// TestTortureFinds are the faults that the messages of RFC 4475 showed.
func TestTortureFinds(t *testing.T) {
	ok := request("OPTIONS", 1, "", "body")
	for name, c := range map[string]struct {
		text string
		err  error
	}{
		"ErrTwoLengths":    {strings.Replace(ok, "Content-Length: 4", "Content-Length: 4\r\nContent-Length: 3", 1), errFrameLength},
		"OK same length":   {strings.Replace(ok, "Content-Length: 4", "Content-Length: 4\r\nl: 4", 1), nil},
		"ErrForeignScheme": {strings.Replace(ok, "sip:+14255550100@127.0.0.1", "soap.beep://192.0.2.103:3002", 1), errScheme},
	} {
		if _, _, err := parseOne(t, c.text); err != c.err {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
	if _, _, err := parseOne(t, strings.Replace(ok, "Call-ID", "Via: ;,,\r\nCall-ID", 1)); err == nil {
		t.Error("ErrViaOfSeparators: a Via with nothing in it is taken")
	}
	m, _, err := parseOne(t, strings.ReplaceAll(ok, "OPTIONS", "OPTIONs"))
	if err != nil || m.(*gosip.Request).Method != "OPTIONs" {
		t.Errorf("a method in another case is another method (RFC 3261 7.1): %v, %v", m, err)
	}
	m, _, err = parseOne(t, strings.Replace(ok, "To: <", "To: \"a\\\x00b\" <", 1))
	if err != nil || m.To().DisplayName != "ab" {
		t.Errorf("an escaped NUL takes its whole header away: %v", err)
	}
	if status, _ := statusFor(errScheme); status != 416 {
		t.Errorf("a foreign scheme is answered %d", status)
	}
}

func TestRejection(t *testing.T) {
	bad := strings.Replace(request("INVITE", 1, "", ""), "sip:+14255550100@127.0.0.1", "<sip:???", 1)
	got := string(rejection([]byte(bad), 400, "Bad Request"))
	for _, want := range []string{"SIP/2.0 400 Bad Request\r\n", "Via: SIP/2.0/TCP 127.0.0.1:5999;branch=z9hG4bK1\r\n", "To: <sip:b@example.com>;tag=x", "CSeq: 1 INVITE\r\n", "Call-ID: call\r\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("answer lacks %q:\n%s", want, got)
		}
	}
	if again := string(rejection([]byte(bad), 400, "Bad Request")); again != got {
		t.Error("a retransmission must get the same answer")
	}
	for name, text := range map[string]string{"ACK": request("ACK", 1, "", ""), "response": "SIP/2.0 200 OK\r\n\r\n", "no Via": strings.Replace(bad, "Via", "Vx", 1),
		"HTTP": "GET / HTTP/1.1\r\n\r\n", "noise": "\x00\x01\x02"} {
		if got := rejection([]byte(text), 400, "Bad Request"); got != nil {
			t.Errorf("%s is answered: %s", name, got)
		}
	}
	if got := rejection([]byte(strings.Replace(bad, "From: <sip:a@example.com>", "From: <sip:a\nX-Evil: 1>", 1)), 400, "Bad Request"); got != nil {
		t.Errorf("hostile From echoed: %q", got)
	}
}

func BenchmarkParse(b *testing.B) {
	p := newParser()
	for name, text := range map[string]string{"BYE": request("BYE", 2, "Max-Forwards: 70\r\nUser-Agent: x\r\n", ""),
		"INVITE": request("INVITE", 1, "Max-Forwards: 70\r\nContact: <sip:a@127.0.0.1:5060>\r\nAllow: INVITE, ACK\r\nSupported: timer\r\nContent-Type: application/sdp\r\n", strings.Repeat("a=rtpmap:0 PCMU/8000\r\n", 10))} {
		data := []byte(text)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, lease, _, err := p.datagram(data)
				if err != nil {
					b.Fatal(err)
				}
				lease.Return()
			}
		})
	}
}
