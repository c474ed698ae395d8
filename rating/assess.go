package rating

import (
	"math"
	"slices"
	"time"

	"tandem"
	"tandem/rating/deck"
	"tandem/rating/numberplan"
)

// Rule is why a leg costs what it costs; it is stored in the explanation.
type Rule string

// The rules, in the order in which they are asked.
const (
	RuleNotConnected    Rule = "not_connected"    // attempts are free of charge
	RuleOperatorConnect Rule = "operator_connect" // the charge stands on the Phone row of the call
	RuleNoDuration      Rule = "no_duration"      // answered and over within the same millisecond: no fee either
	RuleEmergency       Rule = "emergency"        // 911, 112, 933, 988: never charged, never drawn
	RuleTollFree        Rule = "toll_free"        // paid by the called party, never drawn
	RuleGrace           Rule = "grace"            // shorter than the deck row's grace: no fee, nothing drawn
	RuleUnrated         Rule = "unrated"          // no price could be found: Error says why; charged 0 and findable
	RuleMetered         Rule = "metered"          // by the deck
	RuleAllowance       Rule = "allowance"        // free minutes first, the rest by the deck
)

// LegKind is which of the two retail decks prices a leg, and by which number.
type LegKind string

// The kinds of leg.
const (
	LegOutbound LegKind = "outbound" // Teams user to PSTN: RetailOut by the number called
	LegInbound  LegKind = "inbound"  // PSTN to DID: RetailIn by the DID called
	LegFailsafe LegKind = "failsafe" // forward to the failsafe number: RetailOut by that number, never from the minutes
	LegCarrier  LegKind = "carrier"  // what the carrier charges us: the trunk's CostDeck by the number called
)

// Assessment is everything about the price of a leg except how much of the
// bucket is left, which only the ledger knows. It is a value; making one does
// not allocate.
type Assessment struct {
	Rule   Rule
	Kind   LegKind
	Number string // that was looked up
	Class  tandem.NumberClass
	At     time.Time // answer instant: it chooses the deck row and the cycle
	Error  string    // with RuleUnrated

	// Bucket is where free minutes come from, LimitS how much it holds; zero when the leg may not draw.
	Bucket tandem.Bucket
	LimitS int64
	// Next is the next cycle's bucket, of as many seconds, with accounts that split
	// calls at the end of a cycle: billed seconds from boundary on draw from it.
	Next tandem.Bucket

	boundary   int64
	nextEnd    time.Time
	durationMs uint32
	account    *account
	cycleEnd   time.Time
	deck       *tandem.Deck
	match      deck.Match
	row        *tandem.DeckRow // at the answer

	jurisdiction Jurisdiction // with rows that ask for it
}

// Duration is the billable duration in whole seconds.
func (a *Assessment) Duration() int64 { return Seconds(a.durationMs) }

// Bookable reports whether the leg belongs in the books: every connected Phone
// leg, also one that costs nothing. The others are 0 by rule, on every replay.
func (a *Assessment) Bookable() bool {
	return a.Rule != RuleNotConnected && a.Rule != RuleOperatorConnect
}

// Terms are those of the deck row; zero when none applies.
func (a *Assessment) Terms() Terms {
	if a.row == nil || (a.Rule != RuleMetered && a.Rule != RuleAllowance) {
		return Terms{}
	}
	t := Terms{Rate: rateOf(a.row, a.jurisdiction), First: a.row.RateInitial, ConnectFee: a.row.ConnectFee, InitialInc: int64(a.row.InitialInc), NextInc: int64(a.row.NextInc),
		Grace: int64(a.row.Grace), MinCharge: a.row.MinCharge, Rounding: a.row.Rounding}
	if a.match.Timed() {
		t.Changes = a.changes(t.Rate, t.Billed(Seconds(a.durationMs)))
	}
	return t
}

