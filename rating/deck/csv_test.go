package deck

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"tandem"
)

const goodCSV = `prefix,destination,rate,connect_fee,initial_inc,next_inc,effective_from,effective_to,reject
1,United States,0.0125,,60,60,,,
44,"United Kingdom, ""mobile"" apart",0.0290,0.01,30,6,2026-01-01,2027-01-01T00:00:00-05:00,
,Everywhere else,,,,,,,true
`

func TestParseCSV(t *testing.T) {
	want := []tandem.DeckRow{
		{ID: 1, Prefix: "1", Destination: "United States", Rate: 125_000_000, InitialInc: 60, NextInc: 60},
		{ID: 2, Prefix: "44", Destination: `United Kingdom, "mobile" apart`, Rate: 290_000_000, ConnectFee: 10_000, InitialInc: 30, NextInc: 6,
			EffectiveFrom: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), EffectiveTo: time.Date(2027, 1, 1, 5, 0, 0, 0, time.UTC)},
		{ID: 3, Destination: "Everywhere else", InitialInc: 60, NextInc: 60, Reject: true},
	}
	for name, text := range map[string]string{
		"plain":             goodCSV,
		"byte order mark":   "\xef\xbb\xbf" + goodCSV,
		"CRLF":              strings.ReplaceAll(goodCSV, "\n", "\r\n"),
		"blank lines":       strings.ReplaceAll(goodCSV, "\n", "\n\n"),
		"no last line feed": strings.TrimSuffix(goodCSV, "\n"),
		"upper-case header": strings.Replace(goodCSV, "prefix,destination", "PREFIX, Destination", 1),
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := ParseCSV(strings.NewReader(text))
			if err != nil || !reflect.DeepEqual(rows, want) {
				t.Fatalf("%+v, %v", rows, err)
			}
		})
	}
}

func TestParseCSVOtherOrderAndDefaults(t *testing.T) {
	rows, err := ParseCSV(strings.NewReader("rate,prefix\n0.0000000001,1\n0,\n"))
	if err != nil || len(rows) != 2 || rows[0].Rate != 1 || rows[0].InitialInc != 60 || rows[0].NextInc != 60 || rows[1].Prefix != "" || rows[1].Rate != 0 {
		t.Fatalf("%+v, %v", rows, err)
	}
}

func TestParseCSVProblems(t *testing.T) {
	head := "prefix,rate,connect_fee,initial_inc,next_inc,effective_from,effective_to,reject,destination\n"
	for name, c := range map[string]struct{ text, want string }{
		"ErrEmptyFile":        {"", "no readable first line"},
		"ErrUnknownColumn":    {"prefix,rate,colour\n1,1,red\n", `line 1, column 13: "colour" is not a column`},
		"ErrColumnTwice":      {"prefix,rate,rate\n", `line 1, column 13 (rate): column "rate" stands there twice`},
		"ErrNoRateColumn":     {"prefix\n1\n", "column rate is missing"},
		"ErrTooFewCells":      {head + "1,0.1\n", "line 2, column 1: the line has 2 cells"},
		"ErrPlus":             {head + "+1,0.1,,,,,,,\n", `line 2, column 1 (prefix): "+1" begins with +`},
		"ErrLetters":          {head + "1a,0.1,,,,,,,\n", `line 2, column 1 (prefix): "1a" is not a prefix`},
		"ErrSpaces":           {head + "1 425,0.1,,,,,,,\n", `"1 425" is not a prefix`},
		"ErrElevenDecimals":   {head + "1,0.00000000001,,,,,,,\n", "line 2, column 3 (rate)"},
		"ErrNegativeRate":     {head + "1,-0.1,,,,,,,\n", "line 2, column 3 (rate): -0.1000000000 is out of range"},
		"ErrExponent":         {head + "1,1e-3,,,,,,,\n", "line 2, column 3 (rate)"},
		"ErrNoRate":           {head + "1,,,,,,,,\n", "line 2, column 3 (rate): the row has no rate"},
		"ErrZeroIncrement":    {head + "1,0.1,,0,,,,,\n", "line 2, column 8 (initial_inc): 0 is out of range"},
		"ErrFloatIncrement":   {head + "1,0.1,,60,0.5,,,,\n", `(next_inc): "0.5" is not a whole number`},
		"ErrDate":             {head + "1,0.1,,,,01.11.2026,,,\n", `(effective_from): "01.11.2026" is not a date`},
		"ErrDay30February":    {head + "1,0.1,,,,2026-02-30,,,\n", "is not a date"},
		"ErrEndsBefore":       {head + "1,0.1,,,,2026-02-02,2026-02-02,,\n", "(effective_to): ends on"},
		"ErrReject":           {head + "1,0.1,,,,,,maybe,\n", `(reject): "maybe" is neither`},
		"ErrControl":          {head + "1,0.1,,,,,,,a\x00b\n", "(destination)"},
		"ErrNotUTF8":          {head + "1,0.1,,,,,,,\xff\n", "(destination)"},
		"ErrDuplicate":        {head + "1,0.1,,,,,,,\n2,0.1,,,,,,,\n1,0.2,,,,,,,\n", "line 4 (prefix): prefix 1 is priced for the same time by line 2 already"},
		"ErrOverlap":          {head + "1,0.1,,,,2026-01-01,,,\n1,0.2,,,,2026-02-01,,,\n", "line 3 (prefix)"},
		"ErrQuote":            {head + "1,0.1,,,,,,,a\"b\n2,x,,,,,,,\n", "line 2"},
		"goes on after quote": {head + "1,0.1,,,,,,,a\"b\n2,x,,,,,,,\n", "line 3, column 3 (rate)"},
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := ParseCSV(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) || rows != nil {
				t.Fatalf("got %v\nwant %q", err, c.want)
			}
			if tandem.KindOf(err) != tandem.KindInvalid {
				t.Errorf("kind %s", tandem.KindOf(err))
			}
		})
	}
}

func TestParseCSVReportsAllProblems(t *testing.T) {
	_, err := ParseCSV(strings.NewReader("prefix,rate,next_inc\n+1,x,y\n44,0.1,0\n"))
	if n := len(strings.Split(err.Error(), "\n")); n != 4 {
		t.Errorf("%d problems, want 4:\n%v", n, err)
	}
}

func FuzzParseCSV(f *testing.F) {
	for _, s := range []string{goodCSV, "\xef\xbb\xbfprefix,rate\r\n1,0.1\r\n", "prefix,rate\n\"1,0.1\n", "prefix,rate\n1,\"0.1\n\"\n", "rate\n", ",,\n", "prefix,rate\n1\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rows, err := ParseCSV(strings.NewReader(s))
		if err != nil {
			return
		}
		if len(rows) > 0 {
			if _, err := New(&tandem.Deck{Rows: rows}); err != nil {
				t.Fatalf("parsed, but not a deck: %v", err)
			}
		}
		var out bytes.Buffer
		if err := WriteCSV(&out, rows); err != nil {
			t.Fatal(err)
		}
		back, err := ParseCSV(&out)
		if err != nil || len(back) != len(rows) || (len(rows) > 0 && !reflect.DeepEqual(back, rows)) {
			t.Fatalf("does not read back: %v\n%+v\n%+v", err, rows, back)
		}
	})
}
