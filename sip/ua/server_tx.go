package ua

import (
	"errors"
	"strings"
	"sync"
	"time"
)

// ServerTx is a server transaction: a request that came and what was answered
// to it. It repeats answers as RFC 3261 17.2 asks, also the 2xx to an INVITE,
// over every transport, until its ACK (RFC 3261 13.3.1.4).
type ServerTx struct {
	Req *Message

	e   *Endpoint
	key string

	mu        sync.Mutex
	last      *Message
	confirmed bool
	gone      bool
	timer     *time.Timer
	interval  time.Duration
	giveUp    time.Time
	call      *Call
	cancel    *Message
}

func newServerTx(e *Endpoint, req *Message, key string) *ServerTx {
	return &ServerTx{Req: req, e: e, key: key}
}

// serverKey identifies a server transaction (RFC 3261 17.2.3).
func serverKey(m *Message, method string) string {
	via := m.topVia()
	sentBy, _, _ := strings.Cut(via, ";")
	return Param(via, "branch") + " " + sentBy + " " + method + " " + m.CallID()
}

func (m *Message) topVia() string {
	first, _, _ := strings.Cut(m.Get("Via"), ",") // no Via parameter may hold a comma unquoted
	return first
}

// Reply answers with the usual headers and a To-tag of its own.
func (tx *ServerTx) Reply(status int, reason string, extra ...Header) error {
	return tx.Respond(Response(tx.Req, status, reason, NewTag(), extra...))
}

// Respond sends a response, which may be built by hand.
func (tx *ServerTx) Respond(r *Message) error {
	tx.mu.Lock()
	if tx.gone {
		tx.mu.Unlock()
		return errors.New("transaction has ended")
	}
	tx.last = r
	if r.Status >= 200 {
		tx.startFinal(r.Status)
	}
	tx.mu.Unlock()
	return tx.e.write(tx.Req.Conn, r)
}

func (tx *ServerTx) startFinal(status int) {
	if tx.timer != nil {
		tx.timer.Stop()
	}
	whole := 64 * tx.e.cfg.T1
	switch {
	case tx.Req.Method == "INVITE" && (status < 300 || !tx.Req.Conn.reliable()):
		tx.interval = tx.e.cfg.T1
		tx.giveUp = time.Now().Add(whole)
		tx.timer = time.AfterFunc(tx.interval, tx.again)
	case tx.Req.Method == "INVITE" || !tx.Req.Conn.reliable():
		tx.timer = time.AfterFunc(whole, tx.stop)
	default: // a reliable transport brings no retransmission: timer J is 0, some slack for the script
		tx.timer = time.AfterFunc(time.Second, tx.stop)
	}
}

// again is timer G, and its counterpart for 2xx.
func (tx *ServerTx) again() {
	tx.mu.Lock()
	if tx.gone || tx.confirmed {
		tx.mu.Unlock()
		return
	}
	last, call := tx.last, tx.call
	if time.Now().After(tx.giveUp) {
		tx.mu.Unlock()
		tx.stop()
		if last.Status < 300 && call != nil {
			tx.e.stats.Unanswered2xx.Add(1)
			call.push(Event{Kind: EventNoAck})
		}
		return
	}
	tx.interval = min(2*tx.interval, tx.e.cfg.T2)
	tx.timer.Reset(tx.interval)
	tx.mu.Unlock()
	tx.e.stats.Retransmits.Add(1)
	tx.e.write(tx.Req.Conn, last)
}

// repeat answers a retransmitted request with what was answered last.
func (tx *ServerTx) repeat() {
	tx.mu.Lock()
	last := tx.last
	tx.mu.Unlock()
	if last != nil {
		tx.e.write(tx.Req.Conn, last)
	}
}

// acked takes an ACK of the same branch; false when it confirms a 2xx and belongs to the call.
func (tx *ServerTx) acked() bool {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.last == nil || tx.last.Status < 300 {
		return false
	}
	tx.confirm()
	return true
}

func (tx *ServerTx) confirm() {
	tx.confirmed = true
	if tx.timer != nil {
		tx.timer.Stop()
		tx.timer = time.AfterFunc(10*tx.e.cfg.T1, tx.stop) // timer I
	}
}

// confirm2xx stops the repetition of a 2xx: its ACK has come.
func (tx *ServerTx) confirm2xx() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if !tx.confirmed && tx.last != nil && tx.last.Status >= 200 {
		tx.confirm()
	}
}

func (tx *ServerTx) cancelled(req *Message) {
	tx.mu.Lock()
	tx.cancel = req
	call := tx.call
	final := tx.last != nil && tx.last.Status >= 200
	tx.mu.Unlock()
	if call != nil && !final {
		call.push(Event{Kind: EventCancel, Msg: req})
	}
}

// Abandon forgets a request that shall stay unanswered; its retransmissions are
// absorbed for 64*T1.
func (tx *ServerTx) Abandon() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.timer == nil && !tx.gone {
		tx.timer = time.AfterFunc(64*tx.e.cfg.T1, tx.stop)
	}
}

func (tx *ServerTx) stop() {
	tx.mu.Lock()
	tx.gone = true
	if tx.timer != nil {
		tx.timer.Stop()
	}
	tx.mu.Unlock()
	tx.e.mu.Lock()
	delete(tx.e.servers, tx.key)
	tx.e.mu.Unlock()
}
