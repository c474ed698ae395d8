package engine

import (
	"hash/maphash"
	"sync"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip"
	"tandem/sip/core"
)

// class is how much an event matters when a mailbox fills up.
type class uint8

const (
	classNewCall   class = iota // an INVITE that begins a call: room up to three quarters, to seven eighths for a trunk with few
	classRequest                // another request outside a dialog: as new calls
	classInDialog               // a request of a call that exists
	classAnswer                 // a response
	classEmergency              // an INVITE to an emergency number: as in-dialog
	classInternal               // our own news: always taken, their number is bound by what we sent
	classOptions                // OPTIONS outside a dialog: never comes to a shard
)

// item is one entry of a mailbox: an event, or a function to run on the shard.
type item struct {
	event   core.Event
	lease   sip.Lease // of the event's message; nil = none
	control func()
}

// mailbox is the bounded queue of one shard. put is called by many, take by the shard.
type mailbox struct {
	size int
	mu   sync.Mutex
	list []item
	// fresh is how many of the list are new requests, by trunk: when a trunk's flood
	// has filled their room, those that have few waiting get a little more.
	fresh map[tandem.TrunkID]int
	wake  chan struct{}
}

func newMailbox(size int) *mailbox {
	return &mailbox{size: size, fresh: map[tandem.TrunkID]int{}, wake: make(chan struct{}, 1)}
}

// put adds an item if its class still has room.
func (b *mailbox) put(it item, c class) bool {
	b.mu.Lock()
	n := len(b.list)
	switch c {
	case classNewCall, classRequest:
		trunk, room := it.event.Flow.Trunk, b.size-b.size/4
		if n >= room && (b.fresh[trunk] >= b.size/16 || n >= b.size-b.size/8) {
			b.mu.Unlock()
			return false
		}
		b.fresh[trunk]++
	case classInternal:
	default:
		if n >= b.size {
			b.mu.Unlock()
			return false
		}
	}
	b.list = append(b.list, it)
	b.mu.Unlock()
	if n == 0 {
		b.signal()
	}
	return true
}

func (b *mailbox) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take returns everything that waits; spare becomes the next list.
func (b *mailbox) take(spare []item) []item {
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.list
	b.list = spare[:0]
	clear(b.fresh)
	return got
}

func (b *mailbox) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.list)
}

// seenInvites remembers the latest INVITEs that a shard took, by hash of their
// branch: when the mailbox is full, a retransmission of one of them must be
// dropped, because a 503 to it would end a call that is being set up.
type seenInvites struct {
	seed maphash.Seed
	mu   sync.Mutex
	hash [4096]uint64
}

// of is the hash of a message, never 0.
func (s *seenInvites) of(msg gosip.Message) uint64 {
	branch, _ := msg.Via().Params.Get("branch")
	return maphash.String(s.seed, branch) | 1
}

func (s *seenInvites) add(h uint64) {
	s.mu.Lock()
	s.hash[h>>1%uint64(len(s.hash))] = h
	s.mu.Unlock()
}

func (s *seenInvites) has(msg gosip.Message) bool {
	h := s.of(msg)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hash[h>>1%uint64(len(s.hash))] == h
}
