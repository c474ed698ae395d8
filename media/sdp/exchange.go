package sdp

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"

	"tandem"
	"tandem/media/srtp"
)

// Exchange is the offer/answer state of one call. Rules of note:
//
//   - Nothing that an offer says is in force before its answer; Rollback gives
//     back what was in force before.
//   - An early answer may be replaced by another, also of another fork; the
//     offer stays open until a final one.
//   - Our key towards a side stays for the dialog, so its rollover counter
//     does. The one exception is a peer that moves to a new address with a new key: it can't
//     know our rollover counter, so our answer brings a new key too (RFC 4568 7.1.4).
type Exchange struct {
	random io.Reader
	sides  [2]side
	open   *offer // waiting for its (final) answer
	done   *offer // the last one answered: a repeated answer is read against it
}

// offer is an offer in progress.
type offer struct {
	from    tandem.Side // who made it; only when !ours
	ours    bool        // made by us (Reoffer): its answer goes nowhere
	to      tandem.Side
	media   *Media // the audio stream offered
	index   int    // its m= line
	lines   []slot
	crypto  secured
	key     srtp.Key // ours in the answer
	secure  bool     // what we offered onward
	asked   Direction
	offered []string // payload types that we offered onward
	mux     bool
	before  [2]terms
}

// NewExchange makes the state of a call whose side A is known. random must be a
// cryptographic source; nil means crypto/rand.
func NewExchange(random io.Reader, a Party) (*Exchange, error) {
	if random == nil {
		random = rand.Reader
	}
	x := &Exchange{random: random}
	return x, x.SetParty(tandem.SideA, a)
}

// SetParty (re)sets a side for a new dialog: key, session id and everything
// negotiated with it are new, an open offer is forgotten. The other side stays as it was.
func (x *Exchange) SetParty(which tandem.Side, p Party) error {
	x.Rollback()
	x.done = nil
	var id [8]byte
	if _, err := io.ReadFull(x.random, id[:]); err != nil {
		return fmt.Errorf("draw SDP session id: %w", err)
	}
	x.sides[which] = side{
		Party: p, session: binary.BigEndian.Uint64(id[:]) >> 2, // RFC 3264 5: below 2^62
		terms: terms{tag: 1, wish: SendRecv, said: SendRecv},
	}
	return nil
}

// drawKey gives a side our key towards it, the first time that one is needed.
// It must come before an offer notes what a rollback gives back.
func (x *Exchange) drawKey(s *side, needed bool) (err error) {
	if needed && s.key == (srtp.Key{}) {
		s.key, err = srtp.NewKey(srtp.AESCM80, x.random)
	}
	return err
}

// Move gives a side another local address before anything was said to it.
func (x *Exchange) Move(which tandem.Side, p Party) { x.sides[which].Party = p }

// Spoken reports whether a side has been sent a description: its address and port are fixed then.
func (x *Exchange) Spoken(which tandem.Side) bool { return x.sides[which].version != 0 }

// Leg is what is in force with a side.
func (x *Exchange) Leg(which tandem.Side) Leg {
	return x.sides[which].leg(&x.sides[which.Other()])
}

// Offer takes an offer of a side and returns ours for the other.
func (x *Exchange) Offer(from tandem.Side, body []byte) ([]byte, error) {
	if x.open != nil && (x.open.ours || x.open.from != from) {
		return nil, conflict("an offer is already in progress", "wait for its answer (RFC 3264 4)")
	}
	d, err := Parse(body)
	if err != nil {
		return nil, err
	}
	x.Rollback()
	s, t := &x.sides[from], &x.sides[from.Other()]
	current := -1
	if s.agreed {
		current = s.current
	}
	index, protected, err := choose(d, &s.Profile, current)
	if err != nil {
		return nil, err
	}
	m := &d.Media[index]
	if err := usable(m, s.Address); err != nil {
		return nil, err
	}
	if err := x.drawKey(s, protected.on); err != nil {
		return nil, err
	}
	secure := t.offersSRTP()
	if err := x.drawKey(t, secure); err != nil {
		return nil, err
	}
	o := &offer{
		from: from, to: from.Other(), media: m, index: index, lines: slots(d), crypto: protected, secure: secure,
		key: s.key, asked: offerDirection(m.Direction, t.Profile.Teams), before: [2]terms{x.sides[0].terms, x.sides[1].terms},
	}
	if o.offered = m.keepFormats(nil); len(o.offered) == 0 {
		return nil, invalid("the audio stream has no RTP payload type", "list payload types from 0 to 127")
	}
	if o.key, err = x.answerKey(s, m, protected); err != nil {
		return nil, err
	}
	return x.propose(o, t), nil
}

