package rating

import (
	"testing"
	"time"

	"tandem"
	"tandem/rating/checker"
)

// TestCostOfACarrier: the trunk's cost deck prices legs that the carrier took,
// whatever the customer pays for them, and knows nothing of minutes.
func TestCostOfACarrier(t *testing.T) {
	d := directory()
	d.Trunks = []tandem.Trunk{{ID: "east", Kind: tandem.TrunkCarrier, CostDeck: "cost"}, {ID: "west", Kind: tandem.TrunkCarrier}}
	cost := deckRow(1, "1206", "0.0034")
	cost.InitialInc, cost.NextInc, cost.RateIntrastate = 6, 6, tandem.OptionalRate{Rate: 52_000_000, Given: true}
	d.Decks = append(d.Decks, tandem.Deck{ID: "cost", Direction: tandem.Outbound, Currency: "EUR", Version: 3, Rows: []tandem.DeckRow{cost, deckRow(2, "1800", "0.001")}})
	tariff := mustTariff(t, d)
	leg := func(change func(*tandem.CDR)) tandem.CDR {
		row := outbound("+12065550123") // 90 s from +1425, both in Washington
		row.Trunk = "east"
		if change != nil {
			change(&row)
		}
		return row
	}
	for name, c := range map[string]struct {
		row    tandem.CDR
		amount string
		known  bool
	}{
		"intrastate, although free to the customer": {leg(nil), "0.0078", true},
		"interstate":                                  {leg(func(r *tandem.CDR) { r.From = "+12125550123" }), "0.0051", true},
		"indeterminate: the higher":                   {leg(func(r *tandem.CDR) { r.From = "anonymous" }), "0.0078", true},
		"toll-free costs us":                          {leg(func(r *tandem.CDR) { r.To = "+18005550123" }), "0.002", true},
		"failsafe costs too":                          {leg(func(r *tandem.CDR) { r.Direction, r.Attempt, r.Failsafe = tandem.Inbound, 2, true }), "0.0078", true},
		"no duration":                                 {leg(func(r *tandem.CDR) { r.DurationMs = 0 }), "0", true},
		"no row of the deck: 0, with the reason":      {leg(func(r *tandem.CDR) { r.To = "+442071838750" }), "0", true},
		"a carrier without a deck has no cost":        {leg(func(r *tandem.CDR) { r.Trunk = "west" }), "0", false},
		"microsoft's side has none":                   {leg(func(r *tandem.CDR) { r.Technology = tandem.OperatorConnect }), "0", false},
		"an attempt has none":                         {leg(func(r *tandem.CDR) { r.Connected = false }), "0", false},
		"what the carrier brings in is not its price": {leg(func(r *tandem.CDR) { r.Direction, r.Attempt = tandem.Inbound, 0 }), "0", false},
	} {
		got := tariff.Cost(&c.row)
		if got.Amount != amount(t, c.amount) || (got.Currency == "EUR") != c.known || (got.Explanation != "") != c.known {
			t.Errorf("%s: %+v", name, got)
		}
		if !c.known {
			continue
		}
		stored := checker.Charge{Amount: got.Amount.String(), Explanation: got.Explanation}
		if must, _, err := checker.Check(stored, int64(c.row.DurationMs), time.LoadLocation); err != nil || must.Amount != stored.Amount {
			t.Errorf("%s: the checker has %+v, %v", name, must, err)
		}
	}
}
