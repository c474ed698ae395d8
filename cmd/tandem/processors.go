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
	aside(func() { runtime.GOMAXPROCS(p.base + p.more) })
}

// aside runs f and waits for it. What stops the world must not run on a thread of
// low priority, as a batch does: while the kernel lets others go before it, all
// calls would wait with it, up to 15 ms.
func aside(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// batches gives pricing and delivery a processor beside calls while a batch is at
// work (cdr.Deps.Busy), and has garbage collected before the first one begins.
type batches struct {
	mu     sync.Mutex
	atWork int

	processors *processors
	due        func() bool // there is garbage worth a collection
	collect    func()
}

func newBatches() *batches {
	return &batches{processors: &moreProcessors, due: collectionDue, collect: runtime.GC}
}

// change is told when a batch begins (1) and when it is done (-1). A collection
// that begins by itself does so on the thread that allocates most, a batch's, and
// stops the world from there. Here one begins earlier and on another thread. More
// processors have to wait until it has marked what lives, some 15 ms, and the batch
// waits with them; its sweep then runs beside calls, on the batch's processor.
func (b *batches) change(by int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.atWork += by
	if b.atWork == 1 && by > 0 && b.due() {
		aside(func() {
			go b.collect()
			runtime.Gosched() // it begins
		})
	}
	b.processors.change(by)
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
