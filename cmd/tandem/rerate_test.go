package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"tandem"
	"tandem/provisioning"
	"tandem/rating"
)

// insert makes the rig's reports take new versions, as ReplacingMergeTree with FINAL does.
func (r *booksRig) insert(_ context.Context, _ string, rows []tandem.CDR) error {
	if r.cut != nil {
		return r.cut
	}
	for _, row := range rows {
		for i := range r.reports.Rows {
			if old := &r.reports.Rows[i]; old.ID == row.ID && old.Version < row.Version {
				*old = row
			}
		}
	}
	return nil
}

func (r *booksRig) balance(t *testing.T) (sum tandem.Amount, used int64) {
	t.Helper()
	if err := r.store.Books(context.Background(), func(tx tandem.LedgerTx) (err error) {
		if sum, err = tx.Balance("contoso", "USD"); err == nil {
			used, err = tx.Used(tandem.Bucket{Account: "contoso", DID: "+14255550102", Cycle: time.Date(2026, 11, 1, 4, 0, 0, 0, time.UTC)})
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return sum, used
}

// agree compares the books with the rows: what the reports sum up to is what the account owes.
func (r *booksRig) agree(t *testing.T) {
	t.Helper()
	var charged tandem.Amount
	var free int64
	for i := range r.reports.Rows {
		c := r.reports.Rows[i].Charge
		charged, free = charged+c.Amount, free+c.FreeS
		e, err := rating.ParseExplanation(c.Explanation)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := e.Recompute(); err != nil || p.Amount != c.Amount || p.FreeS != c.FreeS {
			t.Errorf("row %d: %+v recomputes to %+v, %v", i, c, p, err)
		}
	}
	if sum, used := r.balance(t); sum != -charged || used != free {
		t.Errorf("the books say %s and %d s drawn, the rows %s and %d s", sum, used, charged, free)
	}
}

func (r *booksRig) rerate(t *testing.T, apply bool) provisioning.Rerated {
	t.Helper()
	out, err := r.svc.Rerate(context.Background(), provisioning.Rerate{From: november.From, To: november.To, Apply: apply})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (r *booksRig) activate(t *testing.T, rate string, increments int) {
	t.Helper()
	r.stage(t, rate, increments)
	if _, err := r.svc.ActivateDeck(context.Background(), "out", 0); err != nil {
		t.Fatal(err)
	}
	r.follow(t)
}

// TestRateAgain: dry run, corrections, new versions, and nothing the second time; deck after deck.
func TestRateAgain(t *testing.T) {
	r := newBooksRig(t)
	r.calls(t, "+14255550101", tandem.Metered, 0, 3, 90*time.Second)
	r.calls(t, "+14255550102", tandem.Unlimited, 10, 6, 90*time.Second)
	original := r.reports.Rows[0].Charge
	for _, step := range []struct {
		rate       string
		increments int
		after      tandem.Amount
		postings   int
		rows       int
		free       int64
	}{
		{"0.0125", 60, 100_000, 0, 0, 600}, // the same prices: a new version of the deck changes nothing
		{"0.0250", 60, 200_000, 4, 4, 600}, // three metered calls, one beyond the minutes
		{"0.0250", 1, 112_500, 4, 9, 540},  // 90 s each: 3 x 0.0375; the last call is free, and all draw less
		{"0.0100", 60, 80_000, 4, 9, 600},
	} {
		r.activate(t, step.rate, step.increments)
		before, _ := r.balance(t)
		dry := r.rerate(t, false)
		if now, _ := r.balance(t); now != before || dry.Applied || dry.Postings+dry.Rows > 0 || dry.Accounts[0].After != step.after || dry.Accounts[0].Before != -before {
			t.Fatalf("dry run at %s/%d: %+v", step.rate, step.increments, dry)
		}
		done := r.rerate(t, true)
		if !done.Applied || done.Postings != step.postings || done.Rows != step.rows || done.Accounts[0].Difference != dry.Accounts[0].Difference {
			t.Errorf("%s/%d: %+v", step.rate, step.increments, done)
		}
		if sum, used := r.balance(t); sum != -step.after || used != step.free {
			t.Errorf("%s/%d: balance %s, %d s drawn", step.rate, step.increments, sum, used)
		}
		r.agree(t)
		if again := r.rerate(t, true); again.Postings+again.Rows != 0 || again.Accounts[0].Changed != 0 {
			t.Errorf("%s/%d, again: %+v", step.rate, step.increments, again)
		}
	}
	if err := r.store.Books(context.Background(), func(tx tandem.LedgerTx) error {
		e, known, err := tx.Entry(r.reports.Rows[0].ID)
		if !known || e.Charge != original {
			t.Errorf("the entry was overwritten: %+v", e.Charge)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	replayed := r.reports.Rows[0]
	replayed.Charge = tandem.Charge{}
	if err := r.ledger.Price(context.Background(), []tandem.CDR{replayed}); err != nil {
		t.Fatal(err)
	}
	r.agree(t)
}

// TestRateAgainAfterACut: the books took the corrections, ClickHouse did not take the rows; the next run goes on.
func TestRateAgainAfterACut(t *testing.T) {
	r := newBooksRig(t)
	r.calls(t, "+14255550101", tandem.Metered, 0, 3, 90*time.Second)
	r.activate(t, "0.0250", 60)
	away := errors.New("connection refused")
	r.cut = away
	if _, err := r.svc.Rerate(context.Background(), provisioning.Rerate{From: november.From, To: november.To, Apply: true}); tandem.KindOf(err) != tandem.KindUnavailable {
		t.Fatal(err)
	}
	if sum, _ := r.balance(t); sum != -150_000 {
		t.Errorf("balance %s", sum)
	}
	r.activate(t, "0.0200", 60) // and meanwhile the price changed again
	r.cut = nil
	if done := r.rerate(t, true); done.Postings != 3 || done.Rows != 3 {
		t.Errorf("%+v", done)
	}
	if sum, _ := r.balance(t); sum != -120_000 {
		t.Errorf("balance %s", sum)
	}
	r.agree(t)
}

// TestRateAgainNeverLosesAPrice: a deck that no longer covers the calls is refused.
func TestRateAgainNeverLosesAPrice(t *testing.T) {
	r := newBooksRig(t)
	r.calls(t, "+14255550101", tandem.Metered, 0, 2, 90*time.Second)
	if _, err := r.svc.ImportDeck(context.Background(), provisioning.DeckImport{Deck: "out", Name: "out.csv", File: []byte("prefix,destination,rate\n44,UK,0.01\n")}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.svc.ActivateDeck(context.Background(), "out", 0); err != nil {
		t.Fatal(err)
	}
	if dry := r.rerate(t, false); dry.Accounts[0].Unrated != 2 {
		t.Errorf("%+v", dry)
	}
	if _, err := r.svc.Rerate(context.Background(), provisioning.Rerate{From: november.From, To: november.To, Apply: true}); tandem.KindOf(err) != tandem.KindConflict {
		t.Errorf("applied: %v", err)
	}
	r.agree(t)
}

// TestRateAgainAcrossTheCycleEnd: a call that was split at the end of a cycle gives
// back to, and takes from, both buckets.
func TestRateAgainAcrossTheCycleEnd(t *testing.T) {
	r := newBooksRig(t)
	ctx := context.Background()
	if _, err := r.store.Update(ctx, func(d *tandem.Directory) (*tandem.Directory, error) {
		next := *d
		next.Accounts = append([]tandem.Account(nil), d.Accounts...)
		next.Accounts[0].CycleSplit = true
		return &next, nil
	}); err != nil {
		t.Fatal(err)
	}
	r.follow(t)
	rows := callsOf("+14255550102", tandem.Unlimited, 0, 1, 90*time.Second)
	answer := time.Date(2026, 12, 1, 4, 59, 30, 0, time.UTC)
	rows[0].AnswerTime, rows[0].EndTime = &answer, answer.Add(90*time.Second)
	if err := r.ledger.Price(ctx, rows); err != nil {
		t.Fatal(err)
	}
	r.reports.Rows = rows
	drawn := func() (seconds [2]int64) {
		for i, at := range []time.Time{time.Date(2026, 11, 1, 4, 0, 0, 0, time.UTC), time.Date(2026, 12, 1, 5, 0, 0, 0, time.UTC)} {
			used, err := r.store.Buckets(ctx, "contoso", at)
			if err != nil {
				t.Fatal(err)
			}
			seconds[i] = used["+14255550102"]
		}
		return seconds
	}
	if got := drawn(); got != [2]int64{30, 90} {
		t.Errorf("drawn %v", got)
	}
	for _, step := range []struct {
		increments int
		want       [2]int64
	}{{1, [2]int64{30, 60}}, {600, [2]int64{30, 570}}, {20, [2]int64{30, 70}}, {600, [2]int64{30, 570}}} {
		r.activate(t, "0.0125", step.increments)
		if out := r.rerate(t, true); out.Rows != 1 || drawn() != step.want {
			t.Errorf("increments of %d s: %+v, drawn %v, want %v", step.increments, out, drawn(), step.want)
		}
		if again := r.rerate(t, true); again.Rows+again.Postings != 0 || drawn() != step.want {
			t.Errorf("again: %+v", again)
		}
	}
	got, total, err := r.svc.UsageEvents(ctx, provisioning.EventQuery{})
	if err != nil || total != 1 || got[0].Kind != tandem.UsageMinutes80 || got[0].UsedS != 570 || got[0].Cycle.Month() != time.December {
		t.Errorf("%+v, %v", got, err)
	}
}
