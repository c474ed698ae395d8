package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"tandem"
	"tandem/rating"
	"tandem/rating/ledger/memstore"
)

var answer = time.Date(2026, 11, 10, 15, 0, 0, 0, time.UTC)

func directory() *tandem.Directory {
	return &tandem.Directory{
		Version: 1,
		Decks: []tandem.Deck{
			{ID: "out", Direction: tandem.Outbound, Currency: "USD", Version: 1, Rows: []tandem.DeckRow{
				{ID: 1, Prefix: "1", Rate: 125_000_000, InitialInc: 60, NextInc: 60}, {ID: 2, Prefix: "44", Rate: 290_000_000, InitialInc: 60, NextInc: 60}}},
			{ID: "in", Direction: tandem.Inbound, Currency: "USD", Version: 1, Rows: []tandem.DeckRow{{ID: 1, Prefix: "1", Rate: 45_000_000, InitialInc: 6, NextInc: 6}}},
		},
		Accounts: []tandem.Account{{ID: "contoso", Currency: "USD", TimeZone: "America/New_York", RetailOut: "out", RetailIn: "in", FreeMinutes: 4000,
			FreeClasses: []tandem.NumberClass{tandem.ClassUS, tandem.ClassUSTerritory}}},
		Numbers: []tandem.Number{
			{DID: "+14255550101", Account: "contoso", UserType: tandem.StandardUser, Plan: tandem.Metered},
			{DID: "+14255550102", Account: "contoso", UserType: tandem.StandardUser, Plan: tandem.Unlimited},
		},
	}
}

func mustLedger(t testing.TB, store tandem.LedgerStore) *Ledger {
	t.Helper()
	l := New(store, func() time.Time { return answer }, nil)
	if err := l.SetDirectory(directory()); err != nil {
		t.Fatal(err)
	}
	return l
}

// call makes the two rows of a connected outbound call of the Unlimited number.
func call(n int, seconds int) []tandem.CDR {
	at := answer.Add(time.Duration(n) * time.Second)
	c := tandem.CorrelationID(uuid.NewSHA1(uuid.Nil, fmt.Append(nil, n)))
	row := tandem.CDR{Correlation: c, Connected: true, Direction: tandem.Outbound, Account: "contoso", DID: "+14255550102", UserType: tandem.StandardUser, Plan: tandem.Unlimited,
		From: "+14255550102", To: "+12065550123", DurationMs: uint32(seconds * 1000), AnswerTime: &at, EndTime: at.Add(time.Duration(seconds) * time.Second), NodeSeq: tandem.JournalPos(n)}
	a, b := row, row
	a.ID, a.Technology = tandem.LegID(c, 0), tandem.OperatorConnect
	b.ID, b.Technology, b.Attempt = tandem.LegID(c, 1), tandem.Phone, 1
	return []tandem.CDR{a, b}
}

func price(t testing.TB, l *Ledger, rows []tandem.CDR) {
	t.Helper()
	if err := l.Price(context.Background(), rows); err != nil {
		t.Fatal(err)
	}
}

func TestChargeStandsOnThePhoneRow(t *testing.T) {
	store := memstore.New()
	rows := call(1, 90)
	rows[1].Plan = tandem.Metered
	price(t, mustLedger(t, store), rows)
	if rows[0].Charge.Amount != 0 || rows[1].Charge.Amount != 25_000 || store.Balance("contoso") != -25_000 || len(store.Entries()) != 1 {
		t.Errorf("%+v\n%+v\nbalance %s", rows[0].Charge, rows[1].Charge, store.Balance("contoso"))
	}
	if e := store.Entries()[0]; e.Leg != rows[1].ID || e.Pos != 1 || !e.At.Equal(*rows[1].AnswerTime) || e.Charge != rows[1].Charge || e.DID != "+14255550102" {
		t.Errorf("%+v", e)
	}
}

