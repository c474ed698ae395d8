-- +goose Up

-- Calls that are split at the end of a cycle draw from two buckets: next_s of
-- free_s from the one that begins at next_cycle, of the same account and number.
ALTER TABLE ledger_entry ADD COLUMN next_cycle INTEGER;
ALTER TABLE ledger_entry ADD COLUMN next_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN cycle_split INTEGER NOT NULL DEFAULT 0;
