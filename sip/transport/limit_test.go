package transport

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
)

// A source gets its rate and a second's worth at once; others are not touched.
func TestRates(t *testing.T) {
	r := rates{messages: 100, idle: 50}
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	now := time.Now()
	count := func(a netip.Addr, at time.Time) (n int) {
		for range 1000 {
			if r.take(a, nil, 500, at) {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		a    netip.Addr
		at   time.Duration
		want int
	}{{a, 0, 100}, {a, 0, 0}, {b, 0, 100}, {a, 100 * time.Millisecond, 10}, {a, time.Hour, 100}} {
		if got := count(c.a, now.Add(c.at)); got != c.want {
			t.Errorf("%s at %s: %d taken, want %d", c.a, c.at, got, c.want)
		}
	}
	for i := range 3 * maxRates {
		r.take(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), nil, 500, now)
	}
	if len(r.m) > maxRates {
		t.Errorf("%d sources are remembered", len(r.m))
	}
}

func TestQuietTellsWhatItHeldBack(t *testing.T) {
	var q quiet
	now := time.Now()
	lines := 0
	for range 1000 {
		if _, ok := q.ask(now); ok {
			lines++
		}
	}
	if lines != quietLines || q.rest(now) != 0 {
		t.Errorf("%d lines of 1,000", lines)
	}
	if held, ok := q.ask(now.Add(quietWindow)); !ok || held != 990 {
		t.Errorf("the next line tells of %d, %v", held, ok)
	}
	q.ask(now.Add(quietWindow))
	for range 20 {
		q.ask(now.Add(quietWindow))
	}
	if held := q.rest(now.Add(2 * quietWindow)); held != 12 {
		t.Errorf("the rest is %d", held)
	}
}

// A source over its rate loses datagrams, and its streams are read slower but whole.
func TestSourceOverItsRate(t *testing.T) {
	var clock atomic.Int64
	clock.Store(time.Now().UnixNano())
	r := newRig(t, func(c *Config) { c.MaxRate = 20 }, Deps{Clock: func() time.Time { return time.Unix(0, clock.Load()) }})
	udp, err := net.Dial("udp", r.address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for i := range 50 {
		if _, err := udp.Write([]byte(request("REGISTER", i, "", ""))); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "30 datagrams are dropped", func() bool { return r.Metrics().OverRate == 30 })
	if n := r.Metrics().Received; n != 20 {
		t.Errorf("%d messages taken", n)
	}
	tcp := r.connect(t, 1)
	if _, err := tcp.Write([]byte(strings.Repeat(request("REGISTER", 1, "", ""), 30))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream waits", func() bool { return r.Metrics().OverRate > 31 })
	for range 2 {
		clock.Add(int64(time.Second))
	}
	eventually(t, "20 of the stream are taken", func() bool { return r.Metrics().Received == 40 })
	clock.Add(int64(time.Second))
	eventually(t, "all of the stream are taken", func() bool { return r.Metrics().Received == 50 })
}

// What leads to nothing runs a source into debt: then it is not heard for a while.
func TestRefusedSourceRunsIntoDebt(t *testing.T) {
	r := rates{messages: 1000, idle: 10}
	a, now := netip.MustParseAddr("192.0.2.1"), time.Now()
	for range 100 {
		if !r.take(a, nil, 500, now) {
			t.Fatal("messages that may be good are not taken")
		}
	}
	for range 100 {
		r.spend(a, now)
	}
	r.spend(netip.MustParseAddr("192.0.2.2"), now) // nobody's
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{0, false}, {4 * time.Second, false}, {5200 * time.Millisecond, true}} {
		if got := r.take(a, nil, 500, now.Add(c.after)); got != c.want {
			t.Errorf("after %s: taken %v", c.after, got)
		}
	}
	for range 10 {
		r.take(a, []byte("OPTIONS sip:a"), 500, now.Add(time.Minute))
	}
	if r.take(a, nil, 500, now.Add(time.Minute)) {
		t.Error("OPTIONS cost nothing")
	}
	b := netip.MustParseAddr("192.0.2.3")
	if r.take(b, nil, 50_000, now); r.take(b, nil, 500, now) {
		t.Error("50 KB cost no more than any other message")
	}
	for msg, want := range map[string]bool{"SIP/2.0 404 Not Found": true, "SIP/2.0 503 Service": true, "SIP/2.0 200 OK then": false, "SIP/2.0 487 x": true,
		"INVITE sip:4@x SIP/2.0": false, "": false, "\r\n": false} {
		if refusal([]byte(msg)) != want {
			t.Errorf("refusal(%q) is not %v", msg, want)
		}
	}
}

// Unreadable messages are answered as long as their source is heard.
func TestUnreadableMessagesAreBounded(t *testing.T) {
	fixed := time.Now()
	r := newRig(t, func(c *Config) { c.MaxIdleRate = 20 }, Deps{Clock: func() time.Time { return fixed }})
	udp, err := net.Dial("udp", r.address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	bad := strings.Replace(request("INVITE", 1, "", ""), "CSeq: 1", "CSeq: x", 1)
	for range 50 {
		if _, err := udp.Write([]byte(bad)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are seen", func() bool { m := r.Metrics(); return m.Rejected+m.OverRate == 50 })
	if m := r.Metrics(); m.Rejected != 20 {
		t.Errorf("%d answered, %d not heard", m.Rejected, m.OverRate)
	}
}

// The caps hold for all listeners together.
func TestConnectionsAreCappedOverAllListeners(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.Listen = []Listen{{Transport: tandem.TCP, Address: anyPort("127.0.0.1")}, {Transport: tandem.TCP, Address: anyPort("127.0.0.1")}}
		c.MaxConnsPerSource = 4
	}, Deps{})
	for i := range 6 {
		if c, err := net.Dial("tcp", r.address(i%2)); err == nil { // one that is refused may be reset at once
			defer c.Close()
		}
	}
	eventually(t, "four are taken, two refused", func() bool { m := r.Metrics(); return m.Accepted == 4 && m.RefusedConns == 2 })
}

type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// A flood of handshakes that fail writes a few lines, and then how many more there were.
func TestFailedHandshakesDoNotFloodTheLog(t *testing.T) {
	a := newAuthority(t)
	cert, _ := a.issue("own", []string{"sbc.test"}, nil)
	log := &lines{}
	var clock atomic.Int64
	clock.Store(time.Now().UnixNano())
	r := newRig(t, func(c *Config) {
		c.Listen = []Listen{{Transport: tandem.TLS, Address: anyPort("127.0.0.1")}}
		c.Certificates, c.Roots = []Certificate{cert}, []string{a.roots()}
		c.Housekeeping = 10 * time.Millisecond
	}, Deps{Logger: slog.New(slog.NewTextHandler(log, nil)), Clock: func() time.Time { return time.Unix(0, clock.Load()) }})
	for range 30 {
		c, err := tls.Dial("tcp", r.address(0), &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			c.Close()
		}
	}
	eventually(t, "all have failed", func() bool { return r.Metrics().HandshakeFailures == 30 })
	if n := log.count("tls connection refused"); n != quietLines {
		t.Errorf("%d lines for 30 failures", n)
	}
	clock.Add(int64(2 * quietWindow))
	eventually(t, "the others are told of", func() bool { return log.count("more=20") == 1 })
}
