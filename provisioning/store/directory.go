package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"tandem"
)

// Directory is the present snapshot. It never waits.
func (s *Store) Directory(context.Context) (*tandem.Directory, error) { return s.directory.Load(), nil }

// Subscribe calls f with the present directory and then with every new one,
// one after another and in order. f runs on the goroutine that changes the
// directory and must not call Update or Subscribe. stop ends it.
func (s *Store) Subscribe(f func(*tandem.Directory)) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextID++
	id := s.nextID
	s.subscribers[id] = f
	f(s.directory.Load())
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.subscribers, id)
	}
}

// Update stores what next returns for the present directory, in one durable
// transaction, and tells the subscribers. The same pointer back means no
// change. An error from next, or of the disk, changes nothing.
func (s *Store) Update(ctx context.Context, next func(*tandem.Directory) (*tandem.Directory, error)) (*tandem.Directory, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.directory.Load()
	wanted, err := next(current)
	if err != nil || wanted == current {
		return current, err
	}
	stored := *wanted
	stored.Version = current.Version + 1
	stored.Decks = slices.Clone(wanted.Decks) // versions may be raised
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, describe(s.path, err)
	}
	defer tx.Rollback() // does nothing after Commit
	if err := writeDirectory(ctx, tx, current, &stored); err != nil {
		return nil, describe(s.path, err)
	}
	if err := tx.Commit(); err != nil {
		return nil, describe(s.path, err)
	}
	s.directory.Store(&stored)
	for _, f := range s.subscribers {
		f(&stored)
	}
	return &stored, nil
}

// table is how one kind of object is kept: key first, then the other columns.
type table[T any] struct {
	name    string
	columns []string
	values  func(*T) ([]any, error)
	scan    func(func(...any) error) (T, error)
}

func trunkTable() table[tandem.Trunk] {
	return table[tandem.Trunk]{"trunk", []string{"id", "body"},
		func(t *tandem.Trunk) ([]any, error) {
			body, err := json.Marshal(t)
			return []any{string(t.ID), string(body)}, err
		},
		func(scan func(...any) error) (t tandem.Trunk, err error) {
			var id, body string
			if err := scan(&id, &body); err != nil {
				return t, err
			}
			return t, json.Unmarshal([]byte(body), &t)
		}}
}

func deckTable() table[tandem.Deck] {
	return table[tandem.Deck]{"deck", []string{"id", "direction", "currency", "version"},
		func(d *tandem.Deck) ([]any, error) {
			return []any{d.ID, string(d.Direction), string(d.Currency), d.Version}, nil
		},
		func(scan func(...any) error) (d tandem.Deck, err error) {
			return d, scan(&d.ID, &d.Direction, &d.Currency, &d.Version)
		}}
}

func accountTable() table[tandem.Account] {
	return table[tandem.Account]{"account", []string{"id", "name", "currency", "time_zone", "retail_out", "retail_in", "free_minutes", "free_classes", "low_balance",
		"prepaid", "credit_limit", "fee_metered", "fee_unlimited", "cycle_day", "cycle_split"},
		func(a *tandem.Account) ([]any, error) {
			var classes []string
			for _, c := range a.FreeClasses {
				classes = append(classes, string(c))
			}
			return []any{a.ID, a.Name, string(a.Currency), a.TimeZone, a.RetailOut, a.RetailIn, a.FreeMinutes, strings.Join(classes, ","), (*int64)(a.LowBalance),
				a.Prepaid, int64(a.CreditLimit), int64(a.FeeMetered), int64(a.FeeUnlimited), a.CycleDay, a.CycleSplit}, nil
		},
		func(scan func(...any) error) (a tandem.Account, err error) {
			var classes string
			var low sql.Null[tandem.Amount]
			err = scan(&a.ID, &a.Name, &a.Currency, &a.TimeZone, &a.RetailOut, &a.RetailIn, &a.FreeMinutes, &classes, &low,
				&a.Prepaid, &a.CreditLimit, &a.FeeMetered, &a.FeeUnlimited, &a.CycleDay, &a.CycleSplit)
			if low.Valid {
				a.LowBalance = &low.V
			}
			if classes != "" {
				for c := range strings.SplitSeq(classes, ",") {
					a.FreeClasses = append(a.FreeClasses, tandem.NumberClass(c))
				}
			}
			return a, err
		}}
}

func tenantTable() table[tandem.Tenant] {
	return table[tandem.Tenant]{"tenant", []string{"id", "account", "name", "fqdn"},
		func(t *tandem.Tenant) ([]any, error) { return []any{t.ID.String(), t.Account, t.Name, t.FQDN}, nil },
		func(scan func(...any) error) (t tandem.Tenant, err error) {
			return t, scan(&t.ID, &t.Account, &t.Name, &t.FQDN)
		}}
}

