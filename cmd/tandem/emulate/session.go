package emulate

import (
	"context"
	"time"

	"tandem/media/player"
	"tandem/sip/ua"
)

// session is one call as its script's goroutine sees it.
type session struct {
	st       *station
	call     *ua.Call
	rec      *record
	stream   *player.Stream
	listener string

	lastBody string // our SDP in the 183, repeated in the 200
	// over is set when the call has ended: by their BYE, ours, or a fault.
	over bool
	// offering: our offer awaits its answer (in an ACK).
	offering bool
	// busy: a re-INVITE of ours is pending; theirs gets 491 (RFC 3261 14.2).
	busy bool
}

// openStream makes the audio of a call.
func (st *station) openStream(media Media, hz int, name string) (*player.Stream, error) {
	opt := st.media()
	opt.Source, opt.Hz, opt.Name = player.Source(media), hz, name
	if opt.Hz == 0 {
		opt.Hz = 1000
	}
	if st.options != nil {
		st.options(&opt)
	}
	return st.player.Open(opt)
}

// next waits for an event, at most d (d < 0: for ever). In-dialog requests are
// dealt with here; ok is false when the time is up.
func (s *session) next(d time.Duration) (ev ua.Event, ok bool) {
	var timer <-chan time.Time
	if d >= 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timer = t.C
	}
	for {
		select {
		case ev := <-s.call.Events():
			switch ev.Kind {
			case ua.EventRequest:
				s.inDialog(ev)
				if s.over {
					return ev, true
				}
			case ua.EventAck:
				s.acked(ev.Msg)
				return ev, true
			case ua.EventLost:
				s.end("local", "the emulator is closing")
				return ev, true
			default:
				return ev, true
			}
		case <-timer:
			return ua.Event{}, false
		case <-s.st.ep.Context().Done():
			s.end("local", "the emulator is closing")
			return ua.Event{Kind: ua.EventLost}, true
		}
	}
}

// acked reads the answer in an ACK when the INVITE had no offer (RFC 3261 13.2.1).
func (s *session) acked(m *ua.Message) {
	if !s.offering {
		return
	}
	s.offering = false
	if err := s.stream.Answered(m.Body); err != nil {
		s.rec.update(func(r *CallResult) { r.Error = "answer in ACK: " + err.Error() })
	}
}

func (s *session) end(by, trouble string) {
	s.over = true
	s.rec.update(func(r *CallResult) {
		if r.EndAt.IsZero() {
			r.EndAt = time.Now()
		}
		if r.EndedBy == "" {
			r.EndedBy = by
		}
		if r.Error == "" {
			r.Error = trouble
		}
	})
}

// inDialog answers a request inside the dialog.
func (s *session) inDialog(ev ua.Event) {
	switch ev.Msg.Method {
	case "BYE":
		if _, mute := s.st.faults.take(s.listener, func(f *Fault) bool { return f.Kind == FaultNoBye }); mute {
			ev.Tx.Abandon()
			s.rec.update(func(r *CallResult) { r.Fault = string(FaultNoBye) })
		} else {
			s.call.AnswerRequest(ev.Tx, 200, nil)
		}
		s.end("remote", "")
	case "INVITE":
		s.reinvited(ev)
	case "UPDATE":
		if len(ev.Msg.Body) == 0 {
			s.call.AnswerRequest(ev.Tx, 200, nil, s.st.answer(s.call, s.listener, 200)...)
			return
		}
		s.reinvited(ev)
	case "OPTIONS", "INFO":
		s.call.AnswerRequest(ev.Tx, 200, nil)
	default:
		s.call.AnswerRequest(ev.Tx, 405, nil, ua.Header{Name: "Allow", Value: allow})
	}
}

// allow is Microsoft's observed list (microsoft-teams-trunk.md 2).
const allow = "INVITE,ACK,OPTIONS,CANCEL,BYE,NOTIFY"

func (s *session) reinvited(ev ua.Event) {
	s.rec.update(func(r *CallResult) { r.Reinvites++ })
	if s.busy || s.stream == nil {
		s.call.AnswerRequest(ev.Tx, 491, nil)
		return
	}
	if status := s.st.inspect(ev.Msg, s.listener); status != 0 {
		s.call.AnswerRequest(ev.Tx, status, nil)
		return
	}
	headers := s.st.answer(s.call, s.listener, 200)
	if len(ev.Msg.Body) == 0 {
		s.offering = true
		s.call.AnswerRequest(ev.Tx, 200, s.stream.Offer(player.OfferOptions{}), headers...)
		return
	}
	before := s.stream.Retargets()
	answer, err := s.stream.Answer(ev.Msg.Body)
	if err != nil {
		s.call.AnswerRequest(ev.Tx, 488, nil)
		return
	}
	if s.stream.Retargets() > before {
		s.st.violate("media_retarget", "a re-INVITE names another media address or port: it is answered, media stays where it was", s.listener, ev.Msg)
	}
	s.call.AnswerRequest(ev.Tx, 200, answer, headers...)
}

