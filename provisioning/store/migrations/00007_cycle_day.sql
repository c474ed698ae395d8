-- +goose Up

-- The day of the month on which an account's billing cycles begin.
ALTER TABLE account ADD COLUMN cycle_day INTEGER NOT NULL DEFAULT 1;
