package emulate

import (
	"strconv"
	"time"

	"tandem"
	"tandem/media/player"
	"tandem/sip/ua"
)

// verdict is what the rules say about an INVITE: a refusal, or who is called.
type verdict struct {
	status  int // 0 = go on with the behaviour
	headers []ua.Header
	b       Behaviour
}

// called plays the called side of one call, faults first.
func (st *station) called(tx *ua.ServerTx, judge func(listener string, req *ua.Message) verdict) {
	req := tx.Req
	call := st.ep.Accept(tx)
	listener := st.listenerOf(req.Conn)
	rec := st.begin(CallResult{Incoming: true, From: userOf(req.Get("From")), To: userOfURI(req.URI), CallID: req.CallID(), Listener: listener,
		Source: req.Source.String(), Start: req.At, Invite: req.Headers, InviteURI: req.URI, Offer: string(req.Body)})
	rec.mu.Lock()
	rec.call = call
	rec.mu.Unlock()
	s := &session{st: st, call: call, rec: rec, listener: listener}
	defer func() { st.finish(rec, s.stream) }()

	host := ""
	if u, ok := ua.AddressOf(req.Get("Contact")); ok {
		host = u.Host
	}
	fault, faulty := st.faults.request(listener, "INVITE", host)
	if faulty {
		rec.update(func(r *CallResult) { r.Fault = string(fault.Kind) })
		if s.misbehave(fault) {
			return
		}
	}
	if !s.answered100() {
		s.respond(100, nil)
	}
	v := judge(listener, req)
	if v.status != 0 {
		s.refuse(v.status, "", v.headers...)
		return
	}
	if faulty && fault.Kind == FaultLateCancel200 {
		s.lateAfterCancel(v.b, fault.Delay.D())
		return
	}
	s.behave(v.b)
}

func (s *session) answered100() bool {
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	return len(s.rec.r.Provisional) > 0
}

// misbehave applies a fault; true when nothing is left to do.
func (s *session) misbehave(f Fault) bool {
	conn := s.call.Conn()
	switch f.Kind {
	case FaultStatus:
		s.refuse(f.Status, "", append(retryAfter(f), reason(f)...)...)
		if f.CloseAfter {
			conn.Close()
		}
	case FaultOptionsOnly, FaultSilent:
		if f.Status != 0 && f.Kind == FaultOptionsOnly {
			s.refuse(f.Status, "", retryAfter(f)...)
			return true
		}
		s.end("local", "no response on purpose")
	case FaultSlowTrying:
		return s.idle(f.Delay.D())
	case FaultTryingOnly:
		s.respond(100, nil)
		s.idle(3 * time.Minute)
	case FaultResetTrying:
		s.respond(100, nil)
		s.idle(f.Delay.D())
		conn.Reset()
		s.end("local", "connection reset on purpose")
	case FaultResetRinging:
		s.respond(100, nil)
		s.respond(180, s.st.answer(s.call, s.listener, 180))
		s.idle(f.Delay.D())
		conn.Reset()
		s.end("local", "connection reset on purpose")
	case FaultLateAnswer:
		s.idle(f.Delay.D())
		s.establish(Behaviour{Media: MediaTone})
		return true
	default:
		return false
	}
	return true
}

func retryAfter(f Fault) []ua.Header {
	if f.RetryAfter == 0 {
		return nil
	}
	return []ua.Header{{Name: "Retry-After", Value: strconv.Itoa(f.RetryAfter)}}
}

func reason(f Fault) []ua.Header {
	if f.Reason == "" {
		return nil
	}
	return []ua.Header{{Name: "Reason", Value: f.Reason}}
}

// idle lets time pass without answering; true when the call is over meanwhile.
func (s *session) idle(d time.Duration) bool {
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		if left <= 0 {
			return false
		}
		if _, ok := s.next(left); ok && s.over {
			return true
		}
	}
}

// pause is idle that gives up on CANCEL with 487; true when the call is over.
func (s *session) pause(d time.Duration) bool {
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		if left <= 0 {
			return s.over
		}
		ev, ok := s.next(left)
		if ok && ev.Kind == ua.EventCancel {
			s.cancelled(ev.Msg)
		}
		if s.over {
			return true
		}
	}
}

func (s *session) cancelled(m *ua.Message) {
	s.rec.update(func(r *CallResult) { r.ReasonField = m.Get("Reason") })
	s.refuse(487, "")
	s.rec.update(func(r *CallResult) { r.EndedBy = "remote" })
}

func (s *session) respond(status int, headers []ua.Header) {
	s.respondTag(ua.Answer{Status: status, Headers: headers})
}

