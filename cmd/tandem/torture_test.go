package main

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/cmd/tandem/emulate"
	"tandem/sip/ua"
)

// tortureFolder holds the messages of RFC 4475 and RFC 5118, byte by byte, as
// NAME.dat in a folder per RFC.
var tortureFolder = filepath.Join("..", "..", "testdata", "torture")

// TestTorture sends every message of RFC 4475 and RFC 5118 to the whole program,
// over UDP, TCP and TLS, and wants what tortureTable says. After each of them the
// node must answer an OPTIONS, and a call in progress must never notice.
func TestTorture(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	s := newStage(t, withTortureCarrier)
	before := s.shortCall(t)
	c := s.startTalk(t)
	cert := s.issue(t, emulate.IssueSpec{Names: []string{"torture.example.com"}, Client: true})
	for _, via := range tortureWays {
		t.Run(string(via), func(t *testing.T) {
			for _, m := range tortureTable {
				t.Run(m.rfc+"/"+m.name, func(t *testing.T) {
					dial := func() *torturer {
						if via == tandem.UDP {
							return &torturer{s.rawDialFrom(t, via, "25", viaPort(m.bytes(t))), s}
						}
						return &torturer{s.rawDial(t, via, "25", cert), s}
					}
					if got, want := dial().send(t, anew(m.bytes(t), string(via)), dial), m.want(via); got != want {
						t.Errorf("%s %s: %q, want %q", m.section, m.what, got, want)
					}
					if m.deviation != "" && !t.Failed() {
						t.Skip("known deviation: " + m.deviation)
					}
				})
			}
		})
	}
	c.check(t, "torture")
	if m, st := s.node.transport.Metrics(), s.node.engine.Stats(); m.Panics != 0 || st.Panics != 0 {
		t.Errorf("%d panics in the transport, %d in the core", m.Panics, st.Panics)
	}
	c.end(t)
	s.checkOnRecord(t, before)
}

var tortureWays = []tandem.Transport{tandem.UDP, tandem.TCP, tandem.TLS}

// TestTortureDoc keeps docs/torture.md as the table is; -update writes it.
func TestTortureDoc(t *testing.T) {
	var b strings.Builder
	b.WriteString(tortureDocHead)
	for _, m := range tortureTable {
		stream := m.stream
		if stream == "" {
			stream = m.udp
		}
		why := m.why
		if m.deviation != "" {
			why += ". **Deviation:** " + m.deviation
		}
		fmt.Fprintf(&b, "| %s %s | `%s` | %s | %s | %s | %s |\n", strings.Replace(m.rfc, "rfc", "RFC ", 1), m.section, m.name, m.what, m.udp, stream, why)
		if len(m.bytes(t)) == 0 {
			t.Errorf("%s is empty", m.name)
		}
	}
	file := filepath.Join("..", "..", "docs", "torture.md")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != b.String() {
		t.Errorf("docs/torture.md is not what torture_table_test.go says (%v): run go test ./cmd/tandem -run TortureDoc -update", err)
	}
}

var update = flag.Bool("update", false, "write docs/torture.md")

const tortureDocHead = `# Torture messages

What the node does with each message of RFC 4475 (all 49, in sections 3.1 to 3.4) and RFC 5118 (all 12), and why that is right.
The messages are in [testdata/torture](../testdata/torture), byte for byte as the RFCs give them. ` + "`TestTorture`" + ` sends each over UDP, TCP and
TLS to the whole program, from a trunk's address, and after each the node must answer OPTIONS. This page is written from the test's table.

Answers are the statuses that come; - stands for none. *unread* means that the message could not be read and is counted as such, *closed* that
the connection ends, because the start of the next message is unknown. The called numbers are nobody's here, so an INVITE that is taken is answered 404.

| section | message | what it is | UDP | TCP, TLS | why |
|---|---|---|---|---|---|
`

// withTortureCarrier adds a trunk at .25 whose messages are all from the RFCs.
func withTortureCarrier(o *stageOptions) {
	o.document = func(text []byte) []byte {
		return bytes.Replace(text, []byte("\ndecks:"), []byte(fmt.Sprintf(`  - id: carrier-torture
    network: Carrier Torture
    fqdn: sbc.customers.test
    endpoints: ["%[1]s.25:5060"]
    sources: [%[1]s.25/32]
    transport: udp
    priority: 3
    options_interval: 0s

decks:`, o.net)), 1)
	}
}

