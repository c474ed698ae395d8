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
	r := rates{rate: 100}
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	now := time.Now()
	count := func(a netip.Addr, at time.Time) (n int) {
		for range 1000 {
			if r.take(a, at) {
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
		r.take(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now)
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
		if _, err := udp.Write([]byte(request("OPTIONS", i, "", ""))); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "30 datagrams are dropped", func() bool { return r.Metrics().OverRate == 30 })
	if n := r.Metrics().Received; n != 20 {
		t.Errorf("%d messages taken", n)
	}
	tcp := r.connect(t, 1)
	if _, err := tcp.Write([]byte(strings.Repeat(request("OPTIONS", 1, "", ""), 30))); err != nil {
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

// Unreadable messages get 200 answers a second and source, then none.
func TestRefusalsAreBounded(t *testing.T) {
	fixed := time.Now()
	r := newRig(t, nil, Deps{Clock: func() time.Time { return fixed }})
	udp, err := net.Dial("udp", r.address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	bad := strings.Replace(request("OPTIONS", 1, "", ""), "CSeq: 1", "CSeq: x", 1)
	for range 300 {
		if _, err := udp.Write([]byte(bad)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are seen", func() bool { m := r.Metrics(); return m.Rejected+m.Unparsed == 300 })
	if m := r.Metrics(); m.Rejected != maxRefusals {
		t.Errorf("%d answered, %d not", m.Rejected, m.Unparsed)
	}
}

// The caps hold for all listeners together.
func TestConnectionsAreCappedOverAllListeners(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.Listen = []Listen{{Transport: tandem.TCP, Address: anyPort("127.0.0.1")}, {Transport: tandem.TCP, Address: anyPort("127.0.0.1")}}
		c.MaxConnsPerSource = 4
	}, Deps{})
	for i := range 6 {
		r.connect(t, i%2)
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
