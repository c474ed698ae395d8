package deck

import (
	"encoding/csv"
	"io"
	"slices"
	"strconv"
	"time"

	"tandem"
)

// WriteCSV writes rows in the plain form that ParseCSV reads; the same rows
// come back. Columns that few decks have are written only when a row needs them.
func WriteCSV(w io.Writer, rows []tandem.DeckRow) error {
	special := slices.ContainsFunc(rows, func(r tandem.DeckRow) bool {
		return r.RateInitial.Given || r.RateIntrastate.Given || r.RateIndeterminate.Given || r.Grace != 0 || r.MinCharge != 0 || r.Rounding != (tandem.Rounding{}) || r.Times != ""
	})
	columns := Columns()
	if !special {
		columns = columns[:plainColumns]
	}
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return err
	}
	for i := range rows {
		if err := out.Write(cells(&rows[i])[:len(columns)]); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// cells are those of a row in the order of Columns.
func cells(r *tandem.DeckRow) []string {
	date := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339Nano)
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
	ours := r.Rounding == tandem.Rounding{}
	return []string{r.Prefix, r.Destination, r.Rate.String(), r.ConnectFee.String(), strconv.Itoa(r.InitialInc), strconv.Itoa(r.NextInc),
		date(r.EffectiveFrom), date(r.EffectiveTo), unless(!r.Reject, "true"),
		optional(r.RateInitial), optional(r.RateIntrastate), optional(r.RateIndeterminate), unless(r.Grace == 0, strconv.Itoa(r.Grace)),
		unless(r.MinCharge == 0, r.MinCharge.String()), unless(ours, r.Rounding.Mode.String()), unless(ours, strconv.Itoa(r.Rounding.Decimals())), r.Times}
}
