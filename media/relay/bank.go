package relay

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// bindTries bounds how many taken ports one request steps over.
const bindTries = 16

// bank holds the port pairs of one address.
type bank struct {
	id           int
	addr, public netip.Addr
	first        uint16 // even
	table        []atomic.Pointer[pair]
	open         func(*bank, int) (*pair, error)

	mu    sync.Mutex
	lanes []lane
	used  int
}

// lane holds the pairs that one media thread serves, so that both sides of a
// call meet on one thread.
type lane struct {
	unbound []int   // indexes
	resting []*pair // bound, oldest first
}

func newBank(id int, addr, public netip.Addr, low, high uint16, lanes int, start uint64, open func(*bank, int) (*pair, error)) *bank {
	first := low + low&1
	count := (int(high) - int(first) + 1) / 2
	b := &bank{id: id, addr: addr, public: public, first: first, table: make([]atomic.Pointer[pair], count), lanes: make([]lane, lanes), open: open}
	for i := range count { // a random start keeps ports from being guessed across restarts
		index := int((uint64(i) + start) % uint64(count))
		l := &b.lanes[index%lanes]
		l.unbound = append(l.unbound, index)
	}
	return b
}

func (b *bank) number(index int) uint16 { return b.first + uint16(2*index) }

// take gives a pair, of the wanted lane if possible; nil when none is left.
func (b *bank) take(want int, now time.Duration) *pair {
	for i := range b.lanes {
		l := &b.lanes[(want+i)%len(b.lanes)]
		if p := b.rested(l, now); p != nil {
			return p
		}
		if p, _ := b.bind(l); p != nil {
			b.mu.Lock()
			b.used++
			b.mu.Unlock()
			return p
		}
	}
	return nil
}

func (b *bank) rested(l *lane, now time.Duration) *pair {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(l.resting) == 0 || l.resting[0].until > now {
		return nil
	}
	p := l.resting[0]
	l.resting[0] = nil
	l.resting = l.resting[1:]
	b.used++
	return p
}

// bind opens a pair that was not bound yet. Ports that other programs hold go to
// the end of the line. The error is the last one met.
func (b *bank) bind(l *lane) (*pair, error) {
	var last error
	for range bindTries {
		b.mu.Lock()
		if len(l.unbound) == 0 {
			b.mu.Unlock()
			return nil, last
		}
		index := l.unbound[0]
		l.unbound = l.unbound[1:]
		b.mu.Unlock()
		p, err := b.open(b, index)
		if err == nil {
			return p, nil
		}
		last = err
		b.mu.Lock()
		l.unbound = append(l.unbound, index)
		b.mu.Unlock()
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return nil, last
}

// prebind binds pairs ahead of the first calls.
func (b *bank) prebind(count int) error {
	for i := range count {
		l := &b.lanes[i%len(b.lanes)]
		p, err := b.bind(l)
		if p == nil {
			if err != nil && !errors.Is(err, syscall.EADDRINUSE) {
				return err
			}
			return nil // fewer than wished: the range is small or shared
		}
		b.mu.Lock()
		l.resting = append(l.resting, p)
		b.mu.Unlock()
	}
	return nil
}

// release puts a pair to rest. Nobody owns it any more.
func (b *bank) release(p *pair, until time.Duration) {
	p.rtp.disconnect()
	p.rtcp.disconnect()
	p.until = until
	b.mu.Lock()
	l := &b.lanes[p.index%len(b.lanes)]
	l.resting = append(l.resting, p)
	b.used--
	b.mu.Unlock()
}

// gauge counts pairs in use, resting in quarantine, bound and ready, and not bound yet.
func (b *bank) gauge(now time.Duration) (used, resting, ready, unbound int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	used = b.used
	for _, l := range b.lanes {
		unbound += len(l.unbound)
		for _, p := range l.resting {
			if p.until > now {
				resting++
			} else {
				ready++
			}
		}
	}
	return used, resting, ready, unbound
}
