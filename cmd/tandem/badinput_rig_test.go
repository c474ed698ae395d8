package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
	"tandem/cmd/tandem/emulate"
	"tandem/sip/ua"
)

// rawPeer sends bytes as they are from an address of the stage, so that what
// reaches the node is what a broken or hostile peer would send.
type rawPeer struct {
	t      *testing.T
	via    string // transport as in Via
	local  netip.AddrPort
	conn   net.Conn
	stream *bufio.Reader // nil for UDP
	serial atomic.Uint64
}

// rawDial opens a peer at the last byte of its address, as in "21", towards the
// node's listener of that transport. cert is what it presents over TLS.
func (s *stage) rawDial(t *testing.T, via tandem.Transport, from string, cert ...tls.Certificate) *rawPeer {
	t.Helper()
	p, err := s.tryDial(via, from, cert...)
	if err != nil {
		t.Fatalf("dial %s from .%s: %v", via, from, err)
	}
	p.t = t
	t.Cleanup(func() { _ = p.conn.Close() })
	return p
}

func (s *stage) tryDial(via tandem.Transport, from string, cert ...tls.Certificate) (*rawPeer, error) {
	host := testNet() + "."
	p := &rawPeer{via: string(via)}
	var err error
	switch via {
	case tandem.UDP:
		p.conn, err = (&net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(host + from)}}).Dial("udp", host+"1:5060")
	default:
		port := "5060"
		if via == tandem.TLS {
			port = "5061"
		}
		p.conn, err = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host + from)}, Timeout: 5 * time.Second}).Dial("tcp", host+"1:"+port)
	}
	if err != nil {
		return nil, err
	}
	p.local = netip.MustParseAddrPort(p.conn.LocalAddr().String())
	if via == tandem.TLS {
		secured := tls.Client(p.conn, &tls.Config{Certificates: cert, InsecureSkipVerify: true})
		_ = p.conn.SetDeadline(time.Now().Add(5 * time.Second))
		if err := secured.Handshake(); err != nil {
			_ = p.conn.Close()
			return nil, err
		}
		_ = p.conn.SetDeadline(time.Time{})
		p.conn = secured
	}
	if via != tandem.UDP {
		p.stream = bufio.NewReader(p.conn)
	}
	return p, nil
}

// rawMessage is a request as lines, to be bent by the test.
type rawMessage struct {
	start string
	lines []string
	body  string
}

// request makes a good request; bend it with set, drop and add.
func (p *rawPeer) request(method, user string) *rawMessage {
	n := p.serial.Add(1)
	contact := fmt.Sprintf("<sip:raw@%s;transport=%s>", p.local, strings.ToLower(p.via))
	m := &rawMessage{start: fmt.Sprintf("%s sip:%s@%s.1 SIP/2.0", method, user, testNet())}
	m.add("Via: SIP/2.0/%s %s;rport;branch=z9hG4bKraw%x.%d", p.via, p.local, p.local.Port(), n)
	m.add("Max-Forwards: 70")
	m.add("From: <sip:%s@raw.example.com>;tag=f%x.%d", outsideNumber, p.local.Port(), n)
	m.add("To: <sip:%s@%s.1>", user, testNet())
	m.add("Call-ID: raw-%x-%d@%s", p.local.Port(), n, p.local.Addr())
	m.add("CSeq: 1 %s", method)
	m.add("Contact: %s", contact)
	return m
}

// invite is request with an offer that can be carried.
func (p *rawPeer) invite(user string) *rawMessage {
	return p.request("INVITE", user).sdp(goodSDP)
}

// goodSDP is an offer of PCMU to the discard port: nobody listens there.
const goodSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"

func (m *rawMessage) add(format string, args ...any) *rawMessage {
	m.lines = append(m.lines, fmt.Sprintf(format, args...))
	return m
}

func (m *rawMessage) sdp(body string) *rawMessage {
	m.drop("Content-Type")
	m.body = body
	return m.add("Content-Type: application/sdp")
}

