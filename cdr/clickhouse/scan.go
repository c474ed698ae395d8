package clickhouse

import (
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"tandem"
)

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
	charge, rate, cost                                             decimal.Decimal
	currency, class, deck, explanation                             string
	costCurrency, costExplanation                                  string
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
		&s.cost, &s.costCurrency, &s.costExplanation,
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
		Cost: tandem.Cost{Amount: tandem.Amount(s.cost.Shift(6).IntPart()), Currency: tandem.Currency(s.costCurrency), Explanation: s.costExplanation},
	}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