// answerKey is our key in the answer to a side's offer: the one in use, unless
// the side moved and re-keyed at once, or chose another suite.
func (x *Exchange) answerKey(s *side, m *Media, p secured) (srtp.Key, error) {
	if !p.on {
		return s.key, nil
	}
	moved := s.agreed && s.crypto.on && !p.crypto.Key.Equal(s.crypto.crypto.Key) &&
		(m.Addr != s.remote.Addr || m.Port != s.remote.Port) && !m.Hold
	if moved || s.key.Suite != p.crypto.Key.Suite {
		return srtp.NewKey(p.crypto.Key.Suite, x.random)
	}
	return s.key, nil
}

// offersSRTP tells how the side's offers are to be protected.
func (s *side) offersSRTP() bool {
	return s.Profile.SRTP == tandem.SRTPRequired || s.Profile.SRTP == tandem.SRTPOptional && s.agreed && s.crypto.on
}

// propose opens an offer to t and writes it.
func (x *Exchange) propose(o *offer, t *side) []byte {
	o.mux = t.agreed && t.mux
	x.open = o
	lines, audio := o.lineUp()
	return t.describe(view{lines: lines, audio: audio, speech: speechOf(o.media, o.offered), direction: o.asked, secure: o.secure, mux: o.mux})
}

// Answer takes the answer of a side to the offer last made to it and returns the
// answer for the side that offered, nil when the offer was ours.
func (x *Exchange) Answer(from tandem.Side, body []byte, final bool) ([]byte, error) {
	o := x.open
	if o == nil {
		o = x.done
	}
	if o == nil || o.to != from {
		return nil, conflict("an answer came to no offer", "offer first (RFC 3264 4)")
	}
	d, err := Parse(body)
	if err != nil {
		return nil, err
	}
	t, s := &x.sides[from], &x.sides[from.Other()]
	m, protected, err := o.read(d, t)
	if err != nil {
		return nil, err
	}
	agreed := m.keepFormats(o.offered)
	if len(agreed) == 0 {
		return nil, conflict("the answer has no payload type of the offer", "answer with one that was offered (RFC 3264 6.1)")
	}
	got := m.Direction & o.asked.Mirror()

	x.sides[0].terms, x.sides[1].terms = o.before[0], o.before[1]
	t.agreed, t.remote, t.crypto, t.mux, t.said = true, m, protected, o.mux && m.Mux, o.asked&got.Mirror()
	t.spoken = speechOf(o.media, agreed)
	t.slots, t.current = o.lineUp()
	if o.asked == SendRecv {
		t.wish = got
	}
	x.done = o
	if final {
		x.open = nil
	}
	if o.ours {
		return nil, nil
	}
	back := answerDirection(o.media.Direction, o.asked, got, s.Profile.Teams)
	s.agreed, s.remote, s.crypto, s.key, s.mux = true, o.media, o.crypto, o.key, o.media.Mux
	s.wish, s.said = o.media.Direction, back
	s.slots, s.current = o.lines, o.index
	s.spoken = speechOf(m, agreed)
	if o.crypto.on {
		s.tag = o.crypto.crypto.Tag
	}
	return s.describe(view{lines: s.slots, audio: s.current, speech: s.spoken, direction: back, secure: o.crypto.on, mux: s.mux, answer: true}), nil
}

