package ua

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"tandem"
)

// Config of an Endpoint; the zero value works.
type Config struct {
	// T1 and T2 are RFC 3261's timers; 500 ms and 4 s when 0. Tests shorten them.
	T1, T2 time.Duration
	// Handler gets requests outside of dialogs, each in a goroutine of its own. nil answers 480.
	Handler func(*ServerTx)
	// Filter sees every received message first, in the reader's goroutine, and drops it by returning false.
	Filter func(*Message) bool
	// Outgoing sees every message about to be sent on an unreliable transport and drops it by returning false.
	Outgoing func(*Message) bool
	// NextHop says where an in-dialog request for a URI (first route or
	// remote target) goes. nil, or ok false: address literals are used as they
	// are, names go where the dialog's first request went to or came from.
	NextHop func(c *Call, uri URI) (to Target, ok bool)
	// OwnRoute tells the Record-Route values that name ourselves, when we play a
	// proxy and the user agent behind it in one: they stay out of our own route sets.
	OwnRoute func(uri URI) bool
	// HandshakeFailed is told of TLS handshakes that we refused or that broke.
	HandshakeFailed func(l *Listener, peer netip.AddrPort, err error)
	// SentBy is the Via sent-by for a way; nil or "" = its local address and port.
	SentBy func(*Conn) string
	// NoAckFailure leaves failures without ACK, for tests of the peer's timers.
	NoAckFailure bool
	// UpperCase writes header names in upper case, as Microsoft's proxy does.
	UpperCase bool
	// KeepText keeps the text of every message in the calls' logs, besides its summary.
	KeepText bool
	Logger   *slog.Logger
}

// Target is where a request goes.
type Target struct {
	Transport tandem.Transport
	Addr      netip.AddrPort
	// ServerName and TLS are for TLS; ServerName also keeps connections to different names apart.
	ServerName string
	TLS        *tls.Config
	// Local is the source address of a new connection; invalid = the system's choice.
	Local netip.Addr
	// Listener is the UDP socket to send from; nil = the endpoint's first one.
	Listener *Listener
	// Conn, when set and open, is used as it is.
	Conn *Conn
}

// Endpoint is a SIP user agent with its sockets. All methods may be called from any goroutine.
type Endpoint struct {
	cfg Config
	log *slog.Logger

	mu        sync.Mutex
	listeners []*Listener
	conns     map[*Conn]struct{}
	held      map[net.Conn]struct{}
	pool      map[string]*Conn
	servers   map[string]*ServerTx
	clients   map[string]*clientTx
	calls     map[string]*Call // by Call-ID and our tag
	logs      map[string]*Log  // by Call-ID
	closed    bool

	dialling sync.Map // pool key -> *sync.Mutex
	wg       sync.WaitGroup
	ctx      context.Context
	cancel   context.CancelFunc

	stats Stats
}

// New makes an endpoint without sockets.
func New(cfg Config) *Endpoint {
	if cfg.T1 == 0 {
		cfg.T1 = 500 * time.Millisecond
	}
	if cfg.T2 == 0 {
		cfg.T2 = 4 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Endpoint{
		cfg: cfg, log: cfg.Logger,
		conns: map[*Conn]struct{}{}, held: map[net.Conn]struct{}{}, pool: map[string]*Conn{},
		servers: map[string]*ServerTx{}, clients: map[string]*clientTx{}, calls: map[string]*Call{}, logs: map[string]*Log{},
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e
}

// Close shuts every socket, stops every timer and waits for the goroutines,
// handlers included: their calls see EventLost or a cancelled context.
func (e *Endpoint) Close() {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return
	}
	e.closed = true
	listeners := e.listeners
	var conns []*Conn
	for c := range e.conns {
		conns = append(conns, c)
	}
	var held []net.Conn
	for c := range e.held {
		held = append(held, c)
	}
	var servers []*ServerTx
	for _, tx := range e.servers {
		servers = append(servers, tx)
	}
	var clients []*clientTx
	for _, tx := range e.clients {
		clients = append(clients, tx)
	}
	var calls []*Call
	for _, c := range e.calls {
		calls = append(calls, c)
	}
	e.mu.Unlock()

	e.cancel()
	for _, tx := range servers {
		tx.stop()
	}
	for _, tx := range clients {
		tx.stop()
	}
	for _, c := range calls {
		c.push(Event{Kind: EventLost, Err: net.ErrClosed})
	}
	for _, l := range listeners {
		l.Shut(false)
	}
	for _, c := range conns {
		c.Close()
	}
	for _, c := range held {
		c.Close()
	}
	e.wg.Wait()
}

// Context ends when the endpoint is closed.
func (e *Endpoint) Context() context.Context { return e.ctx }

// Go runs f in a goroutine that Close waits for; it is not run any more once closed.
func (e *Endpoint) Go(f func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.wg.Add(1)
	go func() {
		defer e.wg.Done()
		f()
	}()
	return true
}

func (e *Endpoint) hold(c net.Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.held[c] = struct{}{}
	return true
}

func (e *Endpoint) release(c net.Conn) {
	e.mu.Lock()
	delete(e.held, c)
	e.mu.Unlock()
}

func (e *Endpoint) addConn(c *Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.conns[c] = struct{}{}
	if c.poolBy != "" {
		e.pool[c.poolBy] = c
	}
	return true
}

// connGone tells the client transactions pending on the connection that it has died.
func (e *Endpoint) connGone(c *Conn) {
	c.closed.Store(true)
	c.stream.Close()
	e.mu.Lock()
	delete(e.conns, c)
	if e.pool[c.poolBy] == c {
		delete(e.pool, c.poolBy)
	}
	var pending []*clientTx
	for _, tx := range e.clients {
		if tx.conn == c {
			pending = append(pending, tx)
		}
	}
	e.mu.Unlock()
	close(c.done)
	for _, tx := range pending {
		tx.fail(fmt.Errorf("connection to %s lost: %w", c.Remote, net.ErrClosed))
	}
}

// CloseConns ends every connection that we dialled, for instance to make the
// next request open a new one. With reset they end with a RST.
func (e *Endpoint) CloseConns(reset bool) {
	e.mu.Lock()
	var dialled []*Conn
	for c := range e.conns {
		if c.Dialled {
			dialled = append(dialled, c)
		}
	}
	e.mu.Unlock()
	for _, c := range dialled {
		if reset {
			c.Reset()
		} else {
			c.Close()
		}
	}
}

// Open is the number of open stream connections that we dialled.
func (e *Endpoint) Open() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for c := range e.conns {
		if c.Dialled {
			n++
		}
	}
	return n
}

