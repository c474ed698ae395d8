-- requires 26.2
-- A part of 55 columns is 115 files, made and removed again by every merge:
-- below 256 MB one file holds them all. Ten parts at once are merged instead of
-- two or three, so that a row is rewritten half as often.
ALTER TABLE {{.Local}}{{.OnCluster}} MODIFY SETTING min_bytes_for_wide_part = 268435456, min_rows_for_wide_part = 0, min_parts_to_merge_at_once = 10;
