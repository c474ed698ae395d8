package deck

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"tandem"
)

// Limits of a row. They keep every product of rate and seconds within 128 bits
// and every amount within 63: 1,000,000.00 per minute for the longest duration
// that a CDR holds (49 days) is 7.2e16 millionths.
const (
	MaxRate       tandem.Rate   = 1_000_000 * 1e10
	MaxConnectFee tandem.Amount = 1_000_000 * 1e6
	MaxIncrement                = 3600 // seconds
)

// maxProblems bounds a report: a file of the wrong kind breaks a rule on every line.
const maxProblems = 1000

// Validate reports every rule that the deck breaks, joined; the Field of each
// error names the row by its position, from 1.
func Validate(d *tandem.Deck) error { return validate(d, sorted(d.Rows)) }

func validate(d *tandem.Deck, order []int32) error {
	var found problems
	if len(d.Rows) == 0 {
		found.add("rows", "the deck has no rows", `add at least a catch-all row with an empty prefix`)
	}
	for i := range d.Rows {
		checkRow(&d.Rows[i], func(column, message, mend string) {
			found.add(fmt.Sprintf("rows[%d].%s", i+1, column), message, mend)
		})
	}
	overlaps(d.Rows, order, func(earlier, later int32) {
		found.add(fmt.Sprintf("rows[%d].prefix", later+1), overlapMessage(&d.Rows[later], fmt.Sprintf("row %d", earlier+1)), overlapMend)
	})
	return found.err("deck " + tandem.Clip(d.ID, 60))
}

// checkRow applies the rules of one row.
func checkRow(r *tandem.DeckRow, bad func(column, message, mend string)) {
	if len(r.Prefix) > maxPrefix || (r.Prefix != "" && !allDigits(r.Prefix)) {
		mend := "write up to 15 digits, country code first, without + or 011"
		bad("prefix", fmt.Sprintf("%q is not a prefix", tandem.Clip(r.Prefix, 20)), mend)
	}
	if r.Prefix != "" && r.Prefix[0] == '0' {
		bad("prefix", fmt.Sprintf("%q matches no number: no country code begins with 0", tandem.Clip(r.Prefix, 20)), "write the country code first, without 00 or 011")
	}
	if r.Rate < 0 || r.Rate > MaxRate {
		bad("rate", r.Rate.String()+" is out of range", "write a price per minute of 0 to 1000000")
	}
	if r.ConnectFee < 0 || r.ConnectFee > MaxConnectFee {
		bad("connect_fee", r.ConnectFee.String()+" is out of range", "write 0 to 1000000")
	}
	increment := func(column string, n int) {
		if n < 1 || n > MaxIncrement {
			bad(column, strconv.Itoa(n)+" is out of range", "write 1 to 3600 seconds; 60 is a minute")
		}
	}
	increment("initial_inc", r.InitialInc)
	increment("next_inc", r.NextInc)
	if !r.EffectiveTo.IsZero() && end(r) <= begin(r) {
		bad("effective_to", "ends on "+day(r.EffectiveTo)+", not after it begins ("+day(r.EffectiveFrom)+")",
			"write the first instant at which the row no longer counts, or leave it empty")
	}
}

// overlaps reports each pair of neighbouring rows of one prefix that are in
// force at the same time. order is that of sorted.
func overlaps(rows []tandem.DeckRow, order []int32, report func(earlier, later int32)) {
	for i := 1; i < len(order); i++ {
		older, newer := &rows[order[i]], &rows[order[i-1]]
		if older.Prefix == newer.Prefix && end(older) > begin(newer) {
			report(min(order[i], order[i-1]), max(order[i], order[i-1]))
		}
	}
}

const overlapMend = "end the earlier one with effective_to, or remove one"

func overlapMessage(r *tandem.DeckRow, other string) string {
	name := "prefix " + tandem.Clip(r.Prefix, 20)
	if r.Prefix == "" {
		name = "the catch-all"
	}
	return name + " is priced for the same time by " + other + " already"
}

func day(t time.Time) string {
	if t.IsZero() {
		return "always"
	}
	return t.UTC().Format(time.RFC3339)
}

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// problems gathers what is wrong, up to maxProblems.
type problems struct {
	list []error
	more int
}

func (p *problems) add(field, message, mend string) {
	if len(p.list) == maxProblems {
		p.more++
		return
	}
	p.list = append(p.list, &tandem.Error{Kind: tandem.KindInvalid, Field: field, Message: message, Mend: mend})
}

func (p *problems) err(what string) error {
	if p.more > 0 {
		p.list = append(p.list, &tandem.Error{Kind: tandem.KindInvalid, Field: what, Message: fmt.Sprintf("%d more problems are not shown", p.more), Mend: "mend these first"})
	}
	return errors.Join(p.list...)
}
