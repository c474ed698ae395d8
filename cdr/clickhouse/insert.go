package clickhouse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"

	"tandem"
	"tandem/cdr"
)

// insertSettings are pinned, so that behaviour does not depend on the server's
// version or profile: async_insert became 1 in 26.2, deduplication defaults
// changed in 26.2, the quorum is the operator's. Merges replace rows and build
// the indices anyway; doing both for each small new part as well costs a
// quarter of the insert, and searching such a part without indices is quick.
func insertSettings(token string) clickhouse.Settings {
	return clickhouse.Settings{"insert_deduplication_token": token, "insert_deduplicate": 1, "async_insert": 0,
		"deduplicate_blocks_in_dependent_materialized_views": 1, "max_insert_block_size": 1048576, "max_partitions_per_insert_block": 1000,
		"optimize_on_insert": 0, "materialize_skip_indexes_on_insert": 0}
}

// Insert stores rows under a token; the same token and rows again store nothing
// new. It implements cdr.Sink.
func (c *Client) Insert(ctx context.Context, token string, rows []tandem.CDR) error {
	if err := c.Migrate(ctx); err != nil {
		return classified(err)
	}
	if len(rows) == 0 {
		return nil
	}
	if c.cfg.Transport != nil {
		return c.insertNative(ctx, token, rows)
	}
	return c.insertBatch(ctx, token, rows)
}

// insertBatch goes by the driver, to a server.
func (c *Client) insertBatch(ctx context.Context, token string, rows []tandem.CDR) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(insertSettings(token)), clickhouse.WithColumnNamesAndTypes(columnTypes()))
	b, err := c.conn.PrepareBatch(ctx, c.insertInto())
	if err != nil {
		return classified(err)
	}
	defer b.Close()
	var s scratch
	for i, column := range tableColumns {
		if err := b.Column(i).Append(column.values(rows, &s)); err != nil {
			b.Abort()
			return &cdr.InsertError{Class: cdr.Poison, Err: fmt.Errorf("column %s: %w", column.name, err)}
		}
	}
	if err := b.Send(); err != nil {
		return classified(err)
	}
	return nil
}

// insertNative sends one block to the embedded engine, which is what every node
// without a server does a few times a second: a third of the driver's CPU.
func (c *Client) insertNative(ctx context.Context, token string, rows []tandem.CDR) error {
	query := url.Values{"query": {c.insertInto() + " FORMAT Native"}}
	for name, value := range insertSettings(token) {
		query.Set(name, fmt.Sprint(value))
	}
	c.mu.Lock()
	e := c.encoder
	c.encoder = nil
	c.mu.Unlock()
	if e == nil {
		e = &encoder{}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+embedded+"/?"+query.Encode(), bytes.NewReader(e.block(rows)))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	resp, err := c.cfg.Transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode != http.StatusOK {
		return classified(exception(resp, text))
	}
	if err != nil {
		return err
	}
	// The block has been read. After an error it may not have been: the transport
	// can still be at it, and its memory is left to the collector.
	if cap(e.b) <= maxKept {
		c.mu.Lock()
		c.encoder = e
		c.mu.Unlock()
	}
	return nil
}

// exception is the engine's answer as the error that the driver makes of one.
func exception(resp *http.Response, text []byte) error {
	code, err := strconv.ParseInt(resp.Header.Get("X-ClickHouse-Exception-Code"), 10, 32)
	if err != nil {
		return fmt.Errorf("the engine answers %s: %q", resp.Status, tandem.Clip(string(text), 400))
	}
	return &proto.Exception{Code: int32(code), Message: tandem.Clip(string(text), 4000)}
}

func (c *Client) insertInto() string {
	return "INSERT INTO " + c.localTable() + " (" + columnList() + ")"
}

// classified sorts ClickHouse's error codes. What is not named is Unknown: the
// same batch goes again.
func classified(err error) error {
	var ex *proto.Exception
	if !errors.As(err, &ex) {
		return err
	}
	switch ex.Code {
	case 241, 242, 252, 202, 243, 16, 60, 81, 164, 497, 999, 319:
		// memory limit, read-only table, too many parts, too many queries, no disk
		// space; no such column, table, database, no rights: the server must be mended, the rows are good.
		return &cdr.InsertError{Class: cdr.Busy, Err: err}
	case 6, 27, 53, 69, 70, 117, 321, 407, 469:
		// can't parse, type mismatch, out of range, violated constraint
		return &cdr.InsertError{Class: cdr.Poison, Err: err}
	}
	return err
}
