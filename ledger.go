package tandem

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Bucket is the free-minutes bucket of one number in one billing cycle.
type Bucket struct {
	Account string    `json:"account"`
	DID     E164      `json:"did"`
	Cycle   time.Time `json:"cycle"` // start of the cycle, UTC
}

// LedgerEntry is what one leg does to the books: stored once per leg, never edited.
type LedgerEntry struct {
	Leg     uuid.UUID // idempotence key
	Pos     JournalPos
	At      time.Time // answer instant
	Account string
	DID     E164
	Bucket  Bucket // zero when nothing may be drawn
	Charge  Charge
	// Next is the bucket of the next cycle, of a call that was split at a cycle's
	// end: NextS of Charge.FreeS are drawn from it.
	Next  Bucket
	NextS int64
}

// Validate refuses what LedgerTx.Book must not store: KindInvalid.
func (e *LedgerEntry) Validate() error {
	first := e.Charge.FreeS - e.NextS
	if first < 0 || e.NextS < 0 || first > 0 && e.Bucket == (Bucket{}) || e.NextS > 0 && e.Next == (Bucket{}) {
		return &Error{Kind: KindInvalid, Field: "bucket", Message: fmt.Sprintf("leg %s draws %d and %d free seconds from buckets %q and %q", e.Leg, first, e.NextS, e.Bucket.DID, e.Next.DID),
			Mend: "name a bucket, or draw nothing"}
	}
	return nil
}

// Redraw corrects what a leg drew from a bucket, when it is rated again: beside
// its entry, which stays as it is.
type Redraw struct {
	ID      uuid.UUID // idempotence key
	Leg     uuid.UUID
	Bucket  Bucket
	Seconds int64 // drawn more; negative: given back
}

// LedgerTx is one transaction on the books.
type LedgerTx interface {
	// Entry returns the stored entry of a leg, if it was booked before.
	Entry(leg uuid.UUID) (LedgerEntry, bool, error)
	// Used is how many seconds of the bucket are drawn, including by this transaction.
	Used(b Bucket) (int64, error)
	// Book stores the entry, draws Charge.FreeS from its bucket and debits Charge.Amount from the account.
	// A leg that is booked already is KindConflict and changes nothing; the transaction goes on.
	Book(e LedgerEntry) error
	// Posting returns the posting of an ID, if there is one; a charge's by its leg.
	Posting(id uuid.UUID) (Posting, bool, error)
	// Post stores a posting other than a charge. An ID that is stored already,
	// whatever its posting says, is KindConflict and changes nothing; the transaction goes on.
	// What Posting.Validate refuses is KindInvalid.
	Post(p Posting) error
	// Redrawn returns the redraw of an ID, if there is one.
	Redrawn(id uuid.UUID) (Redraw, bool, error)
	// Redraw stores a correction of what is drawn from a bucket. An ID that is
	// stored already is KindConflict; a bucket is never drawn below 0: KindInvalid.
	// Either changes nothing; the transaction goes on.
	Redraw(r Redraw) error
	// Balance is the sum of the account's postings in a currency, including this transaction's.
	Balance(account string, currency Currency) (Amount, error)
	// Notice stores a usage event; fresh is false, and nothing changed, when the
	// account, number and cycle have one of its kind.
	Notice(e UsageEvent) (fresh bool, err error)
}

// LedgerStore keeps the books: allowance buckets, account balances, entries.
type LedgerStore interface {
	// Books runs f in one durable transaction; an error from f rolls all back.
	Books(ctx context.Context, f func(LedgerTx) error) error
}
