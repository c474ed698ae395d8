package ledgertest

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"

	"tandem"
)

// noticedOnce: an event is fresh once for account, number, cycle and kind, and not if its transaction fails.
func noticedOnce(t *testing.T, s tandem.LedgerStore) {
	minutes := tandem.UsageEvent{Kind: tandem.UsageMinutes80, Account: "contoso", DID: "+14255550101", Cycle: cycle, At: cycle.AddDate(0, 0, 9), UsedS: 192_000, LimitS: 240_000}
	full, later, other, another := minutes, minutes, minutes, minutes
	full.Kind, later.Cycle, other.DID, another.Account = tandem.UsageMinutes100, cycle.AddDate(0, 1, 0), "+14255550102", "fabrikam"
	again := minutes
	again.UsedS++
	low := tandem.UsageEvent{Kind: tandem.UsageLowBalance, Account: "contoso", Cycle: cycle, At: cycle, Balance: -1, Threshold: 5_000_000, Currency: "USD"}
	boom := errors.New("boom")
	if err := s.Books(context.Background(), func(tx tandem.LedgerTx) error { _, _ = tx.Notice(minutes); return boom }); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	for i, e := range []tandem.UsageEvent{minutes, full, later, other, another, low, again, low, full} {
		if err := s.Books(context.Background(), func(tx tandem.LedgerTx) error {
			for want := i < 6; ; want = false {
				fresh, err := tx.Notice(e)
				if err != nil || fresh != want {
					t.Errorf("event %d: fresh %v, %v", i, fresh, err)
				}
				if !want {
					return err
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// redrawnOnce: a redraw moves its bucket once, never below 0, and not if its transaction fails.
func redrawnOnce(t *testing.T, s tandem.LedgerStore) {
	book(t, s, entry(1, 100))
	r := tandem.Redraw{ID: uuid.UUID{0xd0, 1}, Leg: entry(1, 0).Leg, Bucket: bucket(), Seconds: -40}
	below, nowhere := r, r
	below.ID, below.Seconds = uuid.UUID{0xd0, 2}, -101
	nowhere.ID, nowhere.Bucket = uuid.UUID{0xd0, 3}, tandem.Bucket{}
	redraw := func(r tandem.Redraw) error {
		return s.Books(context.Background(), func(tx tandem.LedgerTx) error { return tx.Redraw(r) })
	}
	boom := errors.New("boom")
	if err := s.Books(context.Background(), func(tx tandem.LedgerTx) error { _ = tx.Redraw(r); return boom }); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	for i, c := range []struct {
		redraw tandem.Redraw
		want   tandem.Kind
		used   int64
	}{{below, tandem.KindInvalid, 100}, {r, "", 60}, {r, tandem.KindConflict, 60}, {nowhere, tandem.KindInvalid, 60}} {
		if err := redraw(c.redraw); (err != nil) != (c.want != "") || err != nil && tandem.KindOf(err) != c.want {
			t.Errorf("redraw %d: %v, want %q", i, err, c.want)
		}
		if n := used(t, s, bucket()); n != c.used {
			t.Errorf("redraw %d: %d s drawn, want %d", i, n, c.used)
		}
	}
	if err := s.Books(context.Background(), func(tx tandem.LedgerTx) error {
		got, known, err := tx.Redrawn(r.ID)
		if err != nil || !known || got.Seconds != -40 || got.Leg != r.Leg || got.Bucket.DID != r.Bucket.DID || !got.Bucket.Cycle.Equal(cycle) {
			t.Errorf("%+v, %v, %v", got, known, err)
		}
		_, known, err = tx.Redrawn(nowhere.ID)
		if known {
			t.Error("a refused redraw is stored")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// drawsFromBoth: an entry that was split at the end of a cycle draws from both
// buckets, reads back, and is refused when its seconds do not add up.
func drawsFromBoth(t *testing.T, s tandem.LedgerStore) {
	e := entry(1, 100)
	e.Next = bucket()
	e.Next.Cycle = cycle.AddDate(0, 1, 0)
	e.NextS = 70
	book(t, s, e)
	if first, next := used(t, s, e.Bucket), used(t, s, e.Next); first != 30 || next != 70 {
		t.Errorf("%d and %d s drawn", first, next)
	}
	got, ok := stored(t, s, e.Leg)
	if !ok || got.NextS != 70 || got.Next.DID != e.Next.DID || got.Next.Account != "contoso" || !got.Next.Cycle.Equal(e.Next.Cycle) {
		t.Errorf("%+v, %v", got, ok)
	}
	for n, spoil := range []func(*tandem.LedgerEntry){
		func(e *tandem.LedgerEntry) { e.NextS = 101 }, func(e *tandem.LedgerEntry) { e.NextS = -1 }, func(e *tandem.LedgerEntry) { e.Next = tandem.Bucket{} },
	} {
		bad := e
		bad.Leg = tandem.LegID(uuid.UUID{byte(n + 10)}, 1)
		spoil(&bad)
		if err := s.Books(context.Background(), func(tx tandem.LedgerTx) error { return tx.Book(bad) }); tandem.KindOf(err) != tandem.KindInvalid {
			t.Errorf("spoilt entry %d: %v", n, err)
		}
	}
}
