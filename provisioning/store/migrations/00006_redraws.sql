-- +goose Up

-- Corrections of what legs drew from buckets, once each: rating again never edits an entry.
CREATE TABLE ledger_redraw (
    id      BLOB PRIMARY KEY,
    leg     BLOB NOT NULL,
    account TEXT NOT NULL,
    did     TEXT NOT NULL,
    cycle   INTEGER NOT NULL,
    seconds INTEGER NOT NULL
) WITHOUT ROWID;
-- +goose StatementBegin
CREATE TRIGGER ledger_redraw_update BEFORE UPDATE ON ledger_redraw BEGIN SELECT RAISE(ABORT, 'redraws are never edited'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER ledger_redraw_delete BEFORE DELETE ON ledger_redraw BEGIN SELECT RAISE(ABORT, 'redraws are never removed'); END;
-- +goose StatementEnd
