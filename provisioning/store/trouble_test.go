package store

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"tandem"
	"tandem/provisioning/store/storetest"
)

// troubleEntry is the entry of the n-th leg: 0.01 each, on half a page.
func troubleEntry(n int) tandem.LedgerEntry {
	e := storetest.Entry(n, 10_000, 0)
	e.Charge.Explanation = strings.Repeat("x", 2000)
	return e
}

// TestBooksInTrouble: a store that is locked by another program, or full, takes
// nothing and says why; when that is over the same legs are booked, once each.
func TestBooksInTrouble(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "tandem.db")
	s, err := Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	exec := func(statement string) {
		t.Helper()
		if _, err := s.write.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("PRAGMA busy_timeout = 20")
	booked := 0
	book := func() error {
		err := s.Books(ctx, func(tx tandem.LedgerTx) error { return tx.Book(troubleEntry(booked + 1)) })
		if err == nil {
			booked++
		}
		return err
	}
	balance := func() (sum tandem.Amount) {
		t.Helper()
		if err := s.Books(ctx, func(tx tandem.LedgerTx) (err error) {
			sum, err = tx.Balance("contoso", "USD")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return sum
	}
	unavailable := func(err error, want string) {
		t.Helper()
		if tandem.KindOf(err) != tandem.KindUnavailable || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}

	other, err := connect(path, "rwc")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	shell, err := other.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	unavailable(book(), "is locked by another program")
	if err := shell.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := book(); err != nil || balance() != -10_000 {
		t.Errorf("after the lock: %v, balance %s", err, balance())
	}

	var pages int
	if err := s.write.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages+10))
	for err = nil; err == nil && booked < 1000; {
		err = book()
	}
	unavailable(err, "the disk refuses the store")
	if got := balance(); got != tandem.Amount(-10_000*booked) {
		t.Errorf("full: balance %s after %d legs", got, booked)
	}
	exec("PRAGMA max_page_count = 1000000")
	if err := book(); err != nil || balance() != tandem.Amount(-10_000*booked) {
		t.Errorf("with space again: %v, balance %s after %d legs", err, balance(), booked)
	}
	if err := s.Books(ctx, func(tx tandem.LedgerTx) error { return tx.Book(troubleEntry(booked)) }); tandem.KindOf(err) != tandem.KindConflict {
		t.Errorf("booked twice: %v", err)
	}
}
