package store

import (
	"context"
	"fmt"
	"time"

	"tandem"
	"tandem/provisioning"
)

const eventColumns = "kind, account, did, cycle, at, used_s, limit_s, balance, threshold, currency"

// Notice implements tandem.LedgerTx.
func (b *books) Notice(e tandem.UsageEvent) (fresh bool, err error) {
	result, err := b.s.notice.ExecContext(b.ctx, string(e.Kind), e.Account, string(e.DID), micros(e.Cycle), micros(e.At), e.UsedS, e.LimitS,
		int64(e.Balance), int64(e.Threshold), string(e.Currency))
	if err != nil {
		return false, fmt.Errorf("store event %s of account %s: %w", e.Kind, e.Account, err)
	}
	added, err := result.RowsAffected()
	return added == 1, err
}

// Buckets implements provisioning.Books.
func (s *Store) Buckets(ctx context.Context, account string, cycle time.Time) (map[tandem.E164]int64, error) {
	return s.secondsByNumber(ctx, "SELECT did, used_s FROM ledger_bucket WHERE account = ? AND cycle = ?", account, micros(cycle))
}

// Charged implements provisioning.Books.
func (s *Store) Charged(ctx context.Context, account string, from, to time.Time) (map[tandem.E164]int64, error) {
	return s.secondsByNumber(ctx, `SELECT e.did, sum(e.charged_s) FROM ledger_posting p JOIN ledger_entry e ON e.leg = p.leg
		WHERE p.customer = ? AND p.kind = ? AND p.at >= ? AND p.at < ? GROUP BY 1`, customerPrefix+account, string(tandem.PostCharge), micros(from), micros(to))
}

// secondsByNumber runs a query for numbers and seconds.
func (s *Store) secondsByNumber(ctx context.Context, query string, args ...any) (map[tandem.E164]int64, error) {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, describe(s.path, err)
	}
	defer rows.Close()
	out := map[tandem.E164]int64{}
	for rows.Next() {
		var did tandem.E164
		var seconds int64
		if err := rows.Scan(&did, &seconds); err != nil {
			return nil, describe(s.path, err)
		}
		out[did] = seconds
	}
	return out, describe(s.path, rows.Err())
}

// UsageEvents implements provisioning.Books.
func (s *Store) UsageEvents(ctx context.Context, q provisioning.EventQuery) (out []tandem.UsageEvent, total int, err error) {
	const where = " FROM usage_event WHERE (?1 = '' OR account = ?1) AND (?2 = '' OR did = ?2) AND at >= ?3 AND at < ?4"
	from, to := int64(0), micros(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
	if !q.From.IsZero() {
		from = micros(q.From)
	}
	if !q.To.IsZero() {
		to = micros(q.To)
	}
	args := []any{q.Account, string(q.DID), from, to}
	if err := s.read.QueryRowContext(ctx, "SELECT count(*)"+where, args...).Scan(&total); err != nil {
		return nil, 0, describe(s.path, err)
	}
	rows, err := s.read.QueryContext(ctx, "SELECT "+eventColumns+where+" ORDER BY at DESC, seq DESC LIMIT ?5 OFFSET ?6", append(args, q.Limit, q.Offset)...)
	if err != nil {
		return nil, 0, describe(s.path, err)
	}
	defer rows.Close()
	for rows.Next() {
		var e tandem.UsageEvent
		var cycle, at int64
		if err := rows.Scan(&e.Kind, &e.Account, &e.DID, &cycle, &at, &e.UsedS, &e.LimitS, &e.Balance, &e.Threshold, &e.Currency); err != nil {
			return nil, 0, describe(s.path, err)
		}
		e.Cycle, e.At = fromMicros(cycle), fromMicros(at)
		out = append(out, e)
	}
	return out, total, describe(s.path, rows.Err())
}

// quarter is the step in which postings are summed up for days: no zone of the
// present is off UTC by less than a quarter of an hour.
const quarter = 15 * 60 * 1_000_000

// Spent implements provisioning.Books.
func (s *Store) Spent(ctx context.Context, account string, currency tandem.Currency, from, to time.Time) ([]provisioning.SpentQuarter, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT at / ?1, kind, count(*), sum(iif(credit = customer, amount, -amount)) FROM ledger_posting
		WHERE customer = ?2 AND currency = ?3 AND at >= ?4 AND at < ?5 GROUP BY 1, 2 ORDER BY 1`, quarter, customerPrefix+account, string(currency), micros(from), micros(to))
	if err != nil {
		return nil, describe(s.path, err)
	}
	defer rows.Close()
	var out []provisioning.SpentQuarter
	for rows.Next() {
		var q provisioning.SpentQuarter
		var at int64
		if err := rows.Scan(&at, &q.Kind, &q.Count, &q.Amount); err != nil {
			return nil, describe(s.path, err)
		}
		q.At = fromMicros(at * quarter)
		out = append(out, q)
	}
	return out, describe(s.path, rows.Err())
}
