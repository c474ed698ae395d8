package transport

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"tandem"
)

// Resolver looks up addresses; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// lookupTimeout bounds one lookup.
const lookupTimeout = 3 * time.Second

// resolver caches addresses. Go's resolver does not tell the TTL, so answers
// are fresh for a short fixed time; after it they are still used while a new
// lookup runs in the background, so that no call waits for DNS. The prober's
// regular requests keep the names of trunks warm.
type resolver struct {
	lookup Resolver
	clock  func() time.Time
	fresh  time.Duration
	stale  time.Duration
	ctx    context.Context
	spawn  func(func()) bool

	mu    sync.Mutex
	names map[string]*nameEntry
	// owners maps addresses that a trunk's names resolved to, newest last: a UDP
	// trunk configured by name may answer from there.
	owners map[netip.Addr]tandem.TrunkID
}

type nameEntry struct {
	addrs   []netip.Addr
	at      time.Time
	asking  bool
	waiting []func([]netip.Addr, error)
}

// maxNames bounds the cache: names come from configuration and from in-dialog
// targets that peers choose.
const maxNames = 4096

// resolve calls done with the addresses of host, at once when they are cached
// or host is an address, else from another goroutine. trunk, when not empty,
// becomes the owner of the addresses; it must be given only for hosts from
// configuration, never for names that a peer chose.
func (r *resolver) resolve(host string, trunk tandem.TrunkID, done func([]netip.Addr, error)) {
	if a, err := netip.ParseAddr(host); err == nil {
		done([]netip.Addr{a.Unmap()}, nil)
		return
	}
	now := r.clock()
	r.mu.Lock()
	e := r.names[host]
	if e == nil {
		if len(r.names) >= maxNames {
			r.evict(now)
		}
		e = &nameEntry{}
		r.names[host] = e
	}
	age := now.Sub(e.at)
	usable := len(e.addrs) > 0 && age < r.stale
	ask := !e.asking && (!usable || age > r.fresh)
	addrs := e.addrs
	if !usable {
		e.waiting = append(e.waiting, done)
	}
	if ask {
		e.asking = true
	}
	r.mu.Unlock()
	if ask && !r.spawn(func() { r.ask(host, trunk, e) }) {
		if !usable {
			done(nil, errClosed)
		}
		return
	}
	if usable {
		done(addrs, nil)
	}
}

func (r *resolver) ask(host string, trunk tandem.TrunkID, e *nameEntry) {
	ctx, cancel := context.WithTimeout(r.ctx, lookupTimeout)
	defer cancel()
	addrs, err := r.lookup.LookupNetIP(ctx, "ip", host)
	if err == nil && len(addrs) == 0 {
		err = &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	r.mu.Lock()
	e.asking = false
	if err == nil {
		for i := range addrs {
			addrs[i] = addrs[i].Unmap()
			if trunk != "" && len(r.owners) < maxNames {
				r.owners[addrs[i]] = trunk
			}
		}
		e.addrs, e.at = addrs, r.clock()
	}
	waiting := e.waiting
	e.waiting = nil
	r.mu.Unlock()
	for _, done := range waiting {
		done(addrs, err)
	}
}

// evict forgets what nobody used lately; called with mu held.
func (r *resolver) evict(now time.Time) {
	for name, e := range r.names {
		if !e.asking && now.Sub(e.at) > r.fresh {
			delete(r.names, name)
		}
	}
}

// owner is the trunk of an address that one of its names resolved to.
func (r *resolver) owner(a netip.Addr) (tandem.TrunkID, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id, ok := r.owners[a]
	return id, ok
}
