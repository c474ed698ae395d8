package rating

import (
	"encoding/json"
	"fmt"
	"time"

	"tandem"
)

// Explanation is stored with each charge: everything that it was computed from,
// so that it can be recomputed from the row alone. docs/formats/explanation.md
// describes the fields.
type Explanation struct {
	Form       int                `json:"form"` // 1
	Rule       Rule               `json:"rule"`
	Leg        LegKind            `json:"leg,omitempty"`
	Number     string             `json:"number,omitempty"`
	Class      tandem.NumberClass `json:"class,omitempty"`
	AnswerTime time.Time          `json:"answer_time,omitzero"`
	DurationMs uint32             `json:"duration_ms"`
	Deck       *ExplainedRow      `json:"deck,omitempty"`
	Allowance  *ExplainedBucket   `json:"allowance,omitempty"`
	BilledS    int64              `json:"billed_s"`
	FreeS      int64              `json:"free_s"`
	ChargedS   int64              `json:"charged_s"`
	Fee        tandem.Amount      `json:"fee"`      // the connect fee as charged
	Rounding   string             `json:"rounding"` // "half_even", of fee + rate * charged_s / 60 at six decimals
	Amount     tandem.Amount      `json:"amount"`
	Error      string             `json:"error,omitempty"` // with rule unrated: why no price was found
}

// ExplainedRow is the deck row as it was.
type ExplainedRow struct {
	ID            string          `json:"id"`
	Version       int             `json:"version"`
	Currency      tandem.Currency `json:"currency"`
	Row           int64           `json:"row"`
	Prefix        string          `json:"prefix"`
	Destination   string          `json:"destination,omitempty"`
	Rate          tandem.Rate     `json:"rate"`
	ConnectFee    tandem.Amount   `json:"connect_fee"`
	InitialInc    int64           `json:"initial_inc"`
	NextInc       int64           `json:"next_inc"`
	EffectiveFrom time.Time       `json:"effective_from,omitzero"`
	EffectiveTo   time.Time       `json:"effective_to,omitzero"`
}

// ExplainedBucket is the bucket around this leg.
type ExplainedBucket struct {
	Account  string      `json:"account"`
	DID      tandem.E164 `json:"did"`
	Cycle    time.Time   `json:"cycle"`     // first instant
	CycleEnd time.Time   `json:"cycle_end"` // first instant of the next
	LimitS   int64       `json:"limit_s"`
	BeforeS  int64       `json:"before_s"` // drawn before this leg
	AfterS   int64       `json:"after_s"`  // drawn after it
}

// roundingHalfEven is the only rounding of form 1.
const roundingHalfEven = "half_even"

func (a *Assessment) explain(p Price, used int64) Explanation {
	e := Explanation{Form: 1, Rule: a.Rule, DurationMs: a.durationMs, Rounding: roundingHalfEven, Error: a.Error}
	if !a.Bookable() {
		return e
	}
	e.Leg, e.Number, e.Class, e.AnswerTime = a.Kind, a.Number, a.Class, a.At
	e.BilledS, e.FreeS, e.ChargedS, e.Fee, e.Amount = p.BilledS, p.FreeS, p.ChargedS, p.Fee, p.Amount
	if r := a.row; r != nil {
		e.Deck = &ExplainedRow{ID: a.deck.ID, Version: a.deck.Version, Currency: a.deck.Currency, Row: r.ID, Prefix: r.Prefix, Destination: r.Destination,
			Rate: r.Rate, ConnectFee: r.ConnectFee, InitialInc: int64(r.InitialInc), NextInc: int64(r.NextInc), EffectiveFrom: r.EffectiveFrom, EffectiveTo: r.EffectiveTo}
	}
	if a.Rule == RuleAllowance {
		e.Allowance = &ExplainedBucket{Account: a.Bucket.Account, DID: a.Bucket.DID, Cycle: a.Bucket.Cycle, CycleEnd: a.cycleEnd,
			LimitS: a.LimitS, BeforeS: used, AfterS: used + p.FreeS}
	}
	return e
}

