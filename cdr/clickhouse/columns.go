package clickhouse

import (
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"tandem"
)

// columnTypes is the table's columns in insert and select order; a test
// compares it with what the migrations make.
var columnTypes = [...]clickhouse.ColumnNameAndType{
	{Name: "cdr_id", Type: "UUID"}, {Name: "version", Type: "UInt64"}, {Name: "correlation_id", Type: "UUID"},
	{Name: "node", Type: "LowCardinality(String)"}, {Name: "node_seq", Type: "UInt64"}, {Name: "attempt", Type: "UInt16"},
	{Name: "is_last", Type: "Bool"}, {Name: "connected", Type: "Bool"}, {Name: "recovered", Type: "Bool"}, {Name: "emergency", Type: "Bool"}, {Name: "failsafe", Type: "Bool"},
	{Name: "technology", Type: "LowCardinality(String)"}, {Name: "network", Type: "LowCardinality(String)"}, {Name: "trunk", Type: "LowCardinality(String)"},
	{Name: "endpoint", Type: "LowCardinality(String)"}, {Name: "direction", Type: "LowCardinality(String)"}, {Name: "account", Type: "LowCardinality(String)"},
	{Name: "tenant_id", Type: "UUID"}, {Name: "did", Type: "String"}, {Name: "user_type", Type: "LowCardinality(String)"}, {Name: "plan", Type: "LowCardinality(String)"},
	{Name: "from_number", Type: "String"}, {Name: "to_number", Type: "String"}, {Name: "sip_call_id", Type: "String"},
	{Name: "invite_time", Type: "DateTime64(3, 'UTC')"}, {Name: "ring_time", Type: "Nullable(DateTime64(3, 'UTC'))"}, {Name: "answer_time", Type: "Nullable(DateTime64(3, 'UTC'))"},
	{Name: "end_time", Type: "DateTime64(3, 'UTC')"}, {Name: "duration_ms", Type: "UInt32"}, {Name: "pdd_ms", Type: "UInt32"},
	{Name: "sip_code", Type: "UInt16"}, {Name: "q850", Type: "UInt8"}, {Name: "reason", Type: "String"}, {Name: "outcome", Type: "LowCardinality(String)"},
	{Name: "released_by", Type: "LowCardinality(String)"}, {Name: "disposition", Type: "LowCardinality(String)"}, {Name: "route_trace", Type: "String"},
	{Name: "codec", Type: "LowCardinality(String)"}, {Name: "srtp", Type: "Bool"}, {Name: "rx_packets", Type: "UInt64"}, {Name: "rx_lost", Type: "UInt64"},
	{Name: "rx_jitter_ms", Type: "Float32"}, {Name: "tx_packets", Type: "UInt64"}, {Name: "mos", Type: "Float32"},
	{Name: "charge", Type: "Decimal(18, 6)"}, {Name: "currency", Type: "LowCardinality(String)"}, {Name: "rate", Type: "Decimal(18, 10)"},
	{Name: "billed_s", Type: "Int64"}, {Name: "allowance_s", Type: "Int64"}, {Name: "charged_s", Type: "Int64"}, {Name: "number_class", Type: "LowCardinality(String)"},
	{Name: "deck", Type: "LowCardinality(String)"}, {Name: "deck_version", Type: "Int64"}, {Name: "deck_row", Type: "Int64"}, {Name: "explanation", Type: "String"},
}

