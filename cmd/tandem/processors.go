package main

import (
	"runtime"
	"sync"
)

// processors follows who needs a processor of its own beside calls, on a single
// CPU too; then the kernel shares it among threads. Media threads do while media
// flows (1.5 us less a packet; see bench/media), and pricing and delivery while a
// batch is at work. All the time one more would cost a sixth more CPU: each
// goroutine that becomes ready wakes another thread for it.
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
