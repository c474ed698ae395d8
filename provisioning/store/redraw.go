package store

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"tandem"
)

// Redrawn implements tandem.LedgerTx.
func (b *books) Redrawn(id uuid.UUID) (r tandem.Redraw, known bool, err error) {
	var leg []byte
	var cycle int64
	err = b.s.redrawn.QueryRowContext(b.ctx, id[:]).Scan(&leg, &r.Bucket.Account, &r.Bucket.DID, &cycle, &r.Seconds)
	if errors.Is(err, sql.ErrNoRows) {
		return r, false, nil
	}
	if err == nil {
		r.ID, r.Bucket.Cycle = id, fromMicros(cycle)
		r.Leg, err = legOf(leg)
	}
	if err != nil {
		return r, false, fmt.Errorf("read redraw %s: %w", id, err)
	}
	return r, true, nil
}

// Redraw implements tandem.LedgerTx.
func (b *books) Redraw(r tandem.Redraw) error {
	_, known, err := b.Redrawn(r.ID)
	if err != nil {
		return err
	}
	if known {
		return &tandem.Error{Kind: tandem.KindConflict, Field: "id", Message: "redraw " + r.ID.String() + " is stored already", Mend: "read it instead"}
	}
	used, err := b.Used(r.Bucket)
	if err != nil {
		return err
	}
	if r.Bucket == (tandem.Bucket{}) || used+r.Seconds < 0 {
		return &tandem.Error{Kind: tandem.KindInvalid, Field: "seconds", Message: "a bucket can't be drawn below 0", Mend: "name the bucket that the seconds came from"}
	}
	if _, err := b.s.redraw.ExecContext(b.ctx, r.ID[:], legBlob(r.Leg), r.Bucket.Account, string(r.Bucket.DID), micros(r.Bucket.Cycle), r.Seconds); err != nil {
		b.failed = fmt.Errorf("redraw of leg %s: %w", r.Leg, err)
		return b.failed
	}
	b.used[keyOf(r.Bucket)], b.drawn[keyOf(r.Bucket)] = used+r.Seconds, true
	return nil
}
