package emulate

import (
	"context"
	"fmt"
	"time"

	"tandem"
	"tandem/media/player"
	"tandem/sip/ua"
)

// start begins a call in a goroutine; build makes the INVITE around our offer.
func (st *station) start(spec CallSpec, listener string, to ua.Target, build func(offer []byte) *ua.Message) (*record, error) {
	if !spec.Media.known() || spec.ToneHz < 0 || spec.ToneHz > 3400 || spec.ToneHz%50 != 0 {
		return nil, &tandem.Error{Kind: tandem.KindInvalid, Field: "media", Message: fmt.Sprintf("media %q at %d Hz cannot be played", tandem.Clip(string(spec.Media), 20), spec.ToneHz),
			Mend: "use tone, sweep, echo, silence, noise or none, and a multiple of 50 Hz up to 3400"}
	}
	for _, h := range spec.Headers {
		if !ua.Clean(h.Name) || !ua.Clean(h.Value) || h.Name == "" {
			return nil, &tandem.Error{Kind: tandem.KindInvalid, Field: "headers", Message: "a header holds CR, LF or NUL, or has no name", Mend: "write one line per header"}
		}
	}
	if !ua.Clean(spec.From) || !ua.Clean(spec.To) || spec.To == "" {
		return nil, &tandem.Error{Kind: tandem.KindInvalid, Field: "to", Message: "from and to must be numbers", Mend: "write +12065550100"}
	}
	rec := st.begin(CallResult{From: spec.From, To: spec.To, Listener: listener, Source: to.Addr.String(), Start: time.Now()})
	if !st.ep.Go(func() { st.caller(rec, spec, listener, to, build) }) {
		rec.update(func(r *CallResult) { r.Error = "the emulator is closed" })
		st.finish(rec, nil)
	}
	return rec, nil
}

// result waits for the end of a call. A cancelled ctx hangs up nothing: the call goes on by itself.
func (rec *record) result(ctx context.Context) (CallResult, error) {
	select {
	case <-rec.done:
		return rec.snapshot(), nil
	case <-ctx.Done():
		return rec.snapshot(), ctx.Err()
	}
}

// caller plays the calling side.
func (st *station) caller(rec *record, spec CallSpec, listener string, to ua.Target, build func(offer []byte) *ua.Message) {
	s := &session{st: st, rec: rec, listener: listener}
	defer func() { st.finish(rec, s.stream) }()
	name := s.fileName()
	var err error
	if s.stream, err = st.openStream(spec.Media, spec.ToneHz, name); err != nil {
		s.end("local", err.Error())
		return
	}
	var offer []byte
	if !spec.NoSDP {
		offer = s.stream.Offer(player.OfferOptions{})
	}
	if spec.Body != "" {
		offer = []byte(spec.Body)
	}
	invite := build(offer)
	invite.AddAll(spec.Headers)
	if spec.ContentType != "" {
		invite.Set("Content-Type", spec.ContentType)
	}
	rec.update(func(r *CallResult) { r.Start = time.Now() })
	call, err := st.ep.Invite(st.ep.Context(), to, invite)
	if err != nil {
		s.end("local", err.Error())
		return
	}
	s.call = call
	rec.mu.Lock()
	rec.call = call
	rec.r.CallID, rec.r.Invite, rec.r.InviteURI, rec.r.Offer = invite.CallID(), invite.Headers, invite.URI, string(offer)
	rec.mu.Unlock()
	if s.dial(spec) {
		t := talk{hangUpAfter: spec.Hold.D(), refreshAfter: spec.RefreshAfter.D(), newKey: spec.RefreshNewKey,
			holdAfter: spec.HoldAfter.D(), holdFor: spec.HoldFor.D()}
		if spec.HangUpBy == HangUpCallee {
			t.hangUpAfter, t.atMost = -1, spec.Hold.D()+30*time.Second
		}
		s.run(t)
	}
}

