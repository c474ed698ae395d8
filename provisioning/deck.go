package provisioning

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"tandem"
)

// readDeck reads a deck whose rows stand in the document or in a CSV file.
func readDeck(v value, src Source) (tandem.Deck, object) {
	o := v.object("id", "direction", "currency", "rows", "file")
	d := tandem.Deck{
		ID:        o.name("id"),
		Direction: word(o, "direction", tandem.Outbound, tandem.Inbound, tandem.Outbound),
		Currency:  tandem.Currency(o.need("currency", "write an ISO 4217 code such as USD")),
	}
	rows, inline := o.fields["rows"]
	file, named := o.fields["file"]
	switch {
	case inline && named:
		file.bad("stands beside rows", "give the rows either here or in a file")
	case inline:
		for _, item := range rows.list() {
			row := readDeckRow(item)
			d.Rows = append(d.Rows, row)
			o.fields[rowField(row.Prefix)] = item // the row's place, for checkDeck
		}
	case named:
		d.Rows = readDeckFile(file, src)
	default:
		v.bad("has no rows", "add rows: or file: to the deck")
	}
	orderRows(d.Rows)
	return d, o
}

// rowField names a row of a deck among the deck's places.
func rowField(prefix string) string { return "rows[" + prefix + "]" }

// orderRows sorts rows by prefix and date and numbers them from 1, so that the
// same rows in another order are the same deck.
func orderRows(rows []tandem.DeckRow) {
	slices.SortStableFunc(rows, func(a, b tandem.DeckRow) int {
		return cmp.Or(cmp.Compare(a.Prefix, b.Prefix), cmp.Compare(a.Times, b.Times), a.EffectiveFrom.Compare(b.EffectiveFrom))
	})
	for i := range rows {
		rows[i].ID = int64(i + 1)
	}
}

func readDeckRow(v value) tandem.DeckRow {
	o := v.object("prefix", "destination", "rate", "connect_fee", "initial_inc", "next_inc", "effective_from", "effective_to", "reject",
		"rate_initial", "rate_intrastate", "rate_indeterminate", "grace", "min_charge", "rounding", "times")
	if !o.has("prefix") {
		v.bad("has no prefix", `write the digits without +, or "" for all other destinations`)
	}
	row := tandem.DeckRow{
		Prefix:        o.text("prefix"),
		Destination:   o.label("destination"),
		Rate:          parsed(o, "rate", 0, tandem.ParseRate),
		ConnectFee:    parsed(o, "connect_fee", 0, tandem.ParseAmount),
		InitialInc:    o.integer("initial_inc", 60, 1, 3600),
		NextInc:       o.integer("next_inc", 60, 1, 3600),
		EffectiveFrom: o.moment("effective_from"),
		EffectiveTo:   o.moment("effective_to"),
		Reject:        o.boolean("reject", false),

		RateInitial:       parsed(o, "rate_initial", tandem.OptionalRate{}, givenRate),
		RateIntrastate:    parsed(o, "rate_intrastate", tandem.OptionalRate{}, givenRate),
		RateIndeterminate: parsed(o, "rate_indeterminate", tandem.OptionalRate{}, givenRate),
		Grace:             o.integer("grace", 0, 0, 3600),
		MinCharge:         parsed(o, "min_charge", 0, tandem.ParseAmount),
		Rounding: parsed(o, "rounding", tandem.Rounding{}, func(s string) (r tandem.Rounding, err error) {
			return r, r.UnmarshalText([]byte(s))
		}),
		Times: o.label("times"),
	}
	if !row.Reject && !o.has("rate") {
		v.bad("has no rate", "write the price per minute, or reject: true")
	}
	return row
}

func givenRate(s string) (tandem.OptionalRate, error) {
	r, err := tandem.ParseRate(s)
	return tandem.OptionalRate{Rate: r, Given: err == nil}, err
}

