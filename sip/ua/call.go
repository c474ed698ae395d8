package ua

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

// EventKind tells what happened to a call.
type EventKind uint8

// The events of a call.
const (
	EventResponse EventKind = iota + 1 // Msg: a response to our INVITE
	EventFailed                        // Err: our INVITE got no response, or its connection died
	EventCancel                        // Msg: the CANCEL of the INVITE that we are answering; its 200 has been sent
	EventAck                           // Msg: the ACK to our 2xx
	EventNoAck                         // our 2xx stayed without ACK for 64*T1
	EventRequest                       // Msg, Tx: a request inside the dialog
	EventLost                          // Err: the endpoint is closing
)

// Event is one thing that happened to a call.
type Event struct {
	Kind EventKind
	Msg  *Message
	Tx   *ServerTx
	Err  error
}

// Dialog is the state of one dialog (RFC 3261 12).
type Dialog struct {
	Local, Remote string   // From and To values of our requests, with their tags
	Target        string   // remote target, byte for byte
	Routes        []string // route set
	seq           uint32
}

// Call is an INVITE and the dialogs that it made, from either end. One
// goroutine reads Events and acts.
type Call struct {
	// Invite is the request that began it.
	Invite *Message
	// Tag is our tag: of From when we call, of To (the first one) when we are called.
	Tag string
	// Tx is the INVITE's server transaction; nil when we call.
	Tx *ServerTx

	e      *Endpoint
	log    *Log
	conn   *Conn
	target Target
	client *clientTx
	events chan Event

	mu      sync.Mutex
	tags    []string // our tags, for the table
	dialogs map[string]*Dialog
	current *Dialog
	acks    map[string]*ackSent // by remote tag and CSeq
	reTx    *ServerTx           // the last re-INVITE that came
	gone    bool
}

type ackSent struct {
	msg  *Message
	conn *Conn
}

// queue of a call's events: more than a script can be late by.
const queue = 64

func (e *Endpoint) newCall(invite *Message, conn *Conn) *Call {
	return &Call{Invite: invite, e: e, conn: conn, log: e.logFor(invite.CallID()), events: make(chan Event, queue),
		dialogs: map[string]*Dialog{}, acks: map[string]*ackSent{}}
}

// Events delivers what happens, in wire order.
func (c *Call) Events() <-chan Event { return c.events }

// Log is the call's ladder.
func (c *Call) Log() *Log { return c.log }

// Conn is the way that the INVITE went or came.
func (c *Call) Conn() *Conn { return c.conn }

