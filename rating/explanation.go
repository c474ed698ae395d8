package rating

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"tandem"
)

// Explanation is stored with each charge: everything that it was computed from,
// so that it can be recomputed from the row alone. docs/formats/explanation.md
// describes the fields.
type Explanation struct {
	Form       int                `json:"form"` // 2, or 3 with Allowance.Next; 1 is read too
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
	Fee        tandem.Amount      `json:"fee"` // the connect fee as charged
	Changes    []RateChange       `json:"changes,omitempty"`
	Rounding   tandem.Rounding    `json:"rounding"` // of the whole sum, as in "half_even:6"
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

	RateInitial  tandem.OptionalRate `json:"rate_initial,omitzero"`
	Jurisdiction Jurisdiction        `json:"jurisdiction,omitempty"` // that chose rate
	Grace        int64               `json:"grace,omitempty"`
	MinCharge    tandem.Amount       `json:"min_charge,omitzero"`
	Times        string              `json:"times,omitempty"`
	Timed        []ExplainedTimes    `json:"timed,omitempty"` // rows of the prefix for certain times, base the rate of the rest
	Base         tandem.OptionalRate `json:"base,omitzero"`
}

// ExplainedTimes is the rate of a prefix at certain times of the week.
type ExplainedTimes struct {
	Row   int64       `json:"row"`
	Times string      `json:"times"`
	Rate  tandem.Rate `json:"rate"`
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
	// Next is the bucket of the next cycle, of a call that was split at the cycle's end; it has LimitS too.
	Next *ExplainedNext `json:"next,omitempty"`
}

// ExplainedNext is the bucket of the next cycle around this leg.
type ExplainedNext struct {
	FromS    int64     `json:"from_s"` // billed second at which it begins
	CycleEnd time.Time `json:"cycle_end"`
	BeforeS  int64     `json:"before_s"`
	AfterS   int64     `json:"after_s"`
}

// explanationForm is what is written. Form 1 had no rates by time, jurisdiction
// or first interval, no grace and minimum, and one rounding.
const explanationForm = 2

// splitForm is form 2 with the bucket of the next cycle, which a reader of form 2 would overlook.
const splitForm = 3

func (a *Assessment) explain(p Price, used, nextUsed int64) Explanation {
	e := Explanation{Form: explanationForm, Rule: a.Rule, DurationMs: a.durationMs, Error: a.Error}
	if !a.Bookable() {
		return e
	}
	e.Leg, e.Number, e.Class, e.AnswerTime = a.Kind, a.Number, a.Class, a.At
	e.BilledS, e.FreeS, e.ChargedS, e.Fee, e.Amount = p.BilledS, p.FreeS, p.ChargedS, p.Fee, p.Amount
	if r := a.row; r != nil {
		e.Rounding = r.Rounding
		e.Deck = &ExplainedRow{ID: a.deck.ID, Version: a.deck.Version, Currency: a.deck.Currency, Row: r.ID, Prefix: r.Prefix, Destination: r.Destination,
			Rate: rateOf(r, a.jurisdiction), ConnectFee: r.ConnectFee, InitialInc: int64(r.InitialInc), NextInc: int64(r.NextInc), EffectiveFrom: r.EffectiveFrom, EffectiveTo: r.EffectiveTo,
			RateInitial: r.RateInitial, Jurisdiction: a.jurisdiction, Grace: int64(r.Grace), MinCharge: r.MinCharge, Times: r.Times}
		if a.match.Timed() {
			e.Changes = a.Terms().Changes
			base, timed := a.match.Rows()
			e.Deck.Base = tandem.OptionalRate{Rate: rateOf(base, a.jurisdiction), Given: true}
			for _, row := range timed {
				e.Deck.Timed = append(e.Deck.Timed, ExplainedTimes{row.ID, row.Times, rateOf(row, a.jurisdiction)})
			}
		}
	}
	if a.Rule == RuleAllowance {
		e.Allowance = &ExplainedBucket{Account: a.Bucket.Account, DID: a.Bucket.DID, Cycle: a.Bucket.Cycle, CycleEnd: a.cycleEnd,
			LimitS: a.LimitS, BeforeS: used, AfterS: used + p.FreeS - p.NextS}
		if a.Next != (tandem.Bucket{}) {
			e.Form = splitForm
			e.Allowance.Next = &ExplainedNext{FromS: a.boundary, CycleEnd: a.nextEnd, BeforeS: nextUsed, AfterS: nextUsed + p.NextS}
		}
	}
	return e
}

// ParseExplanation reads what String writes.
func ParseExplanation(s string) (Explanation, error) {
	var e Explanation
	if err := json.Unmarshal([]byte(s), &e); err != nil {
		return e, &tandem.Error{Kind: tandem.KindInvalid, Field: "explanation", Message: "is not a JSON object of a charge", Err: err}
	}
	if e.Form < 1 || e.Form > splitForm {
		return e, &tandem.Error{Kind: tandem.KindInvalid, Field: "explanation.form", Message: itoa(int64(e.Form)) + " is not a form that this version knows", Mend: "use the version that wrote it, or a newer one"}
	}
	return e, nil
}

