package tandem

import (
	"fmt"
	"strings"
)

// E164 is an international number with its leading '+', for example
// "+14255550100". A value of this type has been validated at the edge; the
// empty value means "no number".
type E164 string

// maxE164Digits is ITU-T E.164 clause 6.2: at most 15 digits, country code included.
const maxE164Digits = 15

// ParseE164 validates s as an E.164 number: '+', a country code that does not
// start with 0, 4 to 15 digits in all. It accepts no spaces or separators:
// portals and imports clean their input before.
func ParseE164(s string) (E164, error) {
	if len(s) < 2 || s[0] != '+' {
		return "", numberError(s, "it must start with + and the country code, as in +14255550100")
	}
	digits := s[1:]
	if !isDigits(digits) {
		return "", numberError(s, "only digits may follow the +")
	}
	if digits[0] == '0' {
		return "", numberError(s, "a country code never starts with 0 (ITU-T E.164)")
	}
	if len(digits) < 4 || len(digits) > maxE164Digits {
		return "", numberError(s, "it must have 4 to 15 digits (ITU-T E.164)")
	}
	return E164(s), nil
}

func numberError(s, mend string) error {
	return &Error{Kind: KindInvalid, Message: fmt.Sprintf("number %q is not an E.164 number", Clip(s, 40)), Mend: mend}
}

// Digits is the number without its '+'.
func (n E164) Digits() string { return strings.TrimPrefix(string(n), "+") }

// IsNANP reports whether the number has the shape +1 NXX NXX XXXX of the North
// American Numbering Plan; it says nothing about the area code being in service.
func (n E164) IsNANP() bool {
	return len(n) == 12 && n[1] == '1' && n[2] >= '2' && n[5] >= '2'
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// Clip shortens a hostile value for use in an error message or log line, to
// at most n bytes, and replaces control characters.
func Clip(s string, n int) string {
	if len(s) > n {
		s = s[:n] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

// NumberClass is what a destination is to the numbering plan; rating and
// allowances depend on it. The words are stored in CDRs.
type NumberClass string

// The classes of rating-and-cdr.md 3.
const (
	ClassUS            NumberClass = "us"            // 50 states + DC
	ClassUSTerritory   NumberClass = "us_territory"  // PR VI GU MP AS
	ClassCanada        NumberClass = "canada"        //
	ClassNANPOther     NumberClass = "nanp_other"    // other +1 countries, international tariffs
	ClassTollFree      NumberClass = "toll_free"     //
	ClassPremium       NumberClass = "premium"       // 900 and exchange 976
	ClassPersonal      NumberClass = "personal"      // 5XX
	ClassNonGeographic NumberClass = "nongeographic" // 600 700 710 ...
	ClassDirectory     NumberClass = "directory"     // 411, NPA-555-1212: charged, never free
	ClassService       NumberClass = "service"       // other N11
	ClassEmergency     NumberClass = "emergency"     // 911, 112, 933 (test), 988 (lifeline)
	ClassInternational NumberClass = "international" // not +1
	ClassInvalid       NumberClass = "invalid"       // cannot exist in the numbering plan
)
