package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"tandem"
)

// rowsPerInsert rows go into one statement: at 12 values each that is under
// SQLite's 32,766 parameters, and one statement's overhead is shared.
const rowsPerInsert = 200

const deckRowColumns = "deck, version, id, prefix, destination, effective_from, effective_to, rate, connect_fee, initial_inc, next_inc, reject"

// writeDecks stores decks; the rows of a deck only when its version is new.
// Rows of earlier versions stay: charges name them.
func writeDecks(ctx context.Context, tx *sql.Tx, current, next []tandem.Deck) error {
	type head struct {
		id      string
		version int
	}
	stored := map[head]bool{}
	strip := func(decks []tandem.Deck) []tandem.Deck { // heads only: comparing rows would be slow
		out := make([]tandem.Deck, len(decks))
		for i, d := range decks {
			out[i] = d
			out[i].Rows = nil
		}
		return out
	}
	for _, d := range current {
		stored[head{d.ID, d.Version}] = true
	}
	for i := range next {
		if err := continueVersions(ctx, tx, current, &next[i]); err != nil {
			return err
		}
	}
	if err := deckTable().bring(ctx, tx, strip(current), strip(next)); err != nil {
		return err
	}
	for i := range next {
		if stored[head{next[i].ID, next[i].Version}] {
			continue
		}
		if err := writeDeckRows(ctx, tx, &next[i]); err != nil {
			return fmt.Errorf("write rows of deck %s: %w", next[i].ID, err)
		}
	}
	return nil
}

// continueVersions gives a deck that was removed once and comes back a version
// that no charge names yet.
func continueVersions(ctx context.Context, tx *sql.Tx, current []tandem.Deck, d *tandem.Deck) error {
	for i := range current {
		if current[i].ID == d.ID {
			return nil
		}
	}
	var last sql.NullInt64
	if err := tx.QueryRowContext(ctx, "SELECT max(version) FROM deck_row WHERE deck = ?", d.ID).Scan(&last); err != nil {
		return err
	}
	d.Version = max(d.Version, int(last.Int64)+1)
	return nil
}

func writeDeckRows(ctx context.Context, tx *sql.Tx, d *tandem.Deck) error {
	for rows := d.Rows; len(rows) > 0; {
		n := min(len(rows), rowsPerInsert)
		if err := insertRows(ctx, tx, d, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func insertRows(ctx context.Context, tx *sql.Tx, d *tandem.Deck, rows []tandem.DeckRow) error {
	values := make([]any, 0, 12*len(rows))
	for i := range rows {
		r := &rows[i]
		values = append(values, d.ID, d.Version, r.ID, r.Prefix, r.Destination, open(r.EffectiveFrom), open(r.EffectiveTo),
			int64(r.Rate), int64(r.ConnectFee), r.InitialInc, r.NextInc, r.Reject)
	}
	const one = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
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

// readDeckRows fills in the rows of the versions in force.
func readDeckRows(ctx context.Context, tx *sql.Tx, decks []tandem.Deck) error {
	for i := range decks {
		d := &decks[i]
		rows, err := tx.QueryContext(ctx, "SELECT id, prefix, destination, effective_from, effective_to, rate, connect_fee, initial_inc, next_inc, reject "+
			"FROM deck_row WHERE deck = ? AND version = ? ORDER BY id", d.ID, d.Version)
		if err != nil {
			return err
		}
		for rows.Next() {
			var r tandem.DeckRow
			var from, to sql.NullInt64
			if err := rows.Scan(&r.ID, &r.Prefix, &r.Destination, &from, &to, &r.Rate, &r.ConnectFee, &r.InitialInc, &r.NextInc, &r.Reject); err != nil {
				rows.Close()
				return fmt.Errorf("read rows of deck %s: %w", d.ID, err)
			}
			if from.Valid {
				r.EffectiveFrom = fromMicros(from.Int64)
			}
			if to.Valid {
				r.EffectiveTo = fromMicros(to.Int64)
			}
			d.Rows = append(d.Rows, r)
		}
		if err := rows.Err(); err != nil {
			return err
		}
	}
	return nil
}