// read finds the audio stream of an answer and checks it against our offer.
func (o *offer) read(d *Description, t *side) (*Media, secured, error) {
	_, at := o.lineUp()
	if at >= len(d.Media) || d.Media[at].Kind != "audio" {
		at = -1
		for i := range d.Media { // an answer with other lines than the offer: take its audio
			if d.Media[i].Kind == "audio" && d.Media[i].Port != 0 {
				at = i
				break
			}
		}
	}
	if at < 0 || d.Media[at].Port == 0 {
		return nil, secured{}, conflict("the answer refuses the audio stream", "answer m=audio with a port")
	}
	m := &d.Media[at]
	if !rtp(m.Proto) {
		return nil, secured{}, conflict("the answer changes the protocol to "+tandem.Clip(m.Proto, 30), "answer with the protocol that was offered")
	}
	var p secured
	if o.secure {
		c, ok := best(m.Crypto, t.Profile.Teams)
		if !ok || c.Key.Suite != t.key.Suite {
			return nil, secured{}, conflict("the answer has no key of the suite that was offered", "answer RTP/SAVP with a=crypto "+t.key.Suite.String())
		}
		p = secured{on: true, crypto: c}
	} else if savp(m.Proto) {
		return nil, secured{}, conflict("the answer is "+m.Proto+", but RTP/AVP was offered", "answer with the protocol that was offered")
	}
	return m, p, usable(m, t.Address)
}

// Reoffer returns our present description for a side as an offer of our own.
// A side that was never described to (delayed offer) is offered one speech format only: the
// other side has answered already and would not hear which one of several it chose.
// Its direction is the other side's present wish, so that the side can end its own hold by it.
func (x *Exchange) Reoffer(to tandem.Side) ([]byte, error) {
	if x.open != nil {
		return nil, conflict("an offer is already in progress", "wait for its answer (RFC 3264 4)")
	}
	t, s := &x.sides[to], &x.sides[to.Other()]
	var m *Media
	switch {
	case len(t.spoken.Formats) > 0:
		m = &Media{Kind: "audio", Formats: t.spoken.Formats, Attributes: t.spoken.Attributes, Bandwidth: t.spoken.Bandwidth}
	case s.agreed:
		m = &Media{Kind: "audio", Formats: s.remote.oneVoice(), Attributes: s.remote.Attributes, Bandwidth: s.remote.Bandwidth}
	default:
		m = defaultAudio()
	}
	secure := t.offersSRTP()
	if err := x.drawKey(t, secure); err != nil {
		return nil, err
	}
	o := &offer{ours: true, to: to, media: m, secure: secure, asked: offerDirection(s.wish, t.Profile.Teams),
		offered: m.keepFormats(nil), before: [2]terms{x.sides[0].terms, x.sides[1].terms}}
	return x.propose(o, t), nil
}

// Rollback forgets the open offer and what early answers to it put in force.
func (x *Exchange) Rollback() {
	if x.open == nil {
		return
	}
	x.sides[0].terms, x.sides[1].terms = x.open.before[0], x.open.before[1]
	x.open, x.done = nil, nil
}

// lineUp is the m= lines of our offer and the index of the audio among
// them: the ones of the session so far, one audio line in a new session.
func (o *offer) lineUp() ([]slot, int) {
	before := &o.before[o.to]
	if len(before.slots) > 0 {
		return before.slots, before.current
	}
	return []slot{{kind: "audio"}}, 0
}

// slots are the m= lines of a description.
func slots(d *Description) []slot {
	list := make([]slot, 0, len(d.Media))
	for _, m := range d.Media {
		s := slot{kind: m.Kind, proto: m.written, format: "0"}
		if len(m.Formats) > 0 {
			s.format = m.Formats[0]
		}
		list = append(list, s)
	}
	return list
}

// speech is what a description says about its formats, without its transport.
type speech struct {
	Formats    []string
	Attributes []Attribute
	Bandwidth  []string
}

func speechOf(m *Media, formats []string) speech {
	return speech{Formats: formats, Attributes: m.Attributes, Bandwidth: m.Bandwidth}
}

// Settled reports that no offer is open.
func (x *Exchange) Settled() bool { return x.open == nil }
