package deck

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem"
)

func at(day int) time.Time { return time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC) }

func row(prefix string, rate tandem.Rate) tandem.DeckRow {
	return tandem.DeckRow{Prefix: prefix, Rate: rate, InitialInc: 60, NextInc: 60}
}

func during(r tandem.DeckRow, from, to time.Time) tandem.DeckRow {
	r.EffectiveFrom, r.EffectiveTo = from, to
	return r
}

func mustTable(t testing.TB, rows ...tandem.DeckRow) *Table {
	t.Helper()
	table, err := New(&tandem.Deck{ID: "test", Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestLongestPrefix(t *testing.T) {
	table := mustTable(t, row("", 1), row("1", 2), row("1415", 3), row("14155", 4), row("1907", 5), row("44", 6))
	for name, c := range map[string]struct {
		number string
		want   tandem.Rate
	}{
		"longest":                             {"14155550100", 4},
		"predecessor that is not a prefix":    {"14165550100", 2}, // between 14155 and 1907 in order
		"back to a shorter one":               {"141560", 3},
		"whole prefix is the number":          {"1907", 5},
		"shorter than the prefix":             {"190", 2},
		"catch-all":                           {"4930123", 1},
		"empty number":                        {"", 1},
		"longer than any number":              {strings.Repeat("4", 40), 6},
		"ends at the first thing not a digit": {"44x", 6},
	} {
		if r := table.Lookup(c.number, at(1)); r == nil || r.Rate != c.want {
			t.Errorf("%s: Lookup(%q) = %+v, want rate %d", name, c.number, r, c.want)
		}
	}
	if r := mustTable(t, row("44", 1)).Lookup("14255550100", at(1)); r != nil {
		t.Errorf("no row covers the number, got %+v", r)
	}
}

func TestEffectiveDates(t *testing.T) {
	table := mustTable(t,
		row("1", 1),
		during(row("1425", 2), at(10), at(20)),
		during(row("1425", 3), at(20), time.Time{}),
		during(row("142555", 4), at(25), at(26)),
	)
	for name, c := range map[string]struct {
		at   time.Time
		want tandem.Rate
	}{
		"longer prefix not yet in force does not hide the shorter": {at(9), 1},
		"first instant counts":          {at(10), 2},
		"last microsecond counts":       {at(20).Add(-time.Microsecond), 2},
		"end is exclusive":              {at(20), 3},
		"longest while in force":        {at(25), 4},
		"expired longer prefix is gone": {at(26), 3},
		"instant in another zone":       {at(10).In(time.FixedZone("", -5*3600)), 2},
	} {
		if r := table.Lookup("14255550100", c.at); r == nil || r.Rate != c.want {
			t.Errorf("%s: %+v, want rate %d", name, r, c.want)
		}
	}
}

func TestRulesOfADeck(t *testing.T) {
	bad := func(change func(*tandem.DeckRow)) []tandem.DeckRow {
		r := row("44", 1)
		change(&r)
		return []tandem.DeckRow{row("", 1), r}
	}
	for name, c := range map[string]struct {
		rows  []tandem.DeckRow
		field string
	}{
		"ErrNoRows":           {nil, "rows"},
		"ErrPlus":             {bad(func(r *tandem.DeckRow) { r.Prefix = "+44" }), "rows[2].prefix"},
		"ErrLeadingZero":      {bad(func(r *tandem.DeckRow) { r.Prefix = "044" }), "rows[2].prefix"},
		"ErrLongPrefix":       {bad(func(r *tandem.DeckRow) { r.Prefix = strings.Repeat("4", 16) }), "rows[2].prefix"},
		"ErrNegativeRate":     {bad(func(r *tandem.DeckRow) { r.Rate = -1 }), "rows[2].rate"},
		"ErrHugeRate":         {bad(func(r *tandem.DeckRow) { r.Rate = MaxRate + 1 }), "rows[2].rate"},
		"ErrNegativeFee":      {bad(func(r *tandem.DeckRow) { r.ConnectFee = -1 }), "rows[2].connect_fee"},
		"ErrZeroInitial":      {bad(func(r *tandem.DeckRow) { r.InitialInc = 0 }), "rows[2].initial_inc"},
		"ErrZeroNext":         {bad(func(r *tandem.DeckRow) { r.NextInc = 0 }), "rows[2].next_inc"},
		"ErrNegativeNext":     {bad(func(r *tandem.DeckRow) { r.NextInc = -6 }), "rows[2].next_inc"},
		"ErrEndsBeforeBegins": {bad(func(r *tandem.DeckRow) { r.EffectiveFrom, r.EffectiveTo = at(2), at(1) }), "rows[2].effective_to"},
		"ErrDuplicate":        {[]tandem.DeckRow{row("44", 1), row("1", 1), row("44", 2)}, "rows[3].prefix"},
		"ErrOverlap":          {[]tandem.DeckRow{during(row("44", 1), at(1), at(10)), during(row("44", 2), at(9), time.Time{})}, "rows[2].prefix"},
		"ErrTwoCatchAlls":     {[]tandem.DeckRow{row("", 1), row("", 2)}, "rows[2].prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(&tandem.Deck{ID: "test", Rows: c.rows})
			if err == nil || !strings.Contains(err.Error(), c.field+":") || tandem.KindOf(err) != tandem.KindInvalid {
				t.Fatalf("got %v, want a problem at %s", err, c.field)
			}
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	rows := make([]tandem.DeckRow, maxProblems+5)
	for i := range rows {
		rows[i] = row(strconv.Itoa(i+100), -1)
	}
	_, err := New(&tandem.Deck{ID: "test", Rows: rows})
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxProblems+1 || !strings.Contains(lines[maxProblems], "5 more") {
		t.Errorf("%d lines, last %q", len(lines), lines[len(lines)-1])
	}
}

// TestLookupEqualsScan compares the trie with reading every row.
func TestLookupEqualsScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digit := rapid.SampledFrom([]byte("123"))
		word := func(max int) *rapid.Generator[string] {
			return rapid.Map(rapid.SliceOfN(digit, 0, max), func(b []byte) string { return string(b) })
		}
		prefixes := rapid.SliceOfNDistinct(word(5), 1, 30, func(s string) string { return s }).Draw(t, "prefixes")
		var rows []tandem.DeckRow
		for _, p := range prefixes {
			days := rapid.SliceOfNDistinct(rapid.IntRange(1, 28), 1, 4, func(d int) int { return d }).Draw(t, "days")
			// Each prefix gets periods [d, d+1) that cannot overlap.
			for _, d := range days {
				rows = append(rows, during(row(p, tandem.Rate(len(rows))), at(d), at(d+1)))
			}
		}
		table, err := New(&tandem.Deck{Rows: rows})
		if err != nil {
			t.Fatal(err)
		}
		number, when := word(7).Draw(t, "number"), at(rapid.IntRange(1, 29).Draw(t, "day"))
		var want *tandem.DeckRow
		for i := range rows {
			r := &rows[i]
			if strings.HasPrefix(number, r.Prefix) && !when.Before(r.EffectiveFrom) && when.Before(r.EffectiveTo) && (want == nil || len(r.Prefix) > len(want.Prefix)) {
				want = r
			}
		}
		if got := table.Lookup(number, when); got != want {
			t.Fatalf("Lookup(%q) = %+v, want %+v", number, got, want)
		}
	})
}

// largeDeck has n distinct prefixes of 4 to 9 digits.
func largeDeck(n int) *tandem.Deck {
	r := rand.New(rand.NewPCG(1, 2))
	d := &tandem.Deck{ID: "large", Rows: []tandem.DeckRow{row("", 1)}}
	seen := map[string]bool{}
	for len(seen) < n {
		p := fmt.Sprintf("%d", 1_000+r.IntN(999_999_000))
		p = p[:min(len(p), 4+r.IntN(6))]
		if !seen[p] {
			seen[p] = true
			d.Rows = append(d.Rows, row(p, tandem.Rate(len(seen))))
		}
	}
	return d
}

func TestLookupDoesNotAllocate(t *testing.T) {
	table := mustTable(t, largeDeck(1000).Rows...)
	now := at(1)
	if n := testing.AllocsPerRun(100, func() { table.Lookup("14255550100", now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{10_000, 300_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			table := mustTable(b, largeDeck(n).Rows...)
			r := rand.New(rand.NewPCG(3, 4))
			numbers := make([]string, 10_000)
			for i := range numbers {
				numbers[i] = fmt.Sprintf("%d", 10_000_000_000+r.Int64N(89_999_999_999))
			}
			now, i := at(1), 0
			b.ReportAllocs()
			for b.Loop() {
				table.Lookup(numbers[i%len(numbers)], now)
				i++
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	d := largeDeck(300_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(d); err != nil {
			b.Fatal(err)
		}
	}
}
