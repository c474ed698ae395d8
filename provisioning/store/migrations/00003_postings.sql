-- +goose Up

-- Postings other than charges have an ID of their own, the idempotence key; a
-- charge is known by its leg. Further books: 'cash', 'corrections', 'refunds'.
ALTER TABLE ledger_posting ADD COLUMN key BLOB;
ALTER TABLE ledger_posting ADD COLUMN did TEXT NOT NULL DEFAULT '';
ALTER TABLE ledger_posting ADD COLUMN note TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX ledger_posting_key ON ledger_posting (key) WHERE key IS NOT NULL;

-- Statements read an account's postings by time.
ALTER TABLE ledger_posting ADD COLUMN customer TEXT GENERATED ALWAYS AS (iif(substr(debit, 1, 9) = 'customer:', debit, credit)) VIRTUAL;
CREATE INDEX ledger_posting_customer ON ledger_posting (customer, at);
