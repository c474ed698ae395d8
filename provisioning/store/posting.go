package store

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"tandem"
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
		if p.Leg, err = uuid.FromBytes(leg); err != nil {
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

// move writes a posting: what the customer's book gains its counter book loses.
// The row names the book that loses as debit, so that its amount is positive.
func (b *books) move(p *tandem.Posting) error {
	debit, credit, amount := p.Kind.Counter(), customerPrefix+p.Account, int64(p.Amount)
	if amount < 0 {
		debit, credit, amount = credit, debit, -amount
	}
	if amount == 0 {
		return nil
	}
	var key, leg []byte
	if p.Kind != tandem.PostCharge {
		key = p.ID[:]
	}
	if p.Leg != uuid.Nil {
		leg = p.Leg[:]
	}
	did := p.DID
	if p.Kind == tandem.PostCharge {
		did = "" // the leg's entry holds it
	}
	if _, err := b.s.addPosting.ExecContext(b.ctx, micros(p.At), string(p.Kind), leg, debit, credit, amount, string(p.Currency), key, string(did), p.Note); err != nil {
		b.failed = fmt.Errorf("post %s of account %s: %w", p.Kind, p.Account, err)
		return b.failed
	}
	b.moved[bookKey{debit, p.Currency}] -= amount
	b.moved[bookKey{credit, p.Currency}] += amount
	return nil
}
