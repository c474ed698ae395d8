package deck

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
func Validate(d *tandem.Deck) error { return validate(d, sorted(d.Rows), clocks{}) }

func validate(d *tandem.Deck, order []int32, known clocks) error {
	var found problems
	if len(d.Rows) == 0 {
		found.add("rows", "the deck has no rows", `add at least a catch-all row with an empty prefix`)
	}
	at := func(row int32, column string) string { return fmt.Sprintf("rows[%d].%s", row+1, column) }
	for i := range d.Rows {
		checkRow(&d.Rows[i], known, func(column, message, mend string) {
			found.add(at(int32(i), column), message, mend)
		})
		if r := &d.Rows[i]; d.Direction == tandem.Outbound && givesAway(r) {
			found.add(at(int32(i), "rate"), giftMessage, giftMend)
		}
	}
	checkTogether(d.Rows, order, known, func(row int32, column, message, mend string) { found.add(at(row, column), message, mend) },
		func(row int32) string { return fmt.Sprintf("row %d", row+1) })
	return found.err("deck " + tandem.Clip(d.ID, 60))
}

const (
	giftMessage = "the catch-all would give every destination away that has no row of its own"
	giftMend    = "write reject = true, or a price"
)

// givesAway reports a catch-all that prices 0.
func givesAway(r *tandem.DeckRow) bool {
	return r.Prefix == "" && !r.Reject && r.Rate == 0 && r.ConnectFee == 0 && r.MinCharge == 0 && r.RateInitial.Rate == 0 && r.RateIntrastate.Rate == 0
}

// checkRow applies the rules of one row.
func checkRow(r *tandem.DeckRow, known clocks, bad func(column, message, mend string)) {
	if len(r.Prefix) > maxPrefix || (r.Prefix != "" && !allDigits(r.Prefix)) {
		mend := "write up to 15 digits, country code first, without + or 011"
		bad("prefix", fmt.Sprintf("%q is not a prefix", tandem.Clip(r.Prefix, 20)), mend)
	}
	if r.Prefix != "" && r.Prefix[0] == '0' {
		bad("prefix", fmt.Sprintf("%q matches no number: no country code begins with 0", tandem.Clip(r.Prefix, 20)), "write the country code first, without 00 or 011")
	}
	rate := func(column string, v tandem.Rate) {
		if v < 0 || v > MaxRate {
			bad(column, v.String()+" is out of range", "write a price per minute of 0 to 1000000")
		}
	}
	rate("rate", r.Rate)
	rate("rate_initial", r.RateInitial.Rate)
	rate("rate_intrastate", r.RateIntrastate.Rate)
	rate("rate_indeterminate", r.RateIndeterminate.Rate)
	amount := func(column string, v tandem.Amount) {
		if v < 0 || v > MaxConnectFee {
			bad(column, v.String()+" is out of range", "write 0 to 1000000")
		}
	}
	amount("connect_fee", r.ConnectFee)
	amount("min_charge", r.MinCharge)
	increment := func(column string, n, least int) {
		if n < least || n > MaxIncrement {
			bad(column, strconv.Itoa(n)+" is out of range", fmt.Sprintf("write %d to 3600 seconds; 60 is a minute", least))
		}
	}
	increment("initial_inc", r.InitialInc, 1)
	increment("next_inc", r.NextInc, 1)
	increment("grace", r.Grace, 0)
	if !r.EffectiveTo.IsZero() && end(r) <= begin(r) {
		bad("effective_to", "ends on "+day(r.EffectiveTo)+", not after it begins ("+day(r.EffectiveFrom)+")",
			"write the first instant at which the row no longer counts, or leave it empty")
	}
	checkSpecial(r, known, bad)
}

// checkSpecial applies the rules of the columns that few decks have.
func checkSpecial(r *tandem.DeckRow, known clocks, bad func(column, message, mend string)) {
	if r.RateInitial.Given && (r.RateIntrastate.Given || r.RateIndeterminate.Given) {
		bad("rate_initial", "the row has a rate of the first interval and rates by jurisdiction", "write one or the other")
	}
	if r.RateIndeterminate.Given && !r.RateIntrastate.Given {
		bad("rate_indeterminate", "the row has an indeterminate rate but no intrastate one", "add the intrastate rate, or leave both out")
	}
	if r.Rounding.Mode > tandem.RoundDown || r.Rounding.Drop > 6 {
		bad("round_mode", r.Rounding.String()+" is no rounding", "use half_even, up or down and 0 to 6 decimals")
	}
	if r.Times == "" {
		return
	}
	if _, err := known.get(r.Times); err != nil {
		var e *tandem.Error
		if errors.As(err, &e) {
			bad("times", e.Message, e.Mend)
		}
	}
	if r.Reject {
		bad("reject", "a row for certain times can't reject: a call may begin before them", "give it a price, or reject the prefix at all times")
	}
}

