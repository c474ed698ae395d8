-- +goose Up

-- The version of the directory counts up with every change.
CREATE TABLE directory (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
);
INSERT INTO directory VALUES (1, 0);

-- Trunks are kept whole, as JSON of tandem.Trunk: nothing joins on their parts.
CREATE TABLE trunk (
    id   TEXT PRIMARY KEY,
    body TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE deck (
    id        TEXT PRIMARY KEY,
    direction TEXT NOT NULL,
    currency  TEXT NOT NULL,
    version   INTEGER NOT NULL
) WITHOUT ROWID;

-- Rows of every version of every deck that ever was in force: charges name
-- them. Rates in 1e-10, fees in 1e-6 of the currency; instants in Unix
-- microseconds, NULL = open.
CREATE TABLE deck_row (
    deck           TEXT NOT NULL,
    version        INTEGER NOT NULL,
    id             INTEGER NOT NULL,
    prefix         TEXT NOT NULL,
    destination    TEXT NOT NULL,
    effective_from INTEGER,
    effective_to   INTEGER,
    rate           INTEGER NOT NULL,
    connect_fee    INTEGER NOT NULL,
    initial_inc    INTEGER NOT NULL CHECK (initial_inc > 0),
    next_inc       INTEGER NOT NULL CHECK (next_inc > 0),
    reject         INTEGER NOT NULL,
    PRIMARY KEY (deck, version, id)
) WITHOUT ROWID;

CREATE TABLE account (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    currency     TEXT NOT NULL,
    time_zone    TEXT NOT NULL,
    retail_out   TEXT NOT NULL REFERENCES deck (id) DEFERRABLE INITIALLY DEFERRED,
    retail_in    TEXT NOT NULL REFERENCES deck (id) DEFERRABLE INITIALLY DEFERRED,
    free_minutes INTEGER NOT NULL,
    free_classes TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE tenant (
    id      TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES account (id) DEFERRABLE INITIALLY DEFERRED,
    name    TEXT NOT NULL,
    fqdn    TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE address (
    id          TEXT PRIMARY KEY,
    account     TEXT NOT NULL REFERENCES account (id) DEFERRABLE INITIALLY DEFERRED,
    street      TEXT NOT NULL,
    city        TEXT NOT NULL,
    state       TEXT NOT NULL,
    postal_code TEXT NOT NULL,
    country     TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE number (
    did             TEXT PRIMARY KEY,
    account         TEXT NOT NULL REFERENCES account (id) DEFERRABLE INITIALLY DEFERRED,
    tenant          TEXT NOT NULL REFERENCES tenant (id) DEFERRABLE INITIALLY DEFERRED,
    service_address TEXT NOT NULL REFERENCES address (id) DEFERRABLE INITIALLY DEFERRED,
    user_type       TEXT NOT NULL,
    plan            TEXT NOT NULL,
    failsafe        TEXT NOT NULL,
    first_name      TEXT NOT NULL,
    last_name       TEXT NOT NULL,
    service_name    TEXT NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('Unassigned', 'Assigned', 'Error', 'Subscription Error'))
) WITHOUT ROWID;
CREATE INDEX number_tenant ON number (tenant);
CREATE INDEX number_account ON number (account);
CREATE INDEX number_address ON number (service_address);

-- What each leg did to the books, once per leg.
CREATE TABLE ledger_entry (
    seq            INTEGER PRIMARY KEY,
    leg            BLOB NOT NULL UNIQUE,
    pos            INTEGER NOT NULL,
    at             INTEGER NOT NULL,
    account        TEXT NOT NULL,
    did            TEXT NOT NULL,
    bucket_account TEXT NOT NULL,
    bucket_did     TEXT NOT NULL,
    bucket_cycle   INTEGER NOT NULL,
    amount         INTEGER NOT NULL,
    currency       TEXT NOT NULL,
    rate           INTEGER NOT NULL,
    billed_s       INTEGER NOT NULL,
    free_s         INTEGER NOT NULL,
    charged_s      INTEGER NOT NULL,
    class          TEXT NOT NULL,
    deck           TEXT NOT NULL,
    deck_version   INTEGER NOT NULL,
    deck_row       INTEGER NOT NULL,
    explanation    TEXT NOT NULL
);

-- Seconds drawn from the free minutes of a number in a cycle.
CREATE TABLE ledger_bucket (
    account TEXT NOT NULL,
    did     TEXT NOT NULL,
    cycle   INTEGER NOT NULL,
    used_s  INTEGER NOT NULL CHECK (used_s >= 0),
    PRIMARY KEY (account, did, cycle)
) WITHOUT ROWID;

-- Double entry: each row moves an amount from one book to another, so that the
-- sum over all books is zero by construction. Books are 'customer:ACCOUNT' and 'revenue'.
CREATE TABLE ledger_posting (
    id       INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    leg      BLOB,
    debit    TEXT NOT NULL,
    credit   TEXT NOT NULL CHECK (credit <> debit),
    amount   INTEGER NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL
);

-- The sum of a book's postings (credits less debits), kept up to date.
CREATE TABLE ledger_balance (
    book     TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount   INTEGER NOT NULL,
    PRIMARY KEY (book, currency)
) WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER ledger_entry_update BEFORE UPDATE ON ledger_entry BEGIN SELECT RAISE(ABORT, 'ledger entries are never edited'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER ledger_entry_delete BEFORE DELETE ON ledger_entry BEGIN SELECT RAISE(ABORT, 'ledger entries are never removed'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER ledger_posting_update BEFORE UPDATE ON ledger_posting BEGIN SELECT RAISE(ABORT, 'postings are never edited'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER ledger_posting_delete BEFORE DELETE ON ledger_posting BEGIN SELECT RAISE(ABORT, 'postings are never removed'); END;
-- +goose StatementEnd
