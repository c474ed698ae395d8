package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"tandem"
)

// rowsPerInsert rows go into one statement: at 20 values each that is under
// SQLite's 32,766 parameters, and one statement's overhead is shared.
const rowsPerInsert = 200

const deckRowColumns = "deck, version, id, prefix, destination, effective_from, effective_to, rate, connect_fee, initial_inc, next_inc, reject, " +
	"rate_initial, rate_intrastate, rate_indeterminate, grace, min_charge, round_mode, round_drop, times"

// writeDecks stores decks; the rows of a deck only when its version is new.
// Rows of earlier versions stay: charges name them. A changed deck whose content
// was stored before under its version (staged, or in force once) comes into
// force as that version; otherwise its version is raised to one that no rows
// have yet.
func writeDecks(ctx context.Context, tx *sql.Tx, current, next []tandem.Deck) error {
	now := make(map[string]int, len(current))
	heads := func(decks []tandem.Deck) []tandem.Deck { // comparing rows would be slow
		out := make([]tandem.Deck, len(decks))
		for i, d := range decks {
			out[i] = d
			out[i].Rows = nil
		}
		return out
	}
	for _, d := range current {
		now[d.ID] = d.Version
	}
	for i := range next {
		d := &next[i]
		if was, known := now[d.ID]; known && was == d.Version {
			continue
		}
		known, err := knownVersion(ctx, tx, d)
		if err != nil {
			return err
		}
		if !known {
			if err := addVersion(ctx, tx, d, time.Now(), "", "", nil); err != nil {
				return fmt.Errorf("write rows of deck %s: %w", d.ID, err)
			}
		}
		if err := logActivation(ctx, tx, d.ID, d.Version, now[d.ID]); err != nil {
			return err
		}
	}
	return deckTable().bring(ctx, tx, heads(current), heads(next))
}

// knownVersion reports whether this content is stored under this version.
func knownVersion(ctx context.Context, tx *sql.Tx, d *tandem.Deck) (bool, error) {
	var stored []byte
	err := tx.QueryRowContext(ctx, "SELECT digest FROM deck_version WHERE deck = ? AND version = ?", d.ID, d.Version).Scan(&stored)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil && string(stored) == string(digest(d)), err
}

