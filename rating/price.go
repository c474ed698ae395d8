package rating

import (
	"errors"
	"math"
	"math/bits"
	"strconv"

	"tandem"
)

// Terms price a leg: what a deck row and the time of the call make of it.
type Terms struct {
	Rate       tandem.Rate // per minute
	ConnectFee tandem.Amount
	InitialInc int64 // seconds, at least 1
	NextInc    int64 // seconds, at least 1

	First     tandem.OptionalRate // per minute of the first interval; else Rate
	Grace     int64               // seconds: shorter calls are free of charge and bill nothing
	MinCharge tandem.Amount       // least amount of a call that is charged from its beginning
	Rounding  tandem.Rounding
	Changes   []RateChange // by the time of day, ascending; nil = Rate all along
}

// RateChange is a rate that holds from a billed second on, counted from 0 at the answer.
type RateChange struct {
	FromS int64       `json:"from_s"`
	Rate  tandem.Rate `json:"rate"`
}

// Price is the outcome of the interval formula. FreeS + ChargedS = BilledS.
type Price struct {
	BilledS  int64 // duration rounded up to increments
	FreeS    int64 // of it, drawn from the free minutes
	ChargedS int64 // of it, charged
	Fee      tandem.Amount
	Amount   tandem.Amount // Fee + the rates of the charged seconds, rounded once
	NextS    int64         // of FreeS, from the next cycle's bucket
}

// ErrOverflow: the amount does not fit 63 bits. Terms within the limits of
// package deck never get there.
var ErrOverflow = errors.New("the amount is too large to be stored")

var errTerms = errors.New("increments out of range, a negative price or changes out of order")

// maxIncrement keeps sums of seconds far from overflow; decks allow 3600.
const maxIncrement = 1 << 40

// Billed rounds a duration in whole seconds up to the increments
// (rating-and-cdr.md 1.2): initial + ceil((d-initial)/next)*next. A call of 0 s,
// or one shorter than the grace, bills nothing.
func (t *Terms) Billed(seconds int64) int64 {
	switch {
	case seconds <= 0 || seconds < t.Grace:
		return 0
	case seconds <= t.InitialInc:
		return t.InitialInc
	}
	n := (seconds - t.InitialInc + t.NextInc - 1) / t.NextInc
	return t.InitialInc + n*t.NextInc
}

// unitsPerMinute turns rate * seconds (ten-billionths of the currency, times
// seconds) into amounts (millionths): 60 seconds and 4 decimals.
const unitsPerMinute = 60 * 10_000

// Price applies the interval formula to a duration in whole seconds, of which
// up to available billed seconds are free.
//
// A call that crosses the last free second is split exactly there: the charged
// part goes on along the same grid of increments, so it has no initial interval
// of its own, and no connect fee or minimum charge either, for these belong to
// the beginning of the call. The product is exact (128 bits); the only rounding
// is at the end, and the minimum charge is asked after it.
func (t *Terms) Price(seconds, available int64) (Price, error) {
	return t.PriceAcross(seconds, available, math.MaxInt64, 0)
}

// PriceAcross is Price of a call across the end of a cycle: the billed seconds
// from boundary on are free up to next, the ones before up to available;
// boundary is at least 1.
func (t *Terms) PriceAcross(seconds, available, boundary, next int64) (Price, error) {
	if !t.sound() {
		return Price{}, errTerms
	}
	if seconds > math.MaxInt64/4 {
		return Price{}, ErrOverflow
	}
	p := Price{BilledS: t.Billed(seconds)}
	if p.BilledS == 0 {
		return p, nil
	}
	boundary = min(max(boundary, 1), p.BilledS)
	first := min(boundary, max(available, 0))
	p.NextS = min(p.BilledS-boundary, max(next, 0))
	p.FreeS = first + p.NextS
	p.ChargedS = p.BilledS - p.FreeS
	if p.ChargedS == 0 {
		return p, nil
	}
	if first == 0 {
		p.Fee = t.ConnectFee
	}
	var sum uint128
	sum.add(uint64(p.Fee), unitsPerMinute)
	t.weigh(&sum, first, boundary)
	t.weigh(&sum, boundary+p.NextS, p.BilledS)
	amount, ok := sum.divide(unitsPerMinute, t.Rounding)
	if !ok {
		return Price{}, ErrOverflow
	}
	p.Amount = tandem.Amount(amount)
	if first == 0 {
		p.Amount = max(p.Amount, t.MinCharge)
	}
	return p, nil
}

