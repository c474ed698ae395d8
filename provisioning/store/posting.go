package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"tandem"
	"tandem/provisioning"
)

const postingColumns = "key, at, customer, kind, iif(credit = customer, amount, -amount), currency, did, leg, note"

func scanPosting(scan func(...any) error) (tandem.Posting, error) {
	var p tandem.Posting
	var key, leg []byte
	var at int64
	err := scan(&key, &at, &p.Account, &p.Kind, &p.Amount, &p.Currency, &p.DID, &leg, &p.Note)
	if err != nil {
		return p, err
	}
	p.At, p.Account = fromMicros(at), strings.TrimPrefix(p.Account, customerPrefix)
	if leg != nil {
		if p.Leg, err = legOf(leg); err != nil {
			return p, err
		}
	}
	if p.ID = p.Leg; key != nil {
		p.ID, err = uuid.FromBytes(key)
	}
	return p, err
}

// Posting implements tandem.LedgerTx.
func (b *books) Posting(id uuid.UUID) (tandem.Posting, bool, error) {
	p, err := scanPosting(b.s.posting.QueryRowContext(b.ctx, id[:]).Scan)
	if err == nil {
		return p, true, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return tandem.Posting{}, false, fmt.Errorf("read posting %s: %w", id, err)
	}
	e, known, err := b.Entry(id)
	if err != nil || !known || e.Charge.Amount == 0 {
		return tandem.Posting{}, false, err
	}
	return tandem.Posting{ID: e.Leg, At: e.At, Account: e.Account, Kind: tandem.PostCharge, Amount: -e.Charge.Amount, Currency: e.Charge.Currency, DID: e.DID, Leg: e.Leg}, true, nil
}

// Post implements tandem.LedgerTx.
func (b *books) Post(p tandem.Posting) error {
	if err := p.Validate(); err != nil {
		return err
	}
	_, known, err := b.Posting(p.ID)
	switch {
	case err != nil:
		return err
	case known:
		return &tandem.Error{Kind: tandem.KindConflict, Field: "id", Message: "posting " + p.ID.String() + " is stored already", Mend: "read it instead"}
	}
	return b.move(&p)
}

// Balance implements tandem.LedgerTx.
func (b *books) Balance(account string, currency tandem.Currency) (tandem.Amount, error) {
	book := customerPrefix + account
	var sum int64
	if err := b.s.balance.QueryRowContext(b.ctx, book, string(currency)).Scan(&sum); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read balance of %s: %w", account, err)
	}
	return tandem.Amount(sum + b.moved[bookKey{book, currency}]), nil
}

// charge moves a leg's price; its posting follows when all are known.
func (b *books) charge(e *tandem.LedgerEntry) {
	if amount := int64(e.Charge.Amount); amount != 0 {
		b.charges++
		b.moved[bookKey{customerPrefix + e.Account, e.Charge.Currency}] -= amount
		b.moved[bookKey{tandem.PostCharge.Counter(), e.Charge.Currency}] += amount
	}
}

// postCharges writes the postings of the transaction's entries: nothing but what
// an entry says, one for each that has an amount.
func (b *books) postCharges() error {
	if b.charges == 0 {
		return nil
	}
	result, err := b.s.addCharges.ExecContext(b.ctx, b.firstSeq, customerPrefix, tandem.PostCharge.Counter())
	var posted int64
	if err == nil {
		posted, err = result.RowsAffected()
	}
	if err == nil && posted != b.charges {
		err = fmt.Errorf("%d postings of %d charges", posted, b.charges)
	}
	if err != nil {
		return fmt.Errorf("post charges from entry %d on: %w", b.firstSeq, err)
	}
	return nil
}

