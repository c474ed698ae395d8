-- +goose Up

-- Legs of calls whose ID begins with their instant stand in the tables by
-- tandem.LegKey: in the order of time, which the unique index on leg wants. Legs
-- from before stay as they are. Nothing is changed here, but an older tandem, which
-- has other IDs for such legs and would book them again, must not open the store.
SELECT 1;
