package main

import (
	"context"
	"slices"
	"time"

	"tandem"
)

// The parts that `tandem serve --without` leaves out, hidden because they are
// for measuring only: the difference in cost is what the part costs.
const (
	withoutMedia   = "media"   // SDP passes as it is, packets go past us
	withoutRating  = "rating"  // rows carry no charge, nothing is booked
	withoutJournal = "journal" // no facts, hence no rows
)

func (c Config) without(part string) bool { return slices.Contains(c.Without, part) }

// noMedia hands SDP through.
type noMedia struct{}

func (noMedia) OpenMedia(tandem.CallRef, tandem.MediaProfile) (tandem.MediaSession, error) {
	return &passedSDP{}, nil
}

// passedSDP remembers what each side said last.
type passedSDP struct{ said [2][]byte }

func (p *passedSDP) SetPeer(tandem.MediaProfile) {}

func (p *passedSDP) Offer(from tandem.Side, sdp []byte) ([]byte, error) {
	p.said[from] = slices.Clone(sdp)
	return p.said[from], nil
}

func (p *passedSDP) Answer(from tandem.Side, sdp []byte, _ bool) ([]byte, error) {
	return p.Offer(from, sdp)
}

func (p *passedSDP) Reoffer(to tandem.Side) ([]byte, error)        { return p.said[1-to], nil }
func (p *passedSDP) Rollback()                                     {}
func (p *passedSDP) Stats(tandem.Side) (rx, tx tandem.StreamStats) { return rx, tx }
func (p *passedSDP) Describe(tandem.Side) (string, bool)           { return "", false }
func (p *passedSDP) Close()                                        {}

// noRating leaves the charges at zero.
type noRating struct{}

func (noRating) Price(context.Context, []tandem.CDR) error { return nil }

// noJournal takes every fact for written and forgets it.
type noJournal struct{}

func (noJournal) Record(uint16, tandem.FactKind, time.Time, *tandem.CallRecord) uint64 { return 1 }
func (noJournal) OnWritten(f func(uint64))                                             { f(1) }
