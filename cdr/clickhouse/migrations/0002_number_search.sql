-- requires 26.2
-- Finds four or more digits anywhere in a number: 2 granules of 245 instead of
-- all. Older servers scan the period, which is right and slower.
ALTER TABLE {{.Local}}{{.OnCluster}} ADD INDEX IF NOT EXISTS ix_from from_number TYPE text(tokenizer = ngrams(4));
ALTER TABLE {{.Local}}{{.OnCluster}} ADD INDEX IF NOT EXISTS ix_to to_number TYPE text(tokenizer = ngrams(4));
