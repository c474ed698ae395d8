// Package ledger prices rows and books them exactly once.
package ledger

import (
	"context"
	"log/slog"
	"time"

	"tandem"
)

// Ledger prices rows; see New.
type Ledger struct{}

// New makes a ledger over a store; clock and logger may be nil.
func New(store tandem.LedgerStore, clock func() time.Time, logger *slog.Logger) *Ledger {
	return &Ledger{}
}

// SetDirectory swaps decks and accounts; on error the old ones stay.
func (l *Ledger) SetDirectory(dir *tandem.Directory) error { return nil }

// Price fills rows[i].Charge in one store transaction, in order, exactly once per row ID.
func (l *Ledger) Price(ctx context.Context, rows []tandem.CDR) error { return nil }

// QuoteRequest is a question for `tandem rate explain`.
type QuoteRequest struct {
	From, To string
	Duration time.Duration
	At       time.Time // answer instant; zero = now
	// Used, when not nil, stands in for the seconds already drawn from the bucket in the books.
	Used *int64
}

// Quote says what a call would cost, without booking it.
func (l *Ledger) Quote(ctx context.Context, q QuoteRequest) (tandem.Charge, error) {
	return tandem.Charge{}, nil
}

// Authorize refuses an outbound call that the payer's deck refuses to price.
func (l *Ledger) Authorize(p *tandem.Plan, at time.Time) *tandem.Rejection { return nil }
