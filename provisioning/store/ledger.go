package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"tandem"
	"tandem/provisioning"
)

// customerPrefix begins the name of a customer's book; the others are those of
// tandem.PostingKind.Counter.
const customerPrefix = "customer:"

const entryColumns = "leg, pos, at, account, did, bucket_account, bucket_did, bucket_cycle, amount, currency, rate, billed_s, free_s, charged_s, class, deck, deck_version, deck_row, explanation, next_cycle, next_s"

// chargesOfEntries writes the postings of the entries from a seq on: the debit of
// a charge, the credit of a refund. A statement per posting costs as much as
// booking the leg, nearly all of it for handing over what the entry says already.
// OR FAIL: whoever fails here rolls all back, so that no journal need be kept for the statement.
const chargesOfEntries = `INSERT OR FAIL INTO ledger_posting (at, kind, leg, debit, credit, amount, currency)
	SELECT at, 'charge', leg, iif(amount > 0, ?2 || account, ?3), iif(amount > 0, ?3, ?2 || account), abs(amount), currency
	FROM ledger_entry WHERE seq >= ?1 AND amount <> 0`

// ledgerStatements are prepared once on the one writing connection: the ledger
// worker runs them for every leg.
type ledgerStatements struct {
	entry, used, addEntry, setBucket, addPosting, addCharges, addBalance, posting, balance, notice, redrawn, redraw *sql.Stmt
}

func prepareLedger(ctx context.Context, db *sql.DB) (*ledgerStatements, error) {
	var l ledgerStatements
	for _, s := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&l.entry, "SELECT " + entryColumns + " FROM ledger_entry WHERE leg = ?"},
		{&l.used, "SELECT used_s FROM ledger_bucket WHERE account = ? AND did = ? AND cycle = ?"},
		{&l.addEntry, "INSERT INTO ledger_entry (" + entryColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (leg) DO NOTHING"},
		{&l.setBucket, "INSERT INTO ledger_bucket VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET used_s = excluded.used_s"},
		{&l.addCharges, chargesOfEntries},
		{&l.addPosting, "INSERT INTO ledger_posting (at, kind, leg, debit, credit, amount, currency, key, did, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"},
		{&l.addBalance, "INSERT INTO ledger_balance VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount"},
		{&l.posting, "SELECT " + postingColumns + " FROM ledger_posting WHERE key = ?"},
		{&l.redrawn, "SELECT leg, account, did, cycle, seconds FROM ledger_redraw WHERE id = ?"},
		{&l.redraw, "INSERT INTO ledger_redraw VALUES (?, ?, ?, ?, ?, ?)"},
		{&l.notice, "INSERT INTO usage_event (" + eventColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"},
		{&l.balance, "SELECT amount FROM ledger_balance WHERE book = ? AND currency = ?"},
	} {
		stmt, err := db.PrepareContext(ctx, s.text)
		if err != nil {
			return nil, err
		}
		*s.stmt = stmt
	}
	return &l, nil
}

// Books implements tandem.LedgerStore: f runs in one durable transaction (one
// fsync for all its legs), an error or panic from it rolls all back. Only one
// runs at a time; f must not use the store otherwise.
func (s *Store) Books(ctx context.Context, f func(tandem.LedgerTx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return describe(s.path, err)
	}
	defer tx.Rollback() // does nothing after Commit
	// A context that can end costs the driver a goroutine per statement; the
	// transaction itself is rolled back when ctx ends.
	plain := context.WithoutCancel(ctx)
	b := &books{ctx: plain, s: s.ledger.in(plain, tx), used: map[bucketKey]int64{}, drawn: map[bucketKey]bool{}, moved: map[bookKey]int64{}}
	if err := f(b); err != nil {
		return describe(s.path, err)
	}
	if err := b.flush(); err != nil {
		return describe(s.path, err)
	}
	return describe(s.path, tx.Commit())
}

