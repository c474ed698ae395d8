// Package ledger prices rows and books them exactly once: it draws free minutes
// from the buckets and debits the accounts, one store transaction for each
// batch of rows.
//
// Rows are priced in the order given, under the one writer of the store, so a
// bucket is never overdrawn however many calls shared it. The leg's ID is the
// key: a leg that is booked already gets its stored charge back, whatever deck
// or plan is in force now, so that a replay of the journal changes nothing.
//
// Beside charges the books hold fees, top-ups, refunds and corrections
// (tandem.Posting): double entry, once by ID, never edited. TakeFees posts the
// subscription fees. Credit stands before the store and reserves money for calls
// of prepaid accounts and of those with a credit limit.
//
// The arithmetic is package rating's; the books are a tandem.LedgerStore
// (memstore in tests, SQLite or PostgreSQL in the product; ledgertest holds all
// of them to the same rules).
package ledger
