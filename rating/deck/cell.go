package deck

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tandem"
)

// set puts a cell into a row.
func (f *template) set(row *tandem.DeckRow, name, cell string) *tandem.Error {
	switch name {
	case "prefix":
		if cell[0] == '+' {
			return refuse(cell, "begins with +", "write the digits only: 1425 and +1425 would be one prefix twice")
		}
		if f.national {
			return national(cell, &row.Prefix)
		}
		row.Prefix = strings.Clone(cell)
	case "destination":
		if len(cell) > 200 || !utf8.ValidString(cell) || strings.ContainsFunc(cell, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
			return refuse(cell, "is not plain text of up to 200 bytes", "write it on one line, as UTF-8")
		}
		row.Destination = strings.Clone(cell)
	case "rate":
		return price(cell, &row.Rate, tandem.ParseRate)
	case "connect_fee":
		return price(cell, &row.ConnectFee, tandem.ParseAmount)
	case "min_charge":
		return price(cell, &row.MinCharge, tandem.ParseAmount)
	case "rate_initial":
		return optional(cell, &row.RateInitial)
	case "rate_intrastate":
		return optional(cell, &row.RateIntrastate)
	case "rate_indeterminate":
		return optional(cell, &row.RateIndeterminate)
	case "initial_inc":
		return seconds(cell, &row.InitialInc)
	case "next_inc":
		return seconds(cell, &row.NextInc)
	case "grace":
		return seconds(cell, &row.Grace)
	case "effective_from":
		return f.moment(cell, &row.EffectiveFrom)
	case "effective_to":
		return f.moment(cell, &row.EffectiveTo)
	case "round_mode":
		return price(cell, &row.Rounding.Mode, tandem.ParseRoundMode)
	case "round_decimals":
		return decimals(cell, &row.Rounding)
	case "times":
		row.Times = strings.Clone(cell)
	case "reject":
		switch strings.ToLower(cell) {
		case "true", "yes", "1":
			row.Reject = true
		case "false", "no", "0":
			row.Reject = false
		default:
			return refuse(cell, "is neither true nor false", "write true, false or nothing")
		}
	}
	return nil
}

func refuse(cell, rule, mend string) *tandem.Error {
	return &tandem.Error{Kind: tandem.KindInvalid, Message: fmt.Sprintf("%q %s", tandem.Clip(cell, 40), rule), Mend: mend}
}

func price[T any](cell string, to *T, parse func(string) (T, error)) *tandem.Error {
	v, err := parse(cell)
	if err != nil {
		var e *tandem.Error
		if errors.As(err, &e) {
			return e
		}
		return refuse(cell, "is not a price", "write digits and a point, as in 0.0085")
	}
	*to = v
	return nil
}

func seconds(cell string, to *int) *tandem.Error {
	n, err := strconv.ParseUint(cell, 10, 31)
	if err != nil {
		return refuse(cell, "is not a whole number of seconds", "write 1 to 3600; 60 is a minute")
	}
	*to = int(n)
	return nil
}

func optional(cell string, to *tandem.OptionalRate) *tandem.Error {
	to.Given = true
	return price(cell, &to.Rate, tandem.ParseRate)
}

func decimals(cell string, to *tandem.Rounding) *tandem.Error {
	n, err := strconv.ParseUint(cell, 10, 8)
	if err != nil || n > 6 {
		return refuse(cell, "is not a number of decimals", "write 0 to 6")
	}
	to.Drop = uint8(6 - n)
	return nil
}

// national reads a prefix of a US sheet: NPA, NPA-NXX or a whole number, with
// or without the country code 1, which a deck always has.
func national(cell string, to *string) *tandem.Error {
	digits := cell
	if len(digits) > 0 && digits[0] != '1' {
		digits = "1" + digits
	}
	if len(digits) < 4 || len(digits) > 11 || digits[1] < '2' || !allDigits(digits) || (cell[0] != '1' && len(cell) == 7) {
		return refuse(cell, "is not a US prefix", "write 1 and NPA-NXX, as in 1425555")
	}
	*to = strings.Clone(digits)
	return nil
}

// moment reads an instant (RFC 3339) or a day, which means its first instant in
// the form's zone.
func (f *template) moment(cell string, to *time.Time) *tandem.Error {
	for _, layout := range f.dates {
		if t, err := time.ParseInLocation(layout, cell, f.zone); err == nil && t.Year() >= 1970 && t.Year() < 2200 {
			*to = t.UTC()
			return nil
		}
	}
	return refuse(cell, "is not a date", "write 2026-11-01 (UTC) or 2026-11-01T00:00:00-05:00")
}
