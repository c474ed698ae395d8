package clickhouse

import (
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"tandem"
)

// tableColumns are the table's columns in insert and select order; a test
// compares names and types with what the migrations make. Columns are filled
// one after the other from slices: a value at a time costs five times the CPU,
// most of it for interfaces.
var tableColumns = [...]tableColumn{
	{"cdr_id", "UUID", ids(func(r *tandem.CDR) uuid.UUID { return r.ID })},
	{"version", "UInt64", numbers(func(r *tandem.CDR) uint64 { return r.Version })},
	{"correlation_id", "UUID", ids(func(r *tandem.CDR) uuid.UUID { return r.Correlation })},
	{"node", "LowCardinality(String)", texts(func(r *tandem.CDR) string { return r.Node })},
	{"node_seq", "UInt64", numbers(func(r *tandem.CDR) uint64 { return uint64(r.NodeSeq) })},
	{"attempt", "UInt16", each(func(r *tandem.CDR) uint16 { return uint16(r.Attempt) })},
	{"is_last", "Bool", flags(func(r *tandem.CDR) bool { return r.Last })},
	{"connected", "Bool", flags(func(r *tandem.CDR) bool { return r.Connected })},
	{"recovered", "Bool", flags(func(r *tandem.CDR) bool { return r.Recovered })},
	{"emergency", "Bool", flags(func(r *tandem.CDR) bool { return r.Emergency })},
	{"failsafe", "Bool", flags(func(r *tandem.CDR) bool { return r.Failsafe })},
	{"technology", "LowCardinality(String)", texts(func(r *tandem.CDR) string { return string(r.Technology) })},
	{"network", "LowCardinality(String)", texts(func(r *tandem.CDR) string { return r.Network })},
	{"trunk", "LowCardinality(String)", texts(func(r *tandem.CDR) string { return string(r.Trunk) })},
	{"endpoint", "LowCardinality(String)", texts(func(r *tandem.CDR) string { return r.Endpoint })},
	{"direction", "LowCardinality(String)", texts(func(r *tandem.CDR) string { return string(r.Direction) })},
	{"account", "LowCardinality(String)", texts(func(r *tandem.CDR) string { return r.Account })},
	{"tenant_id", "UUID", ids(func(r *tandem.CDR) uuid.UUID { return r.Tenant })},
	{"did", "String", texts(func(r *tandem.CDR) string { return string(r.DID) })},
	{"user_type", "LowCardinality(String)", texts(func(r *tandem.CDR) string { return string(r.UserType) })},
	{"plan", "LowCardinality(String)", texts(func(r *tandem.CDR) string { return string(r.Plan) })},
	{"from_number", "String", texts(func(r *tandem.CDR) string { return r.From })},
	{"to_number", "String", texts(func(r *tandem.CDR) string { return r.To })},
	{"sip_call_id", "String", texts(func(r *tandem.CDR) string { return r.SIPCallID })},
	{"invite_time", "DateTime64(3, 'UTC')", each(func(r *tandem.CDR) time.Time { return r.InviteTime })},
	{"ring_time", "Nullable(DateTime64(3, 'UTC'))", each(func(r *tandem.CDR) *time.Time { return r.RingTime })},
	{"answer_time", "Nullable(DateTime64(3, 'UTC'))", each(func(r *tandem.CDR) *time.Time { return r.AnswerTime })},
	{"end_time", "DateTime64(3, 'UTC')", each(func(r *tandem.CDR) time.Time { return r.EndTime })},
	{"duration_ms", "UInt32", each(func(r *tandem.CDR) uint32 { return r.DurationMs })},
	{"pdd_ms", "UInt32", each(func(r *tandem.CDR) uint32 { return r.PDDMs })},
	{"sip_code", "UInt16", each(func(r *tandem.CDR) uint16 { return uint16(r.SIPCode) })},
	{"q850", "UInt8", each(func(r *tandem.CDR) uint8 { return uint8(r.Q850) })},
	{"reason", "String", texts(func(r *tandem.CDR) string { return r.Reason })},
	{"outcome", "LowCardinality(String)", texts(func(r *tandem.CDR) string { return string(r.Outcome) })},
	{"released_by", "LowCardinality(String)", texts(func(r *tandem.CDR) string { return string(r.ReleasedBy) })},
	{"disposition", "LowCardinality(String)", texts(func(r *tandem.CDR) string { return string(r.Disposition) })},
	{"route_trace", "String", texts(func(r *tandem.CDR) string { return r.RouteTrace })},
	{"codec", "LowCardinality(String)", texts(func(r *tandem.CDR) string { return r.Codec })},
	{"srtp", "Bool", flags(func(r *tandem.CDR) bool { return r.SRTP })},
	{"rx_packets", "UInt64", numbers(func(r *tandem.CDR) uint64 { return r.RXPackets })},
	{"rx_lost", "UInt64", numbers(func(r *tandem.CDR) uint64 { return r.RXLost })},
	{"rx_jitter_ms", "Float32", each(func(r *tandem.CDR) float32 { return r.RXJitterMs })},
	{"tx_packets", "UInt64", numbers(func(r *tandem.CDR) uint64 { return r.TXPackets })},
	{"mos", "Float32", each(func(r *tandem.CDR) float32 { return r.MOS })},
	{"charge", "Decimal(18, 6)", each(func(r *tandem.CDR) decimal.Decimal { return decimal.New(int64(r.Charge.Amount), -6) })},
	{"currency", "LowCardinality(String)", texts(func(r *tandem.CDR) string { return string(r.Charge.Currency) })},
	{"rate", "Decimal(18, 10)", each(func(r *tandem.CDR) decimal.Decimal { return decimal.New(int64(r.Charge.Rate), -10) })},
	{"billed_s", "Int64", each(func(r *tandem.CDR) int64 { return r.Charge.BilledS })},
	{"allowance_s", "Int64", each(func(r *tandem.CDR) int64 { return r.Charge.FreeS })},
	{"charged_s", "Int64", each(func(r *tandem.CDR) int64 { return r.Charge.ChargedS })},
	{"number_class", "LowCardinality(String)", texts(func(r *tandem.CDR) string { return string(r.Charge.Class) })},
	{"deck", "LowCardinality(String)", texts(func(r *tandem.CDR) string { return r.Charge.DeckID })},
	{"deck_version", "Int64", each(func(r *tandem.CDR) int64 { return int64(r.Charge.DeckVer) })},
	{"deck_row", "Int64", each(func(r *tandem.CDR) int64 { return r.Charge.DeckRow })},
	{"explanation", "String", texts(func(r *tandem.CDR) string { return r.Charge.Explanation })},
	{"cost", "Decimal(18, 6)", each(func(r *tandem.CDR) decimal.Decimal { return decimal.New(int64(r.Cost.Amount), -6) })},
	{"cost_currency", "LowCardinality(String)", texts(func(r *tandem.CDR) string { return string(r.Cost.Currency) })},
	{"cost_explanation", "String", texts(func(r *tandem.CDR) string { return r.Cost.Explanation })},
}

