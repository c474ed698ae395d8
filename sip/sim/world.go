package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip"
	"tandem/sip/core"
)

// Faults are what the network does to datagrams. Streams only delay.
type Faults struct {
	Loss, Duplicate, Reorder float64       // probabilities
	Delay                    time.Duration // one way; 0 = 1 ms
	Jitter                   time.Duration // added evenly
	LateBy                   time.Duration // how much a reordered datagram lags
}

// Config of a world.
type Config struct {
	Seed   uint64
	Faults Faults
	Core   *core.Config // nil: core.DefaultConfig
	Start  time.Time    // nil: a fixed day
}

// World is the core and everything around it.
type World struct {
	Core   *core.Core
	Now    time.Time
	Faults Faults
	// Plan is the router. It must be set before the first call.
	Plan func(*tandem.RouteRequest) tandem.Plan
	// Media is the relay in memory.
	Media *Media
	// Facts is the journal.
	Facts []Fact
	// Outcomes is what trunk health was told.
	Outcomes []Reported
	// Ladder is the message log when Logging is set.
	Ladder  []string
	Logging bool

	rand      *rand.Rand
	queue     schedule
	seq       uint64
	peers     map[string]*Peer
	all       []*Peer
	views     []core.TrunkView
	conns     map[string]sip.ConnID // outbound stream per peer
	nextConn  sip.ConnID
	problems  []string
	ringing   map[string]string // correlation -> branch of the INVITE that rings
	invites   map[string]string // branch -> correlation of every INVITE that the core sent
	attempts  map[string]string // Call-ID of every attempt -> correlation
	cancelled map[string]bool   // branches of INVITEs that the core cancelled
}

// Fact is one journalled fact with its own copy of the record.
type Fact struct {
	Kind tandem.FactKind
	At   time.Time
	Call tandem.CallRecord
}

// Reported is one outcome given to trunk health.
type Reported struct {
	Trunk    tandem.TrunkID
	Endpoint tandem.Endpoint
	Outcome  tandem.Outcome
}

// New makes a world without peers.
func New(cfg Config) *World {
	w := &World{
		Now: cfg.Start, Faults: cfg.Faults, rand: rand.New(rand.NewPCG(cfg.Seed, 0x7a6e)),
		peers: map[string]*Peer{}, conns: map[string]sip.ConnID{}, ringing: map[string]string{}, invites: map[string]string{}, attempts: map[string]string{}, cancelled: map[string]bool{},
	}
	if w.Now.IsZero() {
		w.Now = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	}
	cc := core.DefaultConfig()
	if cfg.Core != nil {
		cc = *cfg.Core
	}
	w.Media = &Media{world: w}
	w.Core = core.New(cc, core.Deps{Router: router{w}, Media: w.Media, Output: w, Random: w.rand.Uint64})
	return w
}

// AddTrunk makes a trunk known to the core.
func (w *World) AddTrunk(v core.TrunkView) {
	w.views = append(w.views, v)
	w.Core.SetTrunks(w.views)
}

// AddPeer puts a peer of a trunk on the network.
func (w *World) AddPeer(trunk tandem.TrunkID, addr string, transport tandem.Transport) *Peer {
	p := &Peer{
		w: w, Trunk: trunk, Addr: netip.MustParseAddrPort(addr), Transport: transport,
		clients: map[string]*client{}, servers: map[string]*server{}, dialogs: map[string]*Dialog{}, lastSent: map[string][]byte{},
	}
	w.peers[addr] = p
	w.all = append(w.all, p)
	return p
}

// Endpoint is the peer as an endpoint of a trunk.
func (p *Peer) Endpoint() tandem.Endpoint {
	return tandem.Endpoint{Host: p.Addr.Addr().String(), Port: p.Addr.Port(), Address: p.Addr.Addr()}
}

// After schedules f.
func (w *World) After(d time.Duration, f func()) {
	w.seq++
	heap.Push(&w.queue, &item{at: w.Now.Add(d), seq: w.seq, f: f})
}

// Run lets virtual time pass.
func (w *World) Run(d time.Duration) { w.until(w.Now.Add(d), false) }

// RunIdle runs until nothing is left to happen, at most for limit. It reports
// how much time passed.
func (w *World) RunIdle(limit time.Duration) time.Duration {
	start := w.Now
	w.until(start.Add(limit), true)
	return w.Now.Sub(start)
}

func (w *World) until(end time.Time, idle bool) {
	for {
		next, timer := time.Time{}, false
		if t, ok := w.Core.NextTimer(); ok {
			next, timer = t, true
		}
		if len(w.queue) > 0 && (!timer || !w.queue[0].at.After(next)) {
			next, timer = w.queue[0].at, false
		} else if !timer {
			if !idle {
				w.Now = end
			}
			return
		}
		if next.After(end) {
			w.Now = end
			return
		}
		if next.After(w.Now) {
			w.Now = next
		}
		if timer {
			w.Core.Tick(w.Now)
			continue
		}
		heap.Pop(&w.queue).(*item).f()
	}
}

// chance draws from the seed.
func (w *World) chance(p float64) bool { return p > 0 && w.rand.Float64() < p }

// Between draws a duration from the seed.
func (w *World) Between(lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return lo + time.Duration(w.rand.Int64N(int64(hi-lo)))
}

// Pick draws a number below n from the seed.
func (w *World) Pick(n int) int { return w.rand.IntN(n) }

// Problem notes a broken invariant.
func (w *World) Problem(format string, args ...any) {
	if len(w.problems) < 50 {
		w.problems = append(w.problems, w.Now.Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
}

// log appends to the ladder.
func (w *World) log(arrow string, p *Peer, msg []byte, note string) {
	if !w.Logging {
		return
	}
	first, rest, _ := strings.Cut(string(msg), "\r\n")
	cseq := ""
	for line := range strings.SplitSeq(rest, "\r\n") {
		if strings.HasPrefix(line, "CSeq:") {
			cseq = line
		}
	}
	w.Ladder = append(w.Ladder, fmt.Sprintf("%s %s %s %-22s %s [%s] %s", w.Now.Format("15:04:05.000"), arrow, p.Trunk, p.Addr, first, cseq, note))
}

// item is one thing to happen.
type item struct {
	at  time.Time
	seq uint64
	f   func()
}

type schedule []*item

func (s schedule) Len() int { return len(s) }
func (s schedule) Less(i, j int) bool {
	return s[i].at.Before(s[j].at) || s[i].at.Equal(s[j].at) && s[i].seq < s[j].seq
}
func (s schedule) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(x any)   { *s = append(*s, x.(*item)) }
func (s *schedule) Pop() any {
	old := *s
	last := old[len(old)-1]
	*s = old[:len(old)-1]
	return last
}

func parse(b []byte) gosip.Message {
	m, err := gosip.ParseMessage(b)
	if err != nil {
		panic(fmt.Sprintf("sim: unreadable message: %v\n%s", err, b))
	}
	return m
}
