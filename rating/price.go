package rating

import (
	"errors"
	"math"
	"math/bits"
	"strconv"

	"tandem"
)

// Terms price a leg: one row of a deck.
type Terms struct {
	Rate       tandem.Rate // per minute
	ConnectFee tandem.Amount
	InitialInc int64 // seconds, at least 1
	NextInc    int64 // seconds, at least 1
}

// Price is the outcome of the interval formula. FreeS + ChargedS = BilledS.
type Price struct {
	BilledS  int64 // duration rounded up to increments
	FreeS    int64 // of it, drawn from the free minutes
	ChargedS int64 // of it, charged
	Fee      tandem.Amount
	Amount   tandem.Amount // Fee + Rate * ChargedS / 60, rounded once
}

// ErrOverflow: the amount does not fit 63 bits. Terms within the limits of
// package deck never get there.
var ErrOverflow = errors.New("the amount is too large to be stored")

var errTerms = errors.New("increments out of range or a negative price")

// maxIncrement keeps sums of seconds far from overflow; decks allow 3600.
const maxIncrement = 1 << 40

// Billed rounds a duration in whole seconds up to the increments
// (rating-and-cdr.md 1.2): initial + ceil((d-initial)/next)*next. A call of 0 s
// bills nothing.
func (t Terms) Billed(seconds int64) int64 {
	switch {
	case seconds <= 0:
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
// of its own, and no connect fee either, for the fee belongs to the beginning of
// the call. The only rounding is at the end: half to even at six decimals.
func (t Terms) Price(seconds, available int64) (Price, error) {
	if t.InitialInc < 1 || t.NextInc < 1 || t.InitialInc > maxIncrement || t.NextInc > maxIncrement || t.Rate < 0 || t.ConnectFee < 0 {
		return Price{}, errTerms
	}
	if seconds > math.MaxInt64/4 {
		return Price{}, ErrOverflow
	}
	p := Price{BilledS: t.Billed(seconds)}
	if p.BilledS == 0 {
		return p, nil
	}
	p.FreeS = min(p.BilledS, max(available, 0))
	p.ChargedS = p.BilledS - p.FreeS
	if p.FreeS == 0 {
		p.Fee = t.ConnectFee
	}
	total, ok := mulDivAdd(uint64(t.Rate), uint64(p.ChargedS), unitsPerMinute, uint64(p.Fee))
	if !ok || total > math.MaxInt64 {
		return Price{}, ErrOverflow
	}
	p.Amount = tandem.Amount(total)
	return p, nil
}

// mulDivAdd is a*b/divisor + addend with a 128-bit product, rounded half to
// even. Exact ties are found by comparing the remainder with the divisor, so no
// precision is lost before the rounding; the even one is chosen of the sums, not
// of the quotients. addend must be below 2^63.
func mulDivAdd(a, b, divisor, addend uint64) (uint64, bool) {
	hi, lo := bits.Mul64(a, b)
	if hi >= divisor {
		return 0, false
	}
	quotient, remainder := bits.Div64(hi, lo, divisor)
	if quotient > math.MaxInt64 {
		return 0, false
	}
	sum := quotient + addend
	if twice := 2 * remainder; twice > divisor || (twice == divisor && sum&1 == 1) {
		sum++
	}
	return sum, true
}

// Seconds is the billable duration of a leg: every second begun counts.
func Seconds(durationMs uint32) int64 { return (int64(durationMs) + 999) / 1000 }

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
