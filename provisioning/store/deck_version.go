package store

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"tandem"
	"tandem/provisioning"
)

// StageDeck implements provisioning.DeckStore.
func (s *Store) StageDeck(ctx context.Context, v provisioning.DeckVersion, rows []tandem.DeckRow, file []byte) (provisioning.DeckVersion, error) {
	form, err := json.Marshal(v.Form)
	if err != nil {
		return v, err
	}
	var packed []byte
	if file != nil {
		if packed, err = pack(file); err != nil {
			return v, err
		}
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return v, describe(s.path, err)
	}
	defer tx.Rollback() // does nothing after Commit
	d := tandem.Deck{ID: v.Deck, Direction: v.Direction, Currency: v.Currency, Rows: rows}
	if err := addVersion(ctx, tx, &d, v.StoredAt, v.Name, string(form), packed); err != nil {
		return v, describe(s.path, err)
	}
	v.Version, v.State, v.Rows = d.Version, provisioning.DeckStaged, len(rows)
	return v, describe(s.path, tx.Commit())
}

// pack compresses a rate sheet: they are text of which most repeats.
func pack(file []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(file); err != nil {
		return nil, err
	}
	err := w.Close()
	return out.Bytes(), err
}

// DeckVersions implements provisioning.DeckStore.
func (s *Store) DeckVersions(ctx context.Context, deck string) ([]provisioning.DeckVersion, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT v.deck, v.version, v.direction, v.currency, v.rows, v.stored_at, v.name, v.form,
		v.version = d.version, (SELECT max(a.at) FROM deck_activation a WHERE a.deck = v.deck AND a.version = v.version)
		FROM deck_version v LEFT JOIN deck d ON d.id = v.deck WHERE ?1 = '' OR v.deck = ?1 ORDER BY v.deck, v.version DESC`, deck)
	if err != nil {
		return nil, describe(s.path, err)
	}
	defer rows.Close()
	var out []provisioning.DeckVersion
	for rows.Next() {
		var v provisioning.DeckVersion
		var stored int64
		var form string
		var inForce sql.NullBool
		var active sql.NullInt64
		if err := rows.Scan(&v.Deck, &v.Version, &v.Direction, &v.Currency, &v.Rows, &stored, &v.Name, &form, &inForce, &active); err != nil {
			return nil, describe(s.path, err)
		}
		if form != "" {
			if err := json.Unmarshal([]byte(form), &v.Form); err != nil {
				return nil, fmt.Errorf("form of deck %s version %d: %w", v.Deck, v.Version, err)
			}
		}
		if stored != 0 { // 0: stored before this was kept
			v.StoredAt = fromMicros(stored)
		}
		if active.Int64 != 0 {
			v.ActiveAt = fromMicros(active.Int64)
		}
		switch {
		case inForce.Bool:
			v.State = provisioning.DeckInForce
		case active.Valid || form == "": // only what is staged came as a sheet
			v.State = provisioning.DeckFormer
		default:
			v.State = provisioning.DeckStaged
		}
		out = append(out, v)
	}
	return out, describe(s.path, rows.Err())
}

// DeckOf implements provisioning.DeckStore.
func (s *Store) DeckOf(ctx context.Context, deck string, version int) (tandem.Deck, error) {
	d := tandem.Deck{ID: deck, Version: version}
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return d, describe(s.path, err)
	}
	defer tx.Rollback()
	err = tx.QueryRowContext(ctx, "SELECT direction, currency FROM deck_version WHERE deck = ? AND version = ?", deck, version).Scan(&d.Direction, &d.Currency)
	if errors.Is(err, sql.ErrNoRows) {
		return d, &tandem.Error{Kind: tandem.KindNotFound, Field: "version", Message: fmt.Sprintf("deck %s has no version %d", tandem.Clip(deck, 63), version)}
	}
	if err == nil {
		err = readRows(ctx, tx, &d)
	}
	return d, describe(s.path, err)
}

// DeckFile implements provisioning.DeckStore.
func (s *Store) DeckFile(ctx context.Context, deck string, version int) ([]byte, error) {
	var packed []byte
	err := s.read.QueryRowContext(ctx, "SELECT file FROM deck_version WHERE deck = ? AND version = ?", deck, version).Scan(&packed)
	if errors.Is(err, sql.ErrNoRows) || packed == nil && err == nil {
		return nil, nil
	}
	if err != nil {
		return nil, describe(s.path, err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("sheet of deck %s version %d: %w", deck, version, err)
	}
	return io.ReadAll(r)
}

// DeckBefore implements provisioning.DeckStore.
func (s *Store) DeckBefore(ctx context.Context, deck string, version int) (int, error) {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return 0, describe(s.path, err)
	}
	defer tx.Rollback()
	previous, err := cameAfter(ctx, tx, deck, version)
	return previous, describe(s.path, err)
}
