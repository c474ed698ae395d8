package main

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/provisioning"
	"tandem/provisioning/provtest"
	"tandem/provisioning/store"
	"tandem/rating"
	"tandem/rating/deck"
	"tandem/rating/ledger"
)

// booksRig is store, ledger and operations over rows in memory: what a node
// has behind its journal, without ClickHouse.
type booksRig struct {
	store   *store.Store
	ledger  *ledger.Ledger
	reports *provtest.Reports
	svc     *provisioning.Service
	cut     error // of inserts
}

var rigNow = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func newBooksRig(t *testing.T) *booksRig {
	t.Helper()
	ctx := context.Background()
	s, err := store.Open(ctx, filepath.Join(t.TempDir(), storeFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	r := &booksRig{store: s, ledger: ledger.New(s, func() time.Time { return rigNow }, nil), reports: &provtest.Reports{}}
	r.svc = rigService(s, r.reports, r.insert)
	if _, err := s.Update(ctx, func(*tandem.Directory) (*tandem.Directory, error) { return rigDirectory(), nil }); err != nil {
		t.Fatal(err)
	}
	r.follow(t)
	return r
}

// rigStore is what the operations need of a store.
type rigStore interface {
	provisioning.Store
	provisioning.Books
	provisioning.DeckStore
}

// rigService makes the operations over a store and reports that insert writes to.
func rigService(s rigStore, reports *provtest.Reports, insert func(context.Context, string, []tandem.CDR) error) *provisioning.Service {
	return provisioning.NewService(provisioning.Deps{Store: s, Books: s, Decks: s, Reports: func() provisioning.Reports { return reports }, Clock: func() time.Time { return rigNow },
		Cycle: rating.CycleOn, Replay: replayRows, InsertRows: insert, ParseDeckCSV: deck.ParseCSV, ParseSheet: deck.ParseSheet, WriteDeckCSV: deck.WriteCSV, ValidateDeck: deck.Validate})
}

// rigDirectory is one account with a number on each plan, at 0.0125 a minute and ten free ones.
func rigDirectory() *tandem.Directory {
	tenant := uuid.MustParse("3fa85f64-5717-4562-b3fc-2c963f66afa6")
	number := tandem.Number{DID: "+14255550101", Account: "contoso", Tenant: tenant, ServiceAddress: "hq", UserType: tandem.StandardUser, Plan: tandem.Metered, Status: tandem.StatusAssigned}
	free := number
	free.DID, free.Plan = "+14255550102", tandem.Unlimited
	return &tandem.Directory{
		Decks: []tandem.Deck{
			{ID: "out", Direction: tandem.Outbound, Currency: "USD", Version: 1, Rows: []tandem.DeckRow{{ID: 1, Prefix: "1", Rate: 125_000_000, InitialInc: 60, NextInc: 60}}},
			{ID: "in", Direction: tandem.Inbound, Currency: "USD", Version: 1, Rows: []tandem.DeckRow{{ID: 1, Prefix: "1", Rate: 45_000_000, InitialInc: 60, NextInc: 60}}},
		},
		Accounts: []tandem.Account{{ID: "contoso", Currency: "USD", TimeZone: "America/New_York", RetailOut: "out", RetailIn: "in", FreeMinutes: 10,
			FreeClasses: []tandem.NumberClass{tandem.ClassUS}}},
		Tenants:   []tandem.Tenant{{ID: tenant, Account: "contoso"}},
		Addresses: []tandem.ServiceAddress{{ID: "hq", Account: "contoso", Street: "1 Way", City: "Redmond", State: "WA", PostalCode: "98052", Country: "US"}},
		Numbers:   []tandem.Number{number, free},
	}
}

// follow puts the directory in force into the ledger, as a node does.
func (r *booksRig) follow(t *testing.T) {
	t.Helper()
	dir, err := r.store.Directory(context.Background())
	if err == nil {
		err = r.ledger.SetDirectory(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// calls books n outbound calls of a number, a minute apart, and reports them.
func (r *booksRig) calls(t *testing.T, did tandem.E164, plan tandem.PlanKind, first, n int, length time.Duration) []tandem.CDR {
	t.Helper()
	rows := callsOf(did, plan, first, n, length)
	if err := r.ledger.Price(context.Background(), rows); err != nil {
		t.Fatal(err)
	}
	r.reports.Rows = append(r.reports.Rows, rows...)
	return rows
}

// callsOf makes the Phone rows of outbound calls.
func callsOf(did tandem.E164, plan tandem.PlanKind, first, n int, length time.Duration) (rows []tandem.CDR) {
	for i := first; i < first+n; i++ {
		at := time.Date(2026, 11, 10, 15, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Minute)
		c := uuid.NewSHA1(uuid.Nil, fmt.Append(nil, i))
		rows = append(rows, tandem.CDR{ID: tandem.LegID(c, 1), Version: 1, Correlation: c, Node: "n1", NodeSeq: tandem.JournalPos(i), Attempt: 1, Connected: true, Technology: tandem.Phone,
			Direction: tandem.Outbound, Account: "contoso", DID: did, UserType: tandem.StandardUser, Plan: plan, From: string(did), To: "+12065550123",
			InviteTime: at, AnswerTime: &at, EndTime: at.Add(length), DurationMs: uint32(length.Milliseconds())})
	}
	return rows
}

// stage stages a version of deck out with another rate.
func (r *booksRig) stage(t *testing.T, rate string, increments int) {
	t.Helper()
	sheet := fmt.Sprintf("prefix,destination,rate,initial_inc,next_inc\n1,US,%s,%d,%d\n", rate, increments, increments)
	if _, err := r.svc.ImportDeck(context.Background(), provisioning.DeckImport{Deck: "out", Name: "out.csv", File: []byte(sheet)}); err != nil {
		t.Fatal(err)
	}
}

var november = provisioning.WhatIf{From: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}

// TestWhatIf: other decks, plans and minutes, by account and number; the books stay as they are.
func TestWhatIf(t *testing.T) {
	ctx := context.Background()
	r := newBooksRig(t)
	r.calls(t, "+14255550101", tandem.Metered, 0, 3, 90*time.Second)    // 120 s at 0.0125: 0.025 each
	r.calls(t, "+14255550102", tandem.Unlimited, 10, 6, 90*time.Second) // 600 s free, then 0.025
	r.stage(t, "0.0250", 60)
	ten := 0
	for name, c := range map[string]struct {
		change func(*provisioning.WhatIf)
		before tandem.Amount
		after  map[tandem.E164]tandem.Amount // of numbers with a difference
		free   int64
	}{
		"NothingChanges": {func(*provisioning.WhatIf) {}, 100_000, map[tandem.E164]tandem.Amount{}, 600},
		"StagedDeck":     {func(q *provisioning.WhatIf) { q.Decks = []provisioning.DeckSwap{{Deck: "out"}} }, 100_000, map[tandem.E164]tandem.Amount{"+14255550101": 150_000, "+14255550102": 50_000}, 600},
		"VersionInForce": {func(q *provisioning.WhatIf) { q.Decks = []provisioning.DeckSwap{{Deck: "out", Version: 1}} }, 100_000, map[tandem.E164]tandem.Amount{}, 600},
		"AllMetered":     {func(q *provisioning.WhatIf) { q.Plans = []provisioning.PlanSwap{{Plan: tandem.Metered}} }, 100_000, map[tandem.E164]tandem.Amount{"+14255550102": 150_000}, 0},
		"OneUnlimited": {func(q *provisioning.WhatIf) {
			q.Plans = []provisioning.PlanSwap{{DID: "+14255550101", Plan: tandem.Unlimited}}
		}, 100_000, map[tandem.E164]tandem.Amount{"+14255550101": 0}, 960},
		"NoMinutes":            {func(q *provisioning.WhatIf) { q.FreeMinutes = &ten }, 100_000, map[tandem.E164]tandem.Amount{"+14255550102": 150_000}, 0},
		"LaterPartOfTheMinute": {func(q *provisioning.WhatIf) { q.From = time.Date(2026, 11, 10, 15, 14, 0, 0, time.UTC) }, 25_000, map[tandem.E164]tandem.Amount{}, 120},
		"AnotherAccount":       {func(q *provisioning.WhatIf) { q.Account = "fabrikam" }, 0, map[tandem.E164]tandem.Amount{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			q := november
			c.change(&q)
			got, err := r.svc.WhatIf(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			var before tandem.Amount
			var free int64
			for _, a := range got.Accounts {
				before, free = before+a.Before, free+a.FreeAfter
			}
			after := map[tandem.E164]tandem.Amount{}
			for _, n := range got.Numbers {
				after[n.DID] = n.After
				if n.Difference != n.After-n.Before {
					t.Errorf("%+v", n)
				}
			}
			if before != c.before || free != c.free || fmt.Sprint(after) != fmt.Sprint(c.after) {
				t.Errorf("before %s, free %d s, after %v: %+v", before, free, after, got)
			}
		})
	}
	for name, q := range map[string]provisioning.WhatIf{
		"ErrNoPeriod":       {},
		"ErrUnknownDeck":    {From: november.From, To: november.To, Decks: []provisioning.DeckSwap{{Deck: "nothing"}}},
		"ErrUnknownVersion": {From: november.From, To: november.To, Decks: []provisioning.DeckSwap{{Deck: "out", Version: 9}}},
		"ErrOtherDirection": {From: november.From, To: november.To, Decks: []provisioning.DeckSwap{{Deck: "out", With: "in"}}},
	} {
		if _, err := r.svc.WhatIf(ctx, q); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if s, err := r.svc.Statement(ctx, provisioning.StatementQuery{Account: "contoso"}); err != nil || s.Total != 4 || s.Closing != -100_000 {
		t.Errorf("the books were touched: %+v, %v", s, err)
	}
}
