package clickhouse

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"tandem"
)

// tableColumns are the table's columns in insert and select order; a test
// compares names and types with what the migrations make.
var tableColumns = [...]tableColumn{
	{"cdr_id", "UUID", ids(func(r *tandem.CDR) uuid.UUID { return r.ID })},
	{"version", "UInt64", numbers(func(r *tandem.CDR) uint64 { return r.Version })},
	{"correlation_id", "UUID", ids(func(r *tandem.CDR) uuid.UUID { return r.Correlation })},
	{"node", "LowCardinality(String)", words(func(r *tandem.CDR) string { return r.Node })},
	{"node_seq", "UInt64", numbers(func(r *tandem.CDR) uint64 { return uint64(r.NodeSeq) })},
	{"attempt", "UInt16", shorts(func(r *tandem.CDR) uint16 { return uint16(r.Attempt) })},
	{"is_last", "Bool", flags(func(r *tandem.CDR) bool { return r.Last })},
	{"connected", "Bool", flags(func(r *tandem.CDR) bool { return r.Connected })},
	{"recovered", "Bool", flags(func(r *tandem.CDR) bool { return r.Recovered })},
	{"emergency", "Bool", flags(func(r *tandem.CDR) bool { return r.Emergency })},
	{"failsafe", "Bool", flags(func(r *tandem.CDR) bool { return r.Failsafe })},
	{"technology", "LowCardinality(String)", words(func(r *tandem.CDR) string { return string(r.Technology) })},
	{"network", "LowCardinality(String)", words(func(r *tandem.CDR) string { return r.Network })},
	{"trunk", "LowCardinality(String)", words(func(r *tandem.CDR) string { return string(r.Trunk) })},
	{"endpoint", "LowCardinality(String)", words(func(r *tandem.CDR) string { return r.Endpoint })},
	{"direction", "LowCardinality(String)", words(func(r *tandem.CDR) string { return string(r.Direction) })},
	{"account", "LowCardinality(String)", words(func(r *tandem.CDR) string { return r.Account })},
	{"tenant_id", "UUID", ids(func(r *tandem.CDR) uuid.UUID { return r.Tenant })},
	{"did", "String", texts(func(r *tandem.CDR) string { return string(r.DID) })},
	{"user_type", "LowCardinality(String)", words(func(r *tandem.CDR) string { return string(r.UserType) })},
	{"plan", "LowCardinality(String)", words(func(r *tandem.CDR) string { return string(r.Plan) })},
	{"from_number", "String", texts(func(r *tandem.CDR) string { return r.From })},
	{"to_number", "String", texts(func(r *tandem.CDR) string { return r.To })},
	{"sip_call_id", "String", texts(func(r *tandem.CDR) string { return r.SIPCallID })},
	{"invite_time", "DateTime64(3, 'UTC')", times(func(r *tandem.CDR) time.Time { return r.InviteTime })},
	{"ring_time", "Nullable(DateTime64(3, 'UTC'))", moments(func(r *tandem.CDR) *time.Time { return r.RingTime })},
	{"answer_time", "Nullable(DateTime64(3, 'UTC'))", moments(func(r *tandem.CDR) *time.Time { return r.AnswerTime })},
	{"end_time", "DateTime64(3, 'UTC')", times(func(r *tandem.CDR) time.Time { return r.EndTime })},
	{"duration_ms", "UInt32", counts(func(r *tandem.CDR) uint32 { return r.DurationMs })},
	{"pdd_ms", "UInt32", counts(func(r *tandem.CDR) uint32 { return r.PDDMs })},
	{"sip_code", "UInt16", shorts(func(r *tandem.CDR) uint16 { return uint16(r.SIPCode) })},
	{"q850", "UInt8", octets(func(r *tandem.CDR) uint8 { return uint8(r.Q850) })},
	{"reason", "String", texts(func(r *tandem.CDR) string { return r.Reason })},
	{"outcome", "LowCardinality(String)", words(func(r *tandem.CDR) string { return string(r.Outcome) })},
	{"released_by", "LowCardinality(String)", words(func(r *tandem.CDR) string { return string(r.ReleasedBy) })},
	{"disposition", "LowCardinality(String)", words(func(r *tandem.CDR) string { return string(r.Disposition) })},
	{"route_trace", "String", texts(func(r *tandem.CDR) string { return r.RouteTrace })},
	{"codec", "LowCardinality(String)", words(func(r *tandem.CDR) string { return r.Codec })},
	{"srtp", "Bool", flags(func(r *tandem.CDR) bool { return r.SRTP })},
	{"rx_packets", "UInt64", numbers(func(r *tandem.CDR) uint64 { return r.RXPackets })},
	{"rx_lost", "UInt64", numbers(func(r *tandem.CDR) uint64 { return r.RXLost })},
	{"rx_jitter_ms", "Float32", floats(func(r *tandem.CDR) float32 { return r.RXJitterMs })},
	{"tx_packets", "UInt64", numbers(func(r *tandem.CDR) uint64 { return r.TXPackets })},
	{"mos", "Float32", floats(func(r *tandem.CDR) float32 { return r.MOS })},
	{"charge", "Decimal(18, 6)", decimals(6, func(r *tandem.CDR) int64 { return int64(r.Charge.Amount) })},
	{"currency", "LowCardinality(String)", words(func(r *tandem.CDR) string { return string(r.Charge.Currency) })},
	{"rate", "Decimal(18, 10)", decimals(10, func(r *tandem.CDR) int64 { return int64(r.Charge.Rate) })},
	{"billed_s", "Int64", signed(func(r *tandem.CDR) int64 { return r.Charge.BilledS })},
	{"allowance_s", "Int64", signed(func(r *tandem.CDR) int64 { return r.Charge.FreeS })},
	{"charged_s", "Int64", signed(func(r *tandem.CDR) int64 { return r.Charge.ChargedS })},
	{"number_class", "LowCardinality(String)", words(func(r *tandem.CDR) string { return string(r.Charge.Class) })},
	{"deck", "LowCardinality(String)", words(func(r *tandem.CDR) string { return r.Charge.DeckID })},
	{"deck_version", "Int64", signed(func(r *tandem.CDR) int64 { return int64(r.Charge.DeckVer) })},
	{"deck_row", "Int64", signed(func(r *tandem.CDR) int64 { return r.Charge.DeckRow })},
	{"explanation", "String", texts(func(r *tandem.CDR) string { return r.Charge.Explanation })},
	{"cost", "Decimal(18, 6)", decimals(6, func(r *tandem.CDR) int64 { return int64(r.Cost.Amount) })},
	{"cost_currency", "LowCardinality(String)", words(func(r *tandem.CDR) string { return string(r.Cost.Currency) })},
	{"cost_explanation", "String", texts(func(r *tandem.CDR) string { return r.Cost.Explanation })},
}

