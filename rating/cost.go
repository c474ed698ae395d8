package rating

import "tandem"

// AssessCost decides what a carrier charges us for a leg that it terminated:
// by the cost deck that its trunk names, by the number called. ok is false for
// legs that have no such cost: Microsoft's side, calls that came in, carriers
// without a cost deck, what was not connected.
//
// Carriers know nothing of plans, minutes, emergency or toll-free rules: what
// is free of charge to the customer may cost us, and is priced by its row.
func (t *Tariff) AssessCost(r *tandem.CDR) (a Assessment, ok bool) {
	table := t.costs[r.Trunk]
	if table == nil || !r.Connected || r.Technology != tandem.Phone || r.Attempt == 0 {
		return a, false
	}
	a = Assessment{durationMs: r.DurationMs, At: answered(r), Kind: LegCarrier, Number: r.To, Rule: RuleUnrated}
	a.Class = farClass(r, LegCarrier)
	if r.DurationMs == 0 {
		a.Rule = RuleNoDuration
		return a, true
	}
	a.find(table, r)
	return a, true
}

// Cost prices what AssessCost assesses; the zero Cost when there is none.
func (t *Tariff) Cost(r *tandem.CDR) tandem.Cost {
	a, ok := t.AssessCost(r)
	if !ok {
		return tandem.Cost{}
	}
	c := a.Charge(0)
	return tandem.Cost{Amount: c.Amount, Currency: t.costs[r.Trunk].Deck().Currency, Explanation: c.Explanation}
}
