// Package ledgertest holds every tandem.LedgerStore to the same rules. A store's
// test calls Run; so does the test that wires a store into the program, for the
// folders don't import one another.
package ledgertest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
)

// Run checks the rules, each on a store of its own.
func Run(t *testing.T, newStore func(t *testing.T) tandem.LedgerStore) {
	for name, check := range map[string]func(*testing.T, tandem.LedgerStore){
		"BookedEntryReadsBack":              readsBack,
		"UnknownLeg":                        unknownLeg,
		"TransactionSeesItsOwnEntries":      seesItself,
		"ErrorRollsAllBack":                 rollsBack,
		"PanicRollsAllBack":                 panics,
		"LegIsBookedOnce":                   once,
		"BucketsAreApart":                   buckets,
		"CycleIsAnInstant":                  instants,
		"FreeSecondsNeedABucket":            needsBucket,
		"CancelledContext":                  cancelled,
		"ParallelTransactionsAreSerialised": serialised,
		"PostingReadsBack":                  postingReadsBack,
		"PostingIsStoredOnce":               postedOnce,
		"BalanceIsTheSumOfPostings":         balanceIsSum,
		"FailedTransactionPostsNothing":     postsNothing,
		"BadPostingsAreRefused":             badPostings,
		"SplitEntryDrawsFromBothCycles":     drawsFromBoth,
		"RedrawIsStoredOnce":                redrawnOnce,
		"EventIsStoredOncePerCycle":         noticedOnce,
	} {
		t.Run(name, func(t *testing.T) { check(t, newStore(t)) })
	}
}

var cycle = time.Date(2026, 11, 1, 4, 0, 0, 0, time.UTC)

func bucket() tandem.Bucket {
	return tandem.Bucket{Account: "contoso", DID: "+14255550101", Cycle: cycle}
}

// leg is a leg of the n-th call: of both kinds of IDs.
func leg(n byte) uuid.UUID {
	call := uuid.UUID{n}
	if n%2 == 1 {
		call[6] = 0x70 // UUIDv7
	}
	return tandem.LegID(call, 1)
}

func entry(n byte, free int64) tandem.LedgerEntry {
	return tandem.LedgerEntry{Leg: leg(n), Pos: tandem.JournalPos(n), At: cycle.Add(time.Duration(n) * time.Second), Account: "contoso",
		DID: "+14255550101", Bucket: bucket(), Charge: tandem.Charge{Amount: tandem.Amount(n) * 1000, Currency: "USD", Rate: 125_000_000, BilledS: free + 60, FreeS: free,
			ChargedS: 60, Class: tandem.ClassUS, DeckID: "retail-out", DeckVer: 3, DeckRow: 7, Explanation: `{"form":1,"note":"quotes ' \" and ünï"}`}}
}

