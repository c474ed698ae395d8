package numberplan

import (
	"strings"
	"testing"

	"tandem"
)

func TestCountsOfThePlan(t *testing.T) {
	want := map[tandem.NumberClass]int{tandem.ClassUS: 372, tandem.ClassUSTerritory: 6, tandem.ClassCanada: 55, tandem.ClassNANPOther: 21,
		tandem.ClassTollFree: 7, tandem.ClassPremium: 1, tandem.ClassPersonal: 18, tandem.ClassNonGeographic: 5}
	got, sum := map[tandem.NumberClass]int{}, 0
	for _, class := range plan.npas {
		if class != "" {
			got[class]++
			sum++
		}
	}
	for class, n := range want {
		if got[class] != n {
			t.Errorf("%s: %d area codes, want %d", class, got[class], n)
		}
	}
	if sum != 485 || len(got) != len(want) {
		t.Errorf("%d area codes in %d classes", sum, len(got))
	}
}

func TestNoCodeEndsInElevenOrHasMiddleNine(t *testing.T) {
	for code, class := range plan.npas {
		if class != "" && (code%100 == 11 || code/10%10 == 9) {
			t.Errorf("%d is %s, but N11 and N9X are never area codes", code, class)
		}
	}
}

func TestDataProblemsAreFound(t *testing.T) {
	for name, text := range map[string]string{
		"ErrTwice":     nanpText + "\npremium + 900",
		"ErrOneMore":   nanpText + "\npremium + 976",
		"ErrNoCodes":   "us 0",
		"ErrRange":     "us 1 203-201",
		"ErrCount":     "us many 201",
		"ErrIncluding": "us 1 2o1",
		"ErrTooFew":    "us 1 201",
		"ErrNoDate":    strings.Replace(nanpText, "date 2026-09-21", "", 1),
	} {
		if _, err := parse(text, statesText); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestClassify(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want tandem.NumberClass
	}{
		"us E.164":                           {"+14255550100", tandem.ClassUS},
		"us eleven digits":                   {"14255550100", tandem.ClassUS},
		"us ten digits":                      {"4255550100", tandem.ClassUS},
		"newest NPA of libphonenumber's gap": {"+13575550100", tandem.ClassUS},
		"puerto rico":                        {"+17875550100", tandem.ClassUSTerritory},
		"guam":                               {"+16715550100", tandem.ClassUSTerritory},
		"canada":                             {"+14165550100", tandem.ClassCanada},
		"jamaica":                            {"+18765550100", tandem.ClassNANPOther},
		"toll-free":                          {"+18005550100", tandem.ClassTollFree},
		"toll-free exchange 976":             {"+18009765555", tandem.ClassTollFree},
		"premium 900":                        {"+19005550100", tandem.ClassPremium},
		"premium 976":                        {"+12129765555", tandem.ClassPremium},
		"personal":                           {"+15005550100", tandem.ClassPersonal},
		"government":                         {"+17105550100", tandem.ClassNonGeographic},
		"canadian service":                   {"+16005550100", tandem.ClassNonGeographic},
		"directory 411":                      {"411", tandem.ClassDirectory},
		"directory 555-1212":                 {"+12125551212", tandem.ClassDirectory},
		"toll-free directory":                {"+18005551212", tandem.ClassDirectory},
		"211":                                {"211", tandem.ClassService},
		"711 relay with +1":                  {"+1711", tandem.ClassService},
		"911":                                {"911", tandem.ClassEmergency},
		"911 with plus":                      {"+911", tandem.ClassEmergency},
		"911 with +1":                        {"+1911", tandem.ClassEmergency},
		"1911":                               {"1911", tandem.ClassEmergency},
		"933 test":                           {"933", tandem.ClassEmergency},
		"988 lifeline":                       {"988", tandem.ClassEmergency},
		"112":                                {"112", tandem.ClassEmergency},
		"uk":                                 {"+442071838750", tandem.ClassInternational},
		"011 uk":                             {"011442071838750", tandem.ClassInternational},
		"afghanistan, not 933":               {"+93701234567", tandem.ClassInternational},
		"india, not 911":                     {"+919876543210", tandem.ClassInternational},
		"ErrAreaCodeNotInService":            {"+12225550100", tandem.ClassInvalid},
		"ErrAreaCode0":                       {"+10255550100", tandem.ClassInvalid},
		"ErrExchange1":                       {"+14251550100", tandem.ClassInvalid},
		"ErrExchangeN11":                     {"+14259110100", tandem.ClassInvalid},
		"ErrElevenDigitsAfter1":              {"+142555501000", tandem.ClassInvalid},
		"ErrNineDigits":                      {"+1425555010", tandem.ClassInvalid},
		"ErrCountry0":                        {"+0425555010", tandem.ClassInvalid},
		"ErrSixteenDigits":                   {"+4420718387501234", tandem.ClassInvalid},
		"ErrEmpty":                           {"", tandem.ClassInvalid},
		"ErrPlus":                            {"+", tandem.ClassInvalid},
		"ErrAnonymous":                       {"anonymous", tandem.ClassInvalid},
		"ErrThreeDigits":                     {"123", tandem.ClassInvalid},
		"ErrArabicIndicDigits":               {"+١٤٢٥", tandem.ClassInvalid},
		"ErrHeaderInjection":                 {"+14255550100\r\nX: 1", tandem.ClassInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Classify(c.in); got != c.want {
				t.Errorf("Classify(%q) = %s, want %s", c.in, got, c.want)
			}
			if s := Explain(c.in); !strings.Contains(s, string(c.want)) || strings.ContainsAny(s, "\r\n") {
				t.Errorf("Explain(%q) = %s", c.in, s)
			}
		})
	}
}

