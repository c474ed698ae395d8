package relay

import (
	"net/netip"
	"sync"

	"tandem"
	"tandem/media/sdp"
)

// session is the media of one call: tandem.MediaSession. The exchange belongs to
// the call's shard; the lock guards the ends, which media threads use.
type session struct {
	pool     *Pool
	ref      tandem.CallRef
	lane     int
	shelf    *shelf
	exchange *sdp.Exchange
	trouble  error // of SetPeer, told by the next Offer

	mu     sync.Mutex
	closed bool
	owners [2]owner // beside the lock for thread.warm
	ends   [2]end
	codecs [2]string
}

// SetPeer implements tandem.MediaSession.
func (s *session) SetPeer(profile tandem.MediaProfile) {
	if s.isClosed() {
		return
	}
	s.trouble = nil
	b := &s.ends[tandem.SideB]
	s.mu.Lock()
	pair := b.pair
	pair.rtp.disconnect()
	pair.rtcp.disconnect()
	*b = end{session: s, side: tandem.SideB, pair: pair, profile: profile}
	s.hint()
	s.codecs[tandem.SideB] = ""
	s.mu.Unlock()
	if s.trouble = s.place(b, profile.LocalAddress); s.trouble == nil {
		s.trouble = s.exchange.SetParty(tandem.SideB, s.party(b))
	}
	s.obey()
}

// place moves a side to the bank of an address; an invalid one changes nothing.
func (s *session) place(e *end, addr netip.Addr) error {
	if !addr.IsValid() || e.pair.bank.addr == addr {
		return nil
	}
	bank := s.pool.bank(addr)
	if bank == nil {
		return unknownAddress(addr)
	}
	p := bank.take(s.lane, s.pool.now())
	if p == nil {
		return noPorts(addr)
	}
	s.mu.Lock()
	old := e.pair
	e.pair = p
	s.hint()
	s.mu.Unlock()
	p.owner.Store(&s.owners[e.side])
	s.pool.rest(old)
	return nil
}

func (s *session) party(e *end) sdp.Party {
	return sdp.Party{Profile: e.profile, Address: e.pair.bank.public, Port: e.pair.number()}
}

// family gives the sides that have no fixed address yet ports of the family that an offer speaks.
func (s *session) family(body []byte) error {
	if !s.pool.mixed {
		return nil
	}
	six, known := sdp.UsesIPv6(body)
	if !known {
		return nil
	}
	for i := range s.ends {
		e := &s.ends[i]
		if e.profile.LocalAddress.IsValid() || s.exchange.Spoken(e.side) || e.pair.bank.addr.Is6() == six {
			continue
		}
		if err := s.place(e, s.pool.familyDefault(six)); err != nil {
			return err
		}
		s.exchange.Move(e.side, s.party(e))
	}
	return nil
}

// Offer implements tandem.MediaSession.
func (s *session) Offer(from tandem.Side, body []byte) ([]byte, error) {
	if s.isClosed() {
		return nil, errClosed()
	}
	if s.trouble != nil {
		return nil, s.trouble
	}
	if err := s.family(body); err != nil {
		return nil, err
	}
	out, err := s.exchange.Offer(from, body)
	s.obey()
	return out, err
}

// Answer implements tandem.MediaSession.
func (s *session) Answer(from tandem.Side, body []byte, final bool) ([]byte, error) {
	if s.isClosed() {
		return nil, errClosed()
	}
	out, err := s.exchange.Answer(from, body, final)
	if err == nil {
		s.obey()
	}
	return out, err
}

// Reoffer implements tandem.MediaSession.
func (s *session) Reoffer(to tandem.Side) ([]byte, error) {
	if s.isClosed() {
		return nil, errClosed()
	}
	return s.exchange.Reoffer(to)
}

// Rollback implements tandem.MediaSession.
func (s *session) Rollback() {
	if s.isClosed() {
		return
	}
	s.exchange.Rollback()
	s.obey()
}

// obey puts in force what the exchange says now.
func (s *session) obey() {
	legs := [2]sdp.Leg{s.exchange.Leg(tandem.SideA), s.exchange.Leg(tandem.SideB)}
	settled, now := s.exchange.Settled(), s.pool.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.ends {
		s.ends[i].obey(&legs[i], now)
		if settled || !legs[i].Agreed { // an open offer changes nothing about who should send
			s.ends[i].flow(legs[i].Flowing, now)
		}
		if legs[i].Agreed {
			s.codecs[i] = legs[i].Codec
		}
	}
	s.hint()
}

// hint keeps the owners' pointers up to date. Its caller holds the lock, or knows
// the session alone.
func (s *session) hint() {
	for i := range s.owners {
		o, e := &s.owners[i], &s.ends[i]
		other := &s.ends[e.side.Other()]
		o.out.Store(other.pair)
		o.rx.Store(e.receiver())
		o.tx.Store(other.sender())
	}
}

// Stats implements tandem.MediaSession.
func (s *session) Stats(side tandem.Side) (rx, tx tandem.StreamStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &s.ends[side]
	return e.in.stats(s.pool.start), e.out.stats(s.pool.start)
}

// Describe implements tandem.MediaSession.
func (s *session) Describe(side tandem.Side) (codec string, secure bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.codecs[side], s.ends[side].secure
}

// Close implements tandem.MediaSession. Counters stay readable.
func (s *session) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	s.mu.Unlock()
	s.pool.forget(s)
	for i := range s.ends {
		s.pool.rest(s.ends[i].pair)
	}
}

func (s *session) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
