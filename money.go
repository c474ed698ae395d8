package tandem

import (
	"fmt"
	"math"
	"strconv"
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

// OptionalRate is a rate that need not be there: 0 is a price, absence is not.
type OptionalRate struct {
	Rate  Rate
	Given bool
}

// Or is the rate, else another.
func (r OptionalRate) Or(other Rate) Rate {
	if r.Given {
		return r.Rate
	}
	return other
}

// MarshalText writes the rate; "" when there is none.
func (r OptionalRate) MarshalText() ([]byte, error) {
	if !r.Given {
		return nil, nil
	}
	return r.Rate.MarshalText()
}

// UnmarshalText reads what MarshalText writes; see ParseRate.
func (r *OptionalRate) UnmarshalText(b []byte) (err error) {
	*r = OptionalRate{}
	if len(b) > 0 {
		r.Given = true
		r.Rate, err = ParseRate(string(b))
	}
	return err
}

// RoundMode is what happens to the part of an amount that is smaller than the
// last decimal. It looks at magnitudes, so that a credit is rounded as the
// charge that it takes back and both sum to zero.
type RoundMode uint8

// The modes of rounding.
const (
	RoundHalfEven RoundMode = iota // to the nearest, an exact half to the even neighbour
	RoundUp                        // away from zero
	RoundDown                      // towards zero
)

var roundModes = [...]string{RoundHalfEven: "half_even", RoundUp: "up", RoundDown: "down"}

func (m RoundMode) String() string {
	if int(m) < len(roundModes) {
		return roundModes[m]
	}
	return "unknown"
}

// ParseRoundMode reads the words of RoundMode.
func ParseRoundMode(s string) (RoundMode, error) {
	for m, word := range roundModes {
		if s == word {
			return RoundMode(m), nil
		}
	}
	return 0, &Error{Kind: KindInvalid, Message: fmt.Sprintf("%q is not a way to round", Clip(s, 40)), Mend: "use one of: half_even, up, down"}
}

// Rounding is the one rounding of a charge. The zero value is the product's
// own: half to even at the six decimals of Amount.
type Rounding struct {
	Mode RoundMode
	Drop uint8 // how many of the six decimals are dropped, 0 to 6
}

// Decimals is how many decimals are kept.
func (r Rounding) Decimals() int { return amountDecimals - int(r.Drop) }

// NewRounding keeps a number of decimals, 0 to 6.
func NewRounding(mode RoundMode, decimals int) (Rounding, error) {
	if decimals < 0 || decimals > amountDecimals {
		return Rounding{}, &Error{Kind: KindInvalid, Message: fmt.Sprintf("%d decimals can't be kept", decimals), Mend: "write 0 to 6"}
	}
	return Rounding{Mode: mode, Drop: uint8(amountDecimals - decimals)}, nil
}

// String is the mode and the decimals kept, as in "half_even:6".
func (r Rounding) String() string { return r.Mode.String() + ":" + strconv.Itoa(r.Decimals()) }

// MarshalText is String.
func (r Rounding) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText writes; without decimals six are kept.
func (r *Rounding) UnmarshalText(b []byte) error {
	word, digits, given := strings.Cut(string(b), ":")
	mode, err := ParseRoundMode(word)
	if err != nil {
		return err
	}
	decimals := amountDecimals
	if given {
		if decimals, err = strconv.Atoi(digits); err != nil {
			decimals = -1
		}
	}
	*r, err = NewRounding(mode, decimals)
	return err
}

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
	var buffer [24]byte
	return string(appendDecimal(buffer[:0], v, decimals))
}

func appendDecimal(to []byte, v int64, decimals int) []byte {
	u := uint64(v)
	if v < 0 {
		to, u = append(to, '-'), -u
	}
	var digits [20]byte
	n := len(digits)
	for i := 0; u > 0 || i <= decimals; i++ {
		n--
		digits[n] = byte('0' + u%10)
		u /= 10
	}
	cut := len(digits) - decimals
	return append(append(append(to, digits[n:cut]...), '.'), digits[cut:]...)
}

// AppendText is MarshalText into a buffer (encoding.TextAppender).
func (a Amount) AppendText(b []byte) ([]byte, error) {
	return appendDecimal(b, int64(a), amountDecimals), nil
}

// AppendText is MarshalText into a buffer (encoding.TextAppender).
func (r Rate) AppendText(b []byte) ([]byte, error) {
	return appendDecimal(b, int64(r), rateDecimals), nil
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
