package cdr

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"tandem"
)

// MOSFunc estimates the listening quality of a received stream (ITU-T G.107)
// from its counters: packets lost and received, jitter in milliseconds, codec.
type MOSFunc func(lost, packets uint64, jitterMs float32, codec string) float32

// Assembler makes rows of facts. The zero value works; without MOS the column
// stays 0 (unknown).
type Assembler struct {
	MOS MOSFunc
}

// Rows makes the rows of an ended call, one per leg and attempt, unpriced: two
// connected ones (Operator Connect and Phone) for a connected call, the failed
// attempts beside them. It is pure: a replay of the fact gives the same rows
// with the same IDs. Facts other than ends give none.
func (a Assembler) Rows(f tandem.JournalFact) []tandem.CDR {
	return a.AppendRows(nil, f)
}

// AppendRows is Rows behind others.
func (a Assembler) AppendRows(rows []tandem.CDR, f tandem.JournalFact) []tandem.CDR {
	if f.Kind != tandem.FactEnd {
		return rows
	}
	c := &f.Call
	trace := routeTrace(c.Trace)
	decided := decidingLeg(c.Legs)
	rows = slices.Grow(rows, len(c.Legs))
	for i := range c.Legs {
		l := &c.Legs[i]
		from, to := l.From, l.To
		if i == 0 {
			// The A-leg shows what its numbers mean, not how the peer wrote them.
			from, to = c.From, c.To
		}
		row := tandem.CDR{
			ID: tandem.LegID(c.Correlation, i), Version: 1, Correlation: c.Correlation, Node: c.Node, NodeSeq: f.Pos,
			Attempt: i, Last: i == 0 || i == decided, Connected: l.Connected(), Recovered: c.Recovered, Emergency: c.Emergency, Failsafe: l.Failsafe,
			Technology: l.Technology, Network: l.Network, Trunk: l.Trunk, Endpoint: l.Endpoint, Direction: c.Direction,
			Account: c.Account, Tenant: c.Tenant, DID: c.DID, UserType: c.UserType, Plan: c.Plan,
			From: orElse(from, l.From, c.From), To: orElse(to, l.To, c.To), SIPCallID: l.SIPCallID,
			InviteTime: milli(firstSet(l.SetupTime, c.Legs[0].SetupTime, f.At)), RingTime: optional(l.RingTime), AnswerTime: optional(l.AnswerTime),
			EndTime: milli(firstSet(l.ReleaseTime, c.Legs[0].ReleaseTime, f.At)), DurationMs: millis(l.Duration), PDDMs: millis(l.PDD()),
			SIPCode: l.Status, Q850: l.Cause, Reason: l.ReasonText, Outcome: l.Outcome, ReleasedBy: l.ReleasedBy, Disposition: l.Disposition,
			RouteTrace: trace, Codec: l.Codec, SRTP: l.SRTP,
			RXPackets: l.RX.Packets, RXLost: l.RX.Lost, RXJitterMs: float32(l.RX.JitterMicros) / 1000, TXPackets: l.TX.Packets,
		}
		if a.MOS != nil && l.RX.Packets > 0 {
			row.MOS = a.MOS(l.RX.Lost, l.RX.Packets, row.RXJitterMs, l.Codec)
		}
		rows = append(rows, row)
	}
	return rows
}

// routeTrace is the JSON of the steps, as encoding/json makes it; plain text, as
// nearly all is, without reflection.
func routeTrace(steps []tandem.TraceStep) string {
	if len(steps) == 0 {
		return "[]"
	}
	size := 0
	for i := range steps {
		if !plainJSON(steps[i].Rule) || !plainJSON(steps[i].Detail) {
			if b, err := json.Marshal(steps); err == nil {
				return string(b)
			}
			return "[]"
		}
		size += len(`,{"rule":"","detail":""}`) + len(steps[i].Rule) + len(steps[i].Detail)
	}
	var b strings.Builder
	b.Grow(size + len("]"))
	b.WriteByte('[')
	for i, step := range steps {
		if i > 0 {
			b.WriteByte(',')
		}
		for _, part := range [...]string{`{"rule":"`, step.Rule, `","detail":"`, step.Detail, `"}`} {
			b.WriteString(part)
		}
	}
	b.WriteByte(']')
	return b.String()
}

// plainJSON reports whether encoding/json writes s as it is.
func plainJSON(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}

// decidingLeg is the B-leg that made the call what it became: the answered one,
// else the last that was really tried, else the last on record.
func decidingLeg(legs []tandem.LegRecord) int {
	decided, tried := len(legs)-1, -1
	for i := 1; i < len(legs); i++ {
		if legs[i].Connected() {
			return i
		}
		if legs[i].Outcome != tandem.OutcomeSkipped {
			tried = i
		}
	}
	if tried >= 0 {
		return tried
	}
	return decided
}

func orElse(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func firstSet(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// milli is the precision that ClickHouse stores; the same here, so that a row
// read back equals the row written.
func milli(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = milli(t)
	return &t
}

func millis(d time.Duration) uint32 {
	return uint32(min(max(d.Milliseconds(), 0), math.MaxUint32))
}
