package provisioning

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem"
)

// maxDiffLines bounds the lines of a difference; the counts are of all rows.
const maxDiffLines = 1000

// DeckDiff is what a deck changes for those who call.
type DeckDiff struct {
	Added   int            `json:"added"`
	Changed int            `json:"changed"`
	Removed int            `json:"removed"`
	Same    int            `json:"same"`
	Dearer  int            `json:"dearer" doc:"of the changed rows, those whose rate goes up"`
	Cheaper int            `json:"cheaper" doc:"of the changed rows, those whose rate goes down"`
	Lines   []DeckDiffLine `json:"lines" doc:"up to 1000 of them, by prefix"`
}

// DeckDiffLine is one row that is added (+), changed (~) or removed (-).
type DeckDiffLine struct {
	Op          string `json:"op" enum:"+,~,-"`
	Prefix      string `json:"prefix"`
	Destination string `json:"destination"`
	Detail      string `json:"detail" doc:"the price, or field old -> new of what changes"`
}

// String is the line as tandem deck preview prints it.
func (l DeckDiffLine) String() string {
	name := l.Prefix
	if name == "" {
		name = "(all others)"
	}
	if l.Destination != "" {
		name += " " + l.Destination
	}
	return l.Op + " " + name + ": " + l.Detail
}

// diffDecks compares a deck with the one in force, which may be nil. Rows are
// the same by prefix, times and first instant, whatever their order.
func diffDecks(current, next *tandem.Deck) DeckDiff {
	type key struct {
		prefix, times string
		from          int64
	}
	keyOf := func(r *tandem.DeckRow) key { return key{r.Prefix, r.Times, r.EffectiveFrom.UnixMicro()} }
	d := DeckDiff{Lines: []DeckDiffLine{}}
	old := map[key]*tandem.DeckRow{}
	if current != nil {
		for i := range current.Rows {
			old[keyOf(&current.Rows[i])] = &current.Rows[i]
		}
	}
	for i := range next.Rows {
		r := &next.Rows[i]
		was := old[keyOf(r)]
		delete(old, keyOf(r))
		if was == nil {
			d.Added++
			d.Lines = append(d.Lines, DeckDiffLine{"+", r.Prefix, r.Destination, rowSummary(r)})
			continue
		}
		detail := rowDifference(was, r)
		if detail == "" {
			d.Same++
			continue
		}
		d.Changed++
		switch {
		case r.Rate > was.Rate:
			d.Dearer++
		case r.Rate < was.Rate:
			d.Cheaper++
		}
		d.Lines = append(d.Lines, DeckDiffLine{"~", r.Prefix, r.Destination, detail})
	}
	d.Removed = len(old)
	for _, r := range old {
		d.Lines = append(d.Lines, DeckDiffLine{"-", r.Prefix, r.Destination, rowSummary(r)})
	}
	slices.SortStableFunc(d.Lines, func(a, b DeckDiffLine) int {
		return cmp.Or(cmp.Compare(a.Prefix, b.Prefix), cmp.Compare(a.Detail, b.Detail))
	})
	d.Lines = d.Lines[:min(len(d.Lines), maxDiffLines)]
	return d
}

// rowFields are the fields of a row in words; "" = its default.
func rowFields(r *tandem.DeckRow) [][2]string {
	day := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	optional := func(o tandem.OptionalRate) string {
		text, _ := o.MarshalText() // never fails
		return string(text)
	}
	unless := func(zero bool, s string) string {
		if zero {
			return ""
		}
		return s
	}
	rate := r.Rate.String()
	if r.Reject {
		rate = "reject"
	}
	return [][2]string{{"rate", rate}, {"destination", r.Destination}, {"connect_fee", unless(r.ConnectFee == 0, r.ConnectFee.String())},
		{"increments", fmt.Sprintf("%d/%d", r.InitialInc, r.NextInc)}, {"effective_from", day(r.EffectiveFrom)}, {"effective_to", day(r.EffectiveTo)},
		{"rate_initial", optional(r.RateInitial)}, {"rate_intrastate", optional(r.RateIntrastate)}, {"rate_indeterminate", optional(r.RateIndeterminate)},
		{"grace", unless(r.Grace == 0, fmt.Sprint(r.Grace))}, {"min_charge", unless(r.MinCharge == 0, r.MinCharge.String())},
		{"rounding", unless(r.Rounding == tandem.Rounding{}, r.Rounding.String())}, {"times", r.Times}}
}

func rowSummary(r *tandem.DeckRow) string {
	var parts []string
	for _, f := range rowFields(r) {
		if f[1] != "" && f[0] != "destination" {
			parts = append(parts, f[0]+" "+f[1])
		}
	}
	return strings.Join(parts, ", ")
}

func rowDifference(was, now *tandem.DeckRow) string {
	a, b := rowFields(was), rowFields(now)
	var parts []string
	for i := range a {
		if a[i] != b[i] {
			parts = append(parts, fmt.Sprintf("%s %s -> %s", a[i][0], or(a[i][1], "none"), or(b[i][1], "none")))
		}
	}
	return strings.Join(parts, ", ")
}
