package ua

import (
	"sync/atomic"
)

// Stats counts what scripts do not see.
type Stats struct {
	Received, Sent         atomic.Uint64
	Strays                 atomic.Uint64 // responses of no transaction, ACKs of no call
	Late2xx                atomic.Uint64 // 2xx after the script had gone: answered with ACK and BYE
	Retransmits, Repeated  atomic.Uint64 // by us, by the peer
	Unanswered2xx, Dropped atomic.Uint64 // 2xx without ACK; events that a script did not take
}

// Stats are the endpoint's counters.
func (e *Endpoint) Stats() *Stats { return &e.stats }

// receive takes one message, in wire order per connection.
func (e *Endpoint) receive(m *Message) {
	e.stats.Received.Add(1)
	if e.cfg.Filter != nil && !e.cfg.Filter(m) {
		return
	}
	e.trace(received, m.Conn, m, nil)
	if !m.IsRequest() {
		e.receiveResponse(m)
		return
	}
	if m.Method == "ACK" {
		e.receiveAck(m)
		return
	}
	key := serverKey(m, m.Method)
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return
	}
	if tx := e.servers[key]; tx != nil {
		e.mu.Unlock()
		e.stats.Repeated.Add(1)
		tx.repeat()
		return
	}
	tx := newServerTx(e, m, key)
	e.servers[key] = tx
	var invite *ServerTx
	if m.Method == "CANCEL" {
		invite = e.servers[serverKey(m, "INVITE")]
	}
	call := e.calls[callKey(m.CallID(), m.ToTag())]
	e.mu.Unlock()

	switch {
	case m.Method == "CANCEL":
		e.receiveCancel(tx, invite)
	case m.ToTag() != "" && call == nil:
		tx.Reply(481, "")
	case call != nil:
		call.requestArrived(m, tx)
		call.push(Event{Kind: EventRequest, Msg: m, Tx: tx})
	case e.cfg.Handler == nil:
		tx.Reply(480, "")
	default:
		e.Go(func() { e.cfg.Handler(tx) })
	}
}

// receiveCancel answers the CANCEL itself; the INVITE's script decides about 487 (RFC 3261 9.2).
func (e *Endpoint) receiveCancel(tx, invite *ServerTx) {
	if invite == nil {
		tx.Reply(481, "")
		return
	}
	tx.Reply(200, "")
	invite.cancelled(tx.Req)
}

func (e *Endpoint) receiveAck(m *Message) {
	e.mu.Lock()
	call := e.calls[callKey(m.CallID(), m.ToTag())]
	tx := e.servers[serverKey(m, "INVITE")]
	e.mu.Unlock()
	if tx != nil && tx.acked() {
		return // to a failure, same branch (RFC 3261 17.1.1.3)
	}
	if call == nil {
		e.stats.Strays.Add(1)
		return
	}
	call.ackArrived(m)
}

func (e *Endpoint) receiveResponse(m *Message) {
	_, method := m.CSeq()
	e.mu.Lock()
	tx := e.clients[Param(m.topVia(), "branch")+" "+method]
	e.mu.Unlock()
	if tx == nil {
		e.stats.Strays.Add(1)
		return
	}
	tx.response(m)
}

func callKey(callID, ourTag string) string { return callID + "\x00" + ourTag }
