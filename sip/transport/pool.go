package transport

import (
	"net/netip"
	"sync"
	"time"

	"tandem"
	"tandem/sip"
)

// pool holds the connections that we dialled, one per trunk, name, port and
// transport. Two names at one address are two connections, each verified for its name.
type pool struct {
	t       *Transport
	mu      sync.Mutex
	entries map[poolKey]*poolEntry
}

type poolKey struct {
	trunk     tandem.TrunkID
	transport tandem.Transport
	host      string
	port      uint16
	addr      netip.Addr
}

// poolEntry is a connection, a dial, or both while a connection is renewed.
type poolEntry struct {
	conn    *conn
	dialing bool
	waiting []outgoing // for the dial
	bytes   int
}

func (p *pool) init(t *Transport) {
	p.t = t
	p.entries = map[poolKey]*poolEntry{}
}

// send queues a message on the right connection and dials it when there is none.
func (p *pool) send(o outgoing) {
	if err := p.place(keyOf(o.to), o); err != nil {
		p.t.fail(o.ref, err)
	}
}

func (p *pool) place(key poolKey, o outgoing) error {
	trunk := p.t.sources.Load().byID[key.trunk]
	if trunk == nil {
		return noTrunk(key.trunk)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[key]
	if e == nil {
		if len(p.entries) >= p.t.cfg.MaxConns {
			return &tandem.Error{Kind: tandem.KindUnavailable, Message: "too many connections are open", Mend: "raise sip.max_conns, or find out who asks for so many targets"}
		}
		e = &poolEntry{}
		p.entries[key] = e
	}
	if c := e.conn; c != nil {
		if !e.dialing && (c.stale.Load() || p.t.clock().Sub(c.born) > p.t.cfg.RenewAfter) {
			e.dialing = p.dial(key, trunk)
		}
		err := c.enqueue(o)
		if err != errConnGone {
			return err
		}
		e.conn = nil
	}
	if !e.dialing {
		if e.dialing = p.dial(key, trunk); !e.dialing {
			delete(p.entries, key)
			return errClosed
		}
	}
	if e.bytes+len(o.msg) > p.t.cfg.WriteQueue {
		return errFull
	}
	e.waiting = append(e.waiting, o)
	e.bytes += len(o.msg)
	return nil
}

func (p *pool) dial(key poolKey, trunk *Trunk) bool {
	return p.t.spawn(func() {
		c, err := p.t.dial(key, trunk)
		p.dialled(key, c, err)
	})
}

// dialled ends a dial: what waited goes out in order, or fails with the reason.
func (p *pool) dialled(key poolKey, c *conn, err error) {
	p.mu.Lock()
	e := p.entries[key]
	if e == nil { // can't be: an entry lives as long as its dial
		e = &poolEntry{}
		p.entries[key] = e
	}
	waiting := e.waiting
	e.waiting, e.bytes, e.dialing = nil, 0, false
	if err != nil {
		if e.conn == nil {
			delete(p.entries, key)
		}
		// While the old connection lives it stays in use and its renewal is tried again.
		p.mu.Unlock()
		for _, o := range waiting {
			p.t.fail(o.ref, err)
		}
		return
	}
	if old := e.conn; old != nil {
		old.retired.Store(true)
	}
	e.conn = c
	var failed []outgoing
	for _, o := range waiting {
		if c.enqueue(o) != nil {
			failed = append(failed, o)
		}
	}
	p.mu.Unlock()
	c.run(nil)
	for _, o := range failed {
		p.t.fail(o.ref, errFull)
	}
}

// Distrust has the next message to a target dial anew. The connection there is
// stays open for what the peer may still say on it.
func (t *Transport) Distrust(to sip.Target) {
	p := &t.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entries[keyOf(to)]; e != nil && e.conn != nil {
		e.conn.retired.Store(true)
		e.conn = nil
		if !e.dialing {
			delete(p.entries, keyOf(to))
		}
	}
}

// Abandon closes the connections that we dialled to a target, replaced ones too,
// on which nothing was received since an instant. What waits on them fails.
func (t *Transport) Abandon(to sip.Target, since time.Time) {
	key := keyOf(to)
	for _, c := range t.conns.all() {
		if c.outbound && c.key == key && c.lastHeard.Load() < since.UnixNano() {
			c.close(errDead)
		}
	}
}

func keyOf(to sip.Target) poolKey {
	key := poolKey{to.Trunk, to.Transport, to.Host, to.Port, to.Addr.Unmap()}
	if !to.Addr.IsValid() {
		key.addr = netip.Addr{}
	}
	return key
}

// forget removes a connection that ended.
func (p *pool) forget(c *conn) {
	if !c.outbound {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entries[c.key]; e != nil && e.conn == c {
		e.conn = nil
		if !e.dialing {
			delete(p.entries, c.key)
		}
	}
}
