package transport

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
	"tandem/sip"
)

// Transport owns the sockets. All methods are safe for concurrent use.
type Transport struct {
	cfg      Config
	clock    func() time.Time
	log      *slog.Logger
	parser   *parser
	certs    *certStore
	resolver *resolver
	handler  sip.Handler   // set by Serve; read only after served is closed
	served   chan struct{} // closed by Serve: nothing is dialled before

	sources atomic.Pointer[sources]
	udp     []*udpSocket
	streams []*listener
	peers   peerMemory
	conns   connTable
	pool    pool
	lastID  atomic.Uint64
	count   counters

	places     places // of accepted connections
	rates      rates  // of messages, by source
	handshakes quiet  // "tls connection refused"
	panics     quiet  // "panic while handling a message"

	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	mu      sync.Mutex // guards serving, closed
	serving bool
	closed  bool
}

// Deps are the transport's neighbours. All may be zero.
type Deps struct {
	Clock    func() time.Time // nil = time.Now
	Logger   *slog.Logger     // nil = discard
	Resolver Resolver         // nil = the system's
}

// New binds the sockets and loads the certificates. Nothing is read before Serve.
func New(cfg Config, deps Deps) (*Transport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Resolver == nil {
		deps.Resolver = net.DefaultResolver
	}
	certs, err := newCertStore(cfg)
	if err != nil {
		return nil, err
	}
	t := &Transport{cfg: cfg, clock: deps.Clock, log: deps.Logger, parser: newParser(), certs: certs, served: make(chan struct{})}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.resolver = &resolver{lookup: deps.Resolver, clock: deps.Clock, fresh: cfg.FreshFor, stale: cfg.StaleFor,
		ctx: t.ctx, spawn: t.spawn, names: map[string]*nameEntry{}, owners: map[netip.Addr]tandem.TrunkID{}}
	t.rates.messages, t.rates.idle = float64(cfg.MaxRate), float64(cfg.MaxIdleRate)
	t.sources.Store(newSources(nil))
	t.conns.init()
	t.pool.init(t)
	for i, l := range cfg.Listen {
		if err := t.bind(l); err != nil {
			t.Close()
			return nil, &tandem.Error{Kind: tandem.KindUnavailable, Field: fmt.Sprintf("sip.listen[%d].address", i),
				Message: fmt.Sprintf("%s %s can't be bound", l.Transport, l.Address), Mend: "name an address of this machine and a port that no other process uses", Err: err}
		}
	}
	return t, nil
}

func (t *Transport) bind(l Listen) error {
	if l.Transport == tandem.UDP {
		s, err := newUDPSocket(t, l.Address)
		if err != nil {
			return err
		}
		t.udp = append(t.udp, s)
		return nil
	}
	var lc net.ListenConfig
	nl, err := lc.Listen(t.ctx, "tcp", l.Address.String())
	if err != nil {
		return err
	}
	t.streams = append(t.streams, &listener{t: t, cfg: l, l: nl, local: addrPortOf(nl.Addr())})
	return nil
}

// SetTrunks replaces the trunks: who may send to us and how we dial whom.
// Connections of trunks that are gone close; others stay.
func (t *Transport) SetTrunks(trunks []Trunk) {
	own := make([]Trunk, len(trunks))
	copy(own, trunks)
	for i := range own {
		if !own[i].Local.IsValid() {
			own[i].Local, _ = t.LocalFor(own[i].Trunk)
		}
	}
	s := newSources(own)
	t.sources.Store(s)
	for _, c := range t.conns.all() {
		if s.byID[c.trunk] == nil {
			c.close(&tandem.Error{Kind: tandem.KindUnavailable, Message: "the trunk was removed"})
		}
	}
}

// Serve starts to read. It returns at once; h is called until Close returns.
// Stream messages sent before it wait for it.
func (t *Transport) Serve(h sip.Handler) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errClosed
	}
	if t.serving {
		return &tandem.Error{Kind: tandem.KindConflict, Message: "the SIP sockets are served already"}
	}
	t.serving = true
	t.handler = h
	close(t.served)
	for _, s := range t.udp {
		t.wg.Add(1)
		go s.read()
	}
	for _, l := range t.streams {
		t.wg.Add(1)
		go l.accept()
	}
	t.wg.Add(1)
	go t.housekeep()
	return nil
}

// Close closes all sockets and waits for their goroutines. Messages still
// queued are lost: drain calls first.
func (t *Transport) Close() {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	t.closed = true
	t.mu.Unlock()
	t.cancel()
	for _, s := range t.udp {
		s.pc.Close()
	}
	for _, l := range t.streams {
		l.l.Close()
	}
	for _, c := range t.conns.all() {
		c.close(errClosed)
	}
	t.wg.Wait()
}

// spawn runs f in a goroutine that Close waits for; false when already closed.
func (t *Transport) spawn(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.wg.Add(1)
	go func() {
		defer t.wg.Done()
		f()
	}()
	return true
}

