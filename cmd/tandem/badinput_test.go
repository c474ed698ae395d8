package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/cmd/tandem/emulate"
	"tandem/sip/ua"
)

// TestBadMessages sends what no peer should send, over every transport and from
// addresses of trunks and of nobody. Each message gets its right refusal or
// none; the call in progress and the calls on record never notice.
func TestBadMessages(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	s := newStage(t, nil)
	before := s.shortCall(t)
	c := s.startTalk(t)
	cert := s.issue(t, emulate.IssueSpec{Names: []string{"carrier.example.com"}, Client: true})

	slow, halfOpen := s.beginSlow(t), s.beginHalfOpen(t)
	for via, from := range map[tandem.Transport]string{tandem.UDP: "21", tandem.TCP: "22", tandem.TLS: "21"} {
		t.Run("Malformed"+string(via), func(t *testing.T) {
			p := s.rawDial(t, via, from, cert)
			for name, m := range malformed(p) {
				checkMalformed(t, p, name, m)
				c.check(t, name)
			}
		})
		t.Run("Refused"+string(via), func(t *testing.T) { checkRefusals(t, s.rawDial(t, via, from, cert)) })
	}
	t.Run("Datagrams", func(t *testing.T) { checkDatagrams(t, s.rawDial(t, tandem.UDP, "21")) })
	for via, from := range map[tandem.Transport]string{tandem.TCP: "22", tandem.TLS: "21"} {
		t.Run("Framing"+string(via), func(t *testing.T) {
			checkFraming(t, func(t *testing.T) *rawPeer { return s.rawDial(t, via, from, cert) })
		})
	}
	t.Run("MergedRequest", func(t *testing.T) { checkMerged(t, s.rawDial(t, tandem.UDP, "21")) })
	t.Run("UnknownSource", func(t *testing.T) { s.checkUnknownSource(t) })
	c.check(t, "bad messages")
	t.Run("ConnectionFlood", func(t *testing.T) { s.checkFlood(t) })
	c.check(t, "a flood of connections")
	t.Run("SlowStream", slow)
	t.Run("HalfOpenTLS", halfOpen)

	if m := s.node.transport.Metrics(); m.Panics != 0 {
		t.Errorf("%d panics while handling messages", m.Panics)
	}
	if st := s.node.engine.Stats(); st.Panics != 0 {
		t.Errorf("%d panics in the call core", st.Panics)
	}
	c.end(t)
	s.checkOnRecord(t, before)
}

// shortCall places a call whose rows must survive, and returns them.
func (s *stage) shortCall(t *testing.T) []tandem.CDR {
	t.Helper()
	result, err := s.east.Call(t.Context(), emulate.CallSpec{From: outsideNumber, To: "+14255550101", Hold: tandem.Duration(100 * time.Millisecond)})
	if err != nil || result.Status != 200 {
		t.Fatalf("a plain call fails: %d %s %v", result.Status, result.ReasonField, err)
	}
	rows := s.rowsOf(t, result)
	if len(rows) != 2 {
		t.Fatalf("%d rows of a plain call, want 2", len(rows))
	}
	return rows
}

// checkOnRecord wants rows to be as they were.
func (s *stage) checkOnRecord(t *testing.T, before []tandem.CDR) {
	t.Helper()
	now := byCall(s.rows(t, tandem.CDRFilter{}))[before[0].Correlation]
	ids := func(rows []tandem.CDR) (out []string) {
		for _, r := range rows {
			out = append(out, fmt.Sprintf("%s %s %d %s", r.ID, r.Technology, r.DurationMs, r.Charge.Amount))
		}
		slices.Sort(out)
		return out
	}
	if got, want := ids(now), ids(before); !slices.Equal(got, want) {
		t.Errorf("rows on record changed:\n%v\nwere\n%v", got, want)
	}
}

