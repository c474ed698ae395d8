// Package numberplan says what a number is to the North American Numbering
// Plan: which class of destination, in the words of tandem.NumberClass. The
// area codes are dated data (nanp.txt) with a self-test; the rest are shapes.
//
// It never decides whether a call may be placed: its data may be older than
// the network's.
package numberplan

import (
	"fmt"

	"tandem"
)

// Classify says what kind of destination a number is. It takes E.164
// ("+14255550100"), ten digits or eleven beginning with 1, "011" and an
// international number, and short codes as Microsoft writes them ("911",
// "+911", "+1911"). Anything else is ClassInvalid. It does not allocate.
func Classify(number string) tandem.NumberClass {
	class, _ := classify(number)
	return class
}

// classify also returns the rule that decided, for Explain.
func classify(number string) (tandem.NumberClass, rule) {
	n, plus := number, false
	if len(n) > 0 && n[0] == '+' {
		n, plus = n[1:], true
	}
	if !allDigits(n) {
		return tandem.ClassInvalid, ruleDigits
	}
	// Short codes come before the country codes that they look like: +911 is the
	// emergency number, not India (91) with one digit.
	short := n
	if len(n) == 4 && n[0] == '1' {
		short = n[1:]
	}
	if len(short) == 3 {
		if class, ok := shortCode(short); ok {
			return class, ruleShort
		}
		return tandem.ClassInvalid, ruleShort
	}
	if !plus {
		switch {
		case len(n) > 3 && n[:3] == "011":
			n = n[3:]
		case len(n) == 10:
			return nanp(n)
		}
	}
	switch {
	case n == "" || n[0] == '0':
		return tandem.ClassInvalid, ruleCountry
	case n[0] == '1':
		return nanp(n[1:])
	case len(n) < 4 || len(n) > 15: // ITU-T E.164 6.2
		return tandem.ClassInvalid, ruleLength
	}
	return tandem.ClassInternational, ruleCountry
}

// AppendKey appends the digits by which a number is looked up in a deck: the
// country code first, no '+'. Short codes are services of the numbering plan's
// own country code, so 411 is looked up as 1411 (its own row, else that of the
// United States) and never as a number of Switzerland (41). ok is false for what
// is not a number, as in "anonymous". It does not allocate beyond dst.
func AppendKey(dst []byte, number string) (key []byte, ok bool) {
	n, plus := number, false
	if len(n) > 0 && n[0] == '+' {
		n, plus = n[1:], true
	}
	switch {
	case !allDigits(n) || len(n) < 3 || len(n) > 18:
		return dst, false
	case len(n) == 3, !plus && len(n) == 10:
		return append(append(dst, '1'), n...), true
	case !plus && len(n) > 3 && n[:3] == "011":
		return append(dst, n[3:]...), true
	}
	return append(dst, n...), true
}

// shortCode classifies three digits dialled alone.
func shortCode(s string) (tandem.NumberClass, bool) {
	switch s {
	case "911", "112", "933", "988":
		return tandem.ClassEmergency, true
	case "411":
		return tandem.ClassDirectory, true
	}
	if s[0] >= '2' && s[1] == '1' && s[2] == '1' {
		return tandem.ClassService, true
	}
	return tandem.ClassInvalid, false
}

// nanp classifies NXX NXX XXXX.
func nanp(n string) (tandem.NumberClass, rule) {
	if len(n) != 10 {
		return tandem.ClassInvalid, ruleLength
	}
	class := plan.npas[areaCode(n)]
	if class == "" {
		return tandem.ClassInvalid, ruleNPA
	}
	if n[3] < '2' || (n[4] == '1' && n[5] == '1' && geographic(class)) {
		return tandem.ClassInvalid, ruleExchange
	}
	if n[3:] == "5551212" {
		return tandem.ClassDirectory, ruleDirectory
	}
	if n[3:6] == "976" && geographic(class) {
		return tandem.ClassPremium, rule976
	}
	return class, ruleNPA
}

// geographic classes have exchanges; the others use these digits freely.
func geographic(c tandem.NumberClass) bool {
	switch c {
	case tandem.ClassUS, tandem.ClassUSTerritory, tandem.ClassCanada, tandem.ClassNANPOther:
		return true
	}
	return false
}

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

type rule uint8

const (
	ruleDigits rule = iota
	ruleShort
	ruleCountry
	ruleLength
	ruleNPA
	ruleExchange
	ruleDirectory
	rule976
)

// Explain says in a sentence how a number is classified, for `tandem rate classify`.
func Explain(number string) string {
	class, r := classify(number)
	shown := tandem.Clip(number, 40)
	switch r {
	case ruleDigits:
		return fmt.Sprintf("%q is %s: it is not a number of digits", shown, class)
	case ruleShort:
		return fmt.Sprintf("%q is %s: a short code", shown, class)
	case ruleLength:
		return fmt.Sprintf("%q is %s: numbers have 11 digits with country code 1, else 4 to 15 (ITU-T E.164 6.2)", shown, class)
	case ruleExchange:
		return fmt.Sprintf("%q is %s: no exchange begins with 0 or 1 or is an N11 code", shown, class)
	case ruleDirectory:
		return fmt.Sprintf("%q is %s: 555-1212 is directory assistance in every area code", shown, class)
	case rule976:
		return fmt.Sprintf("%q is %s: exchange 976 is pay-per-call in every area code", shown, class)
	case ruleNPA:
		if class == tandem.ClassInvalid {
			return fmt.Sprintf("%q is %s: its area code is not in service (NANPA, %s)", shown, class, Date())
		}
		if state := State(number); state != "" {
			return fmt.Sprintf("%q is %s: by its area code, in %s (NANPA, %s)", shown, class, state, Date())
		}
		return fmt.Sprintf("%q is %s: by its area code (NANPA, %s)", shown, class, Date())
	}
	if class == tandem.ClassInvalid {
		return fmt.Sprintf("%q is %s: no country code begins with 0", shown, class)
	}
	return fmt.Sprintf("%q is %s: its country code is not 1", shown, class)
}

func areaCode(n string) int { return int(n[0]-'0')*100 + int(n[1]-'0')*10 + int(n[2]-'0') }

// State is the state or territory of a US number by its area code, two
// letters; "" for numbers that can't be placed: other countries, toll-free and
// other non-geographic ones, short codes, what is no number. Numbers that were
// ported keep their state: porting stays within a rate centre. It does not allocate.
func State(number string) string {
	n, plus := number, false
	if len(n) > 0 && n[0] == '+' {
		n, plus = n[1:], true
	}
	switch {
	case len(n) == 11 && n[0] == '1':
		n = n[1:]
	case plus || len(n) != 10:
		return ""
	}
	if !allDigits(n) {
		return ""
	}
	if class, _ := nanp(n); class != tandem.ClassUS && class != tandem.ClassUSTerritory {
		return ""
	}
	return plan.states[areaCode(n)]
}