// Listeners returns the addresses as bound (port 0 resolved), in the order of Config.Listen.
func (t *Transport) Listeners() []Listen {
	out := make([]Listen, 0, len(t.cfg.Listen))
	var u, s int
	for _, l := range t.cfg.Listen {
		if l.Transport == tandem.UDP {
			l.Address = t.udp[u].local
			u++
		} else {
			l.Address = t.streams[s].local
			s++
		}
		out = append(out, l)
	}
	return out
}

// LocalFor chooses the listening socket that serves a trunk: of its transport,
// of its first endpoint's address family, on the loopback exactly when the
// endpoint is. It is the address for Via and Contact. false when no listener has
// the trunk's transport.
func (t *Transport) LocalFor(trunk tandem.Trunk) (netip.AddrPort, bool) {
	var peer netip.Addr
	if len(trunk.Endpoints) > 0 {
		peer = trunk.Endpoints[0].Address.Unmap()
	}
	best, bestScore := netip.AddrPort{}, -1
	for _, l := range t.Listeners() {
		if l.Transport != trunk.Transport {
			continue
		}
		score := 0
		if a := l.Address.Addr(); peer.IsValid() {
			if a.Is4() == peer.Is4() {
				score += 2
			}
			if a.IsLoopback() == peer.IsLoopback() {
				score++
			}
		} else if a.Is4() {
			score++
		}
		if score > bestScore {
			best, bestScore = l.Address, score
		}
	}
	return best, bestScore >= 0
}

// Send implements sip.Sender.
func (t *Transport) Send(to sip.Target, ref sip.SendRef, msg []byte) {
	t.send(outgoing{to: to, ref: ref, msg: msg})
}

// outgoing is one message on its way.
type outgoing struct {
	to      sip.Target
	ref     sip.SendRef
	msg     []byte
	retried bool // was queued on a connection that died before it could be written
	last    bool // close after it
}

func (t *Transport) send(o outgoing) {
	if refusal(o.msg) {
		t.rates.spend(o.to.Addr.Unmap(), t.clock())
	}
	if o.to.Transport == tandem.UDP {
		t.sendUDP(o)
		return
	}
	if o.to.Conn != 0 {
		if c := t.conns.find(o.to.Conn); c != nil {
			if err := c.enqueue(o); err != errConnGone {
				if err != nil {
					t.fail(o.ref, err)
				}
				return
			}
		}
		if o.to.Host == "" { // the sender wants this connection or none
			t.fail(o.ref, errNoWay)
			return
		}
		o.to.Conn = 0 // RFC 3261 18.2.2: open a new one to the address in the Via
	}
	t.pool.send(o)
}

// refusal reports whether a message of ours is a 4xx, 5xx or 6xx response.
func refusal(msg []byte) bool {
	return len(msg) > 12 && msg[3] == '/' && msg[8] >= '4' && string(msg[:8]) == "SIP/2.0 "
}

// fail tells the sender, if it wants to know and there is someone to tell.
func (t *Transport) fail(ref sip.SendRef, err error) {
	t.count.sendFailures.Add(1)
	if ref.Tx == 0 {
		return
	}
	select {
	case <-t.served:
		t.handler.SendFailed(ref, err, t.clock())
	default:
	}
}

// ownHost gives the trunk as owner of a name only when the name is configured there.
func (t *Transport) ownHost(trunk *Trunk, host string) tandem.TrunkID {
	for _, e := range trunk.Endpoints {
		if e.Host == host {
			return trunk.ID
		}
	}
	return ""
}

// housekeep looks at ages and certificate files.
func (t *Transport) housekeep() {
	defer t.wg.Done()
	tick := time.NewTicker(t.cfg.Housekeeping)
	defer tick.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-tick.C:
		}
		changed, problems := t.certs.refresh()
		for _, p := range problems {
			t.count.certErrors.Add(1)
			t.log.Error("certificate not reloaded", "err", p)
		}
		if len(changed) > 0 {
			t.count.certReloads.Add(1)
			t.log.Info("certificates reloaded", "names", changed)
			t.renew(changed)
		}
		now := t.clock()
		if held := t.handshakes.rest(now); held > 0 {
			t.log.Warn("more tls connections refused", "more", held)
		}
		if held := t.panics.rest(now); held > 0 {
			t.log.Error("more panics while handling messages", "more", held)
		}
		for _, c := range t.conns.all() {
			idle := now.Sub(c.active())
			if idle > t.cfg.IdleTimeout || c.retired.Load() && idle > t.cfg.RetireIdle {
				c.close(errIdle)
			}
		}
	}
}

// renew makes the next message of each affected trunk open a new connection;
// the old ones serve their transactions out.
func (t *Transport) renew(changed []string) {
	s := t.sources.Load()
	for _, c := range t.conns.all() {
		trunk := s.byID[c.trunk]
		if !c.outbound || trunk == nil || c.transport != tandem.TLS {
			continue
		}
		name := trunk.Certificate
		if name == "" {
			name = "default"
		}
		for _, n := range changed {
			if n == name || n == "" {
				c.stale.Store(true)
			}
		}
	}
}

func addrPortOf(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case *net.UDPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