func TestFailsafeCallHasTwoCharges(t *testing.T) {
	store := memstore.New()
	c := uuid.UUID{7}
	row := tandem.CDR{Correlation: c, Connected: true, Direction: tandem.Inbound, Technology: tandem.Phone, Account: "contoso", DID: "+14255550102", UserType: tandem.StandardUser,
		Plan: tandem.Unlimited, From: "+13125550177", To: "+14255550102", DurationMs: 61_000, AnswerTime: &answer, EndTime: answer.Add(61 * time.Second)}
	in, lost, out := row, row, row
	lost.Technology, lost.Connected, lost.Attempt, lost.DurationMs = tandem.OperatorConnect, false, 1, 0
	out.Attempt, out.Failsafe, out.To = 2, true, "+12065550199"
	in.ID, lost.ID, out.ID = tandem.LegID(c, 0), tandem.LegID(c, 1), tandem.LegID(c, 2)
	rows := []tandem.CDR{in, lost, out}
	price(t, mustLedger(t, store), rows)
	// In: 66 s at 0.0045 = 0.00495. Forward: 120 s at 0.0125 = 0.025, no minutes drawn.
	if rows[0].Charge.Amount != 4_950 || rows[1].Charge.Amount != 0 || rows[2].Charge.Amount != 25_000 || rows[2].Charge.FreeS != 0 {
		t.Errorf("%s, %s, %s", rows[0].Charge.Amount, rows[1].Charge.Amount, rows[2].Charge.Amount)
	}
	if store.Balance("contoso") != -29_950 {
		t.Errorf("balance %s", store.Balance("contoso"))
	}
}

func TestReplayChangesNothing(t *testing.T) {
	store := memstore.New()
	l := mustLedger(t, store)
	rows := append(call(1, 90), call(2, 30)...)
	price(t, l, rows)
	want := append([]tandem.CDR(nil), rows...)
	dearer := directory()
	dearer.Decks[0].Version, dearer.Decks[0].Rows[0].Rate = 2, 990_000_000
	dearer.Accounts[0].FreeMinutes = 0
	if err := l.SetDirectory(dearer); err != nil {
		t.Fatal(err)
	}
	again := append(append(call(2, 30), call(1, 90)...), call(1, 90)...) // another order, one twice
	price(t, l, again)
	for i, j := range map[int]int{0: 2, 1: 3, 2: 0, 3: 1, 4: 0, 5: 1} {
		if again[i].Charge != want[j].Charge {
			t.Errorf("leg %s is charged %+v, was %+v", again[i].ID, again[i].Charge, want[j].Charge)
		}
	}
	if n := len(store.Entries()); n != 2 {
		t.Errorf("%d entries", n)
	}
}

func TestBucketIsDrawnInOrderAndSplit(t *testing.T) {
	l := mustLedger(t, memstore.New())
	first, second, third := call(1, 239_940), call(2, 90), call(3, 60)
	price(t, l, append(append(first[:2:2], second...), third...))
	rows := append(append(call(1, 239_940), call(2, 90)...), call(3, 60)...)
	price(t, l, rows)
	for i, want := range []struct{ free, charged int64 }{{239_940, 0}, {60, 60}, {0, 60}} {
		if c := rows[2*i+1].Charge; c.FreeS != want.free || c.ChargedS != want.charged {
			t.Errorf("call %d: %d free, %d charged; want %+v", i+1, c.FreeS, c.ChargedS, want)
		}
	}
}

