// Package cdr turns ended calls into call detail records and delivers them:
// Rows makes one row per leg and attempt of an end fact, Pipeline reads the
// journal, has the rows priced in order, and inserts them in batches whose
// boundaries and tokens survive any crash, so that nothing is lost or doubled.
//
// A call's end flows: journal -> ledger loop (Pricer books each leg once) ->
// writer loop (cut, persist the cut, insert with its token) -> cursor. The two
// loops have their own cursors: rating goes on while ClickHouse is away, and
// ClickHouse trouble only lengthens the journal.
//
// Its folders: journal (the log), clickhouse (schema, inserts, reports), engine
// (the embedded ClickHouse child). They never import one another.
package cdr
