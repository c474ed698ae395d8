package transport

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
	"tandem/sip"
)

// Reasons of connections that end; the first two never leave the package.
var (
	errConnGone = errors.New("connection is gone")
	errLast     = errors.New("closed after a final answer")
	errIdle     = &tandem.Error{Kind: tandem.KindUnavailable, Message: "the connection was idle for too long"}
	errSlow     = &tandem.Error{Kind: tandem.KindUnavailable, Message: "a message took too long to arrive"}
	errGarbage  = &tandem.Error{Kind: tandem.KindUnavailable, Message: "too many messages in a row could not be read"}
	errNoWay    = &tandem.Error{Kind: tandem.KindUnavailable, Message: "the connection that the request came on is gone"}
	errDead     = &tandem.Error{Kind: tandem.KindUnavailable, Message: "the peer is dead: it answers OPTIONS neither on this connection nor on a new one"}
	errFull     = &tandem.Error{Kind: tandem.KindUnavailable, Message: "too much waits to be sent to this peer", Mend: "the peer does not read; see its log"}
)

// maxGarbage is how many unreadable messages in a row a connection survives.
const maxGarbage = 16

// maxUnproven bounds the list of messages that wait for the first sign of life of a connection.
const maxUnproven = 256

// conn is one stream connection. A reader goroutine cuts and parses, a writer
// goroutine empties the queue.
type conn struct {
	t             *Transport
	id            sip.ConnID
	nc            net.Conn
	transport     tandem.Transport
	trunk         tandem.TrunkID
	local, remote netip.AddrPort
	outbound      bool
	key           poolKey
	born          time.Time

	lastActive atomic.Int64 // Unix nanoseconds
	lastHeard  atomic.Int64 // Unix nanoseconds; 0 = never
	retired    atomic.Bool  // replaced in the pool
	stale      atomic.Bool  // to be replaced at the next message

	mu     sync.Mutex
	queue  []outgoing
	queued int
	closed bool
	// unproven are messages written before anything was received. With TLS 1.3
	// a refused client certificate shows up only on the first read, after the
	// handshake succeeded; these then fail with that reason.
	unproven []sip.SendRef
	proven   bool
	wake     chan struct{}
	done     chan struct{}
}

// newConn registers a connection; key is set for those that we dialled. Its
// goroutines start with run.
func (t *Transport) newConn(nc net.Conn, transport tandem.Transport, trunk tandem.TrunkID, key *poolKey) *conn {
	c := &conn{t: t, id: sip.ConnID(t.lastID.Add(1)), nc: nc, transport: transport, trunk: trunk,
		local: addrPortOf(nc.LocalAddr()), remote: addrPortOf(nc.RemoteAddr()), born: t.clock(),
		wake: make(chan struct{}, 1), done: make(chan struct{})}
	if key != nil {
		c.outbound, c.key = true, *key
	}
	c.touch()
	t.conns.add(c)
	return c
}

// run starts the goroutines; released is called when the reader ends.
func (c *conn) run(released func()) {
	ok := c.t.spawn(c.write) && c.t.spawn(func() {
		c.read()
		if released != nil {
			released()
		}
	})
	if !ok {
		c.close(errClosed)
		if released != nil {
			released()
		}
	}
}

func (c *conn) touch()            { c.lastActive.Store(c.t.clock().UnixNano()) }
func (c *conn) active() time.Time { return time.Unix(0, c.lastActive.Load()) }

// enqueue hands a message to the writer. It fails with errConnGone after close.
func (c *conn) enqueue(o outgoing) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errConnGone
	}
	if c.queued+len(o.msg) > c.t.cfg.WriteQueue {
		return errFull
	}
	c.queue = append(c.queue, o)
	c.queued += len(o.msg)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

// take empties the queue for the writer. SentOn is told here, before the bytes
// leave and under the lock that close takes, so that the handler hears of it
// before any response and before the connection's end.
func (c *conn) take(spare []outgoing) []outgoing {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	batch := c.queue
	c.queue, c.queued = spare[:0], 0
	for i := range batch {
		ref := batch[i].ref
		if ref.Watch {
			c.t.handler.SentOn(ref, c.id, c.t.clock())
		}
		if ref.Tx != 0 && !c.proven && len(c.unproven) < maxUnproven {
			c.unproven = append(c.unproven, ref)
		}
	}
	return batch
}

// write is the writer goroutine. What waits together leaves together: one
// system call and one TLS record for a burst.
func (c *conn) write() {
	var spare []outgoing
	var buf []byte
	for {
		select {
		case <-c.done:
			return
		case <-c.wake:
		}
		batch := c.take(spare)
		if len(batch) == 0 {
			spare = batch // never the slice that take made the queue
			continue
		}
		buf = buf[:0]
		last := false
		for i := range batch {
			buf = append(buf, batch[i].msg...)
			last = last || batch[i].last
		}
		_ = c.nc.SetWriteDeadline(time.Now().Add(c.t.cfg.WriteTimeout))
		n, err := c.nc.Write(buf)
		c.t.count.bytesOut.Add(uint64(n))
		if err != nil {
			for i := range batch {
				if ref := batch[i].ref; ref.Tx != 0 && !ref.Watch { // those watched learn it from ConnClosed
					c.t.fail(ref, c.explain(err))
				}
			}
			c.close(err)
			return
		}
		c.t.count.sent.Add(uint64(len(batch)))
		c.touch()
		if last {
			if h, ok := c.nc.(interface{ CloseWrite() error }); ok {
				_ = h.CloseWrite()
			}
			return // the reader drains and closes
		}
		if cap(buf) > 256<<10 {
			buf = nil
		}
		clear(batch)
		spare = batch
	}
}

