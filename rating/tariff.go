package rating

import (
	"time"

	"tandem"
)

// Tariff is an immutable snapshot of accounts, numbers and decks.
type Tariff struct{}

// NewTariff indexes a directory; decks that did not change since previous
// (which may be nil) are taken over instead of being indexed again.
func NewTariff(dir *tandem.Directory, previous *Tariff) (*Tariff, error) {
	return &Tariff{}, nil
}

// Authorize refuses a call that the payer's deck refuses to price (a row with
// Reject): nil = go ahead. Emergency and inbound calls are never refused.
func (t *Tariff) Authorize(p *tandem.Plan, at time.Time) *tandem.Rejection { return nil }