// in binds the statements to a transaction.
func (l *ledgerStatements) in(ctx context.Context, tx *sql.Tx) *ledgerStatements {
	return &ledgerStatements{tx.StmtContext(ctx, l.entry), tx.StmtContext(ctx, l.used), tx.StmtContext(ctx, l.addEntry),
		tx.StmtContext(ctx, l.setBucket), tx.StmtContext(ctx, l.addPosting), tx.StmtContext(ctx, l.addCharges), tx.StmtContext(ctx, l.addBalance),
		tx.StmtContext(ctx, l.posting), tx.StmtContext(ctx, l.balance), tx.StmtContext(ctx, l.notice),
		tx.StmtContext(ctx, l.redrawn), tx.StmtContext(ctx, l.redraw)}
}

type bucketKey struct {
	account, did string
	cycle        int64
}

type bookKey struct {
	book     string
	currency tandem.Currency
}

// books is one transaction. Buckets and balances are summed up here and
// written once at its end: a batch touches the same few over and over. So are
// the postings of charges, from their entries.
type books struct {
	ctx   context.Context
	s     *ledgerStatements
	used  map[bucketKey]int64
	drawn map[bucketKey]bool
	moved map[bookKey]int64
	// firstSeq is that of the first entry, charges how many of them have an amount.
	firstSeq, charges int64
	// failed is set when an entry may be half written: the transaction can only
	// be rolled back then, whatever f makes of the error.
	failed error
}

// legBlob is how tables name a leg: by a key in the order of time.
func legBlob(leg uuid.UUID) []byte {
	key := tandem.LegKey(leg)
	return key[:]
}

func legOf(blob []byte) (uuid.UUID, error) {
	key, err := uuid.FromBytes(blob)
	return tandem.LegKey(key), err
}

func keyOf(b tandem.Bucket) bucketKey {
	return bucketKey{b.Account, string(b.DID), micros(b.Cycle)}
}

// Entry implements tandem.LedgerTx.
func (b *books) Entry(leg uuid.UUID) (tandem.LedgerEntry, bool, error) {
	e, err := scanEntry(b.s.entry.QueryRowContext(b.ctx, legBlob(leg)).Scan)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return tandem.LedgerEntry{}, false, nil
	case err != nil:
		return tandem.LedgerEntry{}, false, fmt.Errorf("read entry of leg %s: %w", leg, err)
	}
	return e, true, nil
}

func scanEntry(scan func(...any) error) (tandem.LedgerEntry, error) {
	var e tandem.LedgerEntry
	var leg []byte
	var at, cycle int64
	var next sql.NullInt64
	c := &e.Charge
	err := scan(&leg, &e.Pos, &at, &e.Account, &e.DID, &e.Bucket.Account, &e.Bucket.DID, &cycle, &c.Amount, &c.Currency, &c.Rate,
		&c.BilledS, &c.FreeS, &c.ChargedS, &c.Class, &c.DeckID, &c.DeckVer, &c.DeckRow, &c.Explanation, &next, &e.NextS)
	if err != nil {
		return e, err
	}
	e.At, e.Bucket.Cycle = fromMicros(at), fromMicros(cycle)
	if next.Valid { // of the same account and number
		e.Next = tandem.Bucket{Account: e.Bucket.Account, DID: e.Bucket.DID, Cycle: fromMicros(next.Int64)}
	}
	e.Leg, err = legOf(leg)
	return e, err
}

// Used implements tandem.LedgerTx.
func (b *books) Used(bucket tandem.Bucket) (int64, error) {
	k := keyOf(bucket)
	if used, known := b.used[k]; known {
		return used, nil
	}
	var used int64
	if err := b.s.used.QueryRowContext(b.ctx, k.account, k.did, k.cycle).Scan(&used); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read bucket of %s: %w", bucket.DID, err)
	}
	b.used[k] = used
	return used, nil
}