func addressTable() table[tandem.ServiceAddress] {
	return table[tandem.ServiceAddress]{"address", []string{"id", "account", "street", "city", "state", "postal_code", "country"},
		func(a *tandem.ServiceAddress) ([]any, error) {
			return []any{a.ID, a.Account, a.Street, a.City, a.State, a.PostalCode, a.Country}, nil
		},
		func(scan func(...any) error) (a tandem.ServiceAddress, err error) {
			return a, scan(&a.ID, &a.Account, &a.Street, &a.City, &a.State, &a.PostalCode, &a.Country)
		}}
}

func numberTable() table[tandem.Number] {
	return table[tandem.Number]{"number", []string{"did", "account", "tenant", "service_address", "user_type", "plan", "failsafe",
		"first_name", "last_name", "service_name", "status"},
		func(n *tandem.Number) ([]any, error) {
			return []any{string(n.DID), n.Account, n.Tenant.String(), n.ServiceAddress, string(n.UserType), string(n.Plan), string(n.Failsafe),
				n.FirstName, n.LastName, n.ServiceName, string(n.Status)}, nil
		},
		func(scan func(...any) error) (n tandem.Number, err error) {
			return n, scan(&n.DID, &n.Account, &n.Tenant, &n.ServiceAddress, &n.UserType, &n.Plan, &n.Failsafe,
				&n.FirstName, &n.LastName, &n.ServiceName, &n.Status)
		}}
}

// all reads the table in the order of its key.
func (t table[T]) all(ctx context.Context, db *sql.Tx) ([]T, error) {
	rows, err := db.QueryContext(ctx, "SELECT "+strings.Join(t.columns, ", ")+" FROM "+t.name+" ORDER BY "+t.columns[0])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		x, err := t.scan(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", t.name, err)
		}
		out = append(out, x)
	}
	return out, rows.Err()
}

// bring makes the table hold next where it holds current, touching only what differs.
func (t table[T]) bring(ctx context.Context, tx *sql.Tx, current, next []T) error {
	old := make(map[any]*T, len(current))
	for i := range current {
		values, err := t.values(&current[i])
		if err != nil {
			return err
		}
		old[values[0]] = &current[i]
	}
	var set []string
	for _, c := range t.columns[1:] {
		set = append(set, c+" = excluded."+c)
	}
	upsert, err := tx.PrepareContext(ctx, "INSERT INTO "+t.name+" ("+strings.Join(t.columns, ", ")+") VALUES (?"+strings.Repeat(", ?", len(t.columns)-1)+
		") ON CONFLICT ("+t.columns[0]+") DO UPDATE SET "+strings.Join(set, ", "))
	if err != nil {
		return err
	}
	defer upsert.Close()
	for i := range next {
		values, err := t.values(&next[i])
		if err != nil {
			return err
		}
		was := old[values[0]]
		delete(old, values[0])
		if was != nil && reflect.DeepEqual(was, &next[i]) {
			continue
		}
		if _, err := upsert.ExecContext(ctx, values...); err != nil {
			return fmt.Errorf("write %s %v: %w", t.name, values[0], err)
		}
	}
	for key := range old {
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+t.name+" WHERE "+t.columns[0]+" = ?", key); err != nil {
			return fmt.Errorf("remove %s %v: %w", t.name, key, err)
		}
	}
	return nil
}

func writeDirectory(ctx context.Context, tx *sql.Tx, current, next *tandem.Directory) error {
	steps := []func() error{
		func() error { return trunkTable().bring(ctx, tx, current.Trunks, next.Trunks) },
		func() error { return writeDecks(ctx, tx, current.Decks, next.Decks) },
		func() error { return accountTable().bring(ctx, tx, current.Accounts, next.Accounts) },
		func() error { return tenantTable().bring(ctx, tx, current.Tenants, next.Tenants) },
		func() error { return addressTable().bring(ctx, tx, current.Addresses, next.Addresses) },
		func() error { return numberTable().bring(ctx, tx, current.Numbers, next.Numbers) },
		func() error {
			_, err := tx.ExecContext(ctx, "UPDATE directory SET version = ?", int64(next.Version))
			return err
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// readDirectory reads everything in one transaction, so that it is one state.
func readDirectory(ctx context.Context, db *sql.DB) (*tandem.Directory, error) {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	d := &tandem.Directory{}
	steps := []func() error{
		func() error { return tx.QueryRowContext(ctx, "SELECT version FROM directory").Scan(&d.Version) },
		func() (err error) { d.Trunks, err = trunkTable().all(ctx, tx); return err },
		func() (err error) { d.Decks, err = deckTable().all(ctx, tx); return err },
		func() error { return readDeckRows(ctx, tx, d.Decks) },
		func() (err error) { d.Accounts, err = accountTable().all(ctx, tx); return err },
		func() (err error) { d.Tenants, err = tenantTable().all(ctx, tx); return err },
		func() (err error) { d.Addresses, err = addressTable().all(ctx, tx); return err },
		func() (err error) { d.Numbers, err = numberTable().all(ctx, tx); return err },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// Instants are kept in Unix microseconds; the zero time, which is "open" in a
// deck row and "none" in a bucket, has its own value.
func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time {
	t := time.UnixMicro(us).UTC()
	if t.IsZero() {
		return time.Time{}
	}
	return t
}
