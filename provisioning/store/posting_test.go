package store_test

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"

	"tandem"
	"tandem/provisioning"
	"tandem/provisioning/store"
	"tandem/provisioning/store/storetest"
)

func bookService(t testing.TB, s *store.Store, at time.Time) *provisioning.Service {
	t.Helper()
	if _, err := s.Update(context.Background(), func(*tandem.Directory) (*tandem.Directory, error) { d := storetest.Sample(); return &d, nil }); err != nil {
		t.Fatal(err)
	}
	return provisioning.NewService(provisioning.Deps{Store: s, Books: s, Clock: func() time.Time { return at }})
}

// TestStatement: what was posted and booked, by time, with the balance around it.
func TestStatement(t *testing.T) {
	ctx := context.Background()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	s := open(t, filepath.Join(t.TempDir(), "tandem.db"))
	svc := bookService(t, s, now)
	topup := tandem.Posting{ID: uuid.UUID{1}, Account: "contoso", Kind: tandem.PostTopUp, Amount: 50_000_000, At: now.AddDate(0, -1, 0), Note: "wire"}
	for i, want := range []bool{false, true} {
		got, err := svc.Post(ctx, topup)
		if err != nil || got.Again != want || got.Balance != 50_000_000 || got.Posting.Currency != "USD" {
			t.Fatalf("time %d: %+v, %v", i+1, got, err)
		}
	}
	other := topup
	other.Amount++
	if _, err := svc.Post(ctx, other); tandem.KindOf(err) != tandem.KindConflict {
		t.Errorf("another posting under the same ID: %v", err)
	}
	if _, err := svc.Post(ctx, tandem.Posting{Account: "nobody", Kind: tandem.PostTopUp, Amount: 1}); tandem.KindOf(err) != tandem.KindNotFound {
		t.Errorf("unknown account: %v", err)
	}
	charge := storetest.Entry(1, 8_500, 0) // 3 November
	if err := s.Books(ctx, func(tx tandem.LedgerTx) error { return tx.Book(charge) }); err != nil {
		t.Fatal(err)
	}
	if _, err := svc.Post(ctx, tandem.Posting{Account: "contoso", Kind: tandem.PostRefund, Amount: 8_500, Leg: charge.Leg}); err != nil {
		t.Fatal(err)
	}
	got, err := svc.Statement(ctx, provisioning.StatementQuery{Account: "contoso", To: now.Add(time.Second)})
	if err != nil || got.Opening != 50_000_000 || got.Closing != 50_000_000 || got.Total != 2 || len(got.Items) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if c := got.Items[0]; c.Kind != tandem.PostCharge || c.ID != charge.Leg || c.Amount != -8_500 || c.DID != charge.DID || !c.At.Equal(charge.At) {
		t.Errorf("%+v", c)
	}
	if r := got.Items[1]; r.Kind != tandem.PostRefund || r.Leg != charge.Leg || r.Amount != 8_500 {
		t.Errorf("%+v", r)
	}
	before, err := svc.Statement(ctx, provisioning.StatementQuery{Account: "contoso", From: now.AddDate(-1, 0, 0), To: charge.At})
	if err != nil || before.Opening != 0 || before.Closing != 50_000_000 || before.Total != 1 {
		t.Errorf("%+v, %v", before, err)
	}
}

// TestBooksOfTheFormBeforeMigrate: charges of a data folder from before postings
// had IDs stay what they were, and stand in statements.
func TestBooksOfTheFormBeforeMigrate(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "tandem.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(ctx, 2); err != nil {
		t.Fatal(err)
	}
	leg := storetest.Entry(2, 0, 0).Leg // UUIDv5, as all were
	if _, err := db.Exec(`INSERT INTO ledger_posting (at, kind, leg, debit, credit, amount, currency) VALUES (?, 'charge', ?, 'customer:contoso', 'revenue', 8500, 'USD');
		INSERT INTO ledger_balance VALUES ('customer:contoso', 'USD', -8500), ('revenue', 'USD', 8500)`, time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC).UnixMicro(), leg[:]); err != nil {
		t.Fatal(err)
	}
	db.Close()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	svc := bookService(t, open(t, path), now)
	got, err := svc.Statement(ctx, provisioning.StatementQuery{Account: "contoso"})
	if err != nil || got.Opening != 0 || got.Closing != -8_500 || len(got.Items) != 1 || got.Items[0].ID != leg {
		t.Errorf("%+v, %v", got, err)
	}
	if out, err := svc.Post(ctx, tandem.Posting{Account: "contoso", Kind: tandem.PostTopUp, Amount: 10_000}); err != nil || out.Balance != 1_500 {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestAllPostingsSumToZero: whatever is posted and replayed, in any order and
// cut into any transactions, the same books come out and all books together hold nothing.
func TestAllPostingsSumToZero(t *testing.T) {
	var what []func(tandem.LedgerTx) error
	for i := range 12 {
		e := storetest.Entry(i+1, tandem.Amount(i*1_700-3_000), int64(i%3))
		what = append(what, func(tx tandem.LedgerTx) error { return tx.Book(e) })
		kind := tandem.PostingKinds[1+i%4]
		p := tandem.Posting{ID: uuid.UUID{9, byte(i)}, At: e.At, Account: "contoso", Kind: kind, Amount: tandem.Amount(1 + i*13), Currency: "USD"}
		if kind == tandem.PostFee {
			p.Amount = -p.Amount
		}
		what = append(what, func(tx tandem.LedgerTx) error { return tx.Post(p) })
	}
	books := func(order []int, cut func() int) string {
		dir := t.TempDir()
		s, err := store.Open(context.Background(), filepath.Join(dir, "tandem.db"))
		if err != nil {
			t.Fatal(err)
		}
		for len(order) > 0 {
			n := min(cut(), len(order))
			if err := s.Books(context.Background(), func(tx tandem.LedgerTx) error {
				for _, i := range order[:n] {
					if err := what[i](tx); err != nil && tandem.KindOf(err) != tandem.KindConflict {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			order = order[n:]
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", filepath.Join(dir, "tandem.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var sum, postings, balance int64
		var all string
		if err := db.QueryRow(`SELECT (SELECT sum(amount) FROM ledger_balance), (SELECT sum(iif(credit = customer, amount, -amount)) FROM ledger_posting),
			(SELECT amount FROM ledger_balance WHERE book = 'customer:contoso'),
			(SELECT group_concat(line, ' ') FROM (SELECT kind || amount || debit || hex(coalesce(key, leg)) AS line FROM ledger_posting ORDER BY line))
			|| (SELECT group_concat(used_s) FROM ledger_bucket)`).Scan(&sum, &postings, &balance, &all); err != nil {
			t.Fatal(err)
		}
		if sum != 0 || postings != balance {
			t.Fatalf("all books %d, postings %d, balance %d", sum, postings, balance)
		}
		return all
	}
	inOrder := make([]int, len(what))
	for i := range inOrder {
		inOrder[i] = i
	}
	want := books(inOrder, func() int { return len(what) })
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 1))
		order := random.Perm(len(what))
		for range random.IntN(20) {
			order = append(order, random.IntN(len(what))) // replayed
		}
		if got := books(order, func() int { return 1 + random.IntN(9) }); got != want {
			t.Fatalf("seed %d: other books:\n%s\n%s", seed, got, want)
		}
	}
}