// Book implements tandem.LedgerTx. A leg that is booked already is KindConflict.
func (b *books) Book(e tandem.LedgerEntry) error {
	c := &e.Charge
	if err := e.Validate(); err != nil {
		return err
	}
	var next any
	if e.Next != (tandem.Bucket{}) {
		next = micros(e.Next.Cycle)
	}
	result, err := b.s.addEntry.ExecContext(b.ctx, legBlob(e.Leg), int64(e.Pos), micros(e.At), e.Account, string(e.DID),
		e.Bucket.Account, string(e.Bucket.DID), micros(e.Bucket.Cycle), int64(c.Amount), string(c.Currency), int64(c.Rate),
		c.BilledS, c.FreeS, c.ChargedS, string(c.Class), c.DeckID, c.DeckVer, c.DeckRow, c.Explanation, next, e.NextS)
	var added int64
	if err == nil {
		added, err = result.RowsAffected()
	}
	if err == nil && added > 0 && b.firstSeq == 0 {
		b.firstSeq, err = result.LastInsertId()
	}
	if err != nil {
		b.failed = fmt.Errorf("book leg %s: %w", e.Leg, err)
		return b.failed
	}
	if added == 0 {
		return &tandem.Error{Kind: tandem.KindConflict, Field: "leg", Message: "leg " + e.Leg.String() + " is booked already", Mend: "read its entry instead"}
	}
	for _, d := range []struct {
		bucket  tandem.Bucket
		seconds int64
	}{{e.Bucket, c.FreeS - e.NextS}, {e.Next, e.NextS}} {
		if d.seconds == 0 {
			continue
		}
		used, err := b.Used(d.bucket)
		if err != nil {
			b.failed = err
			return err
		}
		b.used[keyOf(d.bucket)], b.drawn[keyOf(d.bucket)] = used+d.seconds, true
	}
	b.charge(&e)
	return nil
}

// flush writes what the transaction summed up.
func (b *books) flush() error {
	if b.failed != nil {
		return b.failed
	}
	if err := b.postCharges(); err != nil {
		return err
	}
	for k := range b.drawn {
		if _, err := b.s.setBucket.ExecContext(b.ctx, k.account, k.did, k.cycle, b.used[k]); err != nil {
			return fmt.Errorf("draw from bucket of %s: %w", k.did, err)
		}
	}
	for k, amount := range b.moved {
		if amount == 0 {
			continue
		}
		if _, err := b.s.addBalance.ExecContext(b.ctx, k.book, string(k.currency), amount); err != nil {
			return fmt.Errorf("move balance of %s: %w", k.book, err)
		}
	}
	return nil
}

// Balances implements provisioning.Store: the sum of each account's postings.
// An account without postings has no balance.
func (s *Store) Balances(ctx context.Context) ([]provisioning.Balance, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT substr(book, ?), currency, amount FROM ledger_balance WHERE book LIKE ? ORDER BY book, currency",
		len(customerPrefix)+1, customerPrefix+"%")
	if err != nil {
		return nil, describe(s.path, err)
	}
	defer rows.Close()
	var out []provisioning.Balance
	for rows.Next() {
		var b provisioning.Balance
		if err := rows.Scan(&b.Account, &b.Currency, &b.Amount); err != nil {
			return nil, describe(s.path, err)
		}
		out = append(out, b)
	}
	return out, describe(s.path, rows.Err())
}

// Booked reports whether a leg of the call was booked for a fact up to pos.
func (s *Store) Booked(ctx context.Context, call *tandem.CallRecord, pos tandem.JournalPos) (booked bool) {
	_ = s.Books(ctx, func(tx tandem.LedgerTx) error { // an error: not known, the caller goes the way of a call that was not
		for i := range call.Legs {
			e, found, err := tx.Entry(tandem.LegID(call.Correlation, i))
			if err != nil {
				return err
			}
			booked = booked || found && e.Pos <= pos
		}
		return nil
	})
	return booked
}