// changes lists the rates that other times of the day bring within the billed
// seconds. A second belongs to the rate that holds as it begins.
func (a *Assessment) changes(rate tandem.Rate, billed int64) []RateChange {
	var list []RateChange
	end := a.At.Add(time.Duration(billed) * time.Second)
	for at := a.match.Next(a.At); at.Before(end); at = a.match.Next(at) {
		next := rateOf(a.match.RowAt(at), a.jurisdiction)
		if next == rate {
			continue
		}
		from := int64((at.Sub(a.At) + time.Second - 1) / time.Second)
		if n := len(list); n > 0 && list[n-1].FromS == from {
			list = list[:n-1] // the rate before held for less than a second
		}
		if from < billed {
			list = append(list, RateChange{from, next})
		}
		rate = next
	}
	return list
}

// Assess decides by which rule a leg is priced. It reads facts of the row only:
// plan and user type are those at the time of the call.
func (t *Tariff) Assess(r *tandem.CDR) Assessment {
	a := Assessment{durationMs: r.DurationMs, At: answered(r)}
	a.account = t.accounts[r.Account]
	outbound := r.Direction == tandem.Outbound
	switch {
	case outbound:
		a.Kind, a.Number = LegOutbound, r.To
	case r.Attempt > 0:
		a.Kind, a.Number = LegFailsafe, r.To
	default:
		a.Kind, a.Number = LegInbound, string(r.DID)
	}
	a.Class = farClass(r, a.Kind)

	switch {
	case !r.Connected:
		a.Rule = RuleNotConnected
	case r.Technology == tandem.OperatorConnect:
		a.Rule = RuleOperatorConnect
	case r.DurationMs == 0:
		a.Rule = RuleNoDuration
	case r.Emergency || (a.Class == tandem.ClassEmergency && a.Kind != LegInbound):
		a.Rule = RuleEmergency
	case a.Class == tandem.ClassTollFree && a.Kind != LegInbound:
		a.Rule = RuleTollFree
	default:
		a.price(r)
	}
	return a
}

// price finds the deck row and the bucket.
func (a *Assessment) price(r *tandem.CDR) {
	a.Rule = RuleUnrated
	if a.account == nil {
		a.Error = "the account is not known"
		return
	}
	table, deckID := a.account.out, a.account.RetailOut
	if a.Kind == LegInbound {
		table, deckID = a.account.in, a.account.RetailIn
	}
	if table == nil {
		a.Error = "the account's " + string(deckDirection(a.Kind)) + " deck " + deckID + " does not exist"
		return
	}
	a.find(table, r)
	if a.Error == "" && a.deck.Currency != a.account.Currency {
		a.Rule, a.Error = RuleUnrated, "the deck is in another currency than the account"
	}
	if a.Rule == RuleMetered {
		a.allow(r)
	}
}

// find finds the row and with it the rule: metered, grace, or unrated.
func (a *Assessment) find(table *deck.Table, r *tandem.CDR) {
	var isNumber bool
	a.deck = table.Deck()
	a.match, isNumber = lookup(table, a.Number, a.At)
	a.row = a.match.Row
	switch {
	case !isNumber:
		a.Error = "what was called is not a number that a deck can price"
	case a.row == nil:
		a.Error = "no row of the deck covers the number at the time of the answer"
	case a.row.Reject:
		a.Error = "the row of the deck rejects the destination, yet the call was connected"
	case Seconds(a.durationMs) < int64(a.row.Grace):
		a.Rule = RuleGrace
	default:
		a.Rule = RuleMetered
		if a.row.RateIntrastate.Given {
			a.jurisdiction = JurisdictionOf(r.From, r.To)
		}
	}
}

// allow says from which bucket the leg may draw: outbound calls of numbers on
// the Unlimited plan to the account's free classes.
func (a *Assessment) allow(r *tandem.CDR) {
	if a.Kind != LegOutbound || r.Plan != tandem.Unlimited || r.UserType == tandem.AutoAttendant || r.DID == "" || !drawable(a.Class) ||
		!slices.Contains(a.account.FreeClasses, a.Class) {
		return
	}
	a.Rule = RuleAllowance
	start, next := a.account.cycles.at(a.At)
	a.Bucket = tandem.Bucket{Account: a.account.ID, DID: r.DID, Cycle: start}
	a.LimitS, a.cycleEnd = int64(a.account.FreeMinutes)*60, next
	if !a.account.CycleSplit {
		return
	}
	// A second belongs to the cycle in which it begins, as it does to a rate.
	grid := Terms{InitialInc: int64(a.row.InitialInc), NextInc: int64(a.row.NextInc)}
	if s := int64((next.Sub(a.At) + time.Second - 1) / time.Second); s < grid.Billed(a.Duration()) {
		a.boundary = s
		a.Next = tandem.Bucket{Account: a.account.ID, DID: r.DID, Cycle: next}
		_, a.nextEnd = a.account.cycles.at(next)
	}
}

