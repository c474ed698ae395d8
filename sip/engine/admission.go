package engine

import (
	"strconv"
	"strings"
	"sync"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem/sip"
	"tandem/sip/header"
	"tandem/sip/reply"
)

// classify sorts a request by its cheapest facts: method, To tag, called number.
func classify(req *gosip.Request) class {
	if tag, _ := req.To().Params.Get("tag"); tag != "" {
		return classInDialog
	}
	switch req.Method {
	case gosip.INVITE:
		if emergency(req) {
			return classEmergency
		}
		return classNewCall
	case gosip.OPTIONS:
		return classOptions
	case gosip.CANCEL, gosip.ACK, gosip.BYE, gosip.PRACK:
		return classInDialog
	}
	return classRequest
}

// emergency reports whether an INVITE goes to an emergency number: never
// refused for lack of room. 933 is the North American test number, 988 the lifeline.
func emergency(req *gosip.Request) bool {
	user := req.Recipient.User
	if raw := req.Recipient.Raw(); raw != "" { // tel:
		user = raw
	}
	user, _, _ = strings.Cut(user, ";")
	switch strings.TrimPrefix(header.Unescape(user), "+") {
	case "911", "1911", "933", "1933", "112", "988", "1988":
		return true
	}
	return strings.EqualFold(req.Recipient.Scheme, "urn") && strings.HasPrefix(strings.ToLower(req.Recipient.String()), "urn:service:sos")
}

// refuse deals with a message that no mailbox has room for. New requests get a
// 503 without a transaction; of calls that exist nothing is answered: their
// peers send again.
func (e *Engine) refuse(s *shard, flow sip.Flow, msg gosip.Message, c class) {
	req, ok := msg.(*gosip.Request)
	if !ok || c != classNewCall && c != classRequest || c == classNewCall && s.seen.has(msg) {
		e.count.dropped.Add(1)
		return
	}
	e.count.refused.Add(1)
	if !e.refusals.take(e.deps.Clock()) { // under a flood answers would cost more than they help
		e.count.dropped.Add(1)
		return
	}
	seconds := strconv.Itoa(int(e.cfg.RetryAfter.Seconds()))
	to, out := reply.To(flow, req, 503, "Service Unavailable", "Retry-After: "+seconds+"\r\nServer: "+e.cfg.Core.UserAgent+"\r\n")
	e.deps.Sender.Send(to, sip.SendRef{}, out)
}

// maxRefusals is how many 503 a second leave for want of room.
const maxRefusals = 2000

// allowance lets up to maxRefusals a second pass.
type allowance struct {
	mu     sync.Mutex
	second time.Time
	used   int
}

func (a *allowance) take(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.second) >= time.Second {
		a.second, a.used = now, 0
	}
	a.used++
	return a.used <= maxRefusals
}
