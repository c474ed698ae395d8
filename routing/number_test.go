package routing

import (
	"strings"
	"testing"

	"tandem"
)

func TestNormalise(t *testing.T) {
	for name, c := range map[string]struct {
		in, want string
		status   tandem.SIPStatus
	}{
		"E.164":                  {"+14255550101", "+14255550101", 0},
		"eleven digits":          {"14255550101", "+14255550101", 0},
		"ten digits":             {"4255550101", "+14255550101", 0},
		"visual separators":      {"+1 (425) 555-0101", "+14255550101", 0},
		"dots":                   {"425.555.0101", "+14255550101", 0},
		"portability parameters": {"+14255550101;npdi;rn=+14257770000", "+14255550101", 0},
		"extension":              {"+14255550101;ext=5", "+14255550101", 0},
		"tel URI":                {"tel:+1-425-555-0101;phone-context=x", "+14255550101", 0},
		"TEL URI":                {"TEL:+14255550101", "+14255550101", 0},
		"final hash":             {"4255550101#", "+14255550101", 0},
		"011":                    {"011442071838750", "+442071838750", 0},
		"00":                     {"00442071838750", "+442071838750", 0},
		"011 to the own country": {"01114255550101", "+14255550101", 0},
		"foreign":                {"+442071838750", "+442071838750", 0},
		"foreign without plus":   {"442071838750", "+442071838750", 0},
		"911":                    {"911", "911", 0},
		"+911":                   {"+911", "911", 0},
		"+1911":                  {"+1911", "911", 0},
		"1911":                   {"1911", "911", 0},
		"933":                    {"933", "933", 0},
		"988":                    {"988", "988", 0},
		"112":                    {"112", "112", 0},
		"directory":              {"411", "411", 0},
		"+1411":                  {"+1411", "411", 0},
		"afghanistan is not 933": {"+93701234567", "+93701234567", 0},
		"ErrEmpty":               {"", "", 484},
		"ErrPlus":                {"+", "", 484},
		"ErrSevenDigits":         {"5550101", "", 484},
		"ErrShortNANP":           {"+1425555", "", 484},
		"ErrShortForeign":        {"+442", "", 484},
		"ErrNoService":           {"555", "", 484},
		"ErrOperator":            {"0", "", 484},
		"ErrLongNANP":            {"+142555501011", "", 404},
		"ErrExchange1":           {"+14251550101", "", 404},
		"ErrAreaCode1":           {"+11255550101", "", 404},
		"ErrCountry0":            {"+0425555010", "", 404},
		"ErrDouble0":             {"000442071838", "", 404},
		"ErrSixteenDigits":       {"+4420718387501234", "", 404},
		"ErrLetters":             {"+1425CALLNOW", "", 404},
		"ErrHashInside":          {"#31#4255550101", "", 404},
		"ErrStarCode":            {"*67", "", 404},
		"ErrAnonymous":           {"anonymous", "", 404},
		"ErrTwoPlus":             {"++14255550101", "", 404},
		"ErrHeaderInjection":     {"+14255550101\r\nX: 1", "", 404},
		"ErrArabicIndicDigits":   {"+١٤٢٥٥٥٥٠١٠١", "", 404},
	} {
		t.Run(name, func(t *testing.T) {
			got := normalise(c.in)
			if got.number != c.want || got.status != c.status {
				t.Fatalf("normalise(%q) = %+v, want %q, %d", c.in, got, c.want, c.status)
			}
			if (got.number == "") != (got.refused != "" && got.cause != 0) {
				t.Errorf("a refusal needs its reason: %+v", got)
			}
		})
	}
}

func TestNormaliseLeavesGoodNumbersAlone(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { normalise("+14255550101"); normalise("911"); normalise("+442071838750") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzNormalise(f *testing.F) {
	for _, s := range []string{"+14255550101", "011442071838750", "tel:+1-425-555-0101;npdi;rn=+1", "+911", "#", "1911", "+1 (425) 555-0101", "\x00", "00", "١"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := normalise(s)
		switch {
		case d.number == "":
			if d.status != 404 && d.status != 484 || d.cause == 0 || d.refused == "" {
				t.Fatalf("%q refused as %+v", s, d)
			}
			if len(s) > 3 && strings.Contains(d.refused, s) {
				t.Fatalf("the reason repeats what was sent: %q", d.refused)
			}
			return
		case d.short:
			if len(d.number) != 3 || !digits(d.number) {
				t.Fatalf("%q is short code %q", s, d.number)
			}
		default:
			if _, err := tandem.ParseE164(d.number); err != nil {
				t.Fatalf("%q became %q: %v", s, d.number, err)
			}
		}
		if again := normalise(d.number); again != d {
			t.Fatalf("%q becomes %q, that becomes %q", s, d.number, again.number)
		}
	})
}
