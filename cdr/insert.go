package cdr

import (
	"context"
	"errors"

	"tandem"
)

// Sink stores rows. A token names one immutable batch: the same token with the
// same rows again stores nothing new. An error that is not an *InsertError
// counts as Unknown.
type Sink interface {
	Insert(ctx context.Context, token string, rows []tandem.CDR) error
}

// InsertClass says what a failed insert means for the batch.
type InsertClass uint8

// The classes.
const (
	// Unknown: network error, timeout, lost response: it may be stored. The same rows and token go again.
	Unknown InsertClass = iota
	// Busy: the server asks for patience (too many parts, memory limit, read-only): longer pauses.
	Busy
	// Poison: the server can't take the rows whatever the time: the bad ones are set aside.
	Poison
)

// InsertError is a classified failure of Sink.Insert.
type InsertError struct {
	Class InsertClass
	Err   error
}

func (e *InsertError) Error() string { return e.Err.Error() }

func (e *InsertError) Unwrap() error { return e.Err }

func classOf(err error) InsertClass {
	var e *InsertError
	if errors.As(err, &e) {
		return e.Class
	}
	return Unknown
}

// Pricer rates rows in order and books them once per row ID: called again with
// the same rows it fills in the stored charges. Rows of one call stay together.
// An error of tandem.KindInvalid means these rows can never be priced; any
// other is tried again.
type Pricer interface {
	Price(ctx context.Context, rows []tandem.CDR) error
}

// FactReader is what journal.Reader gives.
type FactReader interface {
	// Next waits for a fact; TryNext does not.
	Next(ctx context.Context) (tandem.JournalFact, error)
	TryNext() (fact tandem.JournalFact, ok bool, err error)
	// Pos is the position that comes next.
	Pos() tandem.JournalPos
	Close()
}