// connect finds or opens the way to a target.
func (e *Endpoint) connect(ctx context.Context, to Target) (*Conn, error) {
	if to.Conn != nil && !to.Conn.Closed() {
		return to.Conn, nil
	}
	if to.Transport == tandem.UDP {
		return e.packetConn(to)
	}
	if !to.Addr.IsValid() {
		return nil, errors.New("no address to dial")
	}
	key := string(to.Transport) + " " + to.Addr.String() + " " + to.ServerName + " " + to.Local.String()
	lock, _ := e.dialling.LoadOrStore(key, &sync.Mutex{})
	lock.(*sync.Mutex).Lock() // one dial per key at a time, others wait and share it
	defer lock.(*sync.Mutex).Unlock()
	e.mu.Lock()
	c, closed := e.pool[key], e.closed
	e.mu.Unlock()
	if closed {
		return nil, net.ErrClosed
	}
	if c != nil && !c.Closed() {
		return c, nil
	}
	stream, err := e.dial(ctx, to)
	if err != nil {
		return nil, err
	}
	c = &Conn{Transport: to.Transport, Dialled: true, Local: addrPort(stream.LocalAddr()), Remote: to.Addr,
		e: e, stream: stream, poolBy: key, done: make(chan struct{})}
	if !e.addConn(c) || !e.Go(c.serve) {
		c.Close()
		return nil, net.ErrClosed
	}
	return c, nil
}

func (e *Endpoint) dial(ctx context.Context, to Target) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	if to.Local.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(to.Local, 0))
	}
	raw, err := d.DialContext(ctx, "tcp", to.Addr.String())
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", to.Addr, err)
	}
	if to.Transport != tandem.TLS {
		return raw, nil
	}
	var cfg *tls.Config
	if to.TLS != nil {
		cfg = to.TLS.Clone()
	} else {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	cfg.ServerName = to.ServerName
	t := tls.Client(raw, cfg)
	hctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := t.HandshakeContext(hctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("TLS handshake with %s (%s): %w", to.ServerName, to.Addr, err)
	}
	return t, nil
}

func (e *Endpoint) packetConn(to Target) (*Conn, error) {
	l := to.Listener
	if l == nil {
		e.mu.Lock()
		for _, candidate := range e.listeners {
			if candidate.Config.Transport == tandem.UDP {
				l = candidate
				break
			}
		}
		e.mu.Unlock()
	}
	if l == nil {
		return nil, errors.New("no UDP socket to send from: call Listen first")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.udp == nil {
		return nil, net.ErrClosed
	}
	return &Conn{Transport: tandem.UDP, Listener: l, Local: l.addr, Remote: to.Addr, e: e, packet: l.udp}, nil
}

// write prints, traces and sends one message.
func (e *Endpoint) write(c *Conn, m *Message) error {
	if !m.clean() {
		return errors.New("a header or the start line holds CR, LF or NUL: refused")
	}
	text := m.Bytes(e.cfg.UpperCase)
	e.trace(sent, c, m, text)
	if !c.reliable() && e.cfg.Outgoing != nil && !e.cfg.Outgoing(m) {
		return nil // lost on purpose
	}
	return c.Write(text)
}
