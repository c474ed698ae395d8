package clickhouse

import (
	"context"
	"embed"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/shopspring/decimal"

	"tandem"
)

//go:embed reports/*.sql
var reportFiles embed.FS

// Reports reads rows back. Errors are *tandem.Error: KindUnavailable when
// ClickHouse is away, KindInvalid for a filter that makes no sense.
type Reports struct{ c *Client }

// Reports gives the reports of a client.
func (c *Client) Reports() *Reports { return &Reports{c} }

const (
	defaultLimit = 1000
	maxLimit     = 1_000_000
)

// CDRs lists rows, newest call first: the detailed report when f.Connected,
// else the log of every leg and attempt.
func (r *Reports) CDRs(ctx context.Context, f tandem.CDRFilter) ([]tandem.CDR, error) {
	return r.rows(ctx, "cdrs", f)
}

// Call lists all legs and attempts of one call, in order. None is KindNotFound.
func (r *Reports) Call(ctx context.Context, id tandem.CorrelationID) ([]tandem.CDR, error) {
	rows, err := r.rows(ctx, "call", tandem.CDRFilter{Correlation: id})
	if err == nil && len(rows) == 0 {
		return nil, &tandem.Error{Kind: tandem.KindNotFound, Message: "no call has the correlation ID " + id.String(),
			Mend: "check the ID; a call appears about a second after its end"}
	}
	return rows, err
}

// Count is the number of rows that CDRs would list without a limit.
func (r *Reports) Count(ctx context.Context, f tandem.CDRFilter) (uint64, error) {
	var n uint64
	err := r.each(ctx, "count", f, func(rows driver.Rows) error { return rows.Scan(&n) })
	return n, err
}

// Total sums rows of one currency.
type Total struct {
	Currency      tandem.Currency `json:"currency"`
	Calls         uint64          `json:"calls"`
	Legs          uint64          `json:"legs"`
	ConnectedLegs uint64          `json:"connected_legs"`
	PhoneMs       uint64          `json:"phone_ms"` // talk time on Phone legs
	Charged       tandem.Amount   `json:"charged"`
}

// Totals sums the rows of a filter per currency.
func (r *Reports) Totals(ctx context.Context, f tandem.CDRFilter) ([]Total, error) {
	var list []Total
	err := r.each(ctx, "totals", f, func(rows driver.Rows) error {
		var t Total
		var currency string
		var charged decimal.Decimal
		err := rows.Scan(&currency, &t.Calls, &t.Legs, &t.ConnectedLegs, &t.PhoneMs, &charged)
		t.Currency, t.Charged = tandem.Currency(currency), tandem.Amount(charged.Shift(6).IntPart())
		list = append(list, t)
		return err
	})
	return list, err
}

func (r *Reports) rows(ctx context.Context, report string, f tandem.CDRFilter) ([]tandem.CDR, error) {
	var list []tandem.CDR
	var s scanned
	targets := s.targets()
	err := r.each(ctx, report, f, func(rows driver.Rows) error {
		s.ring, s.answer = nil, nil
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		list = append(list, s.row())
		return nil
	})
	return list, err
}

func (r *Reports) each(ctx context.Context, report string, f tandem.CDRFilter, take func(driver.Rows) error) error {
	params, err := bind(f)
	if err != nil {
		return err
	}
	away := func(err error) error {
		return &tandem.Error{Kind: tandem.KindUnavailable, Message: "reports are not available: ClickHouse can't be reached or refused", Mend: "see tandem doctor; calls and rating go on meanwhile", Err: err}
	}
	if err := r.c.Migrate(ctx); err != nil {
		return away(err)
	}
	sql, err := r.c.reportSQL(report)
	if err != nil {
		return err
	}
	rows, err := r.c.conn.Query(ctx, sql, params...)
	if err != nil {
		return away(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := take(rows); err != nil {
			return away(err)
		}
	}
	if err := rows.Err(); err != nil {
		return away(err)
	}
	return nil
}

// reportSettings have each row read once, and by the indices.
const reportSettings = "do_not_merge_across_partitions_select_final = 1, use_skip_indexes_if_final = 1"

// notFromTextIndex has numbers compared with their column, after the index has told
// where to look. By default an exact index answers in place of the column, which
// fails (26.5: FILE_DOESNT_EXIST) as long as a part without the index is among
// those that are read: new ones get it when they are merged.
const notFromTextIndex = ", query_plan_direct_read_from_text_index = 0"

func (c *Client) reportSQL(report string) (string, error) {
	body, err := reportFiles.ReadFile("reports/" + report + ".sql")
	if err != nil {
		return "", err
	}
	where, err := reportFiles.ReadFile("reports/where.sql")
	if err != nil {
		return "", err
	}
	settings := reportSettings
	c.mu.Lock()
	if c.textIndex {
		settings += notFromTextIndex
	}
	c.mu.Unlock()
	return render(report, stripComments(string(body)), map[string]string{"Columns": columnList(), "Where": string(where), "Settings": settings})
}

// bind checks a filter and makes the parameters of where.sql.
func bind(f tandem.CDRFilter) ([]any, error) {
	number := strings.TrimPrefix(f.Number, "+")
	if f.Number != "" {
		if len(number) < 4 || strings.Trim(number, "0123456789") != "" {
			return nil, &tandem.Error{Kind: tandem.KindInvalid, Field: "number", Message: fmt.Sprintf("%q can't be searched for", tandem.Clip(f.Number, 40)), Mend: "give at least 4 digits of the number, without separators"}
		}
	}
	if f.Limit < 0 || f.Offset < 0 || f.Limit > maxLimit {
		return nil, &tandem.Error{Kind: tandem.KindInvalid, Field: "limit", Message: fmt.Sprintf("limit %d, offset %d", f.Limit, f.Offset), Mend: fmt.Sprintf("use 0 to %d", maxLimit)}
	}
	limit := f.Limit
	if limit == 0 {
		limit = defaultLimit
	}
	from, to := int64(0), int64(math.MaxInt32)*1000*2 // 2106: what DateTime in the TTL can hold
	if !f.From.IsZero() {
		from = ceilMilli(f.From)
	}
	if !f.To.IsZero() {
		to = ceilMilli(f.To)
	}
	return []any{
		clickhouse.Named("account", f.Account),
		clickhouse.Named("any_call", flag(f.Correlation == tandem.CorrelationID{})), clickhouse.Named("correlation", f.Correlation.String()),
		clickhouse.Named("from_ms", from), clickhouse.Named("to_ms", to),
		clickhouse.Named("number", number), clickhouse.Named("technology", string(f.Technology)), clickhouse.Named("connected", flag(f.Connected)),
		clickhouse.Named("limit", uint64(limit)), clickhouse.Named("offset", uint64(f.Offset)),
	}, nil
}

// ceilMilli rounds up: stored times are cut to milliseconds, a bound within one
// must not include what lies before it.
func ceilMilli(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) {
		ms++
	}
	return ms
}

func flag(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
