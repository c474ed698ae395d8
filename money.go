package tandem

import (
	"fmt"
	"math"
	"strings"
)

// Amount is money in millionths of the account's currency unit (6 decimals).
// Rounding to it happens once per leg, in the rater; sums of amounts are exact.
type Amount int64

// Rate is a price per minute in ten-billionths of the currency unit (10
// decimals): US wholesale decks quote up to 10.
type Rate int64

const (
	amountDecimals = 6
	rateDecimals   = 10
)

// Currency is an ISO 4217 code, for example "USD".
type Currency string

// ParseAmount reads a decimal such as "12.5" or "-0.000001" exactly. More than
// six decimals are refused rather than rounded.
func ParseAmount(s string) (Amount, error) {
	v, err := parseDecimal(s, amountDecimals)
	return Amount(v), err
}

// ParseRate reads a price per minute such as "0.0085" exactly. More than ten
// decimals are refused rather than rounded.
func ParseRate(s string) (Rate, error) {
	v, err := parseDecimal(s, rateDecimals)
	return Rate(v), err
}

// String prints the amount with six decimals, as ClickHouse's Decimal(18,6) does.
func (a Amount) String() string { return formatDecimal(int64(a), amountDecimals) }

// String prints the rate with ten decimals.
func (r Rate) String() string { return formatDecimal(int64(r), rateDecimals) }

func parseDecimal(s string, decimals int) (int64, error) {
	bad := func(rule string) (int64, error) {
		return 0, &Error{Kind: KindInvalid, Message: fmt.Sprintf("%q is not a price or amount: %s", Clip(s, 40), rule),
			Mend: fmt.Sprintf("write digits with a point and at most %d decimals, as in 0.0085", decimals)}
	}
	body, negative := strings.CutPrefix(s, "-")
	whole, fraction, pointed := strings.Cut(body, ".")
	if !isDigits(whole) || (pointed && !isDigits(fraction)) {
		return bad("only digits and one point are allowed")
	}
	if len(fraction) > decimals {
		if strings.TrimRight(fraction[decimals:], "0") != "" {
			return bad(fmt.Sprintf("more than %d decimals", decimals))
		}
		fraction = fraction[:decimals]
	}
	digits := whole + fraction + strings.Repeat("0", decimals-len(fraction))
	var v int64
	for i := 0; i < len(digits); i++ {
		d := int64(digits[i] - '0')
		if v > (math.MaxInt64-d)/10 {
			return bad("too large")
		}
		v = v*10 + d
	}
	if negative {
		v = -v
	}
	return v, nil
}

func formatDecimal(v int64, decimals int) string {
	sign := ""
	u := uint64(v)
	if v < 0 {
		sign, u = "-", -u
	}
	digits := fmt.Sprintf("%0*d", decimals+1, u)
	cut := len(digits) - decimals
	return sign + digits[:cut] + "." + digits[cut:]
}

// MarshalText and UnmarshalText make amounts decimal strings in JSON, YAML and
// forms: a float never comes near money.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText writes; see ParseAmount.
func (a *Amount) UnmarshalText(b []byte) (err error) { *a, err = ParseAmount(string(b)); return err }

// MarshalText is Amount.MarshalText for rates.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText writes; see ParseRate.
func (r *Rate) UnmarshalText(b []byte) (err error) { *r, err = ParseRate(string(b)); return err }