// request sends a request in the dialog and keeps answering the peer's meanwhile.
func (s *session) request(method string, body []byte, extra ...ua.Header) (*ua.Message, error) {
	type reply struct {
		m   *ua.Message
		err error
	}
	done := make(chan reply, 1)
	s.busy = method == "INVITE"
	defer func() { s.busy = false }()
	if !s.st.ep.Go(func() {
		m, err := s.call.Request(s.st.ep.Context(), method, body, extra...)
		done <- reply{m, err}
	}) {
		return nil, context.Canceled
	}
	for {
		select {
		case r := <-done:
			return r.m, r.err
		case ev := <-s.call.Events():
			if ev.Kind == ua.EventRequest {
				s.inDialog(ev)
			}
			if ev.Kind == ua.EventAck {
				s.acked(ev.Msg)
			}
		}
	}
}

// bye hangs up.
func (s *session) bye(trouble string, extra ...ua.Header) {
	s.end("local", trouble)
	m, err := s.request("BYE", nil, extra...)
	switch {
	case err != nil:
		s.rec.update(func(r *CallResult) { r.Error = "BYE: " + err.Error() })
	case m.Status != 200 && m.Status != 481:
		s.st.violate("bye_refused", "our BYE was answered "+m.Summary(), s.listener, m)
	}
}

// talk is what a party does between answer and end.
type talk struct {
	hangUpAfter  time.Duration // our BYE; < 0 = wait for theirs
	atMost       time.Duration // waiting for theirs; 0 = for ever
	refreshAfter time.Duration
	newKey       bool
	holdAfter    time.Duration
	holdFor      time.Duration
}

// step is one thing that the script does by itself in an answered call.
type step struct {
	at time.Time
	do func()
}

// run plays an answered call to its end.
func (s *session) run(t talk) {
	now := time.Now()
	var steps []step
	add := func(after time.Duration, do func()) {
		i := 0
		at := now.Add(after)
		for i < len(steps) && !steps[i].at.After(at) {
			i++
		}
		steps = append(steps[:i], append([]step{{at, do}}, steps[i:]...)...)
	}
	if t.refreshAfter > 0 {
		add(t.refreshAfter, func() { s.reinvite(player.OfferOptions{NewKey: t.newKey}) })
	}
	if t.holdAfter > 0 {
		add(t.holdAfter, func() { s.reinvite(player.OfferOptions{Direction: "sendonly"}) })
		add(t.holdAfter+t.holdFor, func() { s.reinvite(player.OfferOptions{}) })
	}
	switch {
	case t.hangUpAfter >= 0:
		add(t.hangUpAfter, func() { s.bye("") })
	case t.atMost > 0:
		add(t.atMost, func() { s.bye("the far end did not hang up in time") })
	}
	for !s.over {
		wait := time.Duration(-1)
		if len(steps) > 0 {
			wait = max(time.Until(steps[0].at), 0)
		}
		ev, ok := s.next(wait)
		if !ok {
			do := steps[0].do
			steps = steps[1:]
			do()
			continue
		}
		if ev.Kind == ua.EventNoAck {
			s.bye("our 200 stayed without ACK")
		}
	}
}

// reinvite offers again and takes the answer; refusals are noted.
func (s *session) reinvite(o player.OfferOptions) {
	if s.stream == nil {
		return
	}
	m, err := s.request("INVITE", s.stream.Offer(o), s.st.request(s.call, s.listener)...)
	status := 0
	if err == nil {
		status = m.Status
	}
	if err == nil && status < 300 {
		if err = s.stream.Answered(m.Body); err != nil {
			s.st.violate("bad_answer", "answer to our re-INVITE: "+err.Error(), s.listener, m)
		}
	}
	s.rec.update(func(r *CallResult) {
		r.Refreshes = append(r.Refreshes, status)
		if err != nil && r.Error == "" {
			r.Error = "re-INVITE: " + err.Error()
		}
	})
}