// dial follows the INVITE to its final response; true when the call is up.
func (s *session) dial(spec CallSpec) bool {
	timeout := spec.Timeout.D()
	if timeout <= 0 {
		timeout = time.Minute
	}
	begun := time.Now()
	giveUp := begun.Add(timeout)
	if spec.CancelAfter > 0 {
		giveUp = begun.Add(spec.CancelAfter.D())
	}
	cancelled, heard := false, false
	for !s.over {
		wait := max(time.Until(giveUp), 0)
		if !cancelled && wait == 0 && !heard {
			wait = 100 * time.Millisecond // CANCEL must wait for a provisional response (RFC 3261 9.1)
			if time.Since(giveUp) > 32*time.Second {
				s.end("local", "no response at all")
				return false
			}
		}
		ev, ok := s.next(wait)
		switch {
		case !ok && cancelled:
			s.end("local", "no final response after our CANCEL")
		case !ok && heard:
			cancelled = true
			giveUp = time.Now().Add(32 * time.Second)
			s.rec.update(func(r *CallResult) { r.EndedBy, r.EndAt = "local", time.Now() })
			if err := s.call.Cancel(); err != nil {
				s.end("local", "CANCEL: "+err.Error())
			}
		case !ok:
		case ev.Kind == ua.EventFailed:
			s.end("remote", ev.Err.Error())
		case ev.Kind == ua.EventResponse:
			first := !heard
			heard = true
			if s.heardResponse(ev.Msg, first) {
				return s.answered(ev.Msg, cancelled)
			}
			if ring := ev.Msg.Status > 100 && ev.Msg.Status < 200; ring && spec.CancelOnRing != 0 && !cancelled {
				giveUp = time.Now().Add(max(spec.CancelOnRing.D(), 0))
				spec.CancelOnRing = 0
			}
		}
	}
	return false
}

// heardResponse notes a response; true when it is a 2xx.
func (s *session) heardResponse(m *ua.Message, first bool) bool {
	now := m.At
	s.rec.update(func(r *CallResult) {
		if first {
			r.TryingAt = now
		}
		if m.Status < 200 {
			r.Provisional = append(r.Provisional, m.Status)
			if m.Status > 100 && r.RingAt.IsZero() {
				r.RingAt = now
			}
			return
		}
		r.Status, r.Reason, r.Response, r.Answer = m.Status, m.Reason, m.Headers, string(m.Body)
		r.ReasonField = m.Get("Reason")
	})
	switch {
	case m.Status < 200:
		if len(m.Body) > 0 && m.Status > 100 {
			s.early(m)
		}
		return false
	case m.Status < 300:
		return true
	}
	s.end("remote", "")
	return false
}

// early starts media on an answer in 183; the one in 200 replaces it.
func (s *session) early(m *ua.Message) {
	if err := s.stream.Early(m.Body); err != nil {
		s.rec.update(func(r *CallResult) { r.Error = "early answer: " + err.Error() })
	}
}

// answered acknowledges a 2xx and starts media; false when the call was not wanted any more.
func (s *session) answered(m *ua.Message, cancelled bool) bool {
	ctx := s.st.ep.Context()
	var body []byte
	var trouble error
	if len(s.call.Invite.Body) == 0 {
		body, trouble = s.stream.Answer(m.Body)
	} else {
		trouble = s.stream.Answered(m.Body)
	}
	if _, mute := s.st.faults.take(s.listener, func(f *Fault) bool { return f.Kind == FaultNoAck }); mute {
		s.rec.update(func(r *CallResult) { r.Fault, r.AnswerAt = string(FaultNoAck), m.At })
		return true
	}
	if err := s.call.Ack(ctx, m, body); err != nil {
		s.end("local", "ACK: "+err.Error())
		return false
	}
	if cancelled { // the 200 crossed our CANCEL (RFC 3261 15): hang up
		s.bye("")
		return false
	}
	s.rec.update(func(r *CallResult) { r.AnswerAt, r.EndAt, r.EndedBy = m.At, time.Time{}, "" })
	if trouble != nil {
		s.bye("answer: " + trouble.Error())
		return false
	}
	return true
}
