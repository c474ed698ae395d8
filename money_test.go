package tandem

import (
	"encoding/json"
	"math"
	"testing"
)

func TestParseAmount(t *testing.T) {
	cases := map[string]struct {
		in   string
		want Amount
		ok   bool
	}{
		"whole":             {"12", 12_000_000, true},
		"all decimals":      {"0.000001", 1, true},
		"negative":          {"-1.5", -1_500_000, true},
		"trailing zeros":    {"1.50000000", 1_500_000, true},
		"largest":           {"9223372036854.775807", math.MaxInt64, true},
		"ErrTooLarge":       {"9223372036854.775808", 0, false},
		"ErrSevenDecimals":  {"0.0000001", 0, false},
		"ErrEmpty":          {"", 0, false},
		"ErrPlus":           {"+1", 0, false},
		"ErrNoWhole":        {".5", 0, false},
		"ErrNoFraction":     {"5.", 0, false},
		"ErrExponent":       {"1e3", 0, false},
		"ErrComma":          {"1,5", 0, false},
		"ErrTwoSigns":       {"--1", 0, false},
		"ErrThousandsSpace": {"1 000", 0, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ParseAmount(c.in)
			if (err == nil) != c.ok || got != c.want {
				t.Fatalf("ParseAmount(%q) = %d, %v; want %d, ok %v", c.in, got, err, c.want, c.ok)
			}
		})
	}
}

func TestMoneyPrintsExactly(t *testing.T) {
	for a, want := range map[Amount]string{0: "0.000000", 1: "0.000001", -1_500_000: "-1.500000", math.MinInt64: "-9223372036854.775808"} {
		if got := a.String(); got != want {
			t.Errorf("Amount(%d) prints %s, want %s", int64(a), got, want)
		}
	}
	if got := Rate(85_000_000).String(); got != "0.0085000000" {
		t.Errorf("rate prints %s", got)
	}
}

func TestMoneyIsTextInJSON(t *testing.T) {
	b, err := json.Marshal(struct{ A Amount }{1_234_567})
	if err != nil || string(b) != `{"A":"1.234567"}` {
		t.Fatalf("%s, %v", b, err)
	}
	var back struct{ A Amount }
	if err := json.Unmarshal(b, &back); err != nil || back.A != 1_234_567 {
		t.Fatalf("%d, %v", back.A, err)
	}
}

func FuzzParseRate(f *testing.F) {
	for _, s := range []string{"0.0085", "-1", "922337203.6854775807", "1.", "0.00000000000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRate(s)
		if err != nil {
			return
		}
		again, err := ParseRate(r.String())
		if err != nil || again != r {
			t.Fatalf("%q -> %s -> %d, %v", s, r, again, err)
		}
	})
}

func TestRounding(t *testing.T) {
	for text, want := range map[string]Rounding{
		"half_even:6": {}, "half_even": {}, "up:2": {Mode: RoundUp, Drop: 4}, "down:0": {Mode: RoundDown, Drop: 6},
	} {
		var r Rounding
		if err := r.UnmarshalText([]byte(text)); err != nil || r != want {
			t.Errorf("%s: %+v, %v", text, r, err)
		}
		var back Rounding
		if err := back.UnmarshalText([]byte(r.String())); err != nil || back != r {
			t.Errorf("%s came back as %+v, %v", r, back, err)
		}
	}
	for _, text := range []string{"", "nearest", "up:7", "up:-1", "up:x", "up:", "UP:2"} {
		if err := new(Rounding).UnmarshalText([]byte(text)); KindOf(err) != KindInvalid {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestOptionalRateKnowsZeroFromAbsent(t *testing.T) {
	for text, want := range map[string]OptionalRate{"": {}, "0": {Given: true}, "0.01": {Rate: 100_000_000, Given: true}} {
		var r OptionalRate
		if err := r.UnmarshalText([]byte(text)); err != nil || r != want || (r.Or(7) == 7) == want.Given {
			t.Errorf("%q: %+v, %v", text, r, err)
		}
	}
}
