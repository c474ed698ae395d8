package ledger

import (
	"context"

	"github.com/google/uuid"

	"tandem"
)

// Books implements tandem.LedgerStore over the store beneath, so that the
// credit manager hears of every posting. All writers of the books go through it.
func (c *Credit) Books(ctx context.Context, f func(tandem.LedgerTx) error) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if !c.limited.Load() {
		return c.store.Books(ctx, f)
	}
	return c.watch(ctx, f)
}

func (c *Credit) watch(ctx context.Context, f func(tandem.LedgerTx) error) error {
	var w *watched
	if err := c.store.Books(ctx, func(tx tandem.LedgerTx) error {
		w = &watched{LedgerTx: tx} // the store may run a transaction again
		return f(w)
	}); err != nil {
		return err
	}
	c.committed(w.effects)
	return nil
}

// effect is what one entry or posting of a committed transaction did.
type effect struct {
	leg      uuid.UUID // of an entry
	account  string
	currency tandem.Currency
	amount   tandem.Amount
	bucket   tandem.Bucket
	free     int64
}

// watched notes what its transaction does.
type watched struct {
	tandem.LedgerTx
	effects []effect
}

// Book implements tandem.LedgerTx. A leg that is booked already settles its hold too.
func (w *watched) Book(e tandem.LedgerEntry) error {
	err := w.LedgerTx.Book(e)
	switch {
	case err == nil:
		w.effects = append(w.effects, effect{e.Leg, e.Account, e.Charge.Currency, -e.Charge.Amount, e.Bucket, e.Charge.FreeS - e.NextS},
			effect{account: e.Account, bucket: e.Next, free: e.NextS})
	case tandem.KindOf(err) == tandem.KindConflict:
		w.effects = append(w.effects, effect{leg: e.Leg})
	}
	return err
}

// Post implements tandem.LedgerTx.
func (w *watched) Post(p tandem.Posting) error {
	err := w.LedgerTx.Post(p)
	if err == nil {
		w.effects = append(w.effects, effect{account: p.Account, currency: p.Currency, amount: p.Amount})
	}
	return err
}

// Redraw implements tandem.LedgerTx.
func (w *watched) Redraw(r tandem.Redraw) error {
	err := w.LedgerTx.Redraw(r)
	if err == nil {
		w.effects = append(w.effects, effect{account: r.Bucket.Account, bucket: r.Bucket, free: r.Seconds})
	}
	return err
}
