package tandem

import (
	"time"

	"github.com/google/uuid"
)

// Charge is what a leg costs and why.
type Charge struct {
	Amount   Amount      `json:"amount"`
	Currency Currency    `json:"currency"`
	Rate     Rate        `json:"rate"`        // per minute, of the part that was charged
	BilledS  int64       `json:"billed_s"`    // duration rounded up to increments
	FreeS    int64       `json:"allowance_s"` // of it, drawn from the free minutes
	ChargedS int64       `json:"charged_s"`   // of it, charged
	Class    NumberClass `json:"class"`       // of the far number
	DeckID   string      `json:"deck,omitempty"`
	DeckVer  int         `json:"deck_version,omitempty"`
	DeckRow  int64       `json:"deck_row,omitempty"`
	// Explanation is a JSON object from which the charge can be recomputed; its form is documented in docs/formats.
	Explanation string `json:"explanation"`
}

// Cost is what a carrier charges us for a leg: beside the charge, for the margin.
type Cost struct {
	Amount      Amount   `json:"amount"`
	Currency    Currency `json:"currency"`
	Explanation string   `json:"explanation"` // of the same form as a charge's
}

// CDR is one row: one leg or attempt of one call, priced. It is what ClickHouse
// stores and what reports return.
type CDR struct {
	ID          uuid.UUID     `json:"cdr_id"` // LegID(Correlation, Attempt)
	Version     uint64        `json:"version"`
	Correlation CorrelationID `json:"correlation_id"`
	Node        string        `json:"node"`
	NodeSeq     JournalPos    `json:"node_seq"` // of the end fact
	Attempt     int           `json:"attempt"`  // 0 = A-leg
	Last        bool          `json:"is_last"`  // the A-leg, and the B-leg that decided the call
	Connected   bool          `json:"connected"`
	Recovered   bool          `json:"recovered"`
	Emergency   bool          `json:"emergency"`
	Failsafe    bool          `json:"failsafe"`

	Technology Technology `json:"technology"`
	Network    string     `json:"network"`
	Trunk      TrunkID    `json:"trunk"`
	Endpoint   string     `json:"endpoint"`
	Direction  Direction  `json:"direction"`
	Account    string     `json:"account"`
	Tenant     TenantID   `json:"tenant_id"`
	DID        E164       `json:"did"`
	UserType   UserType   `json:"user_type"`
	Plan       PlanKind   `json:"plan"`
	From       string     `json:"from"`
	To         string     `json:"to"`
	SIPCallID  string     `json:"sip_call_id"`

	InviteTime time.Time  `json:"invite_time"`
	RingTime   *time.Time `json:"ring_time"`
	AnswerTime *time.Time `json:"answer_time"`
	EndTime    time.Time  `json:"end_time"`
	DurationMs uint32     `json:"duration_ms"`
	PDDMs      uint32     `json:"pdd_ms"`

	SIPCode     SIPStatus   `json:"sip_code"`
	Q850        Cause       `json:"q850"`
	Reason      string      `json:"reason"`
	Outcome     OutcomeKind `json:"outcome"`
	ReleasedBy  ReleasedBy  `json:"released_by"`
	Disposition Disposition `json:"disposition"`
	RouteTrace  string      `json:"route_trace"` // JSON of []TraceStep

	Codec      string  `json:"codec"`
	SRTP       bool    `json:"srtp"`
	RXPackets  uint64  `json:"rx_packets"`
	RXLost     uint64  `json:"rx_lost"`
	RXJitterMs float32 `json:"rx_jitter_ms"`
	TXPackets  uint64  `json:"tx_packets"`
	MOS        float32 `json:"mos"` // estimated, 0 = unknown
	Charge     Charge  `json:"charge"`
	Cost       Cost    `json:"cost,omitzero"` // zero: no carrier's, or one without a cost deck
}

// CDRFilter selects rows of a report. Zero fields do not restrict.
type CDRFilter struct {
	Account     string
	Correlation CorrelationID
	From, To    time.Time // half-open, by InviteTime
	Number      string    // at least 4 digits, contained in the from or to number
	Technology  Technology
	Connected   bool // only connected legs: the detailed report
	Limit       int  // 0 = the report's default
	Offset      int
}