// addVersion stores a deck under a version that none has yet: its own, or a
// higher one, which it gets.
func addVersion(ctx context.Context, tx *sql.Tx, d *tandem.Deck, at time.Time, name, form string, file []byte) error {
	var last, rows sql.NullInt64
	if err := tx.QueryRowContext(ctx, "SELECT (SELECT max(version) FROM deck_version WHERE deck = ?1), (SELECT max(version) FROM deck_row WHERE deck = ?1)", d.ID).Scan(&last, &rows); err != nil {
		return err
	}
	d.Version = max(d.Version, int(last.Int64)+1, int(rows.Int64)+1)
	_, err := tx.ExecContext(ctx, "INSERT INTO deck_version (deck, version, direction, currency, rows, stored_at, name, form, digest, file) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		d.ID, d.Version, string(d.Direction), string(d.Currency), len(d.Rows), micros(at), name, form, digest(d), file)
	if err != nil {
		return err
	}
	for rows := d.Rows; len(rows) > 0; {
		n := min(len(rows), rowsPerInsert)
		if err := insertRows(ctx, tx, d, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// logActivation notes that a version comes into force, unless it is the step
// back to what the one in force came after: so a second step goes further back.
func logActivation(ctx context.Context, tx *sql.Tx, deck string, version, previous int) error {
	if before, err := cameAfter(ctx, tx, deck, previous); err != nil || (previous != 0 && before == version) {
		return err
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO deck_activation (deck, version, previous, at) VALUES (?, ?, ?, ?)", deck, version, previous, micros(time.Now()))
	return err
}

// cameAfter is the version that another one replaced when it last came into force; 0 = none.
func cameAfter(ctx context.Context, tx *sql.Tx, deck string, version int) (int, error) {
	var previous int
	err := tx.QueryRowContext(ctx, "SELECT previous FROM deck_activation WHERE deck = ? AND version = ? ORDER BY seq DESC LIMIT 1", deck, version).Scan(&previous)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return previous, err
}

// digest tells contents apart: direction, currency and rows.
func digest(d *tandem.Deck) []byte {
	h := sha256.New()
	b := make([]byte, 0, 256)
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	number := func(n int64) { b = binary.AppendVarint(b, n) }
	optional := func(r tandem.OptionalRate) {
		number(int64(r.Rate))
		if r.Given {
			b = append(b, 1)
		}
	}
	moment := func(t time.Time) {
		if t.IsZero() {
			b = append(b, 0)
			return
		}
		number(micros(t) + 1)
	}
	text(string(d.Direction))
	text(string(d.Currency))
	for i := range d.Rows {
		r := &d.Rows[i]
		number(r.ID)
		text(r.Prefix)
		text(r.Destination)
		moment(r.EffectiveFrom)
		moment(r.EffectiveTo)
		for _, n := range [...]int64{int64(r.Rate), int64(r.ConnectFee), int64(r.InitialInc), int64(r.NextInc), int64(r.Grace), int64(r.MinCharge), int64(r.Rounding.Mode), int64(r.Rounding.Drop)} {
			number(n)
		}
		if r.Reject {
			b = append(b, 1)
		}
		optional(r.RateInitial)
		optional(r.RateIntrastate)
		optional(r.RateIndeterminate)
		text(r.Times)
		h.Write(b)
		b = b[:0]
	}
	h.Write(b)
	return h.Sum(nil)
}

func insertRows(ctx context.Context, tx *sql.Tx, d *tandem.Deck, rows []tandem.DeckRow) error {
	const columns = 20
	values := make([]any, 0, columns*len(rows))
	for i := range rows {
		r := &rows[i]
		values = append(values, d.ID, d.Version, r.ID, r.Prefix, r.Destination, open(r.EffectiveFrom), open(r.EffectiveTo),
			int64(r.Rate), int64(r.ConnectFee), r.InitialInc, r.NextInc, r.Reject,
			given(r.RateInitial), given(r.RateIntrastate), given(r.RateIndeterminate), r.Grace, int64(r.MinCharge), int64(r.Rounding.Mode), int64(r.Rounding.Drop), r.Times)
	}
	one := "(?" + strings.Repeat(", ?", columns-1) + ")"
	_, err := tx.ExecContext(ctx, "INSERT INTO deck_row ("+deckRowColumns+") VALUES "+one+strings.Repeat(", "+one, len(rows)-1), values...)
	return err
}

// open is an instant for a column where NULL means open.
func open(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return micros(t)
}

// given is a rate for a column where NULL means none.
func given(r tandem.OptionalRate) any {
	if !r.Given {
		return nil
	}
	return int64(r.Rate)
}

// readDeckRows fills in the rows of the versions in force.
func readDeckRows(ctx context.Context, tx *sql.Tx, decks []tandem.Deck) error {
	for i := range decks {
		if err := readRows(ctx, tx, &decks[i]); err != nil {
			return fmt.Errorf("read rows of deck %s: %w", decks[i].ID, err)
		}
	}
	return nil
}

// readRows fills in the rows of the deck's version.
func readRows(ctx context.Context, tx *sql.Tx, d *tandem.Deck) error {
	rows, err := tx.QueryContext(ctx, "SELECT "+strings.TrimPrefix(deckRowColumns, "deck, version, ")+" FROM deck_row WHERE deck = ? AND version = ? ORDER BY id", d.ID, d.Version)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r tandem.DeckRow
		var from, to, initial, intrastate, indeterminate sql.NullInt64
		if err := rows.Scan(&r.ID, &r.Prefix, &r.Destination, &from, &to, &r.Rate, &r.ConnectFee, &r.InitialInc, &r.NextInc, &r.Reject,
			&initial, &intrastate, &indeterminate, &r.Grace, &r.MinCharge, &r.Rounding.Mode, &r.Rounding.Drop, &r.Times); err != nil {
			return err
		}
		if from.Valid {
			r.EffectiveFrom = fromMicros(from.Int64)
		}
		if to.Valid {
			r.EffectiveTo = fromMicros(to.Int64)
		}
		optional := func(n sql.NullInt64) tandem.OptionalRate {
			return tandem.OptionalRate{Rate: tandem.Rate(n.Int64), Given: n.Valid}
		}
		r.RateInitial, r.RateIntrastate, r.RateIndeterminate = optional(initial), optional(intrastate), optional(indeterminate)
		d.Rows = append(d.Rows, r)
	}
	return rows.Err()
}
