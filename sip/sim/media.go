package sim

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem"
	"tandem/sip/core"
)

// Media is a relay without packets that checks how it is used: one offer at a
// time, answers only to offers, everything closed in the end.
type Media struct {
	world *World
	Open  int
	Made  int
	// Fail, when set, refuses sessions; Ports, when not 0, is how many there may be.
	Fail  bool
	Ports int
	byID  map[uint64]*Session
}

// Session is the media of one call.
type Session struct {
	media  *Media
	Ref    tandem.CallRef
	offer  int // side that must answer: 1 + side; 0 = no offer open
	closed bool
	serial int
	wish   [2]string // direction that each side last described, "" = sendrecv
}

// OpenMedia implements tandem.MediaRelay.
func (m *Media) OpenMedia(ref tandem.CallRef, _ tandem.MediaProfile) (tandem.MediaSession, error) {
	if m.Fail || m.Ports > 0 && m.Open >= m.Ports {
		return nil, &tandem.Error{Kind: tandem.KindUnavailable, Message: "no port left"}
	}
	m.Open++
	m.Made++
	s := &Session{media: m, Ref: ref}
	if m.byID == nil {
		m.byID = map[uint64]*Session{}
	}
	m.byID[ref.Serial] = s
	return s, nil
}

// crash: the ports of a dead process are free.
func (m *Media) crash() {
	for _, s := range m.byID {
		s.closed = true
	}
	m.Open = 0
	clear(m.byID)
}

// Sessions lists what is open.
func (m *Media) Sessions() map[uint64]*Session { return m.byID }

// SetPeer implements tandem.MediaSession.
func (s *Session) SetPeer(tandem.MediaProfile) { s.offer = 0 }

// Offer implements tandem.MediaSession.
func (s *Session) Offer(from tandem.Side, sdp []byte) ([]byte, error) {
	if s.closed {
		return nil, nil
	}
	s.media.world.checked(invMedia)
	if strings.Contains(string(sdp), "m=nonsense") {
		return nil, &tandem.Error{Kind: tandem.KindConflict, Message: "cannot carry"}
	}
	if s.offer != 0 {
		s.media.world.Problem("media %d: an offer while another is open", s.Ref.Serial)
	}
	s.offer = 1 + int(from.Other())
	s.hear(from, sdp)
	return s.describe(from.Other()), nil
}

// Answer implements tandem.MediaSession.
func (s *Session) Answer(from tandem.Side, sdp []byte, final bool) ([]byte, error) {
	if s.closed {
		return nil, nil
	}
	s.media.world.checked(invMedia)
	if strings.Contains(string(sdp), "m=nonsense") {
		return nil, &tandem.Error{Kind: tandem.KindConflict, Message: "cannot carry"}
	}
	if s.offer != 1+int(from) {
		s.media.world.Problem("media %d: an answer of side %s without an offer to it", s.Ref.Serial, from)
	}
	if final {
		s.offer = 0
	}
	s.hear(from, sdp)
	return s.describe(from.Other()), nil
}

// Reoffer implements tandem.MediaSession.
func (s *Session) Reoffer(to tandem.Side) ([]byte, error) {
	if s.offer != 0 && !s.closed {
		s.media.world.Problem("media %d: a re-offer while an offer is open", s.Ref.Serial)
	}
	s.offer = 1 + int(to)
	return s.describe(to), nil
}

// Rollback implements tandem.MediaSession.
func (s *Session) Rollback() { s.offer = 0 }

// Stats implements tandem.MediaSession.
func (s *Session) Stats(tandem.Side) (rx, tx tandem.StreamStats) {
	return tandem.StreamStats{Packets: 1}, tandem.StreamStats{Packets: 1}
}

// Describe implements tandem.MediaSession.
func (s *Session) Describe(tandem.Side) (string, bool) { return "PCMU", false }

// Close implements tandem.MediaSession.
func (s *Session) Close() {
	if s.closed {
		s.media.world.Problem("media %d: closed twice", s.Ref.Serial)
		return
	}
	s.closed = true
	s.media.Open--
	delete(s.media.byID, s.Ref.Serial)
}

func (s *Session) describe(side tandem.Side) []byte {
	s.serial++
	sdp := "v=0\r\no=tandem " + strconv.FormatUint(s.Ref.Serial, 10) + " " + strconv.Itoa(s.serial) +
		" IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio " + strconv.Itoa(20000+2*int(side)) + " RTP/AVP 0\r\n"
	if wish := s.wish[side.Other()]; wish != "" {
		sdp += "a=" + wish + "\r\n"
	}
	return []byte(sdp)
}

// hear notes whether a side holds.
func (s *Session) hear(from tandem.Side, sdp []byte) {
	s.wish[from] = ""
	if strings.Contains(string(sdp), "a=inactive") {
		s.wish[from] = "inactive"
	}
}

// SDP is a peer's description; version makes it another offer.
func SDP(version int) []byte {
	return []byte("v=0\r\no=peer 1 " + strconv.Itoa(version) + " IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 30000 RTP/AVP 0\r\n")
}

// MediaTimeout reports that the caller's side of every open session has been
// silent for ago.
func (w *World) MediaTimeout(ago time.Duration) {
	for _, serial := range slices.Sorted(maps.Keys(w.Media.byID)) {
		w.silence(serial, tandem.SideA, ago)
	}
}

// OneMediaTimeout reports it of one session.
func (w *World) OneMediaTimeout(ago time.Duration) {
	if serials := slices.Sorted(maps.Keys(w.Media.byID)); len(serials) > 0 {
		w.silence(serials[w.Pick(len(serials))], tandem.Side(w.Pick(2)), ago)
	}
}

func (w *World) silence(serial uint64, side tandem.Side, ago time.Duration) {
	died := w.turn.died
	w.After(0, func() {
		if died == w.turn.died {
			w.handle(core.Event{Kind: core.EventMedia, Media: tandem.MediaEvent{
				Ref: tandem.CallRef{Serial: serial}, Kind: tandem.MediaTimeout, Side: side, LastSeen: w.Now.Add(-ago),
			}})
		}
	})
}