func (s *session) respondTag(a ua.Answer) {
	if s.st.faults.has(s.listener, FaultBlackhole) {
		return // open connections have fallen silent, calls in progress too
	}
	err := s.call.Respond(a)
	now := time.Now()
	s.rec.update(func(r *CallResult) {
		if r.TryingAt.IsZero() {
			r.TryingAt = now
		}
		switch {
		case a.Status < 200:
			r.Provisional = append(r.Provisional, a.Status)
			if a.Status > 100 && r.RingAt.IsZero() {
				r.RingAt = now
			}
		default:
			r.Status, r.Reason, r.Response = a.Status, a.Reason, a.Headers
			if a.Status < 300 {
				r.AnswerAt, r.Answer = now, string(a.Body)
			}
		}
		if err != nil && r.Error == "" {
			r.Error = "answer: " + err.Error()
		}
	})
}

func (s *session) refuse(status int, reason string, headers ...ua.Header) {
	if reason == "" {
		reason = ua.Phrase(status)
	}
	s.respondTag(ua.Answer{Status: status, Reason: reason, Headers: append(s.st.answer(s.call, s.listener, status), headers...)})
	s.end("local", "")
}

// behave rings and answers as the number's behaviour says.
func (s *session) behave(b Behaviour) {
	if s.pause(b.RingAfter.D()) {
		return
	}
	ringing := b.Ring > 0 || b.NoAnswer || b.Early
	if ringing {
		if b.Early {
			if !s.earlyMedia(b) {
				return
			}
		} else {
			s.respond(180, s.st.answer(s.call, s.listener, 180))
		}
	}
	for range b.Forks { // one early dialog per alerting client (microsoft-teams-trunk.md 5)
		s.respondTag(ua.Answer{Status: 180, Tag: ua.NewTag(), Headers: s.st.answer(s.call, s.listener, 180)})
	}
	wait := b.Ring.D()
	if b.NoAnswer {
		wait = 10 * time.Minute
	}
	if s.pause(wait) {
		return
	}
	if b.NoAnswer {
		s.refuse(480, "")
		return
	}
	if b.Status != 0 && b.Status != 200 {
		s.refuse(b.Status, b.Reason)
		return
	}
	s.establish(b)
}

func (s *session) earlyMedia(b Behaviour) bool {
	body, ok := s.describe(b)
	if ok {
		s.respondTag(ua.Answer{Status: 183, Headers: s.st.answer(s.call, s.listener, 183), Body: body})
	}
	return ok
}

// describe opens the stream and writes our side of the SDP; false when the call was refused.
func (s *session) describe(b Behaviour) ([]byte, bool) {
	offer := s.call.Invite.Body
	if s.stream != nil {
		return []byte(s.lastBody), true
	}
	stream, err := s.st.openStream(b.Media, b.ToneHz, s.fileName())
	if err != nil {
		s.refuse(500, "")
		s.rec.update(func(r *CallResult) { r.Error = err.Error() })
		return nil, false
	}
	s.stream = stream
	var body []byte
	if len(offer) == 0 {
		s.offering = true
		body = stream.Offer(player.OfferOptions{})
	} else if body, err = stream.Answer(offer); err != nil {
		s.refuse(488, "")
		s.rec.update(func(r *CallResult) { r.Error = err.Error() })
		return nil, false
	}
	s.lastBody = string(body)
	return body, true
}

func (s *session) fileName() string {
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	return "call-" + s.rec.r.ID + "-" + s.rec.r.From + "-" + s.rec.r.To
}

// establish answers 200 and talks to the end.
func (s *session) establish(b Behaviour) {
	body, ok := s.describe(b)
	if !ok {
		return
	}
	a := ua.Answer{Status: 200, Reason: "OK", Headers: s.st.answer(s.call, s.listener, 200), Body: body}
	if b.Forks > 0 {
		a.Tag = ua.NewTag()
	}
	s.respondTag(a)
	t := talk{hangUpAfter: -1, refreshAfter: b.RefreshAfter.D(), newKey: b.RefreshNewKey, holdAfter: b.HoldAfter.D(), holdFor: b.HoldFor.D()}
	if b.HangUpBy == HangUpCallee {
		t.hangUpAfter = b.Hold.D()
	}
	for { // nothing of ours before the ACK
		ev, _ := s.next(-1)
		if s.over {
			return
		}
		if ev.Kind == ua.EventNoAck {
			s.bye("our 200 stayed without ACK")
			return
		}
		if ev.Kind == ua.EventAck {
			break
		}
	}
	s.run(t)
}

// lateAfterCancel rings, and answers 200 although a CANCEL came: the race of RFC 3261 9.1.
func (s *session) lateAfterCancel(b Behaviour, delay time.Duration) {
	s.respond(180, s.st.answer(s.call, s.listener, 180))
	for {
		ev, _ := s.next(-1)
		if s.over {
			return
		}
		if ev.Kind == ua.EventCancel {
			break
		}
	}
	if s.idle(delay) {
		return
	}
	b.Forks = 0
	s.establish(b)
}

// userOf is the number in a From or PAI value.
func userOf(value string) string { return userOfURI(ua.URIOf(value)) }

func userOfURI(uri string) string {
	u, ok := ua.ParseURI(uri)
	if !ok {
		return tandem.Clip(uri, 60)
	}
	return tandem.Clip(u.User, 60)
}
