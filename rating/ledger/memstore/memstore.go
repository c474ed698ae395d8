// Package memstore is a tandem.LedgerStore in memory: the same rules as the
// durable ones (ledgertest), for tests and what-if runs.
package memstore

import (
	"context"
	"slices"
	"sync"

	"github.com/google/uuid"

	"tandem"
)

// Store keeps books in memory. The zero value is not ready; use New.
type Store struct {
	mu       sync.Mutex
	entries  map[uuid.UUID]tandem.LedgerEntry
	order    []uuid.UUID
	used     map[tandem.Bucket]int64
	balances map[string]tandem.Amount
}

// New makes empty books.
func New() *Store {
	return &Store{entries: map[uuid.UUID]tandem.LedgerEntry{}, used: map[tandem.Bucket]int64{}, balances: map[string]tandem.Amount{}}
}

// Books implements tandem.LedgerStore: one transaction at a time; an error or
// panic of f leaves no trace.
func (s *Store) Books(ctx context.Context, f func(tandem.LedgerTx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	tx := &tx{s: s, entries: map[uuid.UUID]tandem.LedgerEntry{}, used: map[tandem.Bucket]int64{}}
	if err := f(tx); err != nil {
		return err
	}
	for _, leg := range tx.order {
		e := tx.entries[leg]
		s.entries[leg] = e
		s.order = append(s.order, leg)
		s.balances[e.Account] -= e.Charge.Amount
	}
	for b, used := range tx.used {
		s.used[b] = used
	}
	return nil
}

// Entries lists what was booked, in the order of booking.
func (s *Store) Entries() []tandem.LedgerEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]tandem.LedgerEntry, 0, len(s.order))
	for _, leg := range s.order {
		list = append(list, s.entries[leg])
	}
	return slices.Clip(list)
}

// Balance of an account: minus all that it was charged.
func (s *Store) Balance(account string) tandem.Amount {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.balances[account]
}

// tx holds the changes of one transaction.
type tx struct {
	s       *Store
	entries map[uuid.UUID]tandem.LedgerEntry
	order   []uuid.UUID
	used    map[tandem.Bucket]int64
}

// Entry implements tandem.LedgerTx.
func (t *tx) Entry(leg uuid.UUID) (tandem.LedgerEntry, bool, error) {
	if e, ok := t.entries[leg]; ok {
		return e, true, nil
	}
	e, ok := t.s.entries[leg]
	return e, ok, nil
}

// Used implements tandem.LedgerTx.
func (t *tx) Used(b tandem.Bucket) (int64, error) {
	b.Cycle = b.Cycle.UTC()
	if used, ok := t.used[b]; ok {
		return used, nil
	}
	return t.s.used[b], nil
}

// Book implements tandem.LedgerTx. A leg that is booked already is KindConflict.
func (t *tx) Book(e tandem.LedgerEntry) error {
	if _, booked, _ := t.Entry(e.Leg); booked {
		return &tandem.Error{Kind: tandem.KindConflict, Field: "leg", Message: "leg " + e.Leg.String() + " is booked already", Mend: "read its entry instead"}
	}
	if e.Charge.FreeS < 0 || (e.Charge.FreeS > 0 && e.Bucket == (tandem.Bucket{})) {
		return &tandem.Error{Kind: tandem.KindInvalid, Field: "bucket", Message: "leg " + e.Leg.String() + " draws free seconds without a bucket", Mend: "name a bucket, or draw nothing"}
	}
	if e.Charge.FreeS > 0 {
		b := e.Bucket
		b.Cycle = b.Cycle.UTC()
		used, _ := t.Used(b)
		t.used[b] = used + e.Charge.FreeS
	}
	t.entries[e.Leg], t.order = e, append(t.order, e.Leg)
	return nil
}