func book(t *testing.T, s tandem.LedgerStore, entries ...tandem.LedgerEntry) {
	t.Helper()
	if err := s.Books(context.Background(), func(tx tandem.LedgerTx) error {
		for _, e := range entries {
			if err := tx.Book(e); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func used(t *testing.T, s tandem.LedgerStore, b tandem.Bucket) (n int64) {
	t.Helper()
	if err := s.Books(context.Background(), func(tx tandem.LedgerTx) (err error) {
		n, err = tx.Used(b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func stored(t *testing.T, s tandem.LedgerStore, leg uuid.UUID) (e tandem.LedgerEntry, ok bool) {
	t.Helper()
	if err := s.Books(context.Background(), func(tx tandem.LedgerTx) (err error) {
		e, ok, err = tx.Entry(leg)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return e, ok
}

func readsBack(t *testing.T, s tandem.LedgerStore) {
	free, plain := entry(1, 30), entry(2, 0)
	plain.Bucket = tandem.Bucket{}
	book(t, s, free, plain)
	for _, want := range []tandem.LedgerEntry{free, plain} {
		got, ok := stored(t, s, want.Leg)
		if !ok || !got.At.Equal(want.At) || !got.Bucket.Cycle.Equal(want.Bucket.Cycle) {
			t.Fatalf("got %+v, %v; want %+v", got, ok, want)
		}
		got.At, got.Bucket.Cycle = want.At, want.Bucket.Cycle
		if got != want {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	}
}

func unknownLeg(t *testing.T, s tandem.LedgerStore) {
	if _, ok := stored(t, s, entry(1, 0).Leg); ok {
		t.Error("an empty book knows a leg")
	}
	if n := used(t, s, bucket()); n != 0 {
		t.Errorf("an unused bucket has %d seconds drawn", n)
	}
}

func seesItself(t *testing.T, s tandem.LedgerStore) {
	err := s.Books(context.Background(), func(tx tandem.LedgerTx) error {
		for n := byte(1); n <= 3; n++ {
			if before, err := tx.Used(bucket()); err != nil || before != int64(n-1)*10 {
				t.Errorf("%d seconds drawn before entry %d, %v", before, n, err)
			}
			if err := tx.Book(entry(n, 10)); err != nil {
				return err
			}
			if _, ok, err := tx.Entry(entry(n, 10).Leg); !ok || err != nil {
				t.Errorf("entry %d is not seen: %v", n, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := used(t, s, bucket()); n != 30 {
		t.Errorf("%d seconds drawn, want 30", n)
	}
}

func rollsBack(t *testing.T, s tandem.LedgerStore) {
	book(t, s, entry(1, 10))
	broken := errors.New("broken")
	err := s.Books(context.Background(), func(tx tandem.LedgerTx) error {
		if err := tx.Book(entry(2, 20)); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("the error of the transaction is lost: %v", err)
	}
	if _, ok := stored(t, s, entry(2, 20).Leg); ok || used(t, s, bucket()) != 10 {
		t.Error("something of a failed transaction is left")
	}
	book(t, s, entry(2, 20)) // and it can be done again
}

func panics(t *testing.T, s tandem.LedgerStore) {
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is swallowed")
			}
		}()
		s.Books(context.Background(), func(tx tandem.LedgerTx) error {
			if err := tx.Book(entry(2, 20)); err != nil {
				return err
			}
			panic("broken invariant")
		})
	}()
	if _, ok := stored(t, s, entry(2, 20).Leg); ok || used(t, s, bucket()) != 0 {
		t.Error("something of a transaction that panicked is left")
	}
}

func once(t *testing.T, s tandem.LedgerStore) {
	book(t, s, entry(1, 10))
	err := s.Books(context.Background(), func(tx tandem.LedgerTx) error { return tx.Book(entry(1, 10)) })
	if tandem.KindOf(err) != tandem.KindConflict {
		t.Errorf("got %v, want a conflict", err)
	}
	if n := used(t, s, bucket()); n != 10 {
		t.Errorf("%d seconds drawn, want 10", n)
	}
}

func buckets(t *testing.T, s tandem.LedgerStore) {
	other := []func(*tandem.Bucket){
		func(b *tandem.Bucket) { b.Account = "fabrikam" },
		func(b *tandem.Bucket) { b.DID = "+14255550102" },
		func(b *tandem.Bucket) { b.Cycle = cycle.AddDate(0, 1, 0) },
	}
	book(t, s, entry(1, 10))
	for i, change := range other {
		b := bucket()
		change(&b)
		e := entry(byte(2+i), int64(100*(i+1)))
		e.Bucket = b
		book(t, s, e)
		if n := used(t, s, b); n != int64(100*(i+1)) {
			t.Errorf("bucket %+v: %d seconds", b, n)
		}
	}
	if n := used(t, s, bucket()); n != 10 {
		t.Errorf("%d seconds drawn, want 10", n)
	}
}

// instants: the same cycle start in another zone is the same bucket.
func instants(t *testing.T, s tandem.LedgerStore) {
	e := entry(1, 10)
	e.Bucket.Cycle = cycle.In(time.FixedZone("EDT", -4*3600))
	book(t, s, e)
	if n := used(t, s, bucket()); n != 10 {
		t.Errorf("%d seconds drawn, want 10", n)
	}
}

func needsBucket(t *testing.T, s tandem.LedgerStore) {
	e := entry(1, 10)
	e.Bucket = tandem.Bucket{}
	err := s.Books(context.Background(), func(tx tandem.LedgerTx) error { return tx.Book(e) })
	if tandem.KindOf(err) != tandem.KindInvalid {
		t.Errorf("got %v, want invalid", err)
	}
}

func cancelled(t *testing.T, s tandem.LedgerStore) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Books(ctx, func(tx tandem.LedgerTx) error { return tx.Book(entry(1, 0)) }); err == nil {
		t.Error("a cancelled transaction was committed")
	}
	if _, ok := stored(t, s, entry(1, 0).Leg); ok {
		t.Error("a cancelled transaction left an entry")
	}
}

func serialised(t *testing.T, s tandem.LedgerStore) {
	const n = 32
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			if err := s.Books(context.Background(), func(tx tandem.LedgerTx) error {
				before, err := tx.Used(bucket())
				if err != nil {
					return err
				}
				e := entry(byte(i+1), 10)
				e.Charge.DeckRow = before
				return tx.Book(e)
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	seen := map[int64]bool{}
	for i := range n {
		e, ok := stored(t, s, entry(byte(i+1), 10).Leg)
		if !ok || seen[e.Charge.DeckRow] {
			t.Errorf("leg %d: booked %v, read %d seconds as another did", i, ok, e.Charge.DeckRow)
		}
		seen[e.Charge.DeckRow] = true
	}
	if got := used(t, s, bucket()); got != n*10 {
		t.Errorf("%d seconds drawn, want %d", got, n*10)
	}
}