// TestParallelCallsOnOneBucket: 64 calls with 60 s left; no second too many.
func TestParallelCallsOnOneBucket(t *testing.T) {
	store := memstore.New()
	l := mustLedger(t, store)
	price(t, l, call(0, 239_940))
	var wait sync.WaitGroup
	for n := range 64 {
		wait.Go(func() {
			rows := call(n+1, 60)
			if err := l.Price(context.Background(), rows); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	var free, charged int64
	for _, e := range store.Entries()[1:] {
		free, charged = free+e.Charge.FreeS, charged+e.Charge.ChargedS
	}
	if free != 60 || charged != 63*60 || store.Balance("contoso") != -63*12_500 {
		t.Errorf("%d free, %d charged, balance %s", free, charged, store.Balance("contoso"))
	}
}

// TestBatchingDoesNotMatter: the same rows in the same order, cut into any
// batches and replayed from any point, make the same books.
func TestBatchingDoesNotMatter(t *testing.T) {
	var all []tandem.CDR
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 40 {
		c := call(n, 1+random.IntN(20_000))
		if n%5 == 0 {
			c[1].To = "+442071838750"
		}
		all = append(all, c...)
	}
	books := func(rows []tandem.CDR) []tandem.LedgerEntry {
		store := memstore.New()
		price(t, mustLedger(t, store), append([]tandem.CDR(nil), rows...))
		return store.Entries()
	}
	want := books(all)
	rapid.Check(t, func(rt *rapid.T) {
		store := memstore.New()
		l := mustLedger(t, store)
		for at := 0; at < len(all); {
			n := min(rapid.IntRange(1, 30).Draw(rt, "batch"), len(all)-at)
			price(t, l, append([]tandem.CDR(nil), all[at:at+n]...))
			if rapid.Bool().Draw(rt, "crashed before the cursor moved") {
				price(t, l, append([]tandem.CDR(nil), all[at:at+n]...))
			}
			at += n
		}
		if got := store.Entries(); !reflect.DeepEqual(got, want) {
			rt.Fatalf("other books")
		}
	})
}

// failing is a store whose transactions fail at a step.
type failing struct {
	tandem.LedgerStore
	at int
}

var errBroken = errors.New("disk full")

func (f *failing) Books(ctx context.Context, fn func(tandem.LedgerTx) error) error {
	return f.LedgerStore.Books(ctx, func(tx tandem.LedgerTx) error { return fn(&failingTx{tx, &f.at}) })
}

type failingTx struct {
	tandem.LedgerTx
	left *int
}

func (t *failingTx) Book(e tandem.LedgerEntry) error {
	if *t.left--; *t.left < 0 {
		return errBroken
	}
	return t.LedgerTx.Book(e)
}

func TestFailedBatchChangesNothing(t *testing.T) {
	for step := range 2 {
		store := memstore.New()
		l := mustLedger(t, &failing{store, step})
		rows := append(call(1, 90), call(2, 90)...)
		before := append([]tandem.CDR(nil), rows...)
		if err := l.Price(context.Background(), rows); !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "price leg") {
			t.Errorf("got %v", err)
		}
		if !reflect.DeepEqual(rows, before) || len(store.Entries()) != 0 {
			t.Error("a failed batch left something")
		}
	}
}

func TestUnratedRowsDoNotHoldUpOthers(t *testing.T) {
	var log bytes.Buffer
	store := memstore.New()
	l := New(store, nil, slog.New(slog.NewTextHandler(&log, nil)))
	if err := l.SetDirectory(directory()); err != nil {
		t.Fatal(err)
	}
	rows := append(call(1, 60), call(2, 60)...)
	rows[1].To = "+81312345678\r\nlevel=ERROR" // hostile, and no row
	price(t, l, rows)
	if c := rows[1].Charge; c.Amount != 0 || !strings.Contains(c.Explanation, `"error":`) {
		t.Errorf("%+v", c)
	}
	if rows[3].Charge.FreeS != 60 || len(store.Entries()) != 2 {
		t.Errorf("%+v", rows[3].Charge)
	}
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "legs without a price") {
		t.Errorf("log: %q", log.String())
	}
	price(t, l, rows) // a replay does not warn again
	if strings.Count(log.String(), "\n") != 1 {
		t.Errorf("log: %q", log.String())
	}
}

func TestWithoutDirectory(t *testing.T) {
	l := New(memstore.New(), nil, nil)
	if err := l.Price(context.Background(), call(1, 60)); tandem.KindOf(err) != tandem.KindUnavailable {
		t.Errorf("got %v", err)
	}
	if _, err := l.Quote(context.Background(), QuoteRequest{}); tandem.KindOf(err) != tandem.KindUnavailable {
		t.Errorf("got %v", err)
	}
	bad := directory()
	bad.Accounts[0].TimeZone = "Mars/Olympus"
	if l.SetDirectory(directory()) != nil || l.SetDirectory(bad) == nil {
		t.Error("a bad directory must be refused")
	}
	price(t, l, call(1, 60)) // the previous one is still in force
}

func TestRowsWithoutChargeOpenNoTransaction(t *testing.T) {
	l := New(nil, nil, nil) // a transaction would panic
	if err := l.SetDirectory(directory()); err != nil {
		t.Fatal(err)
	}
	rows := call(1, 60)
	rows[1].Connected = false
	price(t, l, rows)
	price(t, l, nil)
	if !strings.Contains(rows[1].Charge.Explanation, "not_connected") {
		t.Errorf("%+v", rows[1].Charge)
	}
}

func TestQuote(t *testing.T) {
	store := memstore.New()
	l := mustLedger(t, store)
	price(t, l, call(1, 239_940))
	used := int64(0)
	for name, c := range map[string]struct {
		q    QuoteRequest
		want string
		free int64
		kind tandem.Kind
	}{
		"outbound metered":      {QuoteRequest{From: "+14255550101", To: "2065550123", Duration: 90 * time.Second}, "0.025000", 0, ""},
		"outbound, books":       {QuoteRequest{From: "4255550102", To: "+12065550123", Duration: 90 * time.Second}, "0.012500", 60, ""},
		"outbound, full bucket": {QuoteRequest{From: "+14255550102", To: "+12065550123", Duration: 90 * time.Second, Used: &used}, "0.000000", 120, ""},
		"outbound, next cycle":  {QuoteRequest{From: "+14255550102", To: "+12065550123", Duration: 90 * time.Second, At: answer.AddDate(0, 1, 0)}, "0.000000", 120, ""},
		"inbound":               {QuoteRequest{From: "+13125550177", To: "+14255550101", Duration: 61 * time.Second}, "0.004950", 0, ""},
		"failsafe":              {QuoteRequest{From: "+14255550102", To: "+12065550199", Failsafe: true, Duration: 61 * time.Second}, "0.025000", 0, ""},
		"ErrNeitherIsOurs":      {QuoteRequest{From: "+13125550177", To: "+12065550123"}, "", 0, tandem.KindNotFound},
		"ErrFailsafeOfNobody":   {QuoteRequest{From: "+13125550177", To: "+14255550101", Failsafe: true}, "", 0, tandem.KindNotFound},
		"ErrNegativeDuration":   {QuoteRequest{From: "+14255550101", To: "+12065550123", Duration: -1 * time.Second}, "", 0, tandem.KindInvalid},
		"ErrDurationBeyondACDR": {QuoteRequest{From: "+14255550101", To: "+12065550123", Duration: 2000 * time.Hour}, "", 0, tandem.KindInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := l.Quote(context.Background(), c.q)
			if c.kind != "" {
				if tandem.KindOf(err) != c.kind || err == nil {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || got.Amount.String() != c.want || got.FreeS != c.free {
				t.Errorf("%+v, %v", got, err)
			}
			e, err := rating.ParseExplanation(got.Explanation)
			if err != nil || len(e.Sentences()) < 3 {
				t.Errorf("%v, %q", err, e.Sentences())
			}
		})
	}
	if n := len(store.Entries()); n != 1 {
		t.Errorf("quotes were booked: %d entries", n)
	}
}

func BenchmarkPrice(b *testing.B) {
	for _, n := range []int{2, 1000} {
		b.Run(fmt.Sprint(n, " rows"), func(b *testing.B) {
			l := mustLedger(b, memstore.New())
			serial := 0
			b.ReportAllocs()
			for b.Loop() {
				var rows []tandem.CDR
				for range n / 2 {
					rows = append(rows, call(serial, 61)...)
					serial++
				}
				price(b, l, rows)
			}
		})
	}
}
