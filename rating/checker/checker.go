// Package checker recomputes stored charges from their rows alone, in exact rationals. It imports nothing of the
// rater, not even its types: what both agree on was computed twice, in two ways (docs/formats/explanation.md).
package checker

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// Charge is what a row says of its charge, or of the carrier's cost.
type Charge struct {
	Amount      string `json:"amount"`
	BilledS     int64  `json:"billed_s"`
	FreeS       int64  `json:"allowance_s"`
	ChargedS    int64  `json:"charged_s"`
	Explanation string `json:"explanation"`
}

type explanation struct { // encoding/json matches names whatever their case
	Form           int
	Rule, Rounding string
	AnswerTime     time.Time `json:"answer_time"`
	DurationMs     int64     `json:"duration_ms"`
	Deck           struct {
		Rate, Base string
		Grace      int64
		Timed      []struct{ Times, Rate string }
		First      string `json:"rate_initial"`
		Fee        string `json:"connect_fee"`
		Least      string `json:"min_charge"`
		Initial    int64  `json:"initial_inc"`
		Next       int64  `json:"next_inc"`
	}
	Allowance struct {
		Limit  int64     `json:"limit_s"`
		Before int64     `json:"before_s"`
		Next   *struct { // the next cycle's bucket, in a call across its beginning
			From   int64 `json:"from_s"`
			Before int64 `json:"before_s"`
		}
	}
}

// Zones finds time zones: time.LoadLocation, or a cache of it.
type Zones func(name string) (*time.Location, error)

// Check says what a charge must be; ok: it is that.
func Check(c Charge, durationMs int64, zones Zones) (must Charge, ok bool, err error) {
	var e explanation
	if err := json.Unmarshal([]byte(c.Explanation), &e); err != nil || e.Form < 1 || e.Form > 3 {
		return must, false, fmt.Errorf("the explanation is not readable")
	}
	amount, billed, free, err := e.price(zones)
	must = Charge{amount.FloatString(6), billed, free, billed - free, c.Explanation}
	return must, must == c && e.DurationMs == durationMs, err
}

func (e *explanation) price(zones Zones) (amount *big.Rat, billed, free int64, err error) {
	d, seconds := &e.Deck, (e.DurationMs+999)/1000
	if (e.Rule != "metered" && e.Rule != "allowance") || seconds == 0 || seconds < d.Grace {
		return new(big.Rat), 0, 0, nil
	}
	if d.Initial < 1 || d.Next < 1 {
		return new(big.Rat), 0, 0, fmt.Errorf("increments are %d/%d", d.Initial, d.Next)
	}
	for billed = d.Initial; billed < seconds; {
		billed += max((seconds-billed)/d.Next, 1) * d.Next
	}
	end, more, amount := billed, int64(0), new(big.Rat)
	if next := e.Allowance.Next; next != nil && next.From < billed {
		end, more = next.From, max(min(e.Allowance.Limit-next.Before, billed-next.From), 0)
	}
	first := max(min(e.Allowance.Limit-e.Allowance.Before, end), 0)
	for _, part := range [][2]int64{{first, end}, {end + more, billed}} {
		for s, n := part[0], int64(0); s < part[1]; s += n { // second by second, or as many at once as surely cost the same
			rate := d.Rate
			if n = part[1] - s; d.First != "" && s < d.Initial {
				n, rate = min(n, d.Initial-s), d.First
			} else if len(d.Timed) > 0 { // by the clock on the wall, which changes prices at full minutes only
				at := e.AnswerTime.Add(time.Duration(s) * time.Second).UTC()
				n = min(n, 60-int64(at.Second()))
				if rate, err = e.rateAt(at, zones); err != nil {
					return amount, 0, 0, err
				}
			}
			amount.Add(amount, new(big.Rat).Mul(decimal(rate), big.NewRat(n, 60)))
		}
	}
	if first > 0 {
		d.Fee, d.Least = "", "" // they belong to the beginning
	}
	if amount = round(amount.Add(amount, decimal(d.Fee)), e.Rounding); amount.Cmp(decimal(d.Least)) < 0 {
		amount = decimal(d.Least)
	}
	return amount, billed, first + more, nil
}

// round keeps some decimals: "half_even:6", "up:2".
func round(x *big.Rat, how string) *big.Rat {
	mode, digits, _ := strings.Cut(how, ":")
	scale := new(big.Int).Exp(big.NewInt(10), decimal(cmp.Or(digits, "6")).Num(), nil)
	whole := new(big.Int).Div(x.Mul(x, new(big.Rat).SetInt(scale)).Num(), x.Denom())
	half := new(big.Rat).Sub(x, new(big.Rat).SetInt(whole)).Cmp(big.NewRat(1, 2))
	if mode == "up" && !x.IsInt() || mode == "half_even" && (half > 0 || half == 0 && whole.Bit(0) == 1) {
		whole.Add(whole, big.NewInt(1))
	}
	return new(big.Rat).SetFrac(whole, scale)
}

func decimal(s string) *big.Rat {
	x, _ := new(big.Rat).SetString(s)
	return cmp.Or(x, new(big.Rat)) // left out
}

// rateAt is the rate of the times that the clock on the wall shows ("Europe/Berlin Mon-Fri 22:00-06:00; Sat,Sun"), else that of the rest.
func (e *explanation) rateAt(at time.Time, zones Zones) (string, error) {
	for _, row := range e.Deck.Timed {
		name, parts, _ := strings.Cut(row.Times, " ")
		zone, err := zones(name)
		if err != nil {
			return "", err
		}
		local, now := at.In(zone), at.In(zone).Format("15:04") // written clocks compare as text
		for part := range strings.SplitSeq(parts, ";") {
			days, hours, _ := strings.Cut(strings.TrimSpace(part), " ")
			from, to, _ := strings.Cut(cmp.Or(strings.TrimSpace(hours), "00:00-24:00"), "-")
			if from <= now && (now < to || to <= from) && named(days, local.Weekday()) || to <= from && now < to && named(days, (local.Weekday()+6)%7) {
				return row.Rate, nil
			}
		}
	}
	return e.Deck.Base, nil
}

// named reports whether a list such as "Mon-Fri,Sun" names a day.
func named(list string, day time.Weekday) bool {
	const week = "SunMonTueWedThuFriSat"
	return slices.ContainsFunc(strings.Split(list, ","), func(item string) bool {
		first, last, _ := strings.Cut(item+"-"+item, "-")
		from, to := strings.Index(week, first)/3, strings.Index(week, last[max(len(last)-3, 0):])/3
		return (int(day)-from+7)%7 <= (to-from+7)%7
	})
}
