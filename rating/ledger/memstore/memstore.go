// Package memstore is a tandem.LedgerStore in memory: the same rules as the
// durable ones (ledgertest), for tests and what-if runs.
package memstore

import (
	"context"
	"maps"
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
	postings map[uuid.UUID]tandem.Posting // but charges, which are in entries
	posted   []uuid.UUID
	balances map[balance]tandem.Amount
	events   []tandem.UsageEvent
	redraws  map[uuid.UUID]tandem.Redraw
}

type balance struct {
	account  string
	currency tandem.Currency
}

// New makes empty books.
func New() *Store {
	return &Store{entries: map[uuid.UUID]tandem.LedgerEntry{}, used: map[tandem.Bucket]int64{}, postings: map[uuid.UUID]tandem.Posting{}, balances: map[balance]tandem.Amount{},
		redraws: map[uuid.UUID]tandem.Redraw{}}
}

// Books implements tandem.LedgerStore: one transaction at a time; an error or
// panic of f leaves no trace.
func (s *Store) Books(ctx context.Context, f func(tandem.LedgerTx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	tx := &tx{s: s, entries: map[uuid.UUID]tandem.LedgerEntry{}, used: map[tandem.Bucket]int64{}, postings: map[uuid.UUID]tandem.Posting{}, moved: map[balance]tandem.Amount{},
		redraws: map[uuid.UUID]tandem.Redraw{}}
	if err := f(tx); err != nil {
		return err
	}
	for _, leg := range tx.order {
		e := tx.entries[leg]
		s.entries[leg] = e
		s.order = append(s.order, leg)
	}
	for _, id := range tx.posted {
		s.postings[id] = tx.postings[id]
		s.posted = append(s.posted, id)
	}
	s.events = append(s.events, tx.events...)
	maps.Copy(s.redraws, tx.redraws)
	for b, amount := range tx.moved {
		s.balances[b] += amount
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

// Postings lists all postings but charges, in the order of posting.
func (s *Store) Postings() []tandem.Posting {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]tandem.Posting, 0, len(s.posted))
	for _, id := range s.posted {
		list = append(list, s.postings[id])
	}
	return list
}

// Events lists the usage events, in the order in which they came true.
func (s *Store) Events() []tandem.UsageEvent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Balance of an account: the sum of its postings, over all currencies.
func (s *Store) Balance(account string) (sum tandem.Amount) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for b, amount := range s.balances {
		if b.account == account {
			sum += amount
		}
	}
	return sum
}

// tx holds the changes of one transaction.
type tx struct {
	s       *Store
	entries map[uuid.UUID]tandem.LedgerEntry
	order   []uuid.UUID
	used    map[tandem.Bucket]int64

	postings map[uuid.UUID]tandem.Posting
	posted   []uuid.UUID
	moved    map[balance]tandem.Amount
	events   []tandem.UsageEvent
	redraws  map[uuid.UUID]tandem.Redraw
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
	if err := e.Validate(); err != nil {
		return err
	}
	t.draw(e.Bucket, e.Charge.FreeS-e.NextS)
	t.draw(e.Next, e.NextS)
	t.entries[e.Leg], t.order = e, append(t.order, e.Leg)
	t.moved[balance{e.Account, e.Charge.Currency}] -= e.Charge.Amount
	return nil
}

func (t *tx) draw(b tandem.Bucket, seconds int64) {
	if seconds > 0 {
		b.Cycle = b.Cycle.UTC()
		used, _ := t.Used(b)
		t.used[b] = used + seconds
	}
}

// Posting implements tandem.LedgerTx.
func (t *tx) Posting(id uuid.UUID) (tandem.Posting, bool, error) {
	if p, ok := t.postings[id]; ok {
		return p, true, nil
	}
	if p, ok := t.s.postings[id]; ok {
		return p, true, nil
	}
	if e, ok, _ := t.Entry(id); ok && e.Charge.Amount != 0 {
		return tandem.Posting{ID: e.Leg, At: e.At, Account: e.Account, Kind: tandem.PostCharge, Amount: -e.Charge.Amount, Currency: e.Charge.Currency, DID: e.DID, Leg: e.Leg}, true, nil
	}
	return tandem.Posting{}, false, nil
}

// Post implements tandem.LedgerTx.
func (t *tx) Post(p tandem.Posting) error {
	if err := p.Validate(); err != nil {
		return err
	}
	if _, posted, _ := t.Posting(p.ID); posted {
		return &tandem.Error{Kind: tandem.KindConflict, Field: "id", Message: "posting " + p.ID.String() + " is stored already", Mend: "read it instead"}
	}
	t.postings[p.ID], t.posted = p, append(t.posted, p.ID)
	t.moved[balance{p.Account, p.Currency}] += p.Amount
	return nil
}

// Balance implements tandem.LedgerTx.
func (t *tx) Balance(account string, currency tandem.Currency) (tandem.Amount, error) {
	b := balance{account, currency}
	return t.s.balances[b] + t.moved[b], nil
}

// Notice implements tandem.LedgerTx.
func (t *tx) Notice(e tandem.UsageEvent) (fresh bool, err error) {
	e.Cycle, e.At = e.Cycle.UTC(), e.At.UTC()
	same := func(o tandem.UsageEvent) bool {
		return o.Account == e.Account && o.DID == e.DID && o.Kind == e.Kind && o.Cycle.Equal(e.Cycle)
	}
	if slices.ContainsFunc(t.s.events, same) || slices.ContainsFunc(t.events, same) {
		return false, nil
	}
	t.events = append(t.events, e)
	return true, nil
}

// Redrawn implements tandem.LedgerTx.
func (t *tx) Redrawn(id uuid.UUID) (tandem.Redraw, bool, error) {
	if r, ok := t.redraws[id]; ok {
		return r, true, nil
	}
	r, ok := t.s.redraws[id]
	return r, ok, nil
}

// Redraw implements tandem.LedgerTx.
func (t *tx) Redraw(r tandem.Redraw) error {
	if _, known, _ := t.Redrawn(r.ID); known {
		return &tandem.Error{Kind: tandem.KindConflict, Field: "id", Message: "redraw " + r.ID.String() + " is stored already", Mend: "read it instead"}
	}
	r.Bucket.Cycle = r.Bucket.Cycle.UTC()
	used, _ := t.Used(r.Bucket)
	if r.Bucket == (tandem.Bucket{}) || used+r.Seconds < 0 {
		return &tandem.Error{Kind: tandem.KindInvalid, Field: "seconds", Message: "a bucket can't be drawn below 0", Mend: "name the bucket that the seconds came from"}
	}
	t.redraws[r.ID], t.used[r.Bucket] = r, used+r.Seconds
	return nil
}