// Dialog is the confirmed dialog, or the latest early one; nil before any.
func (c *Call) Dialog() *Dialog {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

func (c *Call) push(ev Event) {
	select {
	case c.events <- ev:
	default:
		c.e.stats.Dropped.Add(1)
	}
}

func (c *Call) register(tag string) {
	c.tags = append(c.tags, tag)
	c.e.mu.Lock()
	c.e.calls[callKey(c.Invite.CallID(), tag)] = c
	c.e.mu.Unlock()
}

// Invite sends an INVITE. From without a tag, Call-ID, CSeq, Via and
// Max-Forwards are completed; everything else is the caller's, Contact included.
func (e *Endpoint) Invite(ctx context.Context, to Target, req *Message) (*Call, error) {
	conn, err := e.connect(ctx, to)
	if err != nil {
		return nil, err
	}
	complete(req)
	c := e.newCall(req, conn)
	c.Tag, c.target = req.FromTag(), to
	c.register(c.Tag)
	start := func(conn *Conn) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.conn = conn
		c.client, err = e.start(conn, req, c.response, func(err error) { c.push(Event{Kind: EventFailed, Err: err}) })
		return err
	}
	if err = start(conn); err != nil && conn.reliable() && to.Conn == nil {
		// A kept connection that the peer had closed before we noticed: once more on a new one.
		if conn, err = e.connect(ctx, to); err == nil {
			err = start(conn)
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Accept makes a Call of an INVITE; nothing is answered yet.
func (e *Endpoint) Accept(tx *ServerTx) *Call {
	c := e.newCall(tx.Req, tx.Req.Conn)
	c.Tx, c.Tag = tx, NewTag()
	c.log.add(received, tx.Req.Conn, tx.Req, nil, tx.Req.At, e.cfg.KeepText)
	c.register(c.Tag)
	tx.mu.Lock()
	tx.call = c
	cancel := tx.cancel
	tx.mu.Unlock()
	if cancel != nil {
		c.push(Event{Kind: EventCancel, Msg: cancel})
	}
	return c
}

// response takes the responses to our INVITE, in the reader's goroutine.
func (c *Call) response(m *Message) {
	tag := m.ToTag()
	c.mu.Lock()
	if m.Status > 100 && m.Status < 300 && tag != "" {
		d := c.dialogs[tag]
		if d == nil {
			d = &Dialog{Local: c.Invite.Get("From"), seq: 1}
			d.seq, _ = c.Invite.CSeq()
			c.dialogs[tag] = d
		}
		d.Remote = m.Get("To")
		if contact := m.Get("Contact"); contact != "" {
			d.Target = URIOf(contact)
		}
		routes := m.Values("Record-Route")
		slices.Reverse(routes)
		d.Routes = c.e.foreign(routes)
		c.current = d
	}
	again := false
	if m.Status >= 200 && m.Status < 300 {
		_, again = c.acks[ackKey(m)]
	}
	acked := c.acks[ackKey(m)]
	gone := c.gone
	if m.Status >= 200 && m.Status < 300 && !again {
		c.acks[ackKey(m)] = nil // seen; the script sends the ACK
	}
	c.mu.Unlock()
	switch {
	case again && acked != nil:
		c.e.write(acked.conn, acked.msg)
	case again:
	case gone && m.Status >= 200 && m.Status < 300:
		c.e.stats.Late2xx.Add(1)
		c.e.Go(func() { c.refuseLate(m) })
	default:
		c.push(Event{Kind: EventResponse, Msg: m})
	}
}

// refuseLate answers a 2xx that nobody waits for with ACK and BYE (RFC 3261 13.2.2.4).
func (c *Call) refuseLate(m *Message) {
	ctx, cancel := context.WithTimeout(c.e.ctx, 10*time.Second)
	defer cancel()
	if c.Ack(ctx, m, nil) == nil {
		c.RequestOn(ctx, m.ToTag(), "BYE", nil)
	}
}

// foreign drops the routes that name ourselves.
func (e *Endpoint) foreign(routes []string) []string {
	if e.cfg.OwnRoute == nil {
		return routes
	}
	return slices.DeleteFunc(routes, func(r string) bool {
		uri, ok := AddressOf(r)
		return ok && e.cfg.OwnRoute(uri)
	})
}

func ackKey(m *Message) string {
	n, _ := m.CSeq()
	return m.ToTag() + " " + strconv.FormatUint(uint64(n), 10)
}

// Ack acknowledges a 2xx to an INVITE of ours; the ACK is repeated whenever the 2xx is.
func (c *Call) Ack(ctx context.Context, resp *Message, body []byte, extra ...Header) error {
	c.mu.Lock()
	d := c.dialogs[resp.ToTag()]
	if d == nil {
		c.mu.Unlock()
		return errors.New("ACK: no dialog with that tag")
	}
	n, _ := resp.CSeq()
	ack := d.request("ACK", n)
	c.mu.Unlock()
	ack.Add("Call-ID", c.Invite.CallID())
	ack.Add("Max-Forwards", "70")
	ack.AddAll(extra)
	ack.Body = body
	if body != nil {
		ack.Add("Content-Type", "application/sdp")
	}
	conn, err := c.e.connect(ctx, c.hop(d))
	if err != nil {
		return err
	}
	ack.Headers = append([]Header{{"Via", c.e.via(conn, "z9hG4bK"+NewTag())}}, ack.Headers...)
	c.mu.Lock()
	c.acks[ackKey(resp)] = &ackSent{ack, conn}
	c.mu.Unlock()
	return c.e.write(conn, ack)
}

// Cancel sends CANCEL for our INVITE (RFC 3261 9.1: the caller waits for a
// provisional response before). Its answer is awaited in the background.
func (c *Call) Cancel(extra ...Header) error {
	req := sameBranch(c.client.req, "CANCEL", c.Invite.Get("To"))
	req.AddAll(extra)
	_, err := c.e.start(c.conn, req, func(*Message) {}, func(error) {})
	return err
}

// Close forgets the call: later requests get 481, a later 2xx ACK and BYE.
func (c *Call) Close() {
	c.mu.Lock()
	if c.gone {
		c.mu.Unlock()
		return
	}
	c.gone = true
	tags := c.tags
	c.mu.Unlock()
	c.e.mu.Lock()
	for _, tag := range tags {
		delete(c.e.calls, callKey(c.Invite.CallID(), tag))
	}
	c.e.mu.Unlock()
	c.e.dropLog(c.Invite.CallID())
	if c.Tx != nil {
		c.Tx.Abandon()
	}
	for { // requests that came too late to be read
		select {
		case ev := <-c.events:
			switch {
			case ev.Kind == EventRequest && ev.Tx != nil:
				ev.Tx.Reply(481, "")
			case ev.Kind == EventResponse && ev.Msg.Status >= 200 && ev.Msg.Status < 300:
				c.e.stats.Late2xx.Add(1)
				c.e.Go(func() { c.refuseLate(ev.Msg) })
			}
		default:
			return
		}
	}
}

func (d *Dialog) request(method string, seq uint32) *Message {
	m := &Message{Method: method, URI: d.Target}
	for _, r := range d.Routes {
		m.Add("Route", r)
	}
	m.Add("From", d.Local)
	m.Add("To", d.Remote)
	return m.seq(method, seq)
}

func (m *Message) seq(method string, seq uint32) *Message {
	m.Add("CSeq", fmt.Sprintf("%d %s", seq, method))
	return m
}