func readDeckFile(v value, src Source) []tandem.DeckRow {
	name := v.text()
	if name == "" {
		return nil
	}
	if src.Open == nil || src.ParseDeckCSV == nil {
		v.bad("can't be read here", "send the file along with the document, as tandem apply does")
		return nil
	}
	f, err := src.Open(name)
	if err != nil {
		v.bad("can't be read", "give the path of a CSV file, relative to this document")
		return nil
	}
	defer f.Close()
	rows, err := src.ParseDeckCSV(io.LimitReader(f, maxDeckFile))
	if err != nil {
		for _, one := range flatten(err) {
			e := &tandem.Error{Kind: tandem.KindInvalid, Message: one.Error()}
			errors.As(one, &e)
			located := *e
			located.Field = joinField(tandem.Clip(name, 60), e.Field)
			v.r.report(positionOf(v.node), &located)
		}
		return nil
	}
	return rows
}

func joinField(file, field string) string {
	if field == "" {
		return file
	}
	return file + ": " + field
}

// flatten takes joined errors apart.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, one := range many.Unwrap() {
			all = append(all, flatten(one)...)
		}
		return all
	}
	return []error{err}
}

// checkDeck reports rows that break a rule; the field names the row by its prefix.
func (c *checker) checkDeck(d *tandem.Deck) {
	at := place{Decks, d.ID, "rows"}
	if len(d.Rows) == 0 {
		c.bad(at, d.ID, "has no rows", "add at least a catch-all row with prefix \"\"")
	}
	for i := range d.Rows {
		r := &d.Rows[i]
		at := place{Decks, d.ID, rowField(r.Prefix)}
		label := fmt.Sprintf("prefix %q", tandem.Clip(r.Prefix, 20))
		switch {
		case len(r.Prefix) > 15 || (r.Prefix != "" && !allDigits(r.Prefix)):
			c.bad(at, r.Prefix, "is not a prefix", "write up to 15 digits without +")
		case r.Rate < 0 || r.ConnectFee < 0:
			c.bad(at, label, "has a negative price", "write 0 or more")
		case r.InitialInc < 1 || r.NextInc < 1:
			c.bad(at, label, "has an increment under 1 s", "write 1 or more; 60 is a minute")
		case !r.EffectiveTo.IsZero() && !r.EffectiveFrom.Before(r.EffectiveTo):
			c.bad(at, label, "ends before it begins", "effective_to is the first instant at which the row no longer counts")
		}
	}
	c.checkOverlaps(d)
}

// checkOverlaps reports prefixes that are priced twice for the same time. Rows
// of an imported deck stand in the order of their sheet.
func (c *checker) checkOverlaps(d *tandem.Deck) {
	order := make([]int, len(d.Rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := &d.Rows[i], &d.Rows[j]
		return cmp.Or(cmp.Compare(a.Prefix, b.Prefix), cmp.Compare(a.Times, b.Times), a.EffectiveFrom.Compare(b.EffectiveFrom))
	})
	for i := 1; i < len(order); i++ {
		before, r := &d.Rows[order[i-1]], &d.Rows[order[i]]
		if before.Prefix == r.Prefix && before.Times == r.Times && (before.EffectiveTo.IsZero() || before.EffectiveTo.After(r.EffectiveFrom)) {
			c.bad(place{Decks, d.ID, rowField(r.Prefix)}, fmt.Sprintf("prefix %q", tandem.Clip(r.Prefix, 20)), "is priced twice for the same time", "end the earlier row with effective_to, or remove one")
		}
	}
}

// checkChanged applies rating's own rules to decks that differ from those in
// force: what the store takes, the rater must take too.
func checkChanged(current, next []tandem.Deck, validate func(*tandem.Deck) error) []fault {
	var faults []fault
	for i := range next {
		d := &next[i]
		if slices.ContainsFunc(current, func(c tandem.Deck) bool { return c.ID == d.ID && c.Version == d.Version }) {
			continue
		}
		for _, one := range flatten(validate(d)) {
			e := &tandem.Error{Kind: tandem.KindInvalid, Message: one.Error()}
			errors.As(one, &e)
			located, at := *e, place{Decks, d.ID, "rows"}
			var n int
			var column string
			if _, err := fmt.Sscanf(e.Field, "rows[%d].%s", &n, &column); err == nil && n >= 1 && n <= len(d.Rows) {
				at.field = rowField(d.Rows[n-1].Prefix)
				located.Field = fmt.Sprintf("decks[%s].%s.%s", d.ID, at.field, column)
			}
			faults = append(faults, fault{at, &located})
		}
	}
	return faults
}

func allDigits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
