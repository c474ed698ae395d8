package ledgertest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
)

func posting(n byte, kind tandem.PostingKind, amount tandem.Amount) tandem.Posting {
	return tandem.Posting{ID: uuid.UUID{0xf0, n}, At: cycle.Add(time.Duration(n) * time.Hour), Account: "contoso", Kind: kind, Amount: amount, Currency: "USD",
		DID: "+14255550101", Leg: leg(n), Note: `invoice 7 ' " ünï`}
}

func post(s tandem.LedgerStore, postings ...tandem.Posting) error {
	return s.Books(context.Background(), func(tx tandem.LedgerTx) error {
		for _, p := range postings {
			if err := tx.Post(p); err != nil {
				return err
			}
		}
		return nil
	})
}

func mustPost(t *testing.T, s tandem.LedgerStore, postings ...tandem.Posting) {
	t.Helper()
	if err := post(s, postings...); err != nil {
		t.Fatal(err)
	}
}

func posted(t *testing.T, s tandem.LedgerStore, id uuid.UUID) (p tandem.Posting, found bool) {
	t.Helper()
	if err := s.Books(context.Background(), func(tx tandem.LedgerTx) (err error) {
		p, found, err = tx.Posting(id)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return p, found
}

func balance(t *testing.T, s tandem.LedgerStore, account string, currency tandem.Currency) (sum tandem.Amount) {
	t.Helper()
	if err := s.Books(context.Background(), func(tx tandem.LedgerTx) (err error) {
		sum, err = tx.Balance(account, currency)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return sum
}

func postingReadsBack(t *testing.T, s tandem.LedgerStore) {
	bare := posting(5, tandem.PostTopUp, 1)
	bare.DID, bare.Leg, bare.Note = "", uuid.Nil, ""
	all := []tandem.Posting{posting(1, tandem.PostTopUp, 50_000_000), posting(2, tandem.PostFee, -9_990_000), posting(3, tandem.PostCorrection, -1),
		posting(4, tandem.PostRefund, 12_500), bare, posting(6, tandem.PostCorrection, 1)}
	mustPost(t, s, all...)
	e := entry(7, 0)
	book(t, s, e)
	all = append(all, tandem.Posting{ID: e.Leg, At: e.At, Account: e.Account, Kind: tandem.PostCharge, Amount: -e.Charge.Amount, Currency: "USD", DID: e.DID, Leg: e.Leg})
	for _, want := range all {
		got, ok := posted(t, s, want.ID)
		if !ok || !got.At.Equal(want.At) {
			t.Fatalf("got %+v, %v; want %+v", got, ok, want)
		}
		if got.At = want.At; got != want {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	}
	if _, ok := posted(t, s, uuid.UUID{9}); ok {
		t.Error("an unknown posting is found")
	}
}

func postedOnce(t *testing.T, s tandem.LedgerStore) {
	first := posting(1, tandem.PostTopUp, 100)
	other := posting(1, tandem.PostCorrection, -7) // the same ID, however different
	ofLeg := posting(2, tandem.PostCorrection, 5)
	ofLeg.ID = entry(3, 0).Leg
	book(t, s, entry(3, 0)) // 3,000
	mustPost(t, s, first)
	if err := s.Books(context.Background(), func(tx tandem.LedgerTx) error {
		for _, again := range []tandem.Posting{first, other, ofLeg} {
			if err := tx.Post(again); tandem.KindOf(err) != tandem.KindConflict {
				t.Errorf("got %v, want a conflict", err)
			}
		}
		late := posting(4, tandem.PostTopUp, 10) // the transaction goes on; twice inside one is a conflict too
		if err := tx.Post(late); err != nil {
			return err
		}
		if err := tx.Post(late); tandem.KindOf(err) != tandem.KindConflict {
			t.Errorf("got %v, want a conflict", err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := balance(t, s, "contoso", "USD"); got != 110-3000 {
		t.Errorf("balance %s", got)
	}
}

func balanceIsSum(t *testing.T, s tandem.LedgerStore) {
	euros := posting(3, tandem.PostTopUp, 777)
	euros.Currency = "EUR"
	other := posting(4, tandem.PostTopUp, 5)
	other.Account = "fabrikam"
	if err := s.Books(context.Background(), func(tx tandem.LedgerTx) error {
		if err := errors.Join(tx.Post(posting(1, tandem.PostTopUp, 10_000)), tx.Book(entry(2, 10)), tx.Post(euros), tx.Post(other)); err != nil {
			return err
		}
		if got, err := tx.Balance("contoso", "USD"); err != nil || got != 8000 {
			t.Errorf("balance inside the transaction %s, %v", got, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	mustPost(t, s, posting(5, tandem.PostFee, -8000))
	for _, c := range []struct {
		account  string
		currency tandem.Currency
		want     tandem.Amount
	}{{"contoso", "USD", 0}, {"contoso", "EUR", 777}, {"fabrikam", "USD", 5}, {"nobody", "USD", 0}} {
		if got := balance(t, s, c.account, c.currency); got != c.want {
			t.Errorf("%s has %s %s, want %s", c.account, got, c.currency, c.want)
		}
	}
}

func postsNothing(t *testing.T, s tandem.LedgerStore) {
	broken := errors.New("broken")
	p := posting(1, tandem.PostTopUp, 10)
	if err := s.Books(context.Background(), func(tx tandem.LedgerTx) error { return errors.Join(tx.Post(p), broken) }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, ok := posted(t, s, p.ID); ok || balance(t, s, "contoso", "USD") != 0 {
		t.Error("something of a failed transaction is left")
	}
	mustPost(t, s, p)
}

func badPostings(t *testing.T, s tandem.LedgerStore) {
	for name, change := range map[string]func(*tandem.Posting){
		"NoID":           func(p *tandem.Posting) { p.ID = uuid.Nil },
		"NoAccount":      func(p *tandem.Posting) { p.Account = "" },
		"NoCurrency":     func(p *tandem.Posting) { p.Currency = "" },
		"NoInstant":      func(p *tandem.Posting) { p.At = time.Time{} },
		"Nothing":        func(p *tandem.Posting) { p.Amount = 0 },
		"Charge":         func(p *tandem.Posting) { p.Kind = tandem.PostCharge },
		"UnknownKind":    func(p *tandem.Posting) { p.Kind = "gift" },
		"NegativeTopUp":  func(p *tandem.Posting) { p.Amount = -1 },
		"NegativeRefund": func(p *tandem.Posting) { p.Kind, p.Amount = tandem.PostRefund, -1 },
		"PositiveFee":    func(p *tandem.Posting) { p.Kind = tandem.PostFee },
		"LongNote":       func(p *tandem.Posting) { p.Note = strings.Repeat("x", 501) },
	} {
		p := posting(1, tandem.PostTopUp, 10)
		change(&p)
		if err := post(s, p); tandem.KindOf(err) != tandem.KindInvalid {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
	if got := balance(t, s, "contoso", "USD"); got != 0 {
		t.Errorf("balance %s", got)
	}
}