// Recompute prices the leg again from the explanation alone.
func (e Explanation) Recompute() (Price, error) {
	if (e.Rule != RuleMetered && e.Rule != RuleAllowance) || e.Deck == nil {
		return Price{}, nil
	}
	var available, next int64
	boundary := int64(math.MaxInt64)
	if e.Allowance != nil {
		available = e.Allowance.LimitS - e.Allowance.BeforeS
		if n := e.Allowance.Next; n != nil {
			boundary, next = n.FromS, e.Allowance.LimitS-n.BeforeS
		}
	}
	t := Terms{Rate: e.Deck.Rate, First: e.Deck.RateInitial, ConnectFee: e.Deck.ConnectFee, InitialInc: e.Deck.InitialInc, NextInc: e.Deck.NextInc,
		Grace: e.Deck.Grace, MinCharge: e.Deck.MinCharge, Rounding: e.Rounding, Changes: e.Changes}
	return t.PriceAcross(Seconds(e.DurationMs), available, boundary, next)
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
	case RuleGrace:
		d := e.Deck
		if d == nil {
			d = &ExplainedRow{}
		}
		return []string{fmt.Sprintf("The call lasted %d s, less than the %d s of grace of prefix %q in deck %s version %d: free of charge, no minutes drawn.",
			Seconds(e.DurationMs), d.Grace, d.Prefix, d.ID, d.Version)}
	case RuleUnrated:
		return []string{"No price was found: " + e.Error + ". The leg is charged 0 and listed as unrated."}
	}
	var s []string
	say := func(format string, a ...any) { s = append(s, fmt.Sprintf(format, a...)) }
	if e.Deck != nil {
		e.sayDeck(say)
	}
	if b := e.Allowance; b != nil {
		say("Of the %d free seconds of %s in the cycle from %s to %s, %d were drawn before; this call draws %d.",
			b.LimitS, b.DID, b.Cycle.Format(time.RFC3339), b.CycleEnd.Format(time.RFC3339), b.BeforeS, b.AfterS-b.BeforeS)
		if n := b.Next; n != nil {
			say("The cycle ended during the call: from second %d it draws on the next one, which ends %s: of as many free seconds %d were drawn before, this call draws %d.",
				n.FromS, n.CycleEnd.Format(time.RFC3339), n.BeforeS, n.AfterS-n.BeforeS)
		}
	}
	if e.Deck != nil {
		e.sayAmount(say)
	}
	return s
}

// sayDeck tells the row and the duration.
func (e Explanation) sayDeck(say func(string, ...any)) {
	d := e.Deck
	where := "prefix " + d.Prefix
	if d.Prefix == "" {
		where = "the catch-all row"
	}
	what := map[LegKind]string{LegOutbound: "an outbound call to", LegInbound: "an inbound call to", LegFailsafe: "a failsafe forward to", LegCarrier: "a call that the carrier took to"}[e.Leg]
	say("It is %s %s (%s), priced by %s (%s) of deck %s version %d: %s %s per minute, connect fee %s, increments %d/%d.",
		what, e.Number, orUnknown(string(e.Class)), where, d.Destination, d.ID, d.Version, d.Rate, d.Currency, d.ConnectFee, d.InitialInc, d.NextInc)
	if d.Jurisdiction != "" {
		say("The rate is the %s one, by the states of both numbers.", d.Jurisdiction)
	}
	if d.RateInitial.Given {
		say("The first %d s cost %s per minute.", d.InitialInc, d.RateInitial.Rate)
	}
	for _, t := range d.Timed {
		say("At %s the rate is %s, else %s.", t.Times, t.Rate, d.Base.Rate)
	}
	say("It was answered at %s and lasted %d.%03d s, begun seconds count: %d s, rounded up to increments: %d s.",
		e.AnswerTime.Format(time.RFC3339), e.DurationMs/1000, e.DurationMs%1000, Seconds(e.DurationMs), e.BilledS)
	for _, c := range e.Changes {
		say("From second %d (%s) the rate is %s.", c.FromS, e.AnswerTime.Add(time.Duration(c.FromS)*time.Second).Format(time.RFC3339), c.Rate)
	}
}

// sayAmount tells the sum, its rounding and the minimum.
func (e Explanation) sayAmount(say func(string, ...any)) {
	d := e.Deck
	rates := fmt.Sprintf("%s * %d s", d.Rate, e.ChargedS)
	if len(e.Changes) > 0 || d.RateInitial.Given {
		rates = fmt.Sprintf("the rates of %d s", e.ChargedS)
	}
	how := map[tandem.RoundMode]string{tandem.RoundHalfEven: "half to even", tandem.RoundUp: "up", tandem.RoundDown: "down"}[e.Rounding.Mode]
	sum := fmt.Sprintf("Charged: fee %s + %s / 60", e.Fee, rates)
	if d.MinCharge > 0 && e.FreeS == 0 && e.Amount == d.MinCharge {
		say("%s, and at least the minimum charge: %s %s (the sum is rounded once, %s, at %d decimals).", sum, e.Amount, d.Currency, how, e.Rounding.Decimals())
		return
	}
	say("%s = %s %s (rounded once, %s, at %d decimals).", sum, e.Amount, d.Currency, how, e.Rounding.Decimals())
}

func orUnknown(s string) string {
	if s == "" {
		return "number withheld"
	}
	return s
}
