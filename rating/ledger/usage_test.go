package ledger

import (
	"context"
	"errors"
	"testing"
	"time"

	"tandem"
	"tandem/rating/ledger/memstore"
)

func kinds(events []tandem.UsageEvent) (list []tandem.UsageEventKind) {
	for _, e := range events {
		list = append(list, e.Kind)
	}
	return list
}

func wantKinds(t *testing.T, store *memstore.Store, want ...tandem.UsageEventKind) {
	t.Helper()
	got := kinds(store.Events())
	if len(got) != len(want) {
		t.Fatalf("events %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("events %v, want %v", got, want)
		}
	}
}

// TestMinutesEventsComeOncePerCycle: at the leg that reaches four fifths and
// all of the bucket, not before, not again, and anew in the next cycle.
func TestMinutesEventsComeOncePerCycle(t *testing.T) {
	store := memstore.New()
	l := mustLedger(t, store)
	dir := directory()
	dir.Accounts[0].FreeMinutes = 10
	if err := l.SetDirectory(dir); err != nil {
		t.Fatal(err)
	}
	price(t, l, call(1, 7*60))
	wantKinds(t, store)
	price(t, l, call(2, 60))
	wantKinds(t, store, tandem.UsageMinutes80)
	if e := store.Events()[0]; e.UsedS != 480 || e.LimitS != 600 || e.DID != "+14255550102" || !e.At.Equal(answer.Add(2*time.Second)) {
		t.Errorf("%+v", e)
	}
	price(t, l, append(call(3, 60), call(2, 60)...)) // one more, and a replay
	wantKinds(t, store, tandem.UsageMinutes80)
	price(t, l, append(call(4, 90), call(5, 60)...))
	wantKinds(t, store, tandem.UsageMinutes80, tandem.UsageMinutes100)
	next := call(6, 10*60)
	for i := range next {
		at := answer.AddDate(0, 1, 0)
		next[i].AnswerTime = &at
	}
	price(t, l, next)
	wantKinds(t, store, tandem.UsageMinutes80, tandem.UsageMinutes100, tandem.UsageMinutes80, tandem.UsageMinutes100)
}

// TestLowBalanceComesOncePerCycle and not with a batch that failed.
func TestLowBalanceComesOncePerCycle(t *testing.T) {
	store := memstore.New()
	faulty := &failing{store, 1}
	l := mustLedger(t, faulty)
	dir, threshold := directory(), tandem.Amount(-20_000)
	dir.Accounts[0].LowBalance = &threshold
	if err := l.SetDirectory(dir); err != nil {
		t.Fatal(err)
	}
	metered := func(n int) []tandem.CDR {
		rows := call(n, 60) // 12,500
		rows[0].Plan, rows[1].Plan = tandem.Metered, tandem.Metered
		return rows
	}
	if err := l.Price(context.Background(), append(metered(1), metered(2)...)); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	wantKinds(t, store)
	faulty.at = 1000
	price(t, l, metered(1))
	wantKinds(t, store)
	price(t, l, append(metered(2), metered(3)...))
	price(t, l, append(metered(2), metered(4)...))
	wantKinds(t, store, tandem.UsageLowBalance)
	if e := store.Events()[0]; e.Balance != -37_500 || e.Threshold != -20_000 || e.Currency != "USD" || e.DID != "" || e.Cycle.Month() != time.November {
		t.Errorf("%+v", e)
	}
}

// TestEventsOfRefusedThresholds: a bucket of 0 minutes has no events.
func TestEventsOfRefusedThresholds(t *testing.T) {
	for _, c := range []struct {
		used, limit int64
		want        int
	}{{0, 0, 0}, {10, 0, 0}, {79, 100, 0}, {80, 100, 1}, {99, 100, 1}, {100, 100, 2}, {101, 100, 2}, {239_999, 240_000, 1}} {
		if got := tandem.MinutesEvents(c.used, c.limit); len(got) != c.want {
			t.Errorf("%d of %d: %v", c.used, c.limit, got)
		}
	}
}

// TestFeeBringsTheBalanceLow: taking fees tells it as charges do.
func TestFeeBringsTheBalanceLow(t *testing.T) {
	store := memstore.New()
	l := mustLedger(t, store)
	dir, threshold := directory(), tandem.Amount(0)
	dir.Accounts[0].LowBalance, dir.Accounts[0].FeeUnlimited = &threshold, 1_000_000
	if err := l.SetDirectory(dir); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := l.TakeFees(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	wantKinds(t, store, tandem.UsageLowBalance)
}

// TestQuoteAcrossTheCycleEnd knows what is left of both buckets.
func TestQuoteAcrossTheCycleEnd(t *testing.T) {
	l := mustLedger(t, memstore.New())
	dir := directory()
	dir.Accounts[0].CycleSplit = true
	if err := l.SetDirectory(dir); err != nil {
		t.Fatal(err)
	}
	c, err := l.Quote(context.Background(), QuoteRequest{From: "+14255550102", To: "+12065550123", Duration: time.Minute, At: time.Date(2026, 12, 1, 4, 59, 30, 0, time.UTC)})
	if err != nil || c.FreeS != 60 || c.Amount != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}
