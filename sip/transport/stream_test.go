package transport

import (
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/sip"
)

func TestStreamKeepsOrderSplitAndPipelined(t *testing.T) {
	r := newRig(t, nil, Deps{})
	c := r.connect(t, 1)
	var all strings.Builder
	for i := range 500 {
		all.WriteString(request("INFO", i, "", strings.Repeat("b", i)))
	}
	go func() { // in odd pieces
		rest := all.String()
		for i := 1; len(rest) > 0; i++ {
			n := min(len(rest), 1+i*37%1500)
			if _, err := io.WriteString(c, rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
	}()
	for i := range 500 {
		if g := r.next(t, "msg"); seqOf(g.msg) != i || len(g.msg.Body()) != i || g.flow.Conn == 0 {
			t.Fatalf("message %d: %d, body %d", i, seqOf(g.msg), len(g.msg.Body()))
		}
	}
}

func TestOneBadMessageKeepsTheConnection(t *testing.T) {
	r := newRig(t, nil, Deps{})
	c := r.connect(t, 1)
	bad := strings.Replace(request("INVITE", 1, "", "body"), "sip:+14255550100@127.0.0.1", "<<", 1)
	io.WriteString(c, bad+"GET / HTTP/1.1\r\n\r\n"+"\r\n\r\n"+request("INFO", 2, "Contact: <<\r\nMax-Forwards: x\r\n", "b"))
	if got := read(t, c, "\r\n\r\n"); !strings.HasPrefix(got, "SIP/2.0 400 ") {
		t.Errorf("answer %q", got)
	}
	g := r.next(t, "msg")
	if seqOf(g.msg) != 2 {
		t.Errorf("%v", g.msg)
	}
	r.Send(sip.Target{Trunk: "peer", Transport: tandem.TCP, Conn: g.flow.Conn}, sip.SendRef{}, []byte("SIP/2.0 200 OK\r\n\r\n"))
	if got := read(t, c, "200 OK"); !strings.Contains(got, "\r\n") {
		t.Errorf("%q", got)
	}
	if m := r.Metrics(); m.Keepalives != 1 || m.Rejected != 1 || m.Unparsed != 1 || m.Conns != 1 {
		t.Errorf("%+v", m)
	}
	for range maxGarbage {
		io.WriteString(c, "GET / HTTP/1.1\r\n\r\n")
	}
	r.next(t, "closed")
}

func TestPingIsAnsweredWithPong(t *testing.T) {
	r := newRig(t, nil, Deps{})
	c := r.connect(t, 1)
	io.WriteString(c, "\r\n\r\n")
	if got := read(t, c, "\r\n"); got != "\r\n" {
		t.Errorf("%q", got)
	}
}

func TestOversizeIsAnswered413AndClosed(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxMessage = 4096 }, Deps{})
	c := r.connect(t, 1)
	io.WriteString(c, request("INVITE", 1, "", strings.Repeat("x", 100000)))
	if got := read(t, c, "\r\n\r\n"); !strings.HasPrefix(got, "SIP/2.0 413 ") {
		t.Errorf("answer %q", got)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%v, want the end", err)
	}
	c.Close()
	r.next(t, "closed")
	if m := r.Metrics(); m.Oversize != 1 || m.Received != 0 {
		t.Errorf("%+v", m)
	}
}

func TestSlowSenderIsCut(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MessageTimeout = 100 * time.Millisecond }, Deps{})
	c := r.connect(t, 1)
	done := make(chan struct{})
	go func() { // a byte at a time, for ever
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			<-tick.C
			if _, err := c.Write([]byte("INVITE sip:a SIP/2.0 and so on and on")[i%30 : i%30+1]); err != nil {
				return
			}
		}
	}()
	r.next(t, "closed")
	<-done
	if r.Metrics().Slow != 1 {
		t.Error("not counted")
	}
}

func TestIdleConnectionIsClosed(t *testing.T) {
	r := newRig(t, func(c *Config) { c.IdleTimeout, c.Housekeeping = 50*time.Millisecond, 10*time.Millisecond }, Deps{})
	r.connect(t, 1)
	r.next(t, "closed")
}

func TestConnectionCaps(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxConnsPerSource = 2 }, Deps{})
	var kept []net.Conn
	for range 2 {
		c := r.connect(t, 1)
		io.WriteString(c, request("INFO", 1, "", ""))
		r.next(t, "msg")
		kept = append(kept, c)
	}
	if c := r.tryConnect(t); c != nil {
		if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Error("a third connection lives")
		}
	}
	kept[0].Close()
	r.next(t, "closed")
	for { // room again once the reader has left
		c := r.tryConnect(t)
		if c == nil {
			continue
		}
		io.WriteString(c, request("INFO", 2, "", ""))
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); isTimeout(err) {
			break
		}
	}
	r.next(t, "msg")
}

