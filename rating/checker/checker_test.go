package checker

import (
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestStandsAlone: under 150 lines, and nothing but the standard library.
func TestStandsAlone(t *testing.T) {
	text, err := os.ReadFile("checker.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n >= 150 {
		t.Errorf("%d lines", n)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "checker.go", text, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range file.Imports {
		if path, _ := strconv.Unquote(i.Path.Value); path == "tandem" || strings.Contains(path, ".") || strings.HasPrefix(path, "tandem/") {
			t.Errorf("it imports %s", path)
		}
	}
}

// stored is a call of 100 s with 30 free seconds left, at 60/6 and 0.06 a minute.
const stored = `{"form":2,"rule":"allowance","answer_time":"2026-11-10T15:00:00Z","duration_ms":100000,"deck":{"rate":"0.0600000000","connect_fee":"0.25","initial_inc":60,"next_inc":6},` +
	`"allowance":{"limit_s":240000,"before_s":239970},"rounding":"half_even:6"}`

func TestCheck(t *testing.T) {
	good := Charge{Amount: "0.072000", BilledS: 102, FreeS: 30, ChargedS: 72, Explanation: stored}
	free := func(c *Charge) {
		c.Explanation = strings.Replace(c.Explanation, `"before_s":239970`, `"before_s":0`, 1)
		c.Amount, c.FreeS, c.ChargedS = "0.000000", 102, 0
	}
	for name, c := range map[string]struct {
		change   func(*Charge)
		duration int64
		ok       bool
	}{
		"OK":                      {func(*Charge) {}, 100_000, true},
		"OK all free":             {free, 100_000, true},
		"ErrAmount":               {func(c *Charge) { c.Amount = "0.072001" }, 100_000, false},
		"ErrBilled":               {func(c *Charge) { c.BilledS++ }, 100_000, false},
		"ErrFree":                 {func(c *Charge) { c.FreeS-- }, 100_000, false},
		"ErrCharged":              {func(c *Charge) { c.ChargedS++ }, 100_000, false},
		"ErrDurationOfTheRow":     {func(*Charge) {}, 100_001, false},
		"ErrRateInTheExplanation": {func(c *Charge) { c.Explanation = strings.Replace(c.Explanation, "0.06", "0.07", 1) }, 100_000, false},
		"ErrRounding":             {func(c *Charge) { c.Explanation = strings.Replace(c.Explanation, "half_even:6", "up:2", 1) }, 100_000, false},
		"ErrRule":                 {func(c *Charge) { c.Explanation = strings.Replace(c.Explanation, "allowance", "grace", 1) }, 100_000, false},
		"ErrForm":                 {func(c *Charge) { c.Explanation = strings.Replace(c.Explanation, `"form":2`, `"form":4`, 1) }, 100_000, false},
		"ErrIncrement":            {func(c *Charge) { c.Explanation = strings.Replace(c.Explanation, `"next_inc":6`, `"next_inc":0`, 1) }, 100_000, false},
		"ErrNoExplanation":        {func(c *Charge) { c.Explanation = "" }, 100_000, false},
	} {
		charge := good
		c.change(&charge)
		if must, ok, err := Check(charge, c.duration, time.LoadLocation); ok != c.ok {
			t.Errorf("%s: %v, %v, must be %+v", name, ok, err, must)
		}
	}
}

// FuzzCheck: what is stored may be damaged; the checker says so and goes on.
func FuzzCheck(f *testing.F) {
	f.Add(stored, "0.072000")
	f.Add(`{"form":2,"rule":"metered","duration_ms":1,"deck":{"rate":"x","initial_inc":1,"next_inc":1,"timed":[{"times":"Mars Mo","rate":"1"}]},"rounding":":"}`, "")
	f.Add(`{"form":1,"rule":"metered","duration_ms":4294967295,"deck":{"rate":"1","initial_inc":1,"next_inc":1,"timed":[{"times":"UTC M","rate":"1"}]}}`, "1")
	f.Fuzz(func(t *testing.T, explanation, amount string) {
		if len(explanation) > 2000 || strings.Count(explanation, "e") > 200 {
			return
		}
		Check(Charge{Amount: amount, Explanation: explanation}, 1, func(name string) (*time.Location, error) { return time.UTC, nil })
	})
}