func (t *Terms) sound() bool {
	if t.InitialInc < 1 || t.NextInc < 1 || t.InitialInc > maxIncrement || t.NextInc > maxIncrement ||
		t.Rate < 0 || t.ConnectFee < 0 || t.First.Rate < 0 || t.MinCharge < 0 || t.Rounding.Drop > 6 {
		return false
	}
	last := int64(0)
	for i := range t.Changes {
		if t.Changes[i].FromS <= last || t.Changes[i].Rate < 0 {
			return false
		}
		last = t.Changes[i].FromS
	}
	return true
}

// weigh adds rate * seconds of the billed seconds from <= s < to.
func (t *Terms) weigh(sum *uint128, from, to int64) {
	if t.First.Given {
		if first := min(to, t.InitialInc); from < first {
			sum.add(uint64(t.First.Rate), uint64(first-from))
			from = first
		}
	}
	rate := t.Rate
	for i := range t.Changes {
		if c := &t.Changes[i]; from < to {
			if until := min(to, c.FromS); from < until {
				sum.add(uint64(rate), uint64(until-from))
				from = until
			}
			rate = c.Rate
		}
	}
	if from < to {
		sum.add(uint64(rate), uint64(to-from))
	}
}

// uint128 is a sum of products.
type uint128 struct {
	hi, lo   uint64
	overflow bool
}

func (u *uint128) add(a, b uint64) {
	hi, lo := bits.Mul64(a, b)
	var carry uint64
	u.lo, carry = bits.Add64(u.lo, lo, 0)
	u.hi, carry = bits.Add64(u.hi, hi, carry)
	u.overflow = u.overflow || carry != 0
}

// divide is u / divisor in millionths, rounded once. Exact ties are found by
// comparing the remainder with what is left to the divisor, so no precision is
// lost before the rounding.
func (u *uint128) divide(divisor uint64, r tandem.Rounding) (int64, bool) {
	unit := uint64(1)
	for range r.Drop {
		unit *= 10
	}
	divisor *= unit // at most 600,000 * 1,000,000
	if u.overflow || u.hi >= divisor {
		return 0, false
	}
	quotient, remainder := bits.Div64(u.hi, u.lo, divisor)
	if up := r.Mode == tandem.RoundUp && remainder > 0; up ||
		r.Mode == tandem.RoundHalfEven && (remainder > divisor-remainder || remainder == divisor-remainder && quotient&1 == 1) {
		quotient++
	}
	hi, amount := bits.Mul64(quotient, unit)
	return int64(amount), hi == 0 && amount <= math.MaxInt64
}

// Share is amount * part / whole, rounded once: for fees of a part of a cycle
// and for credits. Magnitudes are rounded, so a credit is the exact opposite of
// the charge that it takes back.
func Share(amount tandem.Amount, part, whole int64, r tandem.Rounding) (tandem.Amount, error) {
	if part < 0 || whole <= 0 || r.Drop > 6 || whole > math.MaxInt64/1_000_000 {
		return 0, errTerms
	}
	var sum uint128
	magnitude := uint64(amount)
	if amount < 0 {
		magnitude = -magnitude
	}
	sum.add(magnitude, uint64(part))
	share, ok := sum.divide(uint64(whole), r)
	if !ok {
		return 0, ErrOverflow
	}
	if amount < 0 {
		share = -share
	}
	return tandem.Amount(share), nil
}

// Seconds is the billable duration of a leg: every second begun counts.
func Seconds(durationMs uint32) int64 { return (int64(durationMs) + 999) / 1000 }

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
