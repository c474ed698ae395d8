package routing

import (
	"strings"

	"tandem"
)

// dialled is a user part made sense of.
type dialled struct {
	// number is E.164 ("+14255550100") or a short code ("911", "411"); "" when refused.
	number string
	short  bool
	// refused, when number is "", says why; status and cause go with it.
	refused string
	status  tandem.SIPStatus
	cause   tandem.Cause
}

// normalise makes one form of everything that peers write into a user part:
// tel: and number portability parameters (RFC 3966, RFC 4694), visual
// separators, a final '#', +, 00, 011, ten and eleven digits of the North
// American plan, and short codes with or without + and 1 (Microsoft writes 911,
// +911 and +1911). What can become a number with more digits is 484, what never
// will is 404.
func normalise(user string) dialled {
	s := strip(user)
	plus := strings.HasPrefix(s, "+")
	d := strings.TrimPrefix(s, "+")
	switch {
	case d == "":
		return refuse(484, tandem.CauseInvalidNumber, "no number was dialled")
	case !digits(d):
		return refuse(404, tandem.CauseUnallocated, "what was dialled is not a number")
	}
	if code := threeDigits(d); code != "" && serviceCode(code) {
		return dialled{number: code, short: true}
	}
	if !plus {
		switch {
		case strings.HasPrefix(d, "011"):
			return international(d[3:])
		case strings.HasPrefix(d, "00"):
			return international(d[2:])
		case len(d) == 10 && d[0] >= '2':
			return nanp("+1"+d, d)
		case len(d) <= 9:
			return refuse(484, tandem.CauseInvalidNumber, "the number is too short: area code or country code is missing")
		}
	}
	if plus && len(s) == len(d)+1 {
		return e164(s)
	}
	return e164("+" + d)
}

// shortCode is what was dialled if that is three digits, with or without + and
// country code 1; else "".
func shortCode(user string) string { return threeDigits(strings.TrimPrefix(strip(user), "+")) }

func threeDigits(d string) string {
	if len(d) == 4 && d[0] == '1' {
		d = d[1:]
	}
	if len(d) == 3 && digits(d) {
		return d
	}
	return ""
}

// strip cuts what is around the number.
func strip(s string) string {
	if plain(s) {
		return s
	}
	if len(s) >= 4 && strings.EqualFold(s[:4], "tel:") {
		s = s[4:]
	}
	s, _, _ = strings.Cut(s, ";") // npdi, rn, ext, phone-context
	s, _, _ = strings.Cut(s, "@")
	s = strings.TrimRight(s, "# ")
	return strings.Map(func(r rune) rune {
		switch r {
		case '-', '.', '(', ')', ' ': // RFC 3966 visual-separator, and the blank that people type
			return -1
		}
		return r
	}, s)
}

func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		if (s[i] < '0' || s[i] > '9') && s[i] != '+' {
			return false
		}
	}
	return true
}

// serviceCode reports whether three digits are dialled alone: N11 and those that begin like them.
func serviceCode(c string) bool {
	return c[0] >= '2' && c[1] == '1' && c[2] == '1' || c == "112" || c == "933" || c == "988"
}

func international(d string) dialled {
	if d == "" || d[0] == '0' {
		return refuse(404, tandem.CauseUnallocated, "no country code begins with 0")
	}
	return e164("+" + d)
}

// e164 checks a number that begins with +.
func e164(s string) dialled {
	switch {
	case s[1] == '0':
		return refuse(404, tandem.CauseUnallocated, "no country code begins with 0")
	case s[1] == '1':
		return nanp(s, s[2:])
	case len(s) < 5: // + and four digits
		return refuse(484, tandem.CauseInvalidNumber, "the number is too short")
	case len(s) > 16:
		return refuse(404, tandem.CauseUnallocated, "the number has more than 15 digits (ITU-T E.164)")
	}
	return dialled{number: s}
}

// nanp checks NXX NXX XXXX; s is the number with +1, d without.
func nanp(s, d string) dialled {
	switch {
	case len(d) < 10:
		return refuse(484, tandem.CauseInvalidNumber, "the number is too short: +1 takes ten more digits")
	case len(d) > 10:
		return refuse(404, tandem.CauseUnallocated, "the number is too long: +1 takes ten more digits")
	case d[0] < '2' || d[3] < '2':
		return refuse(404, tandem.CauseUnallocated, "no area code or exchange begins with 0 or 1")
	}
	return dialled{number: s}
}

func refuse(status tandem.SIPStatus, cause tandem.Cause, why string) dialled {
	return dialled{refused: why, status: status, cause: cause}
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// anonymous is how a withheld number is written.
const anonymous = "anonymous"

// caller makes one form of the caller's number: E.164, or "" when it is
// withheld or cannot be a number.
func caller(user string) tandem.E164 {
	if n := normalise(user); n.number != "" && !n.short {
		return tandem.E164(n.number)
	}
	return ""
}
