package main

import (
	"net/http"
	"runtime"
	"sync"
	"time"
)

// processors follows who needs a processor of its own beside calls, on a single
// CPU too; then the kernel shares it among threads. Media threads do, for a waiting
// one keeps its processor (1.5 us less a packet; see bench/media), pricing and
// delivery while a batch is at work, and long requests of operators (ADR 0011).
// One more all the time would cost a sixth more CPU: each goroutine that becomes
// ready wakes another thread for it.
type processors struct {
	mu   sync.Mutex
	base int // GOMAXPROCS without them
	more int
}

// moreProcessors are this process's.
var moreProcessors processors

// change takes processors or gives them back. It stops the world for some
// microseconds, and waits for a garbage collection in progress.
func (p *processors) change(by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.base == 0 {
		p.base = runtime.GOMAXPROCS(0)
	}
	p.more += by
	runtime.GOMAXPROCS(p.base + p.more)
}

// longRequest is how long an operator's request may share the calls' processors.
const longRequest = 5 * time.Millisecond

// besideCalls gives requests that take longer (a what-if, a large report, a deck
// of 300,000 rows) a processor of their own.
func besideCalls(next http.Handler, change func(by int)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var mu sync.Mutex
		taken, over := false, false
		timer := time.AfterFunc(longRequest, func() {
			mu.Lock()
			defer mu.Unlock()
			if !over {
				taken = true
				change(1)
			}
		})
		defer func() {
			timer.Stop()
			mu.Lock()
			defer mu.Unlock()
			if over = true; taken {
				change(-1)
			}
		}()
		next.ServeHTTP(w, r)
	})
}
