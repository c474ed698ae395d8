package transport

import (
	"bytes"
	"runtime/debug"

	gosip "github.com/emiago/sipgo/sip"

	"tandem/sip"
)

// receive parses one message and hands it on, or returns the answer that its
// sender deserves without a transaction (nil for none). ok is false when it
// was not handed on. A panic of the parser costs this message only.
func (t *Transport) receive(flow sip.Flow, head, body []byte, stream bool) (answer []byte, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			t.count.panics.Add(1)
			if held, ok := t.panics.ask(t.clock()); ok {
				t.log.Error("panic while handling a message", "trunk", flow.Trunk, "panic", p, "stack", string(debug.Stack()), "more", held)
			}
			answer, ok = nil, false
		}
	}()
	var m gosip.Message
	var lease sip.Lease
	var repaired bool
	var err error
	if stream {
		m, lease, repaired, err = t.parser.message(head, body, true)
	} else {
		m, lease, repaired, err = t.parser.datagram(head)
	}
	if repaired {
		t.count.repaired.Add(1)
	}
	if err != nil {
		return t.refuse(flow, head, err), false
	}
	t.count.received.Add(1)
	t.handler.Receive(flow, m, lease, t.clock())
	return nil, true
}

// refuse counts a message that can't be taken and makes the answer to it.
func (t *Transport) refuse(flow sip.Flow, raw []byte, err error) []byte {
	t.log.Debug("message not taken", "trunk", flow.Trunk, "source", flow.Source, "err", err)
	if err == errFrameTooLarge {
		t.count.oversize.Add(1)
	}
	t.rates.spend(flow.Source.Addr(), t.clock())
	raw = bytes.TrimLeft(raw, "\r\n")
	status, reason := statusFor(err)
	answer := rejection(raw, status, reason)
	if answer == nil {
		t.count.unparsed.Add(1)
	} else {
		t.count.rejected.Add(1)
	}
	return answer
}