// drop removes a header.
func (m *rawMessage) drop(name string) *rawMessage {
	kept := m.lines[:0]
	for _, l := range m.lines {
		if !strings.HasPrefix(l, name+":") {
			kept = append(kept, l)
		}
	}
	m.lines = kept
	return m
}

// set replaces a header where it stands.
func (m *rawMessage) set(name, value string) *rawMessage {
	for i, l := range m.lines {
		if strings.HasPrefix(l, name+":") {
			m.lines[i] = name + ": " + value
			return m
		}
	}
	return m.add("%s: %s", name, value)
}

func (m *rawMessage) get(name string) string {
	for _, l := range m.lines {
		if v, ok := strings.CutPrefix(l, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// ack is the ACK to a final failure of this INVITE; cancel its CANCEL.
func (m *rawMessage) ack(answer *ua.Message) *rawMessage {
	a := m.follow("ACK")
	return a.set("To", answer.Get("To"))
}

func (m *rawMessage) cancel() *rawMessage { return m.follow("CANCEL") }

func (m *rawMessage) follow(method string) *rawMessage {
	_, rest, _ := strings.Cut(m.start, " ")
	f := &rawMessage{start: method + " " + rest}
	for _, name := range []string{"Via", "Max-Forwards", "From", "To", "Call-ID"} {
		f.add("%s: %s", name, m.get(name))
	}
	seq, _, _ := strings.Cut(m.get("CSeq"), " ")
	return f.add("CSeq: %s %s", seq, method)
}

// String is the message with the right Content-Length, unless it has one already.
func (m *rawMessage) String() string {
	lines := m.lines
	if m.get("Content-Length") == "" {
		lines = append(lines[:len(lines):len(lines)], "Content-Length: "+strconv.Itoa(len(m.body)))
	}
	return m.start + "\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n" + m.body
}

// send writes bytes as one datagram or a piece of the stream.
func (p *rawPeer) send(text string) {
	p.t.Helper()
	_ = p.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(p.conn, text); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

// receive waits for one message.
func (p *rawPeer) receive(limit time.Duration) (*ua.Message, error) {
	_ = p.conn.SetReadDeadline(time.Now().Add(limit))
	if p.stream == nil {
		buf := make([]byte, 65536)
		n, err := p.conn.Read(buf)
		if err != nil {
			return nil, err
		}
		return readRaw(string(buf[:n])), nil
	}
	var head bytes.Buffer
	for {
		line, err := p.stream.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if head.Len() == 0 && line == "\r\n" {
			continue // a pong
		}
		head.WriteString(line)
		if line == "\r\n" {
			break
		}
	}
	length := 0
	for line := range strings.Lines(head.String()) {
		if v, ok := strings.CutPrefix(line, "Content-Length:"); ok {
			length, _ = strconv.Atoi(strings.TrimSpace(v))
		}
	}
	if _, err := io.CopyN(&head, p.stream, int64(length)); err != nil {
		return nil, err
	}
	return readRaw(head.String()), nil
}

// readRaw reads a message without judging it: answers to broken requests
// repeat what was broken.
func readRaw(text string) *ua.Message {
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	m := &ua.Message{Body: []byte(body)}
	first := strings.SplitN(lines[0], " ", 3)
	if len(first) == 3 && first[0] == "SIP/2.0" {
		m.Status, _ = strconv.Atoi(first[1])
		m.Reason = first[2]
	} else {
		m.Method = first[0]
		if len(first) > 1 {
			m.URI = first[1]
		}
	}
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ":")
		m.Add(name, strings.TrimSpace(value))
	}
	return m
}

// final waits for the final response to a request, past provisional ones and
// what belongs to other requests. It acknowledges failures of an INVITE.
func (p *rawPeer) final(m *rawMessage) *ua.Message {
	p.t.Helper()
	for {
		answer, err := p.receive(5 * time.Second)
		if err != nil {
			p.t.Fatalf("no final response to %q: %v", firstLine(m.start), err)
		}
		if answer.IsRequest() || answer.Status < 200 || answer.CallID() != m.get("Call-ID") || answer.Get("CSeq") != m.get("CSeq") {
			continue
		}
		if strings.HasSuffix(m.get("CSeq"), " INVITE") && answer.Status >= 300 {
			p.send(m.ack(answer).String())
		}
		return answer
	}
}

// ask sends a request and waits for its final response.
func (p *rawPeer) ask(m *rawMessage) *ua.Message {
	p.t.Helper()
	p.send(m.String())
	return p.final(m)
}

// alive proves that the node still serves this peer on this socket, and that
// nothing else was sent to it before: the OPTIONS is answered next.
func (p *rawPeer) alive(what string) {
	p.t.Helper()
	m := p.request("OPTIONS", "ping")
	p.send(m.String())
	answer, err := p.receive(5 * time.Second)
	switch {
	case err != nil:
		p.t.Fatalf("after %s the node does not answer OPTIONS: %v", what, err)
	case answer.CallID() != m.get("Call-ID"):
		p.t.Errorf("after %s came an unexpected message: %s", what, answer.Summary())
	case answer.Status != 200:
		p.t.Errorf("after %s OPTIONS is answered %d", what, answer.Status)
	}
}

// closed waits until the node has closed the connection; what still comes is
// returned.
func (p *rawPeer) closed(limit time.Duration) (rest string, ok bool) {
	_ = p.conn.SetReadDeadline(time.Now().Add(limit))
	text, err := io.ReadAll(p.stream)
	return string(text), !errors.Is(err, os.ErrDeadlineExceeded)
}

func newReader(c net.Conn) *bufio.Reader { return bufio.NewReader(c) }

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\r\n")
	return tandem.Clip(line, 80)
}

// talk is a call in progress that must survive what the test does.
type talk struct {
	s    *stage
	id   tandem.CorrelationID
	done chan emulate.CallResult
}

// startTalk places a call from the carrier to Teams and waits until they talk.
func (s *stage) startTalk(t *testing.T) *talk {
	t.Helper()
	c := &talk{s: s, done: make(chan emulate.CallResult, 1)}
	go func() {
		result, _ := s.east.Call(context.WithoutCancel(t.Context()), emulate.CallSpec{From: outsideNumber, To: "+14255550101", Hold: tandem.Duration(10 * time.Minute)})
		c.done <- result
	}()
	eventually(t, "the call is up", func() bool {
		for _, l := range s.node.engine.Live() {
			if l.State == talkingState {
				c.id = l.Correlation
				return true
			}
		}
		return false
	})
	return c
}

// talkingState is how core names an answered and acknowledged call.
const talkingState = "talking"

// check wants the call to be up still.
func (c *talk) check(t *testing.T, after string) {
	t.Helper()
	for _, l := range c.s.node.engine.Live() {
		if l.Correlation == c.id && l.State == talkingState {
			return
		}
	}
	t.Errorf("%s ended the call in progress", after)
}

// end hangs up and wants what a call without any trouble leaves: audio all the
// time on both sides, and its two rows.
func (c *talk) end(t *testing.T) {
	t.Helper()
	c.check(t, "something")
	if !c.s.node.engine.Hangup(c.id, "end of the test") {
		t.Error("the call in progress is gone")
	}
	var result emulate.CallResult
	select {
	case result = <-c.done:
	case <-time.After(10 * time.Second):
		t.Fatal("the caller got no BYE")
	}
	sent := uint64(result.Duration() / (20 * time.Millisecond))
	if result.Status != 200 || result.Received < sent*8/10 || result.HeardHz == 0 {
		t.Errorf("the caller: status %d, %d of about %d packets, %d Hz", result.Status, result.Received, sent, result.HeardHz)
	}
	connected := 0
	for _, r := range byCall(c.s.rows(t, tandem.CDRFilter{}))[c.id] {
		if r.Connected {
			connected++
			if d := (time.Duration(r.DurationMs)*time.Millisecond - result.Duration()).Abs(); d > time.Second {
				t.Errorf("%s row lasts %d ms, the caller measured %s", r.Technology, r.DurationMs, result.Duration())
			}
		}
	}
	if connected != 2 {
		t.Errorf("%d connected rows of the call in progress, want 2", connected)
	}
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(15 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not in time: %s", what)
		}
	}
}
