package transport

import (
	"bytes"
	"net/netip"
	"sync"
	"time"
)

// bucket is a token bucket: rate a second, at most one second's worth at once.
type bucket struct {
	tokens float64
	at     time.Time
}

// fill adds the tokens of the time that has passed.
func (b *bucket) fill(rate float64, now time.Time) {
	if b.at.IsZero() {
		b.tokens = rate
	} else if d := now.Sub(b.at); d > 0 {
		b.tokens = min(rate, b.tokens+rate*d.Seconds())
	}
	b.at = now
}

// take takes one token; false when there is none.
func (b *bucket) take(rate float64, now time.Time) bool {
	if b.fill(rate, now); b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// rates holds what each source address may do a second: send messages, and send
// what leads to nothing. Only trunks' sources are in it: strangers are dropped
// before. It begins anew when full, which lets a source burst once more.
//
// The second limit is the one that a flood meets. What a message was good for is
// known only when it is answered, so a source runs into debt by what is already
// under way, and is not heard until it has come out of it: for debtLimit at most.
type rates struct {
	messages, idle float64
	mu             sync.Mutex
	m              map[netip.Addr]*allowed
}

type allowed struct{ messages, idle bucket }

var options = []byte("OPTIONS ")

const (
	maxRates  = 8192
	debtLimit = 5 // seconds
)

// take reports whether a message of a source is to be read, by its first bytes
// and its size. A large one costs what its reading costs: 60 ns a byte are the
// price of several calls' messages.
func (r *rates) take(source netip.Addr, head []byte, size int, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.m[source]
	if a == nil {
		if r.m == nil || len(r.m) >= maxRates {
			r.m = make(map[netip.Addr]*allowed)
		}
		a = &allowed{}
		r.m[source] = a
	}
	if a.idle.fill(r.idle, now); a.idle.tokens < 1 {
		return false
	}
	a.idle.tokens -= float64(size >> 12 << 2)
	if bytes.HasPrefix(head, options) { // a peer sends one every few seconds, and each is answered at once
		a.idle.tokens--
	}
	return a.messages.take(r.messages, now)
}

// spend notes that a message of a source has led to nothing.
func (r *rates) spend(source netip.Addr, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.m[source]; a != nil {
		a.idle.fill(r.idle, now)
		a.idle.tokens = max(a.idle.tokens-1, -debtLimit*r.idle)
	}
}

// quiet keeps one kind of log line from flooding the log: a few a minute pass,
// the others are counted and told with the next one, or by rest.
type quiet struct {
	mu    sync.Mutex
	since time.Time
	said  int
	held  int
}

const (
	quietLines  = 10
	quietWindow = time.Minute
)

// ask reports whether a line may be written, and how many were not before it.
func (q *quiet) ask(now time.Time) (held int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Sub(q.since) >= quietWindow {
		q.since, q.said = now, 0
	}
	if q.said >= quietLines {
		q.held++
		return 0, false
	}
	q.said++
	held, q.held = q.held, 0
	return held, true
}

// rest is how many lines were held back, once their window is over.
func (q *quiet) rest(now time.Time) (held int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Sub(q.since) >= quietWindow {
		held, q.held = q.held, 0
	}
	return held
}

// places counts accepted connections, of all listeners together.
type places struct {
	mu        sync.Mutex
	perSource map[netip.Addr]int
	total     int
}

// enter counts a connection in, unless a cap is reached.
func (p *places) enter(a netip.Addr, cfg *Config) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.perSource == nil {
		p.perSource = map[netip.Addr]int{}
	}
	if p.total >= cfg.MaxConns || p.perSource[a] >= cfg.MaxConnsPerSource {
		return false
	}
	p.total++
	p.perSource[a]++
	return true
}

func (p *places) leave(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total--
	if p.perSource[a]--; p.perSource[a] <= 0 {
		delete(p.perSource, a)
	}
}
