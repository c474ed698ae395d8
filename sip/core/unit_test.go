package core

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
)

type nobody struct{ fired *[]int }

func (n nobody) fire(_ *Core, k timerKind) { *n.fired = append(*n.fired, int(k)) }

// Timers fire by time, equal ones in the order of setting, stopped ones never.
func TestTimerOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var q timerQueue
	timers := make([]timer, 500)
	alive := 0
	for round := 0; round < 5000; round++ {
		i := r.IntN(len(timers))
		if r.IntN(3) == 0 {
			q.stop(&timers[i])
		} else {
			q.set(&timers[i], time.Duration(r.IntN(1000)), timerTx, nobody{})
		}
	}
	for i := range timers {
		if timers[i].active() {
			alive++
		}
	}
	at, seq := time.Duration(-1), uint64(0)
	for len(q.heap) > 0 {
		next := q.heap[0]
		if x := q.due(1 << 40); x != next.timer || x.active() || next.at < at || next.at == at && next.seq < seq {
			t.Fatalf("timer at %v after %v", next.at, at)
		}
		at, seq = next.at, next.seq
		alive--
	}
	if alive != 0 {
		t.Errorf("%d timers did not fire", alive)
	}
}

// What the timers of a call cost at 1,000 calls/s: eight are set and stopped or
// moved while it lasts 1 s, one fires 5 s after it. The calls lie far apart in memory.
func BenchmarkTimers(b *testing.B) {
	type call struct {
		timers [9]timer
		_      [3000]byte
	}
	var q timerQueue
	calls := make([]call, 8192)
	now := time.Duration(0)
	turn := func(n int) {
		now += time.Millisecond
		born := &calls[n*2654435761>>5%len(calls)]
		for i, d := range [8]time.Duration{4, 0, 180, 32, 60, 1800, 3600, 32} {
			q.set(&born.timers[i], now+d*time.Second+time.Duration(i)*time.Millisecond, timerTx, nobody{})
		}
		q.set(&born.timers[1], now+time.Second/2, timerTx, nobody{})
		if n >= 1000 {
			over := &calls[(n-1000)*2654435761>>5%len(calls)]
			for i := range 8 {
				q.stop(&over.timers[i])
			}
			q.set(&over.timers[8], now+5*time.Second, timerTx, nobody{})
		}
		for q.due(now) != nil {
		}
	}
	n := 0
	for ; n < 8000; n++ {
		turn(n)
	}
	for b.Loop() {
		turn(n)
		n++
	}
	b.ReportMetric(float64(len(q.heap)), "waiting")
}

func TestConfigValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Config)
		field  string
	}{
		"ErrT1":        {func(c *Config) { c.T1 = 0 }, "sip.t1"},
		"ErrT2":        {func(c *Config) { c.T2 = time.Millisecond }, "sip.t2"},
		"ErrMinSE":     {func(c *Config) { c.MinSE = time.Second }, "sip.min_se"},
		"ErrMaxCalls":  {func(c *Config) { c.MaxCalls = -1 }, "sip.max_calls"},
		"ErrMaxBody":   {func(c *Config) { c.MaxBody = 1 }, "sip.max_body"},
		"ErrDuration":  {func(c *Config) { c.MaxDuration = -1 }, "sip.max_duration"},
		"ErrUserAgent": {func(c *Config) { c.UserAgent = "a\r\nX: y" }, "sip.user_agent"},
	} {
		cfg := DefaultConfig()
		c.change(&cfg)
		err := cfg.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), c.field) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every final status gives the caller one that a caller may get, never 503,
// 401, 407 or a redirection.
func TestCallerStatus(t *testing.T) {
	for s := tandem.SIPStatus(300); s < 700; s++ {
		switch got := callerStatus(s); got {
		case 401, 407, 408, 487, 491, 503, 504:
			t.Errorf("%d goes to the caller as %d", s, got)
		default:
			if got < 400 || got > 699 {
				t.Errorf("%d goes to the caller as %d", s, got)
			}
		}
	}
}

func TestHostileDisplayNames(t *testing.T) {
	for in, want := range map[string]string{
		`Ann`:        `"Ann" <sip:x>`,
		`A \"B\"`:    `"A \"B\"" <sip:x>`,
		`trailing \`: `"trailing \\" <sip:x>`,
		"a\r\nX: y":  `"aX: y" <sip:x>`,
		`a"b`:        `"a\"b" <sip:x>`,
	} {
		if got := string(appendAddress(nil, in, &gosip.Uri{Scheme: "sip", Host: "x"}, nil, false)); got != want {
			t.Errorf("%q prints %s, want %s", in, got, want)
		}
	}
}

// Correlation IDs are in the order of time, to the millisecond, and never the same.
func TestCorrelationsAreInOrderOfTime(t *testing.T) {
	c := &Core{deps: Deps{Random: rand.Uint64}}
	at := time.Date(2026, 11, 24, 12, 0, 0, 999_999, time.UTC)
	seen := map[tandem.CorrelationID]bool{}
	var last tandem.CorrelationID
	for ms := range 1000 {
		c.wall = at.Add(time.Duration(ms) * time.Millisecond)
		for range 10 {
			id := c.newCorrelation()
			if s, ns := id.Time().UnixTime(); id.Version() != 7 || time.Unix(s, ns).UnixMilli() != c.wall.UnixMilli() || seen[id] {
				t.Fatalf("%s at %s", id, c.wall)
			}
			if string(id[:6]) < string(last[:6]) {
				t.Fatalf("%s after %s", id, last)
			}
			seen[id], last = true, id
		}
	}
}