// String is the JSON form.
func (e Explanation) String() string {
	b, err := json.Marshal(e)
	if err != nil { // a year beyond 9999 is all that can't be written
		return `{"form":1,"rule":"unrated","error":"the explanation can't be written"}`
	}
	return string(b)
}

// ParseExplanation reads what String writes.
func ParseExplanation(s string) (Explanation, error) {
	var e Explanation
	if err := json.Unmarshal([]byte(s), &e); err != nil {
		return e, &tandem.Error{Kind: tandem.KindInvalid, Field: "explanation", Message: "is not a JSON object of a charge", Err: err}
	}
	if e.Form != 1 {
		return e, &tandem.Error{Kind: tandem.KindInvalid, Field: "explanation.form", Message: itoa(int64(e.Form)) + " is not a form that this version knows", Mend: "use the version that wrote it, or a newer one"}
	}
	return e, nil
}

// Recompute prices the leg again from the explanation alone.
func (e Explanation) Recompute() (Price, error) {
	if (e.Rule != RuleMetered && e.Rule != RuleAllowance) || e.Deck == nil {
		return Price{}, nil
	}
	var available int64
	if e.Allowance != nil {
		available = e.Allowance.LimitS - e.Allowance.BeforeS
	}
	t := Terms{Rate: e.Deck.Rate, ConnectFee: e.Deck.ConnectFee, InitialInc: e.Deck.InitialInc, NextInc: e.Deck.NextInc}
	return t.Price(Seconds(e.DurationMs), available)
}

// Sentences tell the charge to people, for `tandem rate explain`.
func (e Explanation) Sentences() []string {
	switch e.Rule {
	case RuleNotConnected:
		return []string{"The leg was not connected: attempts are free of charge."}
	case RuleOperatorConnect:
		return []string{"This is the Microsoft side of the call: the charge stands on its Phone row."}
	case RuleNoDuration:
		return []string{"The call ended as it was answered: 0 s are free of charge."}
	case RuleEmergency:
		return []string{"Emergency calls are free of charge and never draw minutes."}
	case RuleTollFree:
		return []string{"Toll-free numbers are paid by the called party: free of charge, no minutes drawn."}
	case RuleUnrated:
		return []string{"No price was found: " + e.Error + ". The leg is charged 0 and listed as unrated."}
	}
	var s []string
	say := func(format string, a ...any) { s = append(s, fmt.Sprintf(format, a...)) }
	if d := e.Deck; d != nil {
		where := "prefix " + d.Prefix
		if d.Prefix == "" {
			where = "the catch-all row"
		}
		what := map[LegKind]string{LegOutbound: "an outbound call to", LegInbound: "an inbound call to", LegFailsafe: "a failsafe forward to"}[e.Leg]
		say("It is %s %s (%s), priced by %s (%s) of deck %s version %d: %s %s per minute, connect fee %s, increments %d/%d.",
			what, e.Number, orUnknown(string(e.Class)), where, d.Destination, d.ID, d.Version, d.Rate, d.Currency, d.ConnectFee, d.InitialInc, d.NextInc)
		say("It was answered at %s and lasted %d.%03d s, begun seconds count: %d s, rounded up to increments: %d s.",
			e.AnswerTime.Format(time.RFC3339), e.DurationMs/1000, e.DurationMs%1000, Seconds(e.DurationMs), e.BilledS)
	}
	if b := e.Allowance; b != nil {
		say("Of the %d free seconds of %s in the cycle from %s to %s, %d were drawn before; this call draws %d.",
			b.LimitS, b.DID, b.Cycle.Format(time.RFC3339), b.CycleEnd.Format(time.RFC3339), b.BeforeS, e.FreeS)
	}
	if d := e.Deck; d != nil {
		say("Charged: fee %s + %s * %d s / 60 = %s %s (rounded once, half to even, at six decimals).", e.Fee, d.Rate, e.ChargedS, e.Amount, d.Currency)
	}
	return s
}

func orUnknown(s string) string {
	if s == "" {
		return "number withheld"
	}
	return s
}
