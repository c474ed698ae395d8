package deck

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"tandem"
)

const peak = "America/New_York Mon-Fri 08:00-18:00"

// TestRulesBetweenRows: each case is a plain sheet and what is wrong with it.
func TestRulesBetweenRows(t *testing.T) {
	const head = "prefix,destination,rate,reject,effective_from,effective_to,times,rate_initial,rate_intrastate,rate_indeterminate,grace,min_charge,round_mode,round_decimals\n"
	for name, c := range map[string]struct{ rows, want string }{
		"OK times":                   {"44,UK,0.03,,,,,,,,,,,\n44,UK,0.05,,,," + peak + ",,,,,,,\n,,,yes,,,,,,,,,,\n", ""},
		"OK two times":               {"44,UK,0.03,,,,,,,,,,,\n44,UK,0.05,,,," + peak + ",,,,,,,\n44,UK,0.01,,,,\"America/New_York Sat,Sun\",,,,,,,\n", ""},
		"ErrTimesWithoutRest":        {"44,UK,0.05,,,," + peak + ",,,,,,,\n", "line 2 (times): no row prices prefix 44 outside these times"},
		"ErrRestEndsBefore":          {"44,UK,0.03,,,2026-06-01,,,,,,,,\n44,UK,0.05,,,2027-01-01," + peak + ",,,,,,,\n", "line 3 (times): no row prices prefix 44 outside these times"},
		"OK rest in two parts":       {"44,UK,0.03,,,2026-06-01,,,,,,,,\n44,UK,0.04,,2026-06-01,,,,,,,,,\n44,UK,0.05,,,2027-01-01," + peak + ",,,,,,,\n", ""},
		"ErrTimesOverlap":            {"44,UK,0.03,,,,,,,,,,,\n44,UK,0.05,,,," + peak + ",,,,,,,\n44,UK,0.01,,,,America/New_York Fri-Mon,,,,,,,\n", "is priced for some of these times by line"},
		"ErrTimesInTwoZones":         {"44,UK,0.03,,,,,,,,,,,\n44,UK,0.05,,,," + peak + ",,,,,,,\n44,UK,0.01,,,,UTC Sat,,,,,,,\n", "write them in one zone"},
		"ErrTimesReject":             {"44,UK,0.03,,,,,,,,,,,\n44,UK,,yes,,," + peak + ",,,,,,,\n", "(reject): a row for certain times can't reject"},
		"ErrRestRejects":             {"44,UK,,yes,,,,,,,,,,\n44,UK,0.05,,,," + peak + ",,,,,,,\n", "is rejected outside these times by line 2"},
		"ErrTimesZone":               {"44,UK,0.03,,,,,,,,,,,\n44,UK,0.05,,,,Mars/Olympus Mon,,,,,,,\n", `line 3, column 15 (times): "Mars/Olympus" is not a time zone`},
		"ErrTimesTwice":              {"44,UK,0.03,,,,,,,,,,,\n44,UK,0.05,,,," + peak + ",,,,,,,\n44,UK,0.06,,,," + peak + ",,,,,,,\n", "priced for the same time by line 3 already"},
		"ErrInitialAndJurisdiction":  {"1,US,0.03,,,,,0.01,0.02,,,,,\n", "a rate of the first interval and rates by jurisdiction"},
		"ErrIndeterminateAlone":      {"1,US,0.03,,,,,,,0.02,,,,\n", "an indeterminate rate but no intrastate one"},
		"ErrGraceNegative":           {"1,US,0.03,,,,,,,,-1,,,\n", "(grace): \"-1\" is not a whole number"},
		"ErrGraceTooLong":            {"1,US,0.03,,,,,,,,3601,,,\n", "(grace): 3601 is out of range"},
		"ErrMinimumNegative":         {"1,US,0.03,,,,,,,,,-0.5,,\n", "(min_charge): -0.500000 is out of range"},
		"ErrRounding":                {"1,US,0.03,,,,,,,,,,nearest,\n", `(round_mode): "nearest" is not a way to round`},
		"ErrSevenDecimals":           {"1,US,0.03,,,,,,,,,,up,7\n", `(round_decimals): "7" is not a number of decimals`},
		"ErrNegativeIntrastate":      {"1,US,0.03,,,,,,-0.1,,,,,\n", "(rate_intrastate): -0.1000000000 is out of range"},
		"ErrOnceMoreWithout1":        {"1425,Seattle,0.03,,,,,,,,,,,\n425,seattle,0.03,,,,,,,,,,,\n", `line 3 (prefix): "425" is 1425 by line 2 once more, without its country code 1`},
		"OK another country's 905":   {"1905,Ontario,0.03,,,,,,,,,,,\n905,Turkey mobile,0.2,,,,,,,,,,,\n", ""},
		"ErrPlusDuplicate":           {"1425,Seattle,0.03,,,,,,,,,,,\n+1425,Seattle,0.03,,,,,,,,,,,\n", `line 3, column 1 (prefix): "+1425" begins with +`},
		"ErrOverlapOfDates":          {"44,UK,0.03,,2026-01-01,2026-07-01,,,,,,,,\n44,UK,0.04,,2026-06-30,,,,,,,,,\n", "line 3 (prefix): prefix 44 is priced for the same time by line 2 already"},
		"OK dates follow each other": {"44,UK,0.03,,2026-01-01,2026-07-01,,,,,,,,\n44,UK,0.04,,2026-07-01,,,,,,,,,\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseCSV(strings.NewReader(head + c.rows))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestCatchAllGivesNothingAway(t *testing.T) {
	row := tandem.DeckRow{ID: 1, InitialInc: 60, NextInc: 60}
	for name, c := range map[string]struct {
		direction tandem.Direction
		change    func(*tandem.DeckRow)
		ok        bool
	}{
		"ErrFreeForAll":       {tandem.Outbound, func(*tandem.DeckRow) {}, false},
		"OK rejects":          {tandem.Outbound, func(r *tandem.DeckRow) { r.Reject = true }, true},
		"OK has a price":      {tandem.Outbound, func(r *tandem.DeckRow) { r.Rate = 1 }, true},
		"OK inbound is free":  {tandem.Inbound, func(*tandem.DeckRow) {}, true},
		"OK one prefix free":  {tandem.Outbound, func(r *tandem.DeckRow) { r.Prefix = "1800" }, true},
		"OK has a connection": {tandem.Outbound, func(r *tandem.DeckRow) { r.ConnectFee = 1 }, true},
	} {
		r := row
		c.change(&r)
		err := Validate(&tandem.Deck{ID: "d", Direction: c.direction, Rows: []tandem.DeckRow{r}})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTimesChangeTheRow(t *testing.T) {
	rows := []tandem.DeckRow{
		{ID: 1, Prefix: "4", Rate: 1, InitialInc: 60, NextInc: 60},
		{ID: 2, Prefix: "44", Rate: 2, InitialInc: 60, NextInc: 60, EffectiveFrom: instant(t, "2026-06-01T00:00:00Z")},
		{ID: 3, Prefix: "44", Rate: 3, InitialInc: 60, NextInc: 60, Times: peak, EffectiveFrom: instant(t, "2026-06-01T00:00:00Z"), EffectiveTo: instant(t, "2026-12-01T00:00:00Z")},
		{ID: 4, Prefix: "44", Rate: 4, InitialInc: 60, NextInc: 60, Times: "America/New_York Sat,Sun", EffectiveFrom: instant(t, "2026-06-01T00:00:00Z")},
	}
	table, err := New(&tandem.Deck{ID: "d", Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		at   string
		want int64
	}{
		"nothing of 44 in force yet: the shorter prefix": {"2026-05-29T12:00:00-04:00", 1},
		"night":    {"2026-06-05T05:00:00-04:00", 2},
		"day":      {"2026-06-05T09:00:00-04:00", 3},
		"saturday": {"2026-06-06T09:00:00-04:00", 4},
		"day, after the peak row ended, though weekends go on": {"2026-12-04T09:00:00-05:00", 2},
	} {
		if m := table.Find("442071838750", instant(t, c.at)); m.Row == nil || m.Row.ID != c.want {
			t.Errorf("%s: %+v", name, m.Row)
		}
	}
	friday := table.Find("442071838750", instant(t, "2026-06-05T17:59:00-04:00"))
	if next := friday.Next(instant(t, "2026-06-05T17:59:00-04:00")); !next.Equal(instant(t, "2026-06-05T18:00:00-04:00")) || friday.RowAt(next).ID != 2 {
		t.Errorf("after the peak hours comes %s", next)
	}
	if n := testing.AllocsPerRun(100, func() { table.Find("442071838750", rows[1].EffectiveFrom) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

const wholesale = "\ufeffLRN_Prefix,OCN,Interstate,Intrastate,Effective Date,Expiration Date,Min_Inc,Add_Inc\r\n" +
	"1425555,1234,0.0021500000,0.0041,11/01/2026,,6,6\r\n" +
	"206,1234,0.003,0.005,2026-11-01,2027-01-01,,\r\n" +
	"\"1212555\",\"12,34\",0.004,,11/1/2026,,1,1\r\n\r\n"

func TestUSWholesaleForm(t *testing.T) {
	sheet, err := ParseSheet(strings.NewReader(wholesale), tandem.DeckForm{Template: "us-wholesale", Zone: "America/New_York"})
	if err != nil {
		t.Fatal(err)
	}
	from := instant(t, "2026-11-01T04:00:00Z")
	given := func(r tandem.Rate) tandem.OptionalRate { return tandem.OptionalRate{Rate: r, Given: true} }
	want := []tandem.DeckRow{
		{ID: 1, Prefix: "1425555", Rate: 21_500_000, RateIntrastate: given(41_000_000), InitialInc: 6, NextInc: 6, EffectiveFrom: from},
		{ID: 2, Prefix: "1206", Rate: 30_000_000, RateIntrastate: given(50_000_000), InitialInc: 6, NextInc: 6, EffectiveFrom: from, EffectiveTo: instant(t, "2027-01-01T05:00:00Z")},
		{ID: 3, Prefix: "1212555", Rate: 40_000_000, InitialInc: 1, NextInc: 1, EffectiveFrom: from},
	}
	if !reflect.DeepEqual(sheet.Rows, want) {
		t.Errorf("%+v\nwant %+v", sheet.Rows, want)
	}
	if len(sheet.Warnings) != 2 || !strings.Contains(sheet.Warnings[0], `"OCN" is not used`) || !strings.Contains(sheet.Warnings[1], "no catch-all") {
		t.Errorf("%q", sheet.Warnings)
	}
}

func TestForms(t *testing.T) {
	const sheet = "Code,Name,Price/min\n44,UK,0.03\n,rest,1\n"
	columns := map[string]string{"prefix": "Code", "rate": "Price/min", "destination": "name"}
	got, err := ParseSheet(strings.NewReader(sheet), tandem.DeckForm{Columns: columns})
	if err != nil || len(got.Rows) != 2 || got.Rows[0].Destination != "UK" || len(got.Warnings) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	for name, c := range map[string]struct {
		form tandem.DeckForm
		want string
	}{
		"ErrTemplate":      {tandem.DeckForm{Template: "eu"}, `"eu" is not a template: use one of: plain, us-wholesale`},
		"ErrOurColumn":     {tandem.DeckForm{Columns: map[string]string{"price": "x"}}, `"price" is not a column of a deck`},
		"ErrTheirColumn":   {tandem.DeckForm{Columns: map[string]string{"prefix": "Code", "rate": "Price/min", "connect_fee": "Fee"}}, `no column "Fee" to be the connect_fee`},
		"ErrZone":          {tandem.DeckForm{Zone: "Mars"}, `"Mars" is not a time zone`},
		"ErrLocal":         {tandem.DeckForm{Zone: "Local"}, `is not a time zone`},
		"ErrTwiceTheSame":  {tandem.DeckForm{Columns: map[string]string{"prefix": "Code", "rate": "Code"}}, "the sheet has no column"},
		"ErrWrongTemplate": {tandem.DeckForm{Template: "us-wholesale"}, "column lrn_prefix is missing"},
	} {
		if _, err := ParseSheet(strings.NewReader(sheet), c.form); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, row := range map[string]string{"ErrSevenDigitsWithout1": "4255550,1,2\n", "ErrNotUS": "1125,1,2\n", "ErrPlus": "+1425,1,2\n"} {
		if _, err := ParseSheet(strings.NewReader("lrn_prefix,interstate,intrastate\n"+row), tandem.DeckForm{Template: "us-wholesale"}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	_, err = ParseSheet(strings.NewReader("lrn_prefix,interstate\n425,1\n1425,1\n"), tandem.DeckForm{Template: "us-wholesale"})
	if err == nil || !strings.Contains(err.Error(), "line 3 (prefix): prefix 1425 is priced for the same time by line 2 already") {
		t.Errorf("425 and 1425 are one prefix: %v", err)
	}
}

// TestEverythingComesBack: what WriteCSV writes reads back as the same rows.
func TestEverythingComesBack(t *testing.T) {
	rows := []tandem.DeckRow{
		{ID: 1, Destination: `all, "the" rest`, InitialInc: 60, NextInc: 60, Reject: true},
		{ID: 2, Prefix: "1", Rate: 1, ConnectFee: 2, InitialInc: 30, NextInc: 6, RateIntrastate: tandem.OptionalRate{Given: true}, RateIndeterminate: tandem.OptionalRate{Rate: 9, Given: true},
			Grace: 3, MinCharge: 4, Rounding: tandem.Rounding{Mode: tandem.RoundUp, Drop: 4}, EffectiveFrom: time.Date(2026, 1, 1, 0, 0, 0, 1000, time.UTC)},
		{ID: 3, Prefix: "44", Rate: 7, InitialInc: 1, NextInc: 1, RateInitial: tandem.OptionalRate{Rate: 8, Given: true}},
		{ID: 4, Prefix: "44", Rate: 7, InitialInc: 1, NextInc: 1, Times: peak},
	}
	var out bytes.Buffer
	if err := WriteCSV(&out, rows); err != nil {
		t.Fatal(err)
	}
	back, err := ParseCSV(bytes.NewReader(out.Bytes()))
	if err != nil || !reflect.DeepEqual(back, rows) {
		t.Errorf("%v\n%+v\nfrom %s", err, back, out.String())
	}
}

// largeSheet is a plain sheet of n rows.
func largeSheet(n int) []byte {
	out := []byte("prefix,destination,rate,connect_fee,initial_inc,next_inc,effective_from,effective_to\n")
	for i := range n {
		out = fmt.Appendf(out, "%d,Place %d,0.0%d,0.01,30,6,2026-01-01,\n", 20_000_000+i, i, i)
	}
	return out
}

// TestHalfAMillionRows: a large sheet is read, indexed and checked; a mistake
// in its last line is found.
func TestHalfAMillionRows(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	text := largeSheet(500_000)
	rows, err := ParseCSV(bytes.NewReader(text))
	if err != nil || len(rows) != 500_000 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	table, err := New(&tandem.Deck{ID: "large", Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	if r := table.Lookup("20499999123", instant(t, "2026-06-01T00:00:00Z")); r == nil || r.ID != 500_000 {
		t.Errorf("%+v", r)
	}
	_, err = ParseCSV(bytes.NewReader(append(text, "20000000,again,0.1,,,,,\n"...)))
	if err == nil || !strings.Contains(err.Error(), "line 500002 (prefix)") {
		t.Errorf("%v", err)
	}
}

func BenchmarkParseCSV(b *testing.B) {
	text := largeSheet(100_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := ParseCSV(bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
