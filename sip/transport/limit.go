package transport

import (
	"net/netip"
	"sync"
	"time"
)

// bucket is a token bucket: rate a second, at most one second's worth at once.
type bucket struct {
	tokens float64
	at     time.Time
}

// take takes one token; false when there is none.
func (b *bucket) take(rate float64, now time.Time) bool {
	if b.at.IsZero() {
		b.tokens = rate
	} else if d := now.Sub(b.at); d > 0 {
		b.tokens = min(rate, b.tokens+rate*d.Seconds())
	}
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// rates holds one bucket per source address, of trunks only: strangers are
// dropped before. It begins anew when full, which lets a source burst once more.
type rates struct {
	rate float64
	mu   sync.Mutex
	m    map[netip.Addr]*bucket
}

const maxRates = 8192

func (r *rates) take(source netip.Addr, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.m[source]
	if b == nil {
		if r.m == nil || len(r.m) >= maxRates {
			r.m = make(map[netip.Addr]*bucket)
		}
		b = &bucket{}
		r.m[source] = b
	}
	return b.take(r.rate, now)
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