func columnList() string {
	names := make([]string, len(columnTypes))
	for i, c := range columnTypes {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}

// values are a row's values in the order of columnTypes.
func values(r *tandem.CDR) []any {
	c := &r.Charge
	return []any{
		r.ID, r.Version, r.Correlation, r.Node, uint64(r.NodeSeq), uint16(r.Attempt),
		r.Last, r.Connected, r.Recovered, r.Emergency, r.Failsafe,
		string(r.Technology), r.Network, string(r.Trunk), r.Endpoint, string(r.Direction), r.Account,
		r.Tenant, string(r.DID), string(r.UserType), string(r.Plan),
		r.From, r.To, r.SIPCallID, r.InviteTime, r.RingTime, r.AnswerTime, r.EndTime, r.DurationMs, r.PDDMs,
		uint16(r.SIPCode), uint8(r.Q850), r.Reason, string(r.Outcome), string(r.ReleasedBy), string(r.Disposition), r.RouteTrace,
		r.Codec, r.SRTP, r.RXPackets, r.RXLost, r.RXJitterMs, r.TXPackets, r.MOS,
		decimal.New(int64(c.Amount), -6), string(c.Currency), decimal.New(int64(c.Rate), -10),
		c.BilledS, c.FreeS, c.ChargedS, string(c.Class), c.DeckID, int64(c.DeckVer), c.DeckRow, c.Explanation,
	}
}

// scanned receives one row in the driver's own types.
type scanned struct {
	id, correlation, tenant                                        uuid.UUID
	version, nodeSeq, rxPackets, rxLost, txPackets                 uint64
	attempt, sipCode                                               uint16
	q850                                                           uint8
	last, connected, recovered, emergency, failsafe, srtp          bool
	node, technology, network, trunk, endpoint, direction, account string
	did, userType, plan, from, to, callID                          string
	invite, end                                                    time.Time
	ring, answer                                                   *time.Time
	durationMs, pddMs                                              uint32
	reason, outcome, releasedBy, disposition, trace, codec         string
	jitter, mos                                                    float32
	charge, rate                                                   decimal.Decimal
	currency, class, deck, explanation                             string
	billed, free, charged, deckVersion, deckRow                    int64
}

func (s *scanned) targets() []any {
	return []any{
		&s.id, &s.version, &s.correlation, &s.node, &s.nodeSeq, &s.attempt, &s.last, &s.connected, &s.recovered, &s.emergency, &s.failsafe,
		&s.technology, &s.network, &s.trunk, &s.endpoint, &s.direction, &s.account, &s.tenant, &s.did, &s.userType, &s.plan,
		&s.from, &s.to, &s.callID, &s.invite, &s.ring, &s.answer, &s.end, &s.durationMs, &s.pddMs,
		&s.sipCode, &s.q850, &s.reason, &s.outcome, &s.releasedBy, &s.disposition, &s.trace,
		&s.codec, &s.srtp, &s.rxPackets, &s.rxLost, &s.jitter, &s.txPackets, &s.mos,
		&s.charge, &s.currency, &s.rate, &s.billed, &s.free, &s.charged, &s.class, &s.deck, &s.deckVersion, &s.deckRow, &s.explanation,
	}
}

func (s *scanned) row() tandem.CDR {
	return tandem.CDR{
		ID: s.id, Version: s.version, Correlation: s.correlation, Node: s.node, NodeSeq: tandem.JournalPos(s.nodeSeq), Attempt: int(s.attempt),
		Last: s.last, Connected: s.connected, Recovered: s.recovered, Emergency: s.emergency, Failsafe: s.failsafe,
		Technology: tandem.Technology(s.technology), Network: s.network, Trunk: tandem.TrunkID(s.trunk), Endpoint: s.endpoint,
		Direction: tandem.Direction(s.direction), Account: s.account, Tenant: s.tenant, DID: tandem.E164(s.did),
		UserType: tandem.UserType(s.userType), Plan: tandem.PlanKind(s.plan), From: s.from, To: s.to, SIPCallID: s.callID,
		InviteTime: s.invite.UTC(), RingTime: utc(s.ring), AnswerTime: utc(s.answer), EndTime: s.end.UTC(), DurationMs: s.durationMs, PDDMs: s.pddMs,
		SIPCode: tandem.SIPStatus(s.sipCode), Q850: tandem.Cause(s.q850), Reason: s.reason, Outcome: tandem.OutcomeKind(s.outcome),
		ReleasedBy: tandem.ReleasedBy(s.releasedBy), Disposition: tandem.Disposition(s.disposition), RouteTrace: s.trace,
		Codec: s.codec, SRTP: s.srtp, RXPackets: s.rxPackets, RXLost: s.rxLost, RXJitterMs: s.jitter, TXPackets: s.txPackets, MOS: s.mos,
		Charge: tandem.Charge{
			Amount: tandem.Amount(s.charge.Shift(6).IntPart()), Currency: tandem.Currency(s.currency), Rate: tandem.Rate(s.rate.Shift(10).IntPart()),
			BilledS: s.billed, FreeS: s.free, ChargedS: s.charged, Class: tandem.NumberClass(s.class),
			DeckID: s.deck, DeckVer: int(s.deckVersion), DeckRow: s.deckRow, Explanation: s.explanation,
		},
	}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
