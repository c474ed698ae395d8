package deck

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem"
)

// Columns are the names of a deck's columns in the order in which WriteCSV
// writes them. A file may have them in any order and leave out all but prefix
// and rate.
func Columns() []string {
	return []string{"prefix", "destination", "rate", "connect_fee", "initial_inc", "next_inc", "effective_from", "effective_to", "reject",
		"rate_initial", "rate_intrastate", "rate_indeterminate", "grace", "min_charge", "round_mode", "round_decimals", "times"}
}

// plainColumns is how many of Columns every deck is written with.
const plainColumns = 9

// template is how the columns of a sheet map to those of a deck, resolved.
type template struct {
	columns   map[string]string   // deck column -> the sheet's name of it
	asked     map[string]struct{} // of them those that the sender named: they must be there
	strict    bool                // a column that is not known is a mistake
	national  bool                // prefixes are North American, with or without 1
	increment int                 // seconds, where the sheet says nothing
	dates     []string            // layouts
	zone      *time.Location
}

// templates are the ready forms. plain is the deck's own; us-wholesale is what
// US carriers send (rating-and-cdr.md 1.1): 1+NPA+NXX, an interstate and an
// intrastate rate, 6/6 where increments are left out, dates also as 11/30/2026.
func templates() map[string]template {
	own := map[string]string{}
	for _, c := range Columns() {
		own[c] = c
	}
	iso := []string{time.RFC3339, time.DateOnly}
	return map[string]template{
		"plain": {columns: own, strict: true, increment: 60, dates: iso}, // whole minutes: the product's retail default
		"us-wholesale": {columns: map[string]string{"prefix": "lrn_prefix", "rate": "interstate", "rate_intrastate": "intrastate", "rate_indeterminate": "indeterminate",
			"effective_from": "effective_date", "effective_to": "expiration_date", "initial_inc": "min_inc", "next_inc": "add_inc"},
			national: true, increment: 6, dates: append(iso, "01/02/2006", "1/2/2006")},
	}
}

// Templates are the names of the ready forms.
func Templates() []string { return slices.Sorted(maps.Keys(templates())) }

// prepare resolves the form that a sheet is to be read by.
func (p *parser) prepare(form tandem.DeckForm) error {
	name := form.Template
	if name == "" {
		name = "plain"
	}
	t, known := templates()[name]
	if !known {
		return &tandem.Error{Kind: tandem.KindInvalid, Field: "template", Message: fmt.Sprintf("%q is not a template", tandem.Clip(name, 40)), Mend: "use one of: " + strings.Join(Templates(), ", ")}
	}
	t.asked = map[string]struct{}{}
	for _, ours := range slices.Sorted(maps.Keys(form.Columns)) {
		theirs := form.Columns[ours]
		switch {
		case !slices.Contains(Columns(), ours):
			p.found.add("columns", fmt.Sprintf("%q is not a column of a deck", tandem.Clip(ours, 40)), "use "+strings.Join(Columns(), ", "))
		case theirs == "":
			delete(t.columns, ours)
		default:
			t.columns[ours] = theirs
			t.asked[ours] = struct{}{}
			t.strict = false
		}
	}
	var err error
	if t.zone, err = time.LoadLocation(form.Zone); err != nil || form.Zone == "Local" {
		p.found.add("zone", fmt.Sprintf("%q is not a time zone", tandem.Clip(form.Zone, 40)), "write an IANA zone such as America/New_York")
	}
	p.form = t
	return p.found.err("form")
}

// column is the deck's name of a column of the sheet.
func (f *template) column(cell string) (name string, known bool) {
	want := fold(cell)
	for ours, theirs := range f.columns {
		if fold(theirs) == want {
			return ours, true
		}
	}
	return "", false
}

// fold makes "Effective Date" and "effective_date" the same.
func fold(s string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(s)), " ", "_")
}

// known are the sheet's names of all columns, in the order of Columns.
func (f *template) known() []string {
	var names []string
	for _, c := range Columns() {
		if theirs, used := f.columns[c]; used {
			names = append(names, theirs)
		}
	}
	return names
}
