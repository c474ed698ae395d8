package ua

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"tandem"
)

// Answer is a response to the INVITE that we are answering.
type Answer struct {
	Status  int
	Reason  string
	Tag     string // "" = Call.Tag; another one makes another early dialog (a fork)
	Headers []Header
	Body    []byte // SDP
}

// Respond answers the INVITE.
func (c *Call) Respond(a Answer) error {
	if a.Tag == "" {
		a.Tag = c.Tag
	}
	r := Response(c.Tx.Req, a.Status, a.Reason, a.Tag, a.Headers...)
	r.Body = a.Body
	if a.Body != nil && !r.Has("Content-Type") {
		r.Add("Content-Type", "application/sdp")
	}
	if a.Status > 100 && a.Status < 300 {
		c.mu.Lock()
		d := c.dialogs[a.Tag]
		if d == nil {
			d = c.calledDialog(a.Tag)
			c.dialogs[a.Tag] = d
			if a.Tag != c.Tag {
				c.register(a.Tag)
			}
		}
		c.current = d
		c.mu.Unlock()
	}
	return c.Tx.Respond(r)
}

// calledDialog is the callee's view (RFC 3261 12.1.1).
func (c *Call) calledDialog(tag string) *Dialog {
	to := c.Invite.Get("To")
	return &Dialog{
		Local:  to + ";tag=" + tag,
		Remote: c.Invite.Get("From"),
		Target: URIOf(c.Invite.Get("Contact")),
		Routes: c.e.foreign(c.Invite.Values("Record-Route")),
	}
}

// ackArrived stops our 2xx and tells the script, once per INVITE.
func (c *Call) ackArrived(m *Message) {
	c.mu.Lock()
	tx := c.Tx
	if c.reTx != nil {
		if n, _ := c.reTx.Req.CSeq(); n == seqOf(m) {
			tx = c.reTx
		}
	}
	c.mu.Unlock()
	if tx == nil {
		return
	}
	tx.mu.Lock()
	seen := tx.confirmed
	tx.mu.Unlock()
	tx.confirm2xx()
	if !seen {
		c.push(Event{Kind: EventAck, Msg: m})
	}
}

func seqOf(m *Message) uint32 {
	n, _ := m.CSeq()
	return n
}

// requestArrived keeps the dialog's remote target (RFC 3261 12.2.2) and
// remembers a re-INVITE so that its 2xx finds its ACK.
func (c *Call) requestArrived(m *Message, tx *ServerTx) {
	if m.Method != "INVITE" && m.Method != "UPDATE" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if contact := m.Get("Contact"); contact != "" && c.current != nil {
		c.current.Target = URIOf(contact)
	}
	if m.Method == "INVITE" {
		c.reTx = tx
		tx.mu.Lock()
		tx.call = c
		tx.mu.Unlock()
	}
}

// AnswerRequest answers a request inside the dialog.
func (c *Call) AnswerRequest(tx *ServerTx, status int, body []byte, extra ...Header) error {
	r := Response(tx.Req, status, "", c.Tag, extra...)
	r.Body = body
	if body != nil {
		r.Add("Content-Type", "application/sdp")
	}
	return tx.Respond(r)
}

// Request sends a request in the confirmed (or latest) dialog and waits for its
// final response; the 2xx to a re-INVITE is acknowledged at once.
func (c *Call) Request(ctx context.Context, method string, body []byte, extra ...Header) (*Message, error) {
	return c.send(ctx, c.Dialog(), method, body, extra)
}

// RequestOn is Request in the dialog with a certain remote tag, one of several forks.
func (c *Call) RequestOn(ctx context.Context, remoteTag, method string, body []byte, extra ...Header) (*Message, error) {
	c.mu.Lock()
	d := c.dialogs[remoteTag]
	c.mu.Unlock()
	return c.send(ctx, d, method, body, extra)
}

func (c *Call) send(ctx context.Context, d *Dialog, method string, body []byte, extra []Header) (*Message, error) {
	if d == nil {
		return nil, errors.New(method + ": there is no dialog yet")
	}
	c.mu.Lock()
	d.seq++
	req := d.request(method, d.seq)
	c.mu.Unlock()
	req.Add("Call-ID", c.Invite.CallID())
	req.AddAll(extra)
	req.Body = body
	if body != nil && !req.Has("Content-Type") {
		req.Add("Content-Type", "application/sdp")
	}
	conn, err := c.e.connect(ctx, c.hop(d))
	if err != nil {
		return nil, err
	}
	if method != "INVITE" {
		return c.e.exchange(ctx, conn, req)
	}
	return c.reinvite(ctx, d, conn, req)
}

// reinvite waits for the final response and repeats the ACK of a repeated 2xx.
func (c *Call) reinvite(ctx context.Context, d *Dialog, conn *Conn, req *Message) (*Message, error) {
	final := make(chan *Message, 1)
	failed := make(chan error, 1)
	n, _ := req.CSeq()
	c.mu.Lock()
	ack := d.request("ACK", n)
	c.mu.Unlock()
	ack.Add("Call-ID", c.Invite.CallID())
	ack.Add("Max-Forwards", "70")
	ack.Headers = append([]Header{{"Via", c.e.via(conn, "z9hG4bK"+NewTag())}}, ack.Headers...)
	tx, err := c.e.start(conn, req, func(m *Message) {
		if m.Status < 200 {
			return
		}
		if m.Status < 300 {
			c.mu.Lock()
			if contact := m.Get("Contact"); contact != "" {
				d.Target = URIOf(contact)
			}
			ack.URI = d.Target
			c.mu.Unlock()
			c.e.write(conn, ack)
		}
		select {
		case final <- m:
		default:
		}
	}, func(err error) { failed <- err })
	if err != nil {
		return nil, err
	}
	select {
	case m := <-final:
		return m, nil
	case err := <-failed:
		return nil, err
	case <-ctx.Done():
		tx.stop()
		return nil, ctx.Err()
	case <-c.e.ctx.Done():
		return nil, c.e.ctx.Err()
	}
}

// hop is where requests of the dialog go: the first route or the remote target
// (RFC 3261 12.2.1.1), found by Config.NextHop, else as an address literal, else the way that the INVITE took.
func (c *Call) hop(d *Dialog) Target {
	c.mu.Lock()
	next := d.Target
	if len(d.Routes) > 0 {
		next = URIOf(d.Routes[0])
	}
	c.mu.Unlock()
	uri, readable := ParseURI(next)
	if readable && c.e.cfg.NextHop != nil {
		if to, ok := c.e.cfg.NextHop(c, uri); ok {
			return to
		}
	}
	if c.conn.reliable() && !c.conn.Closed() {
		return Target{Conn: c.conn}
	}
	to := c.target
	if c.Tx != nil {
		to = Target{Transport: c.conn.Transport, Addr: c.conn.Remote, Listener: c.conn.Listener}
	}
	if addr, err := netip.ParseAddr(strings.Trim(uri.Host, "[]")); readable && err == nil {
		port := uri.Port
		if port == 0 {
			port = 5060
			if to.Transport == tandem.TLS {
				port = 5061
			}
		}
		to.Addr = netip.AddrPortFrom(addr, uint16(port))
	}
	return to
}