// Drawable divides billed seconds between Bucket and Next: what may be drawn
// from each at most.
func (a *Assessment) Drawable(billed int64) (first, next int64) {
	if a.Next == (tandem.Bucket{}) {
		return billed, 0
	}
	first = min(max(a.boundary, 1), billed)
	return first, billed - first
}

// drawable keeps classes out of the bucket that no configuration may let in.
func drawable(c tandem.NumberClass) bool {
	switch c {
	case tandem.ClassTollFree, tandem.ClassDirectory, tandem.ClassEmergency, tandem.ClassInvalid, "":
		return false
	}
	return true
}

// farClass classifies the far number: who was called, or who called. A caller
// who withholds the number has no class.
func farClass(r *tandem.CDR, kind LegKind) tandem.NumberClass {
	far := r.To
	if kind == LegInbound {
		far = r.From
		if far == "" || far[0] != '+' && (far[0] < '0' || far[0] > '9') {
			return ""
		}
	}
	return numberplan.Classify(far)
}

func deckDirection(k LegKind) tandem.Direction {
	if k == LegInbound {
		return tandem.Inbound
	}
	return tandem.Outbound
}

// answered is the instant that chooses row and cycle.
func answered(r *tandem.CDR) time.Time {
	if r.AnswerTime != nil {
		return r.AnswerTime.UTC()
	}
	return r.EndTime.UTC().Add(-time.Duration(r.DurationMs) * time.Millisecond)
}

// Price prices the leg when used seconds of the bucket are drawn already
// (ignored for legs that may not draw). It does not allocate unless the rate
// changes with the time of day. On an error the leg becomes unrated.
//
// With Next it is the price when that bucket is empty; PriceAcross knows better.
func (a *Assessment) Price(used int64) Price { return a.PriceAcross(used, a.LimitS) }

// PriceAcross is Price when nextUsed seconds of Next are drawn already.
func (a *Assessment) PriceAcross(used, nextUsed int64) Price {
	if a.Rule != RuleMetered && a.Rule != RuleAllowance {
		return Price{}
	}
	t := a.Terms()
	boundary := int64(math.MaxInt64)
	if a.Next != (tandem.Bucket{}) {
		boundary = a.boundary
	}
	p, err := t.PriceAcross(a.Duration(), a.LimitS-used, boundary, a.LimitS-nextUsed)
	if err != nil {
		a.Next = tandem.Bucket{}
		a.Rule, a.Error, a.Bucket, a.LimitS = RuleUnrated, err.Error(), tandem.Bucket{}, 0
		return Price{}
	}
	return p
}

// Charge is Price with its explanation.
func (a *Assessment) Charge(used int64) tandem.Charge {
	c, _ := a.ChargeAcross(used, a.LimitS)
	return c
}

// ChargeAcross is PriceAcross with its explanation; nextS of the free seconds come from Next.
func (a *Assessment) ChargeAcross(used, nextUsed int64) (c tandem.Charge, nextS int64) {
	p := a.PriceAcross(used, nextUsed)
	c = tandem.Charge{Class: a.Class, Amount: p.Amount, BilledS: p.BilledS, FreeS: p.FreeS, ChargedS: p.ChargedS}
	if a.account != nil {
		c.Currency = a.account.Currency
	} else if a.Kind == LegCarrier && a.deck != nil {
		c.Currency = a.deck.Currency
	}
	if a.row != nil {
		c.DeckID, c.DeckVer, c.DeckRow = a.deck.ID, a.deck.Version, a.row.ID
	}
	if p.ChargedS > 0 {
		c.Rate = rateOf(a.row, a.jurisdiction)
	}
	c.Explanation = a.explain(p, used, nextUsed).String()
	return c, p.NextS
}