// tableColumn is one column. values makes the slice that the driver appends; it
// copies, so the slice may be one of s and lives until the next column only.
type tableColumn struct {
	name, kind string
	values     func(rows []tandem.CDR, s *scratch) any
}

// scratch are slices that the columns of most types share, one at a time.
type scratch struct {
	ids     []uuid.UUID
	texts   []string
	numbers []uint64
	flags   []bool
}

func ids(get func(*tandem.CDR) uuid.UUID) func([]tandem.CDR, *scratch) any {
	return func(rows []tandem.CDR, s *scratch) any { s.ids = fill(s.ids, rows, get); return s.ids }
}

func texts(get func(*tandem.CDR) string) func([]tandem.CDR, *scratch) any {
	return func(rows []tandem.CDR, s *scratch) any { s.texts = fill(s.texts, rows, get); return s.texts }
}

func numbers(get func(*tandem.CDR) uint64) func([]tandem.CDR, *scratch) any {
	return func(rows []tandem.CDR, s *scratch) any { s.numbers = fill(s.numbers, rows, get); return s.numbers }
}

func flags(get func(*tandem.CDR) bool) func([]tandem.CDR, *scratch) any {
	return func(rows []tandem.CDR, s *scratch) any { s.flags = fill(s.flags, rows, get); return s.flags }
}

// each is for types of few columns: they get a slice of their own.
func each[T any](get func(*tandem.CDR) T) func([]tandem.CDR, *scratch) any {
	return func(rows []tandem.CDR, _ *scratch) any { return fill(make([]T, 0, len(rows)), rows, get) }
}

func fill[T any](list []T, rows []tandem.CDR, get func(*tandem.CDR) T) []T {
	list = slices.Grow(list[:0], len(rows))
	for i := range rows {
		list = append(list, get(&rows[i]))
	}
	return list
}

// columnTypes is what an insert announces, so that it needs not ask the server.
func columnTypes() []clickhouse.ColumnNameAndType {
	list := make([]clickhouse.ColumnNameAndType, len(tableColumns))
	for i, c := range tableColumns {
		list[i] = clickhouse.ColumnNameAndType{Name: c.name, Type: c.kind}
	}
	return list
}

func columnList() string {
	names := make([]string, len(tableColumns))
	for i, c := range tableColumns {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}
