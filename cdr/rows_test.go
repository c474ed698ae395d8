package cdr

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"tandem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func leg(tech tandem.Technology, answered bool) tandem.LegRecord {
	l := tandem.LegRecord{Technology: tech, SetupTime: noon, ReleaseTime: noon.Add(time.Minute), RX: tandem.StreamStats{Packets: 10, JitterMicros: 1500}}
	if answered {
		l.AnswerTime, l.Duration, l.Disposition, l.Outcome = noon.Add(time.Second), 59*time.Second, tandem.Answered, tandem.OutcomeAnswered
	} else {
		l.Disposition, l.Outcome = tandem.FailedNetwork, tandem.OutcomeConnection
	}
	return l
}

func TestRowsOfACall(t *testing.T) {
	skipped := tandem.LegRecord{Technology: tandem.OperatorConnect, Outcome: tandem.OutcomeSkipped}
	forward := leg(tandem.Phone, true)
	forward.Failsafe = true
	cases := map[string]struct {
		legs      []tandem.LegRecord
		connected map[tandem.Technology]int
		last      []bool
	}{
		"connected call has two connected rows": {[]tandem.LegRecord{leg(tandem.Phone, true), leg(tandem.OperatorConnect, true)},
			map[tandem.Technology]int{tandem.Phone: 1, tandem.OperatorConnect: 1}, []bool{true, true}},
		"failed attempt stays on record": {[]tandem.LegRecord{leg(tandem.Phone, true), leg(tandem.OperatorConnect, false), leg(tandem.OperatorConnect, true)},
			map[tandem.Technology]int{tandem.Phone: 1, tandem.OperatorConnect: 1}, []bool{true, false, true}},
		"failsafe call has two Phone legs": {[]tandem.LegRecord{leg(tandem.Phone, true), leg(tandem.OperatorConnect, false), forward},
			map[tandem.Technology]int{tandem.Phone: 2}, []bool{true, false, true}},
		"skipped endpoint does not decide": {[]tandem.LegRecord{leg(tandem.Phone, false), leg(tandem.OperatorConnect, false), skipped},
			map[tandem.Technology]int{}, []bool{true, true, false}},
		"only skipped endpoints":      {[]tandem.LegRecord{leg(tandem.Phone, false), skipped, skipped}, map[tandem.Technology]int{}, []bool{true, false, true}},
		"rejected before any attempt": {[]tandem.LegRecord{leg(tandem.Phone, false)}, map[tandem.Technology]int{}, []bool{true}},
		"no leg, no row":              {nil, map[tandem.Technology]int{}, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			id := uuid.New()
			fact := tandem.JournalFact{Pos: 7, Kind: tandem.FactEnd, At: noon, Call: tandem.CallRecord{Correlation: id, From: "+12065550123", To: "+14255550100", Legs: tc.legs}}
			rows := Assembler{MOS: func(lost, packets uint64, jitter float32, codec string) float32 { return jitter }}.Rows(fact)
			if len(rows) != len(tc.legs) {
				t.Fatalf("%d rows of %d legs", len(rows), len(tc.legs))
			}
			got := map[tandem.Technology]int{}
			for i, r := range rows {
				if r.ID != tandem.LegID(id, i) || r.Attempt != i || r.NodeSeq != 7 || r.Last != tc.last[i] {
					t.Errorf("row %d: %+v", i, r)
				}
				if r.Connected {
					got[r.Technology]++
					if r.DurationMs != 59_000 || r.AnswerTime == nil || r.MOS != 1.5 {
						t.Errorf("row %d: %+v", i, r)
					}
				}
			}
			if len(got) != len(tc.connected) || got[tandem.Phone] != tc.connected[tandem.Phone] || got[tandem.OperatorConnect] != tc.connected[tandem.OperatorConnect] {
				t.Errorf("connected rows %v, want %v", got, tc.connected)
			}
		})
	}
	if rows := (Assembler{}).Rows(tandem.JournalFact{Kind: tandem.FactAnswer, Call: tandem.CallRecord{Legs: make([]tandem.LegRecord, 2)}}); rows != nil {
		t.Error("an answer gave rows")
	}
}

func TestRouteTraceIsTheJSONOfItsSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringMatching(`[ -~]{0,20}`), rapid.String())
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) tandem.TraceStep {
			return tandem.TraceStep{Rule: text.Draw(t, "rule"), Detail: text.Draw(t, "detail")}
		}), 1, 5).Draw(t, "steps")
		want, err := json.Marshal(steps)
		if got := routeTrace(steps); err != nil || got != string(want) {
			t.Fatalf("got  %s\nwant %s, %v", got, want, err)
		}
	})
	if got := routeTrace(nil); got != "[]" {
		t.Errorf("no steps give %s", got)
	}
}

func BenchmarkRows(b *testing.B) {
	fact := tandem.JournalFact{Pos: 7, Kind: tandem.FactEnd, At: noon, Call: tandem.CallRecord{Correlation: uuid.New(), From: "+12065550123", To: "+14255550100",
		Trace: []tandem.TraceStep{{Rule: "inbound", Detail: "+14255550101 of contoso"}, {Rule: "teams", Detail: "sip.pstnhub.test:5061 is up"}, {Rule: "failsafe", Detail: "+12065550199 by carrier-east"}},
		Legs:  []tandem.LegRecord{leg(tandem.Phone, true), leg(tandem.OperatorConnect, true)}}}
	b.ReportAllocs()
	for b.Loop() {
		Assembler{}.Rows(fact)
	}
}