// rawDialFrom is rawDial from a given port: messages without rport are answered
// at the port in their Via (RFC 3261 18.2.2), which in the RFCs is 5060.
func (s *stage) rawDialFrom(t *testing.T, via tandem.Transport, from string, port int) *rawPeer {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(testNet() + "." + from), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	node, err := net.ResolveUDPAddr("udp4", testNet()+".1:5060")
	if err != nil {
		t.Fatal(err)
	}
	return &rawPeer{t: t, via: string(via), local: conn.LocalAddr().(*net.UDPAddr).AddrPort(), conn: toNode{conn, node}}
}

// toNode is a UDP socket that hears everyone and writes to one.
type toNode struct {
	*net.UDPConn
	to *net.UDPAddr
}

func (c toNode) Write(b []byte) (int, error) { return c.WriteTo(b, c.to) }

// torturer sends one message and sees what comes of it.
type torturer struct {
	p *rawPeer
	s *stage
}

// send sends a message and then, on the same way, an OPTIONS and a BYE to no
// dialog. The BYE has the message's Call-ID, so it comes to the same shard, and
// its 481 says that nothing more is due. send returns what came: the statuses of
// answers to the message ("-" for none), "unread" when the node could not read
// it, "closed" when the connection ended. Where it ended, or the message lied
// about its length, another connection must serve.
func (x *torturer) send(t *testing.T, message []byte, again func() *torturer) string {
	t.Helper()
	p := x.p
	p.t = t
	defer p.conn.Close()
	probe, fence := p.request("OPTIONS", "ping"), p.request("BYE", "ping")
	if id := headerOf(message, "call-id", "i"); id != "" {
		fence.set("Call-ID", id)
	}
	fence.set("CSeq", "77 BYE").set("To", "<sip:nobody@example.com>;tag=nobody")
	waiting := map[string]bool{probe.get("From"): true, fence.get("From"): true}
	unread := x.s.node.transport.Metrics().Unparsed
	_ = p.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if _, err := p.conn.Write(message); err != nil {
		t.Fatalf("send: %v", err)
	}
	limit := 5 * time.Second
	if lies(message) && p.via != "UDP" {
		limit = 300 * time.Millisecond // what comes next is its rest, or begins with it
	} else {
		_, _ = p.conn.Write([]byte(probe.String())) // may fail: closed already
		_, _ = p.conn.Write([]byte(fence.String()))
	}
	var came []string
	for len(waiting) > 0 {
		answer, err := p.receive(limit)
		if err != nil {
			p.conn.Close()
			if p.via == "UDP" {
				t.Errorf("OPTIONS or BYE is not answered: %v", err)
			}
			y := again()
			y.p.alive("another connection")
			y.p.conn.Close()
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				return statuses(came)
			}
			return statuses(came) + " closed"
		}
		if waiting[answer.Get("From")] {
			delete(waiting, answer.Get("From"))
			if want := map[string]int{"1 OPTIONS": 200, "77 BYE": 481}[answer.Get("CSeq")]; answer.Status != want {
				t.Errorf("%s is answered %d", answer.Get("CSeq"), answer.Status)
			}
			continue
		}
		if answer.Status == 100 {
			continue
		}
		for _, h := range answer.Headers {
			if !ua.Clean(h.Value) {
				t.Errorf("control character in the answer's %s: %q", h.Name, h.Value)
			}
		}
		came = append(came, strconv.Itoa(answer.Status))
		if seq, ok := strings.CutSuffix(answer.Get("CSeq"), " INVITE"); ok && answer.Status >= 300 && !strings.Contains(answer.Get("To"), ";tag=x") { // x: without a transaction
			_, _ = fmt.Fprintf(p.conn, "ACK sip:x SIP/2.0\r\nVia: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s ACK\r\nContent-Length: 0\r\n\r\n",
				answer.Get("Via"), answer.Get("From"), answer.Get("To"), answer.CallID(), seq)
		}
	}
	if x.s.node.transport.Metrics().Unparsed > unread {
		return statuses(came) + " unread"
	}
	return statuses(came)
}

func statuses(came []string) string {
	if len(came) == 0 {
		return "-"
	}
	slices.Sort(came)
	return strings.Join(came, " ")
}

