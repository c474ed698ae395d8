-- +goose Up

-- Minutes and balances that ran low: once per account, number, cycle and kind.
CREATE TABLE usage_event (
    seq       INTEGER PRIMARY KEY,
    kind      TEXT NOT NULL,
    account   TEXT NOT NULL,
    did       TEXT NOT NULL,
    cycle     INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    used_s    INTEGER NOT NULL,
    limit_s   INTEGER NOT NULL,
    balance   INTEGER NOT NULL,
    threshold INTEGER NOT NULL,
    currency  TEXT NOT NULL,
    UNIQUE (account, did, cycle, kind)
);
ALTER TABLE account ADD COLUMN low_balance INTEGER;
