package relay

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
	"tandem/media/sdp"
)

const (
	maxBanks = 16
	// shelves divide the list of sessions, so that the sweep never holds up a shard for long.
	shelves = 32
)

// network opens ports and delivers what they receive.
type network interface {
	open(b *bank, index int) (*pair, error)
	// close stops the delivery, then closes all ports.
	close()
}

// Pool is the media relay of a process. Its methods may be called by many
// goroutines; each session belongs to one.
type Pool struct {
	cfg   Config
	deps  Deps
	start time.Time
	net   network
	banks []*bank
	mixed bool // both families
	files files

	serial  atomic.Uint64
	shelves [shelves]shelf
	stop    chan struct{}
	done    sync.WaitGroup
	once    sync.Once
}

type shelf struct {
	mu       sync.Mutex
	sessions map[*session]struct{}
}

var _ tandem.MediaRelay = (*Pool)(nil)

// New binds the first ports and starts the media threads. It fails when an
// address is not this machine's.
func New(cfg Config, deps Deps) (*Pool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	deps = deps.withDefaults()
	var seed [8]byte
	if _, err := io.ReadFull(deps.Random, seed[:]); err != nil {
		return nil, fmt.Errorf("draw the first media port: %w", err)
	}
	p := &Pool{cfg: cfg, deps: deps, start: deps.Clock(), stop: make(chan struct{})}
	for i := range p.shelves {
		p.shelves[i].sessions = map[*session]struct{}{}
	}
	if p.files.limit = int64(cfg.Sockets); cfg.Sockets == 0 {
		p.files.limit = socketLimit()
	}
	if wanted := (int64(cfg.PortMax) - int64(cfg.PortMin) + 1) * int64(len(cfg.Addresses)); wanted > p.files.limit {
		deps.Logger.Warn("more media ports than files may be open", "ports", wanted, "sockets", p.files.limit, "calls", p.files.limit/4,
			"mend", "raise the limit of open files (LimitNOFILE of the unit, ulimit -n), or be content with so many calls")
	}
	for i, addr := range cfg.Addresses {
		public := addr
		if a, ok := cfg.Advertise[addr]; ok {
			public = a
		}
		p.banks = append(p.banks, newBank(i, addr, public, cfg.PortMin, cfg.PortMax, cfg.Threads, binary.BigEndian.Uint64(seed[:])>>1,
			p.openPair))
		p.mixed = p.mixed || addr.Is6() != cfg.Addresses[0].Is6()
	}
	var err error
	if cfg.Plain {
		p.net = newPlain(p)
	} else if p.net, err = newNative(p); err != nil {
		return nil, err
	}
	ahead := max(1, min(cfg.Prebind, int(p.files.limit/8)/len(p.banks)))
	for _, b := range p.banks {
		if err := b.prebind(ahead); err != nil {
			close(p.stop)
			p.net.close()
			return nil, &tandem.Error{Kind: tandem.KindInvalid, Field: "media.addresses", Message: "cannot bind media ports on " + b.addr.String(),
				Mend: "give an address of this machine, and check the limit of open files", Err: err}
		}
	}
	if cfg.RTPTimeout > 0 {
		p.done.Add(1)
		go p.sweepLoop()
	}
	return p, nil
}

// openPair binds a pair within the budget of open files.
func (p *Pool) openPair(b *bank, index int) (*pair, error) {
	if !p.files.take() {
		return nil, errFiles
	}
	pr, err := p.net.open(b, index)
	if err != nil {
		p.files.giveBack()
	}
	return pr, err
}

// now is the time since the pool's start plus 1 ns, so that 0 can stand for
// never; by the monotonic clock where Clock has one.
func (p *Pool) now() time.Duration { return p.deps.Clock().Sub(p.start) + 1 }

func (p *Pool) bank(addr netip.Addr) *bank {
	for _, b := range p.banks {
		if b.addr == addr {
			return b
		}
	}
	return nil
}

// familyDefault is the first address of a family.
func (p *Pool) familyDefault(six bool) netip.Addr {
	for _, b := range p.banks {
		if b.addr.Is6() == six {
			return b.addr
		}
	}
	return netip.Addr{}
}

// OpenMedia implements tandem.MediaRelay.
func (p *Pool) OpenMedia(ref tandem.CallRef, a tandem.MediaProfile) (tandem.MediaSession, error) {
	home := p.banks[0]
	if a.LocalAddress.IsValid() {
		if home = p.bank(a.LocalAddress); home == nil {
			return nil, unknownAddress(a.LocalAddress)
		}
	}
	serial := p.serial.Add(1)
	s := &session{pool: p, ref: ref, lane: int(serial % uint64(p.cfg.Threads))}
	for i, b := range [2]*bank{home, p.banks[0]} {
		pr := b.take(s.lane, p.now())
		if pr == nil {
			if i == 1 {
				p.rest(s.ends[0].pair)
			}
			return nil, noPorts(b.addr)
		}
		s.ends[i] = end{session: s, side: tandem.Side(i), pair: pr}
	}
	s.ends[0].profile = a
	x, err := sdp.NewExchange(p.deps.Random, s.party(&s.ends[0]))
	if err == nil {
		err = x.SetParty(tandem.SideB, s.party(&s.ends[1]))
	}
	if err != nil {
		p.rest(s.ends[0].pair)
		p.rest(s.ends[1].pair)
		return nil, err
	}
	s.exchange = x
	sh := &p.shelves[serial%shelves]
	sh.mu.Lock()
	sh.sessions[s] = struct{}{}
	sh.mu.Unlock()
	s.shelf = sh
	for i := range s.ends {
		s.owners[i].session, s.owners[i].side = s, tandem.Side(i)
	}
	s.hint()
	for i := range s.ends {
		s.ends[i].pair.owner.Store(&s.owners[i])
	}
	return s, nil
}

// rest takes a pair back.
func (p *Pool) rest(pr *pair) {
	pr.owner.Store(nil)
	pr.bank.release(pr, p.now()+p.cfg.Quarantine)
}

func (p *Pool) forget(s *session) {
	s.shelf.mu.Lock()
	delete(s.shelf.sessions, s)
	s.shelf.mu.Unlock()
}

// Stats are the pool's gauges.
type Stats struct {
	Sessions int // open
	Ports    int // UDP ports that sessions hold: 4 each
	Resting  int // UDP ports in quarantine
	Free     int // UDP ports that a session could take now
}

// Stats reads the gauges.
func (p *Pool) Stats() Stats {
	var st Stats
	for i := range p.shelves {
		sh := &p.shelves[i]
		sh.mu.Lock()
		st.Sessions += len(sh.sessions)
		sh.mu.Unlock()
	}
	now, more := p.now(), 0
	for _, b := range p.banks {
		used, resting, ready, unbound := b.gauge(now)
		st.Ports += 2 * used
		st.Resting += 2 * resting
		st.Free += 2 * ready
		more += 2 * unbound
	}
	st.Free += min(more, p.files.room())
	return st
}

// Close ends all sessions, threads and sockets.
func (p *Pool) Close() error {
	p.once.Do(func() {
		close(p.stop)
		p.done.Wait()
		for i := range p.shelves {
			sh := &p.shelves[i]
			sh.mu.Lock()
			open := make([]*session, 0, len(sh.sessions))
			for s := range sh.sessions {
				open = append(open, s)
			}
			sh.mu.Unlock()
			for _, s := range open {
				s.Close()
			}
		}
		p.net.close()
	})
	return nil
}