// move writes a posting that is no charge: what the customer's book gains its counter book loses.
// The row names the book that loses as debit, so that its amount is positive.
func (b *books) move(p *tandem.Posting) error {
	debit, credit, amount := p.Kind.Counter(), customerPrefix+p.Account, int64(p.Amount)
	if amount < 0 {
		debit, credit, amount = credit, debit, -amount
	}
	if amount == 0 {
		return nil
	}
	var leg []byte
	if p.Leg != uuid.Nil {
		leg = legBlob(p.Leg)
	}
	if _, err := b.s.addPosting.ExecContext(b.ctx, micros(p.At), string(p.Kind), leg, debit, credit, amount, string(p.Currency), p.ID[:], string(p.DID), p.Note); err != nil {
		b.failed = fmt.Errorf("post %s of account %s: %w", p.Kind, p.Account, err)
		return b.failed
	}
	b.moved[bookKey{debit, p.Currency}] -= amount
	b.moved[bookKey{credit, p.Currency}] += amount
	return nil
}

// Statement implements provisioning.Books. The balance before the period is
// the present one less what was posted since: old postings are never read.
func (s *Store) Statement(ctx context.Context, q provisioning.StatementQuery) (provisioning.Statement, error) {
	out := provisioning.Statement{Account: q.Account, Currency: q.Currency, From: q.From.UTC(), To: q.To.UTC(), Sums: []provisioning.PostingSum{}, Items: []tandem.Posting{}}
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return out, describe(s.path, err)
	}
	defer tx.Rollback()
	return out, describe(s.path, statement(ctx, tx, q, &out))
}

func statement(ctx context.Context, tx *sql.Tx, q provisioning.StatementQuery, out *provisioning.Statement) error {
	book, from, to := customerPrefix+q.Account, micros(q.From), micros(q.To)
	var balance, since int64
	if err := tx.QueryRowContext(ctx, "SELECT coalesce((SELECT amount FROM ledger_balance WHERE book = ?1 AND currency = ?2), 0), coalesce((SELECT sum(iif(credit = customer, amount, -amount)) FROM ledger_posting WHERE customer = ?1 AND currency = ?2 AND at >= ?3), 0)",
		book, string(q.Currency), from).Scan(&balance, &since); err != nil {
		return err
	}
	out.Opening = tandem.Amount(balance - since)
	sums := map[tandem.PostingKind]provisioning.PostingSum{}
	rows, err := tx.QueryContext(ctx, "SELECT kind, count(*), sum(iif(credit = customer, amount, -amount)) FROM ledger_posting WHERE customer = ? AND currency = ? AND at >= ? AND at < ? GROUP BY kind",
		book, string(q.Currency), from, to)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var sum provisioning.PostingSum
		if err := rows.Scan(&sum.Kind, &sum.Count, &sum.Amount); err != nil {
			return err
		}
		sums[sum.Kind] = sum
	}
	if err := rows.Err(); err != nil {
		return err
	}
	out.Closing = out.Opening
	for _, kind := range tandem.PostingKinds {
		if sum, ok := sums[kind]; ok {
			out.Sums, out.Total, out.Closing = append(out.Sums, sum), out.Total+sum.Count, out.Closing+sum.Amount
		}
	}
	lines, err := tx.QueryContext(ctx, `SELECT p.key, p.at, p.customer, p.kind, iif(p.credit = p.customer, p.amount, -p.amount), p.currency, coalesce(e.did, p.did), p.leg, p.note
		FROM ledger_posting p LEFT JOIN ledger_entry e ON p.kind = 'charge' AND e.leg = p.leg
		WHERE p.customer = ? AND p.currency = ? AND p.at >= ? AND p.at < ? ORDER BY p.at, p.id LIMIT ? OFFSET ?`, book, string(q.Currency), from, to, q.Limit, q.Offset)
	if err != nil {
		return err
	}
	defer lines.Close()
	for lines.Next() {
		p, err := scanPosting(lines.Scan)
		if err != nil {
			return err
		}
		out.Items = append(out.Items, p)
	}
	return lines.Err()
}
