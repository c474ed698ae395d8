-- +goose Up

-- Credit of an account and the subscription fees of its plans, in 1e-6 of its
-- currency. Neither prepaid nor a credit limit: its calls need no credit.
ALTER TABLE account ADD COLUMN prepaid INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN credit_limit INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN fee_metered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN fee_unlimited INTEGER NOT NULL DEFAULT 0;
