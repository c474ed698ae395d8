package clickhouse

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"tandem"
)

// driverBlock is what the driver sends for rows over HTTP.
func driverBlock(t testing.TB, rows []tandem.CDR) []byte {
	t.Helper()
	b := proto.NewBlock()
	var s scratch
	for i, c := range tableColumns {
		if err := b.AddColumn(c.name, column.Type(c.kind)); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Columns[i].Append(c.values(rows, &s)); err != nil {
			t.Fatalf("column %s: %v", c.name, err)
		}
	}
	var buffer chproto.Buffer
	if err := b.Encode(&buffer, 0); err != nil {
		t.Fatal(err)
	}
	return buffer.Buf
}

// The two ways of an insert write the same bytes, whatever the rows and whatever
// the encoder wrote before.
func TestEncoderWritesWhatTheDriverDoes(t *testing.T) {
	var e encoder
	check := func(t interface{ Fatalf(string, ...any) }, rows []tandem.CDR, want []byte) {
		if got := e.block(rows); !bytes.Equal(got, want) {
			n := 0
			for n < min(len(got), len(want)) && got[n] == want[n] {
				n++
			}
			t.Fatalf("%d rows: %d and %d bytes, different from %d on", len(rows), len(got), len(want), n)
		}
	}
	for name, rows := range map[string][]tandem.CDR{"sample": sampleRows(100), "bench": benchRows(100, 0), "zero": make([]tandem.CDR, 3)} {
		t.Run(name, func(t *testing.T) { check(t, rows, driverBlock(t, rows)) })
	}
	for _, words := range []int{1, 2, 3, 254, 255, 256, 65534, 65535, 65536} {
		t.Run(fmt.Sprint(words, " words"), func(t *testing.T) {
			rows := make([]tandem.CDR, words+10)
			for i := range rows {
				rows[i].Account = fmt.Sprint(i % words)
				rows[i].Network = fmt.Sprint(i * i % words)
			}
			check(t, rows, driverBlock(t, rows))
		})
	}
	t.Run("any", rapid.MakeCheck(func(r *rapid.T) {
		rows := rapid.SliceOfN(anyRow(), 1, 20).Draw(r, "rows")
		check(r, rows, driverBlock(t, rows))
	}))
}

// anyRow draws all fields that are stored.
func anyRow() *rapid.Generator[tandem.CDR] {
	text := rapid.OneOf(rapid.SampledFrom([]string{"", "a", "b"}), rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
	instant := rapid.OneOf(rapid.Just(time.Time{}), rapid.Map(rapid.Int64Range(0, 4_000_000_000_000), func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }))
	id := rapid.Map(rapid.SliceOfN(rapid.Byte(), 16, 16), func(b []byte) uuid.UUID { return uuid.UUID(b) })
	return rapid.Custom(func(t *rapid.T) tandem.CDR {
		s := func() string { return text.Draw(t, "text") }
		flag := func() bool { return rapid.Bool().Draw(t, "flag") }
		u64 := func() uint64 { return rapid.Uint64().Draw(t, "number") }
		i64 := func() int64 { return rapid.Int64().Draw(t, "number") }
		money := func() int64 {
			return rapid.Int64Range(-999_999_999_999_999_999, 999_999_999_999_999_999).Draw(t, "money")
		}
		maybe := func() *time.Time {
			if flag() {
				return nil
			}
			at := instant.Draw(t, "time")
			return &at
		}
		return tandem.CDR{
			ID: id.Draw(t, "id"), Version: u64(), Correlation: id.Draw(t, "id"), Node: s(), NodeSeq: tandem.JournalPos(u64()), Attempt: rapid.IntRange(0, 65535).Draw(t, "attempt"),
			Last: flag(), Connected: flag(), Recovered: flag(), Emergency: flag(), Failsafe: flag(), Technology: tandem.Technology(s()), Network: s(), Trunk: tandem.TrunkID(s()), Endpoint: s(),
			Direction: tandem.Direction(s()), Account: s(), Tenant: id.Draw(t, "id"), DID: tandem.E164(s()), UserType: tandem.UserType(s()), Plan: tandem.PlanKind(s()), From: s(), To: s(), SIPCallID: s(),
			InviteTime: instant.Draw(t, "time"), RingTime: maybe(), AnswerTime: maybe(), EndTime: instant.Draw(t, "time"), DurationMs: rapid.Uint32().Draw(t, "ms"), PDDMs: rapid.Uint32().Draw(t, "ms"),
			SIPCode: tandem.SIPStatus(rapid.Uint16().Draw(t, "status")), Q850: tandem.Cause(rapid.Uint8().Draw(t, "cause")), Reason: s(), Outcome: tandem.OutcomeKind(s()), ReleasedBy: tandem.ReleasedBy(s()),
			Disposition: tandem.Disposition(s()), RouteTrace: s(), Codec: s(), SRTP: flag(), RXPackets: u64(), RXLost: u64(), RXJitterMs: rapid.Float32().Draw(t, "jitter"), TXPackets: u64(), MOS: rapid.Float32().Draw(t, "mos"),
			Charge: tandem.Charge{Amount: tandem.Amount(money()), Currency: tandem.Currency(s()), Rate: tandem.Rate(money()), BilledS: i64(), FreeS: i64(), ChargedS: i64(), Class: tandem.NumberClass(s()),
				DeckID: s(), DeckVer: int(i64()), DeckRow: i64(), Explanation: s()},
			Cost: tandem.Cost{Amount: tandem.Amount(money()), Currency: tandem.Currency(s()), Explanation: s()},
		}
	})
}

// TestEncoderKeepsItsMemory: inserts of one size cost no garbage but the first.
func TestEncoderKeepsItsMemory(t *testing.T) {
	rows := benchRows(500, 0)
	var e encoder
	e.block(rows)
	if n := testing.AllocsPerRun(10, func() { e.block(rows) }); n > 0 {
		t.Errorf("%v allocations for %d rows", n, len(rows))
	}
}

func BenchmarkEncode(b *testing.B) {
	rows := benchRows(1000, 0)
	var e encoder
	b.SetBytes(int64(len(e.block(rows))))
	b.ReportAllocs()
	for b.Loop() {
		e.block(rows)
	}
}