func TestStatesProblemsAreFound(t *testing.T) {
	for name, text := range map[string]string{
		"ErrTwice":    statesText + "\nWA 212",
		"ErrCanada":   statesText + "\nWA 416",
		"ErrMissing":  strings.Replace(statesText, " 206 ", " ", 1),
		"ErrNoState":  strings.Replace(statesText, "\nWA ", "\nWashington ", 1),
		"ErrNoNumber": statesText + "\nWA x",
	} {
		if _, err := parse(nanpText, text); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestState(t *testing.T) {
	for number, want := range map[string]string{
		"+14255550100": "WA", "14255550100": "WA", "4255550100": "WA", "+12125550100": "NY", "+17875550100": "PR", "+16715550100": "GU", "+12025550100": "DC",
		"+14165550100": "", "+18005550100": "", "+15005550100": "", "+442071838750": "", "911": "", "": "", "anonymous": "", "+4255550100": "", "+12129765555": "",
	} {
		if got := State(number); got != want {
			t.Errorf("State(%q) = %q, want %q", number, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { State("+14255550100") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestClassifyDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { Classify("+14255550100"); Classify("+1911"); Classify("011442071838750") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestKey(t *testing.T) {
	for in, want := range map[string]string{
		"+14255550100": "14255550100", "14255550100": "14255550100", "4255550100": "14255550100", "+4420718387": "4420718387",
		"411": "1411", "+1411": "1411", "+711": "1711", "01144207": "44207", "+442071838750": "442071838750",
		"": "", "+": "", "anonymous": "", "12": "", "+1234567890123456789": "",
	} {
		key, ok := AppendKey(nil, in)
		if string(key) != want || ok != (want != "") {
			t.Errorf("AppendKey(%q) = %q, %v; want %q", in, key, ok, want)
		}
	}
}

func FuzzClassify(f *testing.F) {
	for _, s := range []string{"+14255550100", "911", "+1911", "011442071838750", "", "+", "١٢٣", "4255550100"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		class := Classify(s)
		if class == "" {
			t.Fatalf("no class for %q", s)
		}
		if n, err := tandem.ParseE164(s); err == nil && !n.IsNANP() && len(n) > 5 && n[1] != '1' && class != tandem.ClassInternational {
			t.Fatalf("%q is %s", s, class)
		}
	})
}

func BenchmarkClassify(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Classify("+14255550100")
	}
}