// issue makes a certificate of the stage's private CA.
func (s *stage) issue(t *testing.T, spec emulate.IssueSpec) tls.Certificate {
	t.Helper()
	cert, err := s.teams.CA().Issue(spec)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// bent is a message and what it deserves: want 0 = no answer at all. The
// connection stays open in every case.
type bent struct {
	text string
	want int
	id   string // Call-ID of the expected answer
}

func bend(m *rawMessage, want int) bent { return bent{m.String(), want, m.get("Call-ID")} }

// malformed lists messages that are wrong in one place each.
func malformed(p *rawPeer) map[string]bent {
	options := func() *rawMessage { return p.request("OPTIONS", "ping") }
	invite := func() *rawMessage { return p.invite("+14255550101") }
	version := invite()
	version.start = strings.Replace(version.start, "SIP/2.0", "SIP/3.0", 1)
	scheme := invite()
	scheme.start = "INVITE http://example.com/ SIP/2.0"
	noURI := invite()
	noURI.start = "INVITE  SIP/2.0"
	m := map[string]bent{
		// What hurts nobody is overlooked: one bad header never costs an answer.
		"unreadable Contact":      bend(options().set("Contact", "<<sip:@@>;"), 200),
		"unreadable Refer-To":     bend(options().add("Refer-To: <sip:"), 200),
		"unreadable Max-Forwards": bend(options().set("Max-Forwards", "many"), 200),
		"unreadable Route":        bend(options().add("Route: ;;;<"), 200),
		"line without colon":      bend(options().add("this is no header"), 200),
		"NUL in a header":         bend(options().add("Subject: a\x00b"), 200),
		"bare LF in a header":     bend(options().add("Subject: a\nX-Evil: 1"), 200),
		"bare CR in a header":     bend(options().add("Subject: a\rX-Evil: 1"), 200),
		"nameless header":         bend(options().add(": value"), 200),
		"40 KB header":            bend(options().add("Subject: %s", strings.Repeat("x", 40<<10)), 200),
		"2,000 headers":           bend(options().add("%s", strings.Repeat("X-Pad: 1\r\n", 1999)+"X-Pad: 1"), 200),
		// What a call can't do without is refused.
		"no CSeq":               bend(options().drop("CSeq"), 0),
		"no Call-ID":            bend(options().drop("Call-ID"), 0),
		"no From":               bend(options().drop("From"), 0),
		"no To":                 bend(options().drop("To"), 0),
		"no Via":                bend(options().drop("Via"), 0),
		"NUL in From":           bend(options().set("From", "\"a\x00b\" <sip:a@example.com>;tag=1"), 0),
		"no branch in Via":      bend(p.invite("+14255559999").set("Via", fmt.Sprintf("SIP/2.0/%s %s;rport", p.via, p.local)), 404), // taken as RFC 2543's; the DID is nobody's
		"two From":              bend(options().add("From: <sip:other@example.com>;tag=2"), 400),
		"two CSeq":              bend(options().add("CSeq: 2 OPTIONS"), 400),
		"CSeq of another":       bend(options().set("CSeq", "1 INVITE"), 400),
		"CSeq over 32 bits":     bend(options().set("CSeq", "4294967296 OPTIONS"), 400),
		"CSeq without number":   bend(options().set("CSeq", "OPTIONS"), 400),
		"SIP 3.0":               bend(version, 505),
		"Request-URI of http":   bend(scheme, 416),
		"no Request-URI":        bend(noURI, 400),
		"INVITE, no Contact":    bend(invite().drop("Contact"), 400),
		"INVITE, Contact *":     bend(invite().set("Contact", "*"), 400),
		"INVITE, no From tag":   bend(invite().set("From", "<sip:a@example.com>"), 400),
		"INVITE, bad Contact":   bend(invite().set("Contact", "<<sip:@@>;"), 400),
		"40 KB of body":         bend(invite().sdp(goodSDP+strings.Repeat("a=x\r\n", 8<<10)), 413),
		"response of nobody":    {text: "SIP/2.0 200 OK\r\n" + strings.Join(invite().lines, "\r\n") + "\r\nContent-Length: 0\r\n\r\n"},
		"response 999":          {text: "SIP/2.0 999 What\r\n" + strings.Join(invite().lines, "\r\n") + "\r\nContent-Length: 0\r\n\r\n"},
		"garbage with an end":   {text: "\x00\x01\x02\xff\xfe garbage\r\n\r\n"},
		"HTTP":                  {text: "GET / HTTP/1.1\r\nHost: sbc.example.com\r\n\r\n"},
		"ACK of nothing":        bend(p.request("ACK", "ping"), 0),
		"ACK of nothing, bad":   bend(p.request("ACK", "ping").set("CSeq", "9 INVITE"), 0),
		"ACK with unknown tags": bend(p.request("ACK", "ping").set("To", "<sip:a@example.com>;tag=nobody"), 0),
	}
	return m
}

func checkMalformed(t *testing.T, p *rawPeer, name string, m bent) {
	t.Helper()
	p.t = t
	p.send(m.text)
	if m.want != 0 {
		answer, err := p.receive(5 * time.Second)
		for err == nil && answer.Status == 100 {
			answer, err = p.receive(5 * time.Second)
		}
		if err != nil {
			t.Errorf("%s: no answer, want %d: %v", name, m.want, err)
			return
		}
		if answer.Status != m.want || answer.CallID() != m.id {
			t.Errorf("%s: answered %s, want %d", name, answer.Summary(), m.want)
		}
		if strings.HasPrefix(m.text, "INVITE") && answer.Status >= 300 { // the ACK stops retransmission; it may be malformed itself
			p.send("ACK" + strings.Replace(strings.TrimPrefix(m.text, "INVITE"), " INVITE\r\n", " ACK\r\n", 1))
		}
	}
	p.alive(name)
}

// checkRefusals sends good messages that ask for what can't be.
func checkRefusals(t *testing.T, p *rawPeer) {
	lost := "<sip:a@example.com>;tag=nobody"
	cases := []struct {
		name   string
		m      *rawMessage
		want   int
		header string // of the answer
		says   string // and what stands in it
	}{
		{"unknown DID", p.invite("+14255559999"), 404, "Reason", "cause=1;"},
		{"hops used up", p.invite("+14255550101").set("Max-Forwards", "0"), 483, "", ""},
		{"unknown extension", p.invite("+14255550101").add("Require: timer, foo"), 420, "Unsupported", "foo"},
		{"unknown extension of a proxy", p.invite("+14255550101").add("Proxy-Require: privacy-plus"), 420, "Unsupported", "privacy-plus"},
		{"method not served", p.request("REGISTER", "a"), 405, "Allow", "INVITE"},
		{"method not served", p.request("MESSAGE", "a"), 405, "Allow", "INVITE"},
		{"method not served", p.request("REFER", "a"), 405, "Allow", "INVITE"},
		{"event not served", p.request("SUBSCRIBE", "a").add("Event: presence"), 489, "", ""},
		{"method of nobody", p.request("FROBNICATE", "a"), 501, "Allow", "INVITE"}, // RFC 3261 21.5.2: not recognised at all
		{"BYE to no dialog", p.request("BYE", "a").set("To", lost), 481, "", ""},
		{"UPDATE to no dialog", p.request("UPDATE", "a").set("To", lost), 481, "", ""},
		{"INFO to no dialog", p.request("INFO", "a").set("To", lost), 481, "", ""},
		{"PRACK to no dialog", p.request("PRACK", "a").set("To", lost), 481, "", ""},
		{"re-INVITE to no dialog", p.invite("a").set("To", lost), 481, "", ""},
		{"BYE without tag", p.request("BYE", "a"), 481, "", ""},
		{"session too short", p.invite("+14255550101").add("Supported: timer").add("Session-Expires: 10"), 422, "Min-SE", "90"},
	}
	for _, c := range cases {
		answer := p.ask(c.m)
		if answer.Status != c.want || !strings.Contains(answer.Get(c.header), c.says) {
			t.Errorf("%s (%s): answered %d, %s %q, want %d with %q", c.name, firstLine(c.m.start), answer.Status, c.header, answer.Get(c.header), c.want, c.says)
		}
	}
	// A CANCEL for nothing: 481 (RFC 3261 9.2); over UDP it may have overtaken its
	// INVITE, which is why it is kept and answered 200 there.
	want := 481
	if p.via == "UDP" {
		want = 200
	}
	if answer := p.ask(p.request("CANCEL", "a")); answer.Status != want {
		t.Errorf("CANCEL of nothing: answered %d, want %d", answer.Status, want)
	}
	p.alive("refusals")
}

// checkDatagrams sends what only a datagram can be.
func checkDatagrams(t *testing.T, p *rawPeer) {
	options := func() *rawMessage { return p.request("OPTIONS", "ping") }
	body := strings.Repeat("x", 100)
	long, short := options(), options()
	long.body, short.body = body, body
	cut := options() // a datagram has its end: who sent it can be told
	for name, m := range map[string]bent{
		"garbage":                   {text: "\x00\x01\x02\xff garbage"},
		"60 KB of NUL":              {text: strings.Repeat("\x00", 60000)},
		"60 KB without end":         {text: "OPTIONS sip:a SIP/2.0\r\n" + strings.Repeat("X: 1\r\n", 10000)},
		"one byte":                  {text: "\x00"},
		"headers without an end":    bend(cut, 400),
		"body shorter than told":    bend(long.set("Content-Length", "101"), 400),
		"body longer than told":     bend(short.set("Content-Length", "10"), 200),
		"Content-Length of letters": bend(options().set("Content-Length", "abc"), 400),
		"Content-Length negative":   bend(options().set("Content-Length", "-1"), 400),
		"60 KB of padding":          bend(options().add("Subject: %s", strings.Repeat("x", 60000)), 200),
	} {
		if name == "headers without an end" {
			m.text = strings.TrimSuffix(m.text, "\r\n")
		}
		checkMalformed(t, p, name, m)
	}
}

// checkFraming sends streams whose messages can't be told apart: these are
// answered where possible, and closed.
func checkFraming(t *testing.T, dial func(*testing.T) *rawPeer) {
	huge := strings.Repeat("x", 70<<10)
	for name, c := range map[string]struct {
		bend func(*rawMessage) *rawMessage
		want string // beginning of what comes before the end
	}{
		"Content-Length of letters": {func(m *rawMessage) *rawMessage { return m.set("Content-Length", "abc") }, "SIP/2.0 400"},
		"Content-Length negative":   {func(m *rawMessage) *rawMessage { return m.set("Content-Length", "-5") }, "SIP/2.0 400"},
		"two Content-Length":        {func(m *rawMessage) *rawMessage { return m.add("Content-Length: 5").add("Content-Length: 6") }, "SIP/2.0 400"},
		"Content-Length too large":  {func(m *rawMessage) *rawMessage { return m.set("Content-Length", "999999999") }, "SIP/2.0 413"},
		"Content-Length overflow":   {func(m *rawMessage) *rawMessage { return m.set("Content-Length", "18446744073709551620") }, "SIP/2.0 400"},
		"70 KB of header":           {func(m *rawMessage) *rawMessage { return m.add("Subject: %s", huge) }, "SIP/2.0 413"},
		"70 KB of body":             {func(m *rawMessage) *rawMessage { return m.sdp(huge) }, "SIP/2.0 413"},
	} {
		p := dial(t)
		p.alive("connecting") // the connection is taken before the long message comes
		_, _ = p.conn.Write([]byte(c.bend(p.request("OPTIONS", "ping")).String()))
		rest, ok := p.closed(8 * time.Second)
		if !ok || !strings.HasPrefix(rest, c.want) {
			t.Errorf("%s: closed %v, answered %q, want %s", name, ok, firstLine(rest), c.want)
		}
	}
	p := dial(t)
	p.send(strings.Repeat("garbage\r\n\r\n", 100))
	if _, ok := p.closed(8 * time.Second); !ok {
		t.Error("a stream of garbage stays open")
	}
	// Messages split and joined anyhow are no fault.
	p = dial(t)
	first, second := p.request("OPTIONS", "ping"), p.request("OPTIONS", "ping")
	text := first.String() + second.String()
	for i := range len(text) {
		p.send(text[i : i+1])
	}
	for _, m := range []*rawMessage{first, second} {
		if answer := p.final(m); answer.Status != 200 {
			t.Errorf("messages sent byte by byte: %d", answer.Status)
		}
	}
}

// checkMerged sends one INVITE over two ways (RFC 3261 8.2.2.2).
func checkMerged(t *testing.T, p *rawPeer) {
	first := p.invite("+14255550104")
	p.send(first.String())
	for {
		answer, err := p.receive(5 * time.Second)
		if err != nil {
			t.Fatalf("the first INVITE does not ring: %v", err)
		}
		if answer.Status == 180 {
			break
		}
		if answer.Status >= 200 {
			t.Fatalf("the first INVITE is answered %d %s", answer.Status, answer.Get("Reason"))
		}
	}
	second := p.invite("+14255550104")
	second.set("From", first.get("From")).set("Call-ID", first.get("Call-ID"))
	p.send(second.String())
	answer := answerOf(t, p, second)
	if answer.Status != 482 {
		t.Errorf("the second way is answered %d, want 482", answer.Status)
	}
	p.send(second.ack(answer).String())
	p.send(first.cancel().String())
	if answer = answerOf(t, p, first); answer.Status != 487 {
		t.Errorf("after CANCEL the INVITE is answered %d, want 487", answer.Status)
	}
	p.send(first.ack(answer).String())
}

// answerOf waits for the final response with the branch of m: Call-ID and CSeq
// can't tell merged requests apart.
func answerOf(t *testing.T, p *rawPeer, m *rawMessage) *ua.Message {
	t.Helper()
	for {
		answer, err := p.receive(5 * time.Second)
		if err != nil {
			t.Fatalf("no final response to %q: %v", firstLine(m.start), err)
		}
		if answer.Status >= 200 && answer.Get("CSeq") == m.get("CSeq") && ua.Param(answer.Get("Via"), "branch") == ua.Param(m.get("Via"), "branch") {
			return answer
		}
	}
}

// checkUnknownSource: who belongs to no trunk is not answered at all, but counted.
func (s *stage) checkUnknownSource(t *testing.T) {
	count := func() uint64 { return s.node.transport.Metrics().UnknownSource }
	before := count()
	p := s.rawDial(t, tandem.UDP, "99")
	p.send(p.request("OPTIONS", "ping").String())
	p.send(p.invite("+14255550101").String())
	p.send("\r\n\r\n") // not even a pong
	eventually(t, "three datagrams are counted", func() bool { return count() >= before+3 })
	if answer, err := p.receive(200 * time.Millisecond); err == nil {
		t.Errorf("a stranger was answered: %s", answer.Summary())
	}
	for _, via := range []tandem.Transport{tandem.TCP, tandem.TLS} {
		before = count()
		if p, err := s.tryDial(via, "99"); err == nil {
			if rest, ok := p.closed(5 * time.Second); !ok || rest != "" {
				t.Errorf("%s connection of a stranger: closed %v, answered %q", via, ok, firstLine(rest))
			}
			_ = p.conn.Close()
		}
		eventually(t, "the connection is counted", func() bool { return count() > before })
	}
}

// checkFlood opens connections from one trunk's address until the cap; others
// still get in, and so does this one once they are gone.
func (s *stage) checkFlood(t *testing.T) {
	var open []net.Conn
	closeAll := func() {
		for _, c := range open {
			_ = c.Close()
		}
		open = nil
	}
	defer closeAll()
	refused := s.node.transport.Metrics().RefusedConns
	for range 300 {
		if p, err := s.tryDial(tandem.TCP, "22"); err == nil {
			open = append(open, p.conn)
		}
	}
	eventually(t, "connections over the cap are refused", func() bool { return s.node.transport.Metrics().RefusedConns >= refused+40 })
	s.rawDial(t, tandem.TCP, "21").alive("a flood from another address")
	s.rawDial(t, tandem.UDP, "22").alive("a flood of TCP connections")
	closeAll()
	eventually(t, "connections are taken again", func() bool {
		p, err := s.tryDial(tandem.TCP, "22")
		if err != nil {
			return false
		}
		defer p.conn.Close()
		p.t = t
		if _, err := p.conn.Write([]byte(p.request("OPTIONS", "ping").String())); err != nil {
			return false
		}
		answer, err := p.receive(time.Second)
		return err == nil && answer.Status == 200
	})
}

// beginSlow begins a message that never ends, byte by byte, and returns the
// check that its connection was closed for it while another one was served.
func (s *stage) beginSlow(t *testing.T) func(*testing.T) {
	p := s.rawDial(t, tandem.TCP, "22")
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for _, b := range []byte(strings.Repeat("OPTIONS sip:slow SIP/2.0 ", 1000)) {
			if _, err := p.conn.Write([]byte{b}); err != nil {
				return
			}
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	}()
	return func(t *testing.T) {
		if _, ok := p.closed(12 * time.Second); !ok {
			t.Error("a message that never ends keeps its connection")
		}
		if n := s.node.transport.Metrics().Slow; n == 0 {
			t.Error("the slow connection is not counted")
		}
		s.rawDial(t, tandem.TCP, "22").alive("a slow message")
	}
}

// beginHalfOpen opens TLS connections and sends no handshake, or half of one.
func (s *stage) beginHalfOpen(t *testing.T) func(*testing.T) {
	var conns []*rawPeer
	for i := range 20 {
		nc, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(testNet() + ".21")}}).Dial("tcp", testNet()+".1:5061")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nc.Close() })
		if i%2 == 1 { // the beginning of a ClientHello
			_, _ = nc.Write([]byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00})
		}
		conns = append(conns, &rawPeer{conn: nc})
	}
	return func(t *testing.T) {
		for _, p := range conns {
			p.stream = newReader(p.conn)
			if _, ok := p.closed(8 * time.Second); !ok {
				t.Fatal("a half-open handshake keeps its connection")
			}
		}
		eventually(t, "handshakes that failed are counted", func() bool {
			return s.node.transport.Metrics().HandshakeFailures >= uint64(len(conns))
		})
	}
}
