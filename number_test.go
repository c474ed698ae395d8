package tandem

import "testing"

func TestParseE164(t *testing.T) {
	cases := map[string]struct {
		in string
		ok bool
	}{
		"US":                   {"+14255550100", true},
		"longest":              {"+123456789012345", true},
		"shortest":             {"+1234", true},
		"ErrEmpty":             {"", false},
		"ErrNoPlus":            {"14255550100", false},
		"ErrOnlyPlus":          {"+", false},
		"ErrLeadingZero":       {"+0425555", false},
		"ErrTooLong":           {"+1234567890123456", false},
		"ErrTooShort":          {"+123", false},
		"ErrSpace":             {"+1425 5550100", false},
		"ErrLetters":           {"+1425CALLNOW", false},
		"ErrArabicIndicDigits": {"+١٤٢٥٥٥٥٠١٠٠", false},
		"ErrNewline":           {"+14255550100\r\nEvil: 1", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n, err := ParseE164(c.in)
			if (err == nil) != c.ok {
				t.Fatalf("ParseE164(%q) = %q, %v; want ok %v", c.in, n, err, c.ok)
			}
			if err != nil && KindOf(err) != KindInvalid {
				t.Errorf("kind %s, want invalid", KindOf(err))
			}
		})
	}
}

func TestIsNANP(t *testing.T) {
	for n, want := range map[E164]bool{
		"+14255550100": true, "+442071838750": false, "+11255550100": false, "+14250550100": false, "+1425555010": false, "": false,
	} {
		if got := n.IsNANP(); got != want {
			t.Errorf("%q.IsNANP() = %v, want %v", n, got, want)
		}
	}
}

func FuzzParseE164(f *testing.F) {
	for _, s := range []string{"+14255550100", "+", "+0", "+1\n2345", "١"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseE164(s)
		if err != nil {
			return
		}
		if string(n) != s || !isDigits(n.Digits()) || len(n.Digits()) > maxE164Digits {
			t.Fatalf("accepted %q as %q", s, n)
		}
	})
}

func TestClipTamesHostileText(t *testing.T) {
	if got := Clip("a\r\nb\x00c", 10); got != "a??b?c" {
		t.Errorf("got %q", got)
	}
	if got := Clip("abcdef", 3); got != "abc..." {
		t.Errorf("got %q", got)
	}
}
