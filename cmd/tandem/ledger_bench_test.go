package main

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/provisioning/store"
	"tandem/rating/ledger"
)

// BenchmarkLedgerWorker prices and books ended calls on SQLite as the ledger
// loop does: batches of 1,024 calls, two rows each, one durable transaction. The
// account is without a limit, then prepaid, so that the credit manager listens.
func BenchmarkLedgerWorker(b *testing.B) {
	for _, prepaid := range []bool{false, true} {
		b.Run(fmt.Sprintf("prepaid=%v", prepaid), func(b *testing.B) {
			s, err := store.Open(b.Context(), filepath.Join(b.TempDir(), storeFile))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = s.Close() })
			l := ledger.New(s, nil, nil)
			if err := l.SetDirectory(benchDirectory(prepaid)); err != nil {
				b.Fatal(err)
			}
			const calls = 1024
			rows := make([]tandem.CDR, 0, 2*calls)
			serial := 0
			b.ReportAllocs()
			for b.Loop() {
				rows = rows[:0]
				for range calls {
					serial++
					rows = append(rows, benchCall(serial)...)
				}
				if err := l.Price(context.Background(), rows); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(serial)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

func benchDirectory(prepaid bool) *tandem.Directory {
	d := &tandem.Directory{Version: 1,
		Decks: []tandem.Deck{{ID: "out", Direction: tandem.Outbound, Currency: "USD", Version: 1, Rows: []tandem.DeckRow{{ID: 1, Prefix: "1", Rate: 125_000_000, InitialInc: 60, NextInc: 60}}},
			{ID: "in", Direction: tandem.Inbound, Currency: "USD", Version: 1, Rows: []tandem.DeckRow{{ID: 1, Prefix: "1", Rate: 45_000_000, InitialInc: 6, NextInc: 6}}}},
		Accounts: []tandem.Account{{ID: "contoso", Currency: "USD", TimeZone: "America/New_York", RetailOut: "out", RetailIn: "in", FreeMinutes: 4000,
			FreeClasses: []tandem.NumberClass{tandem.ClassUS}, Prepaid: prepaid}}}
	for i := range 100 {
		d.Numbers = append(d.Numbers, tandem.Number{DID: benchDID(i), Account: "contoso", UserType: tandem.StandardUser, Plan: []tandem.PlanKind{tandem.Metered, tandem.Unlimited}[i%2]})
	}
	return d
}

func benchDID(i int) tandem.E164 { return tandem.E164(fmt.Sprintf("+1425555%04d", i%100)) }

// benchCall is a connected outbound call: its Operator Connect row and its Phone row.
func benchCall(n int) []tandem.CDR {
	at := time.Date(2026, 11, 10, 15, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Millisecond)
	c := tandem.CorrelationID(uuid.NewSHA1(uuid.Nil, fmt.Append(nil, n)))
	did := benchDID(n)
	row := tandem.CDR{Correlation: c, Connected: true, Direction: tandem.Outbound, Account: "contoso", DID: did, UserType: tandem.StandardUser,
		Plan: []tandem.PlanKind{tandem.Metered, tandem.Unlimited}[n%100%2], From: string(did), To: "+12065550123", DurationMs: 95_000, AnswerTime: &at, EndTime: at.Add(95 * time.Second), NodeSeq: tandem.JournalPos(n)}
	a, b := row, row
	a.ID, a.Technology = tandem.LegID(c, 0), tandem.OperatorConnect
	b.ID, b.Technology, b.Attempt = tandem.LegID(c, 1), tandem.Phone, 1
	return []tandem.CDR{a, b}
}
