-- +goose Up

-- What few decks have: rates of the first interval and by jurisdiction (1e-10
-- per minute, NULL = none), grace in seconds, minimum charge (1e-6), the rounding
-- (mode 0 half to even, 1 up, 2 down; how many of six decimals are dropped), times of the week.
ALTER TABLE deck_row ADD COLUMN rate_initial INTEGER;
ALTER TABLE deck_row ADD COLUMN rate_intrastate INTEGER;
ALTER TABLE deck_row ADD COLUMN rate_indeterminate INTEGER;
ALTER TABLE deck_row ADD COLUMN grace INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deck_row ADD COLUMN min_charge INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deck_row ADD COLUMN round_mode INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deck_row ADD COLUMN round_drop INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deck_row ADD COLUMN times TEXT NOT NULL DEFAULT '';

-- Versions of decks: staged, in force (deck.version), or in force once. digest
-- is of direction, currency and rows, NULL for versions older than this table;
-- file is the rate sheet as it came, gzipped, NULL when there was none.
CREATE TABLE deck_version (
    deck      TEXT NOT NULL,
    version   INTEGER NOT NULL,
    direction TEXT NOT NULL,
    currency  TEXT NOT NULL,
    rows      INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    name      TEXT NOT NULL,
    form      TEXT NOT NULL,
    digest    BLOB,
    file      BLOB,
    PRIMARY KEY (deck, version)
);
INSERT INTO deck_version (deck, version, direction, currency, rows, stored_at, name, form)
SELECT r.deck, r.version, d.direction, d.currency, count(*), 0, '', '' FROM deck_row r JOIN deck d ON d.id = r.deck GROUP BY r.deck, r.version;

-- Which version came into force when, and instead of which: 0 = the deck was new.
CREATE TABLE deck_activation (
    seq      INTEGER PRIMARY KEY,
    deck     TEXT NOT NULL,
    version  INTEGER NOT NULL,
    previous INTEGER NOT NULL,
    at       INTEGER NOT NULL
);
CREATE INDEX deck_activation_deck ON deck_activation (deck, version);
INSERT INTO deck_activation (deck, version, previous, at) SELECT id, version, coalesce((SELECT max(r.version) FROM deck_row r WHERE r.deck = deck.id AND r.version < deck.version), 0), 0 FROM deck;
