package ledger

import (
	"context"
	"testing"
	"time"

	"tandem"
	"tandem/rating/ledger/memstore"
)

// TestFeesOncePerNumberAndCycle: when a number comes, and each cycle of the
// account's zone; not again for a restart, another plan or another fee.
func TestFeesOncePerNumberAndCycle(t *testing.T) {
	store := memstore.New()
	now := answer // 10 November
	start := func() *Ledger {
		l := New(store, func() time.Time { return now }, nil)
		d := directory()
		d.Accounts[0].FeeMetered, d.Accounts[0].FeeUnlimited = 5_000_000, 12_000_000
		if err := l.SetDirectory(d); err != nil {
			t.Fatal(err)
		}
		return l
	}
	take := func(l *Ledger, what string, want int, balance tandem.Amount) {
		t.Helper()
		got, err := l.TakeFees(context.Background())
		if err != nil || got != want || store.Balance("contoso") != balance {
			t.Errorf("%s: %d fees, %v, balance %s; want %d and %s", what, got, err, store.Balance("contoso"), want, balance)
		}
	}
	l := start()
	take(l, "first", 2, -17_000_000)
	take(l, "again", 0, -17_000_000)
	take(start(), "after a restart", 0, -17_000_000)

	d := directory()
	d.Accounts[0].FeeMetered, d.Accounts[0].FeeUnlimited = 6_000_000, 12_000_000
	d.Numbers[0].Plan = tandem.Unlimited
	d.Numbers = append(d.Numbers, tandem.Number{DID: "+14255550103", Account: "contoso", UserType: tandem.StandardUser, Plan: tandem.Metered})
	if err := l.SetDirectory(d); err != nil {
		t.Fatal(err)
	}
	take(l, "another plan, and a new number", 1, -23_000_000)

	now = time.Date(2026, 12, 1, 4, 59, 59, 0, time.UTC) // still November in New York
	take(l, "the last second of the cycle", 0, -23_000_000)
	now = now.Add(time.Second)
	take(l, "the next cycle", 3, -53_000_000)
	take(start(), "a restart in it", 0, -53_000_000)
	p := store.Postings()[0]
	if p.Kind != tandem.PostFee || p.DID != "+14255550101" || p.ID != FeeID("contoso", p.DID, time.Date(2026, 11, 1, 4, 0, 0, 0, time.UTC)) ||
		p.Note != "Metered plan, month from 2026-11-01T04:00:00Z" {
		t.Errorf("%+v", p)
	}
}

func TestPlansWithoutAFee(t *testing.T) {
	store := memstore.New()
	if n, err := mustLedger(t, store).TakeFees(context.Background()); n != 0 || err != nil || len(store.Postings()) != 0 {
		t.Errorf("%d, %v", n, err)
	}
}

// failingPosts is a store whose transactions fail at a step of posting or at their end.
type failingPosts struct {
	tandem.LedgerStore
	left int
}

func (f *failingPosts) Books(ctx context.Context, fn func(tandem.LedgerTx) error) error {
	return f.LedgerStore.Books(ctx, func(tx tandem.LedgerTx) error {
		if err := fn(&failingPost{tx, &f.left}); err != nil {
			return err
		}
		if f.left--; f.left == -1 { // the commit
			return errBroken
		}
		return nil
	})
}

type failingPost struct {
	tandem.LedgerTx
	left *int
}

func (f *failingPost) Post(p tandem.Posting) error {
	if *f.left--; *f.left == -1 {
		return errBroken
	}
	return f.LedgerTx.Post(p)
}

// TestFeesCutOffAtAnyStep: whatever step breaks, the next run makes the same books.
func TestFeesCutOffAtAnyStep(t *testing.T) {
	for step := range 4 {
		store := &failingPosts{memstore.New(), 1 << 30}
		books := store.LedgerStore.(*memstore.Store)
		l := New(store, func() time.Time { return answer }, nil)
		d := directory()
		d.Accounts[0].FeeMetered, d.Accounts[0].FeeUnlimited = 5_000_000, 12_000_000
		if err := l.SetDirectory(d); err != nil {
			t.Fatal(err)
		}
		store.left = step
		if _, err := l.TakeFees(context.Background()); (err == nil) != (step == 3) {
			t.Errorf("step %d: %v", step, err)
		}
		if n := len(books.Postings()); step < 3 && n != 0 {
			t.Errorf("step %d left %d fees", step, n)
		}
		store.left = 1 << 30
		if _, err := l.TakeFees(context.Background()); err != nil || len(books.Postings()) != 2 || books.Balance("contoso") != -17_000_000 {
			t.Errorf("step %d: %v, %d fees, balance %s", step, err, len(books.Postings()), books.Balance("contoso"))
		}
	}
}