// headerOf is the last value of a header of a message that may be broken; the
// node answers by its first or its last.
func headerOf(message []byte, long, short string) string {
	head, _, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	for line := range strings.SplitSeq(string(head), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		if name = strings.ToLower(strings.TrimSpace(name)); name == long || name == short {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// anew gives the branch of the top Via and the Call-ID an ending of their own.
// Nothing else changes: sent once more within 32 s, over another transport or
// with the branch of another message of the RFC, it would be a retransmission
// (RFC 3261 17.2.3). The branch that is nothing but the magic cookie stays.
func anew(message []byte, ending string) []byte {
	for _, re := range []*regexp.Regexp{anewBranch, anewCallID} {
		if at := re.FindSubmatchIndex(message); at != nil {
			message = slices.Concat(message[:at[3]], []byte("-"+ending), message[at[3]:])
		}
	}
	return message
}

var (
	anewBranch = regexp.MustCompile(`(?s)\A.*?branch\s*=\s*(z9hG4bK[^;,\s]+|3[^;,\s]+)`)
	anewCallID = regexp.MustCompile(`(?mi)^(?:call-id|i)\s*:\s*(\S+)`)
)

// viaPort is where a message without rport wants its answer (RFC 3261 18.2.2).
func viaPort(message []byte) int {
	if at := portInVia.FindSubmatch(message); at != nil {
		port, _ := strconv.Atoi(string(at[1]))
		return port
	}
	return 5060
}

var portInVia = regexp.MustCompile(`(?m)\A[^\0]*?^Via: *SIP/2.0/UDP [^;,\r]*[^:;,\r]:(\d+)[;,]`)

// lies reports whether a message is shorter than it says, or longer.
func lies(message []byte) bool {
	_, body, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	n, err := strconv.Atoi(headerOf(message, "content-length", "l"))
	return err == nil && n != len(body)
}

// bytes reads the message.
func (m tortureCase) bytes(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(tortureFolder, m.rfc, m.name+".dat"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (m tortureCase) want(via tandem.Transport) string {
	if via != tandem.UDP && m.stream != "" {
		return m.stream
	}
	return m.udp
}

// TestTortureCalls sends the INVITEs of the RFCs that are well-formed to a number
// of ours: they become calls. Only the Request-URI changes, and a Content-Length
// that the RFC prints wrong.
func TestTortureCalls(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	s := newStage(t, func(o *stageOptions) { withTortureCarrier(o); o.teams = quietTeams })
	for _, c := range []struct {
		name     string
		old, new string // "" = nothing more is changed
		want     int
	}{
		{"rfc4475/wsinv", " ;   tag    = 1918181833n", "", 200},
		{"rfc4475/esc01", "", "", 200},
		{"rfc4475/longreq", "", "", 200},
		{"rfc4475/escruri", "", "", 200},
		{"rfc4475/baddate", "", "", 200},
		{"rfc4475/sdp01", "", "", 200},
		{"rfc4475/clerr", "Length: 9999", "Length: 150", 200},
		{"rfc5118/ipv6-in-sdp", "Length: 268", "Length: 251", 488}, // this node has no IPv6 media address
		{"rfc5118/mult-ip-in-sdp", "Length: 181", "Length: 189", 200},
		{"rfc5118/ipv4-mapped-ipv6", "Length: 236", "Length: 245", 488},
	} {
		t.Run(c.name, func(t *testing.T) {
			rfc, name, _ := strings.Cut(c.name, "/")
			message := tortureCase{rfc: rfc, name: name}.bytes(t)
			p := s.rawDialFrom(t, tandem.UDP, "25", viaPort(message))
			defer p.conn.Close()
			_, rest, _ := strings.Cut(string(message), "\r\n")
			if c.old != "" && !strings.Contains(rest, c.old) {
				t.Fatalf("%q is not in it", c.old)
			}
			p.send("INVITE sip:+14255550101@" + testNet() + ".1 SIP/2.0\r\n" + strings.Replace(rest, c.old, c.new, 1))
			answer, err := p.receive(5 * time.Second)
			for err == nil && (answer.Status < 200 || !strings.HasSuffix(answer.Get("CSeq"), " INVITE")) {
				answer, err = p.receive(5 * time.Second)
			}
			if err != nil || answer.Status != c.want {
				t.Fatalf("answered %v %v, want %d", answer, err, c.want)
			}
			again := func(target, method, branch string, seq int) {
				p.send(fmt.Sprintf("%s %s SIP/2.0\r\nVia: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContent-Length: 0\r\n\r\n",
					method, target, branch, answer.Get("From"), answer.Get("To"), answer.CallID(), seq, method))
			}
			number, _, _ := strings.Cut(answer.Get("CSeq"), " ")
			seq, _ := strconv.Atoi(number)
			if c.want != 200 {
				again("sip:x", "ACK", answer.Get("Via"), seq)
				return
			}
			via := fmt.Sprintf("SIP/2.0/UDP %s;rport;branch=z9hG4bK-%s", p.local, name)
			again(ua.URIOf(answer.Get("Contact")), "ACK", via+"-ack", seq)
			again(ua.URIOf(answer.Get("Contact")), "BYE", via+"-bye", seq+1)
			for err == nil && !strings.HasSuffix(answer.Get("CSeq"), " BYE") {
				answer, err = p.receive(5 * time.Second)
			}
			if err != nil || answer.Status != 200 {
				t.Errorf("BYE: %v %v", answer, err)
			}
		})
	}
}
