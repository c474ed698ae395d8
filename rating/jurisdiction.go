package rating

import (
	"tandem"
	"tandem/rating/numberplan"
)

// Jurisdiction is whether a call stays within one US state; decks of US
// carriers price by it (rating-and-cdr.md 3.3).
type Jurisdiction string

// The jurisdictions.
const (
	Interstate    Jurisdiction = "interstate"
	Intrastate    Jurisdiction = "intrastate"
	Indeterminate Jurisdiction = "indeterminate" // an end can't be placed: withheld, toll-free, not in the US
)

// JurisdictionOf compares the states of both ends, by their area codes.
func JurisdictionOf(from, to string) Jurisdiction {
	switch a, b := numberplan.State(from), numberplan.State(to); {
	case a == "" || b == "":
		return Indeterminate
	case a == b:
		return Intrastate
	}
	return Interstate
}

// rateOf is a row's rate for a jurisdiction. Calls that can't be placed cost
// the higher of both rates unless the row has one for them.
func rateOf(r *tandem.DeckRow, j Jurisdiction) tandem.Rate {
	switch j {
	case Intrastate:
		return r.RateIntrastate.Or(r.Rate)
	case Indeterminate:
		return r.RateIndeterminate.Or(max(r.Rate, r.RateIntrastate.Or(r.Rate)))
	}
	return r.Rate
}