// tableColumn is one column, with its values in two forms: for the driver, and
// in the Native format.
type tableColumn struct {
	name, kind string
	source
}

// source gives a column's values. A second indirect call for each of them would
// cost as much as all the rest: every encode has its own loop.
type source struct {
	// values makes the slice that the driver appends; it copies, so the slice may
	// be one of s and lives until the next column only. A value at a time costs
	// five times the CPU, most of it for interfaces.
	values func(rows []tandem.CDR, s *scratch) any
	encode func(e *encoder, rows []tandem.CDR)
}

// scratch are slices that the columns of most types share, one at a time.
type scratch struct {
	ids     []uuid.UUID
	texts   []string
	numbers []uint64
	flags   []bool
}

func ids(get func(*tandem.CDR) uuid.UUID) source {
	return source{
		func(rows []tandem.CDR, s *scratch) any { s.ids = fill(s.ids, rows, get); return s.ids },
		func(e *encoder, rows []tandem.CDR) {
			for i := range rows {
				e.id(get(&rows[i]))
			}
		},
	}
}

func texts(get func(*tandem.CDR) string) source {
	return source{
		func(rows []tandem.CDR, s *scratch) any { s.texts = fill(s.texts, rows, get); return s.texts },
		func(e *encoder, rows []tandem.CDR) {
			for i := range rows {
				e.text(get(&rows[i]))
			}
		},
	}
}

func words(get func(*tandem.CDR) string) source {
	return source{texts(get).values, func(e *encoder, rows []tandem.CDR) { e.dictionary(rows, get) }}
}

func numbers(get func(*tandem.CDR) uint64) source {
	return source{
		func(rows []tandem.CDR, s *scratch) any { s.numbers = fill(s.numbers, rows, get); return s.numbers },
		func(e *encoder, rows []tandem.CDR) {
			for i := range rows {
				e.u64(get(&rows[i]))
			}
		},
	}
}

func flags(get func(*tandem.CDR) bool) source {
	return source{
		func(rows []tandem.CDR, s *scratch) any { s.flags = fill(s.flags, rows, get); return s.flags },
		func(e *encoder, rows []tandem.CDR) {
			for i := range rows {
				e.flag(get(&rows[i]))
			}
		},
	}
}

func octets(get func(*tandem.CDR) uint8) source {
	return source{
		each(get),
		func(e *encoder, rows []tandem.CDR) {
			for i := range rows {
				e.b = append(e.b, get(&rows[i]))
			}
		},
	}
}

func shorts(get func(*tandem.CDR) uint16) source {
	return source{
		each(get),
		func(e *encoder, rows []tandem.CDR) {
			for i := range rows {
				e.b = binary.LittleEndian.AppendUint16(e.b, get(&rows[i]))
			}
		},
	}
}

func counts(get func(*tandem.CDR) uint32) source {
	return source{
		each(get),
		func(e *encoder, rows []tandem.CDR) {
			for i := range rows {
				e.b = binary.LittleEndian.AppendUint32(e.b, get(&rows[i]))
			}
		},
	}
}

func signed(get func(*tandem.CDR) int64) source {
	return source{
		each(get),
		func(e *encoder, rows []tandem.CDR) {
			for i := range rows {
				e.u64(uint64(get(&rows[i])))
			}
		},
	}
}

func floats(get func(*tandem.CDR) float32) source {
	return source{
		each(get),
		func(e *encoder, rows []tandem.CDR) {
			for i := range rows {
				e.b = binary.LittleEndian.AppendUint32(e.b, math.Float32bits(get(&rows[i])))
			}
		},
	}
}

// decimals are counts of the digit at a place behind the point.
func decimals(places int32, get func(*tandem.CDR) int64) source {
	return source{each(func(r *tandem.CDR) decimal.Decimal { return decimal.New(get(r), -places) }), signed(get).encode}
}

func times(get func(*tandem.CDR) time.Time) source {
	return source{
		each(get),
		func(e *encoder, rows []tandem.CDR) {
			for i := range rows {
				e.time(get(&rows[i]))
			}
		},
	}
}

// moments may be missing: first come the marks of those that are.
func moments(get func(*tandem.CDR) *time.Time) source {
	return source{
		each(get),
		func(e *encoder, rows []tandem.CDR) {
			for i := range rows {
				e.flag(get(&rows[i]) == nil)
			}
			for i := range rows {
				if t := get(&rows[i]); t != nil {
					e.time(*t)
				} else {
					e.u64(0)
				}
			}
		},
	}
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
