package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/rating"
)

// feeSpace is the name space of the IDs of fee postings.
var feeSpace = uuid.MustParse("6f0c8a0e-5d0b-4c6e-9a53-0d6f1f1f7a11")

// feeBatch bounds a transaction: the ledger worker waits no longer than that.
const feeBatch = 200

// FeeID is the ID of the subscription fee of a number in the cycle that begins
// at an instant: one fee, however often it is asked for.
func FeeID(account string, did tandem.E164, cycle time.Time) uuid.UUID {
	return uuid.NewSHA1(feeSpace, fmt.Appendf(nil, "%s %s %d", account, did, cycle.Unix()))
}

// TakeFees posts the subscription fees of the present cycle that are not posted
// yet: of numbers that came since, and of all when a cycle has begun. Who
// changes the plan within a cycle has paid for it already; a number that goes
// keeps what it paid; of a cycle in which no node ran at all none is taken. It
// reports how many were posted. Only one may run at a time.
func (l *Ledger) TakeFees(ctx context.Context) (posted int, err error) {
	t, err := l.current()
	if err != nil {
		return 0, err
	}
	now := l.clock()
	var due []tandem.Posting
	for _, n := range t.Numbers() {
		p, ok := fee(t, &n, now)
		if !ok || l.fees[n.DID] == p.ID {
			continue
		}
		if due = append(due, p); len(due) == feeBatch {
			if posted, err = l.takeFees(ctx, due, posted); err != nil {
				return posted, err
			}
			due = due[:0]
		}
	}
	return l.takeFees(ctx, due, posted)
}

// fee is the posting of a number's fee in the cycle of an instant.
func fee(t *rating.Tariff, n *tandem.Number, now time.Time) (tandem.Posting, bool) {
	account, cycle := t.Account(n.Account, now)
	if account == nil || account.Fee(n.Plan) <= 0 {
		return tandem.Posting{}, false
	}
	return tandem.Posting{ID: FeeID(account.ID, n.DID, cycle), At: now.UTC().Truncate(time.Microsecond), Account: account.ID, Kind: tandem.PostFee, Amount: -account.Fee(n.Plan),
		Currency: account.Currency, DID: n.DID, Note: fmt.Sprintf("%s plan, month from %s", n.Plan, cycle.UTC().Format(time.RFC3339))}, true
}

func (l *Ledger) takeFees(ctx context.Context, due []tandem.Posting, before int) (int, error) {
	if len(due) == 0 {
		return before, nil
	}
	t, err := l.current()
	if err != nil {
		return before, err
	}
	posted := 0
	var w watch
	if err := l.store.Books(ctx, func(tx tandem.LedgerTx) error {
		posted, w = 0, watch{tx: tx, debits: map[string]bool{}}
		for _, p := range due {
			switch err := tx.Post(p); {
			case err == nil:
				posted++
				w.debits[p.Account] = true
			case tandem.KindOf(err) != tandem.KindConflict:
				return fmt.Errorf("fee of number %s: %w", p.DID, err)
			}
		}
		return w.balances(t, l.clock().UTC())
	}); err != nil {
		return before, err
	}
	l.tell(w.fresh)
	for _, p := range due {
		l.fees[p.DID] = p.ID
	}
	return before + posted, nil
}
