package rating

import "tandem"

// Replay prices legs one after another as a tariff would have, drawing minutes
// from buckets of its own: what if these calls had been made under another
// deck, or on another plan (change Plan in the row)? Nothing is booked. Rows
// must come in the order in which the books took them; a Replay is for one
// goroutine.
type Replay struct {
	// Drawn says how much of a bucket is drawn before its first leg; nil = nothing.
	Drawn func(tandem.Bucket) int64

	tariff *Tariff
	used   map[tandem.Bucket]int64
}

// NewReplay begins with full buckets.
func NewReplay(t *Tariff) *Replay { return &Replay{tariff: t, used: map[tandem.Bucket]int64{}} }

// Charge is Leg with the explanation, and with what the carrier would have charged.
func (r *Replay) Charge(row *tandem.CDR) (tandem.Charge, tandem.Cost) {
	a, p, before := r.Leg(row)
	next := a.LimitS
	if a.Next != (tandem.Bucket{}) {
		next = r.used[a.Next] - p.NextS
	}
	c, _ := a.ChargeAcross(before, next)
	return c, r.tariff.Cost(row)
}

// Draw makes seconds of a bucket drawn already, as they were before the period.
func (r *Replay) Draw(b tandem.Bucket, seconds int64) { r.used[b] += seconds }

// Used is how many seconds of a bucket are drawn.
func (r *Replay) Used(b tandem.Bucket) int64 { return r.used[b] }

// Leg prices the next leg. The assessment can explain it (Charge with the
// seconds that were drawn before, which are returned too).
func (r *Replay) Leg(row *tandem.CDR) (a Assessment, p Price, before int64) {
	a = r.tariff.Assess(row)
	if a.Rule != RuleAllowance {
		return a, a.Price(0), 0
	}
	before = r.before(a.Bucket)
	next := a.LimitS
	if a.Next != (tandem.Bucket{}) {
		next = r.before(a.Next)
	}
	p = a.PriceAcross(before, next)
	if p.FreeS > 0 {
		r.used[a.Bucket] = before + p.FreeS - p.NextS
	}
	if p.NextS > 0 {
		r.used[a.Next] = next + p.NextS
	}
	return a, p, before
}

// before is what is drawn of a bucket.
func (r *Replay) before(b tandem.Bucket) int64 {
	used, known := r.used[b]
	if !known && r.Drawn != nil {
		used = r.Drawn(b)
		r.used[b] = used
	}
	return used
}