// read is the reader goroutine.
func (c *conn) read() {
	f := newFramer(c.t.cfg.MaxMessage)
	flow := sip.Flow{Trunk: c.trunk, Transport: c.transport, Conn: c.id, Source: c.remote, Local: c.local}
	garbage := 0
	var began time.Time // of the message in progress
	for {
		deadline := time.Now().Add(c.t.cfg.IdleTimeout)
		if f.partial() {
			deadline = began.Add(c.t.cfg.MessageTimeout)
		}
		_ = c.nc.SetReadDeadline(deadline)
		n, err := c.nc.Read(f.space())
		if n > 0 {
			if !f.partial() {
				began = time.Now()
			}
			f.filled(n)
			c.t.count.bytesIn.Add(uint64(n))
			c.touch()
			c.lastHeard.Store(c.lastActive.Load())
			c.prove()
		}
		for n > 0 {
			m, more, ferr := f.next()
			if pings := f.takePings(); pings > 0 {
				c.t.count.keepalives.Add(uint64(pings))
				for range min(pings, 4) {
					_ = c.enqueue(outgoing{msg: crlf}) // RFC 5626 3.5.1: the pong
				}
			}
			if more {
				break
			}
			if ferr != nil {
				c.pace(m.head, 0) // 64 KB and a new connection each time are the dearest refusal
				c.finish(c.t.refuse(flow, m.head, ferr))
				return
			}
			began = time.Now()
			c.pace(m.head, len(m.body))
			if answer, ok := c.t.receive(flow, m.head, m.body, true); ok {
				garbage = 0
			} else {
				if answer != nil {
					_ = c.enqueue(outgoing{msg: answer})
				}
				if garbage++; garbage >= maxGarbage {
					c.finish(nil)
					return
				}
			}
		}
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = errIdle
				if f.partial() {
					c.t.count.slow.Add(1)
					err = errSlow
				}
			}
			c.close(err)
			return
		}
	}
}

// pace holds the reader while its source sends more than it may: what is not
// read fills the peer's window, and the peer waits. It begins again at once when
// the connection ends.
func (c *conn) pace(head []byte, body int) {
	for !c.t.rates.take(c.remote.Addr(), head, len(head)+body, c.t.clock()) {
		c.t.count.overRate.Add(1)
		select {
		case <-c.done:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// finish sends a last answer, if any, and ends the connection gently: closing
// with unread bytes would reset it and destroy the answer on its way.
func (c *conn) finish(answer []byte) {
	if answer == nil || c.enqueue(outgoing{msg: answer, last: true}) != nil {
		c.close(errGarbage)
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(time.Second))
	drain := make([]byte, 16<<10)
	for total := 0; total < 1<<20; {
		n, err := c.nc.Read(drain)
		total += n
		if err != nil {
			break
		}
	}
	c.close(errLast)
}

// prove notes that the peer has sent something.
func (c *conn) prove() {
	if c.proven { // only this goroutine sets it
		return
	}
	c.mu.Lock()
	c.proven, c.unproven = true, nil
	c.mu.Unlock()
}

// close ends the connection once. What was never written goes another way, once.
func (c *conn) close(cause error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	rest, unproven := c.queue, c.unproven
	// A connection of ours that died before its first sign of life would die
	// again: only one that worked is worth a second try.
	retry := cause != errClosed && (c.proven || !c.outbound)
	c.queue, c.unproven = nil, nil
	close(c.done)
	c.mu.Unlock()

	_ = c.nc.Close()
	c.t.conns.remove(c.id)
	c.t.pool.forget(c)
	why := c.explain(cause)
	c.t.log.Debug("connection closed", "trunk", c.trunk, "peer", c.remote, "err", why)
	for _, ref := range unproven {
		c.t.fail(ref, why)
	}
	c.t.handler.ConnClosed(c.id, c.t.clock())
	for _, o := range rest {
		if !retry || o.retried || o.to.Host == "" {
			c.t.fail(o.ref, why)
			continue
		}
		o.retried, o.to.Conn = true, 0
		c.t.send(o)
	}
}

func (c *conn) explain(err error) error {
	host := c.remote.Addr().String()
	if c.outbound {
		host = c.key.host
	}
	return explain(describe(c.transport, host, c.remote.Port()), err)
}

// connTable finds connections by ID.
type connTable struct {
	mu sync.RWMutex
	m  map[sip.ConnID]*conn
}

func (t *connTable) init() { t.m = make(map[sip.ConnID]*conn) }

func (t *connTable) add(c *conn) {
	t.mu.Lock()
	t.m[c.id] = c
	t.mu.Unlock()
}

func (t *connTable) remove(id sip.ConnID) {
	t.mu.Lock()
	delete(t.m, id)
	t.mu.Unlock()
}

func (t *connTable) find(id sip.ConnID) *conn {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.m[id]
}

func (t *connTable) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.m)
}

func (t *connTable) all() []*conn {
	t.mu.RLock()
	defer t.mu.RUnlock()
	out := make([]*conn, 0, len(t.m))
	for _, c := range t.m {
		out = append(out, c)
	}
	return out
}