// tryConnect dials listener 1; nil when the connection is reset while it dials.
func (r *rig) tryConnect(t *testing.T) net.Conn {
	c, err := net.Dial("tcp", r.address(1))
	if err != nil {
		return nil
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

func TestUnknownSourceIsResetBeforeAnything(t *testing.T) {
	r := newRig(t, nil, Deps{}, Trunk{Trunk: tandem.Trunk{ID: "other"}})
	if c := r.tryConnect(t); c != nil {
		if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Error("connection lives")
		}
	}
	if m := r.Metrics(); m.UnknownSource != 1 || m.Accepted != 0 {
		t.Errorf("%+v", m)
	}
}

// tcpTarget is a trunk "out" whose endpoint is the peer.
func tcpTarget(port uint16) sip.Target {
	return sip.Target{Trunk: "peer", Transport: tandem.TCP, Host: "127.0.0.1", Port: port}
}

func TestDialledConnectionIsReusedAndItsLossReported(t *testing.T) {
	r := newRig(t, nil, Deps{})
	p := newPeer(t, nil)
	for i := 1; i <= 100; i++ {
		r.Send(tcpTarget(p.port()), sip.SendRef{Tx: uint64(i), Watch: true}, []byte(request("INFO", i, "", "")))
	}
	c := p.accept(t)
	all := read(t, c, "CSeq: 100 INFO")
	last := -1
	for i := 1; i <= 100; i++ {
		at := strings.Index(all, "branch=z9hG4bK"+strconv.Itoa(i)+"\r\n")
		if at <= last {
			t.Fatalf("message %d is out of order", i)
		}
		last = at
	}
	var conn sip.ConnID
	for i := 1; i <= 100; i++ {
		g := r.next(t, "sent")
		if g.ref.Tx != uint64(i) || conn != 0 && g.conn != conn {
			t.Fatalf("%+v", g)
		}
		conn = g.conn
	}
	io.WriteString(c, "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 INFO\r\nContent-Length: 0\r\n\r\n")
	if g := r.next(t, "msg"); g.flow.Conn != conn || g.flow.Trunk != "peer" {
		t.Errorf("%+v", g.flow)
	}
	c.Close()
	if g := r.next(t, "closed"); g.conn != conn {
		t.Errorf("closed %d, want %d", g.conn, conn)
	}
	// FIN seen: the next message goes on a new connection.
	r.Send(tcpTarget(p.port()), sip.SendRef{Tx: 101, Watch: true}, []byte(request("INFO", 101, "", "")))
	read(t, p.accept(t), "CSeq: 101 INFO")
	if g := r.next(t, "sent"); g.conn == conn {
		t.Error("sent on the dead connection")
	}
}

// TestResponsesGoBackRequestsDoNot: our requests never use a connection that
// the peer opened (Microsoft has no connection aliasing), responses do.
func TestResponsesGoBackRequestsDoNot(t *testing.T) {
	r := newRig(t, nil, Deps{})
	p := newPeer(t, nil)
	in := r.connect(t, 1)
	io.WriteString(in, request("INVITE", 1, "", ""))
	g := r.next(t, "msg")
	r.Send(tcpTarget(p.port()), sip.SendRef{Tx: 1}, []byte("BYE on our own\r\n"))
	read(t, p.accept(t), "BYE on our own")
	back := tcpTarget(p.port())
	back.Conn = g.flow.Conn
	r.Send(back, sip.SendRef{}, []byte("SIP/2.0 180 Ringing\r\n"))
	read(t, in, "180 Ringing")
	in.Close()
	r.next(t, "closed")
	r.Send(back, sip.SendRef{}, []byte("SIP/2.0 200 OK\r\n")) // gone: RFC 3261 18.2.2 opens one to the Via's address; it is open already
	eventually(t, "the third message is out", func() bool { return r.Metrics().Sent == 3 })
	if len(p.conns) != 0 {
		t.Error("a second connection was opened")
	}
}

func TestDialFailuresAreClearAndBounded(t *testing.T) {
	black := blackHole(t)
	r := newRig(t, func(c *Config) { c.DialTimeout = 300 * time.Millisecond }, Deps{Resolver: names{}})
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := addrPortOf(refused.Addr()).Port()
	refused.Close()
	unknown := tcpTarget(1)
	unknown.Trunk = "nobody"
	noName := tcpTarget(5061)
	noName.Host = "nowhere.test"
	tlsToDeaf := tcpTarget(black)
	tlsToDeaf.Transport = tandem.TLS
	for name, c := range map[string]struct {
		to   sip.Target
		want string
	}{
		"refused":       {tcpTarget(closed), "connection refused"},
		"no such name":  {noName, "does not exist in DNS"},
		"no such trunk": {unknown, "does not exist or is disabled"},
		"deaf TLS":      {tlsToDeaf, "no answer in time"},
	} {
		begin := time.Now()
		for i := range 3 { // all that wait hear of it
			r.Send(c.to, sip.SendRef{Tx: uint64(i + 1)}, []byte("x"))
		}
		for range 3 {
			g := r.next(t, "failed")
			if !strings.Contains(g.err.Error(), c.want) || tandem.KindOf(g.err) != tandem.KindUnavailable {
				t.Errorf("%s: %v, want %q", name, g.err, c.want)
			}
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
}

// blackHole is a port that accepts connections and never says anything.
func blackHole(t *testing.T) uint16 { return newPeer(t, nil).port() }

func TestAQueueThatDoesNotDrainIsBounded(t *testing.T) {
	r := newRig(t, func(c *Config) { c.WriteQueue, c.WriteTimeout = 1<<20, 200*time.Millisecond }, Deps{})
	p := newPeer(t, nil)
	block := make([]byte, 64<<10)
	full, closed := false, false
	for deadline := time.Now().Add(patience); !full || !closed; {
		if time.Now().After(deadline) {
			t.Fatalf("full %v, closed %v", full, closed)
		}
		r.Send(tcpTarget(p.port()), sip.SendRef{Tx: 1}, block) // to a peer that never reads
		select {
		case g := <-r.ch:
			full = full || g.what == "failed" && strings.Contains(g.err.Error(), "too much waits")
			closed = closed || g.what == "closed" // by the write deadline
		default:
		}
	}
}

func TestConnectionsAreRenewed(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.RenewAfter, c.RetireIdle, c.Housekeeping = time.Millisecond, 50*time.Millisecond, 10*time.Millisecond
	}, Deps{})
	p := newPeer(t, nil)
	r.Send(tcpTarget(p.port()), sip.SendRef{Tx: 1, Watch: true}, []byte("one\r\n"))
	first := r.next(t, "sent").conn
	c := p.accept(t)
	read(t, c, "one")
	eventually(t, "the connection is of age", func() bool { return r.clock().Sub(r.conns.find(first).born) > time.Millisecond })
	r.Send(tcpTarget(p.port()), sip.SendRef{Tx: 2, Watch: true}, []byte("two\r\n")) // still on the old one, starts the renewal
	if g := r.next(t, "sent"); g.conn != first {
		t.Error("the message waited for the renewal")
	}
	p.accept(t)
	if g := r.next(t, "closed"); g.conn != first { // idle and replaced
		t.Errorf("closed %d", g.conn)
	}
	r.Send(tcpTarget(p.port()), sip.SendRef{Tx: 3, Watch: true}, []byte("three\r\n"))
	if g := r.next(t, "sent"); g.conn == first {
		t.Error("the old connection is used")
	}
}

// A connection that is distrusted stays open for responses while requests leave on
// a new one; what was silent since the doubt began is closed when it is confirmed.
func TestDoubtfulConnectionIsReplacedThenClosed(t *testing.T) {
	for name, heard := range map[string]bool{"Silent": false, "HeardSince": true} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, nil)
			r := newRig(t, nil, Deps{}, Trunk{Trunk: tandem.Trunk{ID: "peer", Kind: tandem.TrunkTeams, Transport: tandem.TCP, Sources: loopback}})
			to := sip.Target{Trunk: "peer", Transport: tandem.TCP, Host: "127.0.0.1", Port: p.port()}
			send := func(seq int) (net.Conn, sip.ConnID) {
				r.Send(to, sip.SendRef{Tx: uint64(seq), Watch: true}, []byte(request("OPTIONS", seq, "", "")))
				c := p.accept(t)
				read(t, c, "\r\n\r\n")
				return c, r.next(t, "sent").conn
			}
			first, id := send(1)
			since := time.Now()
			r.Distrust(to)
			_, second := send(2)
			if second == id {
				t.Fatal("the doubtful connection was used again")
			}
			if heard {
				io.WriteString(first, request("INFO", 3, "", ""))
				if g := r.next(t, "msg"); g.flow.Conn != id {
					t.Fatal("heard on another connection")
				}
			}
			r.Abandon(to, since)
			closed := map[sip.ConnID]bool{}
			for len(closed) < 1 || !heard && len(closed) < 2 {
				closed[r.next(t, "closed").conn] = true
			}
			if closed[id] == heard || !closed[second] {
				t.Errorf("closed %v of first %d (heard %v) and second %d", closed, id, heard, second)
			}
		})
	}
}

func TestRemovedTrunkLosesItsConnections(t *testing.T) {
	r := newRig(t, nil, Deps{})
	c := r.connect(t, 1)
	io.WriteString(c, request("INFO", 1, "", ""))
	r.next(t, "msg")
	r.SetTrunks(nil)
	r.next(t, "closed")
}
