package ua

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// ErrTimeout means that no final (to an INVITE: no) response came within 64*T1 (RFC 3261 timers B and F).
var ErrTimeout = errors.New("no response within 64*T1")

// clientTx is a client transaction. Its callbacks run in the reader's
// goroutine, in wire order, and must not block.
type clientTx struct {
	e      *Endpoint
	key    string
	req    *Message
	conn   *Conn
	invite bool

	onResponse func(*Message)
	onFail     func(error)

	mu       sync.Mutex
	timer    *time.Timer
	interval time.Duration
	giveUp   time.Time
	heard    bool
	final    int
	failed   bool
	ack      *Message
}

// start sends a request in a new client transaction. It completes Via, Max-Forwards and branch.
func (e *Endpoint) start(conn *Conn, req *Message, onResponse func(*Message), onFail func(error)) (*clientTx, error) {
	branch := "z9hG4bK" + NewTag()
	if via := req.topVia(); via == "" {
		req.Headers = append([]Header{{"Via", e.via(conn, branch)}}, req.Headers...)
	} else if b := Param(via, "branch"); b != "" {
		branch = b
	}
	if !req.Has("Max-Forwards") {
		req.Add("Max-Forwards", "70")
	}
	tx := &clientTx{e: e, key: branch + " " + req.Method, req: req, conn: conn, invite: req.Method == "INVITE",
		onResponse: onResponse, onFail: onFail, interval: e.cfg.T1, giveUp: time.Now().Add(64 * e.cfg.T1)}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil, fmt.Errorf("%s: endpoint is closed", req.Method)
	}
	e.clients[tx.key] = tx
	e.mu.Unlock()
	tx.mu.Lock()
	first := 64 * e.cfg.T1
	if !conn.reliable() {
		first = tx.interval
	}
	tx.timer = time.AfterFunc(first, tx.again)
	tx.mu.Unlock()
	if err := e.write(conn, req); err != nil {
		tx.stop()
		return nil, fmt.Errorf("send %s to %s: %w", req.Method, conn.Remote, err)
	}
	return tx, nil
}

func (e *Endpoint) via(conn *Conn, branch string) string {
	sentBy := conn.Local.String()
	if e.cfg.SentBy != nil {
		if name := e.cfg.SentBy(conn); name != "" {
			sentBy = name
		}
	}
	via := "SIP/2.0/" + string(conn.Transport) + " " + sentBy + ";branch=" + branch
	if !conn.reliable() {
		via += ";rport"
	}
	return via
}

// again is timers A/E and B/F.
func (tx *clientTx) again() {
	tx.mu.Lock()
	if tx.final != 0 || tx.failed || (tx.invite && tx.heard) {
		tx.mu.Unlock()
		return
	}
	if !time.Now().Before(tx.giveUp) {
		tx.mu.Unlock()
		tx.fail(ErrTimeout)
		return
	}
	if tx.invite || 2*tx.interval < tx.e.cfg.T2 {
		tx.interval *= 2 // timer A has no ceiling, timer E has T2
	} else {
		tx.interval = tx.e.cfg.T2
	}
	next := min(tx.interval, max(time.Until(tx.giveUp), time.Millisecond))
	tx.timer.Reset(next)
	reliable := tx.conn.reliable()
	tx.mu.Unlock()
	if !reliable {
		tx.e.stats.Retransmits.Add(1)
		tx.e.write(tx.conn, tx.req)
	}
}

func (tx *clientTx) response(m *Message) {
	tx.mu.Lock()
	tx.heard = true
	first := tx.final == 0
	if m.Status < 200 {
		tx.mu.Unlock()
		if first {
			tx.onResponse(m)
		}
		return
	}
	tx.final = m.Status
	if first {
		tx.timer.Stop()
		linger := 64 * tx.e.cfg.T1 // timers D, K, M
		if tx.conn.reliable() && (!tx.invite || m.Status >= 300) {
			linger = time.Second // D and K are 0 on a reliable transport; some slack costs nothing
		}
		tx.timer = time.AfterFunc(linger, tx.stop)
	}
	var ack *Message
	if tx.invite && m.Status >= 300 {
		if tx.ack == nil {
			tx.ack = ackFailure(tx.req, m)
		}
		ack = tx.ack
	}
	tx.mu.Unlock()
	if ack != nil && !tx.e.cfg.NoAckFailure {
		tx.e.write(tx.conn, ack)
	}
	if first || (tx.invite && m.Status < 300) {
		tx.onResponse(m)
	}
}

// fail ends the transaction without a response, once.
func (tx *clientTx) fail(err error) {
	tx.mu.Lock()
	if tx.failed || tx.final != 0 {
		tx.mu.Unlock()
		return
	}
	tx.failed = true
	tx.mu.Unlock()
	tx.stop()
	tx.onFail(err)
}

func (tx *clientTx) stop() {
	tx.mu.Lock()
	if tx.timer != nil {
		tx.timer.Stop()
	}
	tx.mu.Unlock()
	tx.e.mu.Lock()
	if tx.e.clients[tx.key] == tx {
		delete(tx.e.clients, tx.key)
	}
	tx.e.mu.Unlock()
}

// sameBranch builds the ACK to a failure or the CANCEL of an INVITE (RFC 3261 9.1, 17.1.1.3).
func sameBranch(req *Message, method, to string) *Message {
	m := &Message{Method: method, URI: req.URI}
	m.Add("Via", req.topVia())
	for _, h := range req.Headers {
		if sameName(h.Name, "Route") {
			m.Add("Route", h.Value)
		}
	}
	m.Add("Max-Forwards", "70")
	m.Add("From", req.Get("From"))
	m.Add("To", to)
	m.Add("Call-ID", req.CallID())
	number, _, _ := strings.Cut(req.Get("CSeq"), " ")
	m.Add("CSeq", number+" "+method)
	return m
}

func ackFailure(req, resp *Message) *Message { return sameBranch(req, "ACK", resp.Get("To")) }

// Do sends a request outside of dialogs and waits for its final response.
// From without a tag, Call-ID and CSeq are completed.
func (e *Endpoint) Do(ctx context.Context, to Target, req *Message) (*Message, error) {
	conn, err := e.connect(ctx, to)
	if err != nil {
		return nil, err
	}
	complete(req)
	return e.exchange(ctx, conn, req)
}

func (e *Endpoint) exchange(ctx context.Context, conn *Conn, req *Message) (*Message, error) {
	final := make(chan *Message, 1)
	failed := make(chan error, 1)
	tx, err := e.start(conn, req, func(m *Message) {
		if m.Status >= 200 {
			select {
			case final <- m:
			default:
			}
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
	case <-e.ctx.Done():
		tx.stop()
		return nil, e.ctx.Err()
	}
}

func complete(req *Message) {
	if from := req.Get("From"); Param(from, "tag") == "" {
		req.Set("From", from+";tag="+NewTag())
	}
	if !req.Has("Call-ID") {
		req.Add("Call-ID", NewTag()+NewTag())
	}
	if !req.Has("CSeq") {
		req.Add("CSeq", "1 "+req.Method)
	}
}