// checkTogether applies the rules between rows. order is that of sorted; name
// says what to call another row in a message.
func checkTogether(rows []tandem.DeckRow, order []int32, known clocks, bad func(row int32, column, message, mend string), name func(row int32) string) {
	for i := 1; i < len(order); i++ {
		older, newer := &rows[order[i]], &rows[order[i-1]]
		if older.Prefix == newer.Prefix && older.Times == newer.Times && end(older) > begin(newer) {
			first, second := min(order[i], order[i-1]), max(order[i], order[i-1])
			bad(second, "prefix", overlapMessage(&rows[second], name(first)), overlapMend)
		}
	}
	for i := 0; i < len(order); {
		from := i
		for i++; i < len(order) && rows[order[i]].Prefix == rows[order[from]].Prefix; i++ {
		}
		if rows[order[i-1]].Times != "" { // rows with times stand last
			checkTimes(rows, order[from:i], known, bad, name)
		}
	}
	checkNational(rows, order, bad, name)
}

// checkTimes applies the rules of a prefix that has rows for certain times:
// one row without times must price the rest, and no instant may have two.
func checkTimes(rows []tandem.DeckRow, group []int32, known clocks, bad func(row int32, column, message, mend string), name func(row int32) string) {
	var bases, timed []int32
	for _, i := range group {
		if rows[i].Times == "" {
			bases = append(bases, i)
		} else {
			timed = append(timed, i)
		}
	}
	slices.Reverse(bases) // earliest first
	for n, i := range timed {
		r := &rows[i]
		reached := begin(r)
		for _, b := range bases {
			if begin(&rows[b]) <= reached && end(&rows[b]) > reached {
				reached = end(&rows[b])
				if rows[b].Reject {
					bad(i, "times", "the prefix is rejected outside these times by "+name(b)+", but a call may last longer", "give the other row a price")
				}
			}
		}
		if reached < end(r) {
			bad(i, "times", "no row prices "+shownPrefix(r)+" outside these times for as long as this row counts", "add a row of the same prefix without times")
		}
		own, err := known.get(r.Times)
		if err != nil {
			continue // reported with the row
		}
		for _, j := range timed[:n] {
			other, err := known.get(rows[j].Times)
			if err == nil && rows[j].Times != r.Times && begin(&rows[j]) < end(r) && begin(r) < end(&rows[j]) && own.overlap(other) {
				bad(i, "times", shownPrefix(r)+" is priced for some of these times by "+name(j)+" already", "let the times of a prefix not overlap, and write them in one zone")
			}
		}
	}
}

// checkNational reports a prefix that stands there a second time without its
// country code 1: as it is, it would price another country.
func checkNational(rows []tandem.DeckRow, order []int32, bad func(row int32, column, message, mend string), name func(row int32) string) {
	for _, i := range order {
		r := &rows[i]
		if len(r.Prefix) < 4 || r.Prefix[0] != '1' || r.Destination == "" {
			continue
		}
		at, found := slices.BinarySearchFunc(order, r.Prefix[1:], func(o int32, prefix string) int { return strings.Compare(rows[o].Prefix, prefix) })
		for ; found && at < len(order) && rows[order[at]].Prefix == r.Prefix[1:]; at++ {
			if o := order[at]; strings.EqualFold(rows[o].Destination, r.Destination) {
				bad(o, "prefix", fmt.Sprintf("%q is %s by %s once more, without its country code 1", rows[o].Prefix, r.Prefix, name(i)), "remove it; prefixes begin with the country code")
			}
		}
	}
}

const overlapMend = "end the earlier one with effective_to, or remove one"

func shownPrefix(r *tandem.DeckRow) string {
	if r.Prefix == "" {
		return "the catch-all"
	}
	return "prefix " + tandem.Clip(r.Prefix, 20)
}

func overlapMessage(r *tandem.DeckRow, other string) string {
	return shownPrefix(r) + " is priced for the same time by " + other + " already"
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
