package rating

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem"
	"tandem/rating/checker"
)

// TestSplitAtTheCycleEnd: with cycle_end split the seconds after the end draw
// from the next bucket; by default all draw from the one of the answer.
func TestSplitAtTheCycleEnd(t *testing.T) {
	end := time.Date(2026, 12, 1, 5, 0, 0, 0, time.UTC) // New York
	for name, c := range map[string]struct {
		split      bool
		before     time.Duration // of the end
		used, next int64
		want       Price // of 90 s billed as 120 at 0.0125
	}{
		"DefaultIsTheAnswer":     {false, 30 * time.Second, 240_000 - 60, 0, Price{BilledS: 120, FreeS: 60, ChargedS: 60, Amount: 12_500}},
		"BothHaveMinutes":        {true, 30 * time.Second, 0, 0, Price{BilledS: 120, FreeS: 120, NextS: 90}},
		"OldIsEmptyNewPays":      {true, 30 * time.Second, 240_000, 0, Price{BilledS: 120, FreeS: 90, NextS: 90, ChargedS: 30, Amount: 6_250}},
		"OldPaysNewIsEmpty":      {true, 30 * time.Second, 0, 240_000, Price{BilledS: 120, FreeS: 30, ChargedS: 90, Amount: 18_750}},
		"BothRunOut":             {true, 30 * time.Second, 240_000 - 10, 240_000 - 20, Price{BilledS: 120, FreeS: 30, NextS: 20, ChargedS: 90, Amount: 18_750}},
		"BothAreEmpty":           {true, 30 * time.Second, 240_000, 240_000, Price{BilledS: 120, ChargedS: 120, Amount: 25_000}},
		"BeginsAtTheEnd":         {true, 0, 0, 240_000, Price{BilledS: 120, FreeS: 120}},
		"EndsBeforeTheEnd":       {true, 120 * time.Second, 0, 0, Price{BilledS: 120, FreeS: 120}},
		"BilledAcrossTheEnd":     {true, 100 * time.Second, 0, 0, Price{BilledS: 120, FreeS: 120, NextS: 20}},
		"SecondThatBeganBefore":  {true, 29500 * time.Millisecond, 0, 0, Price{BilledS: 120, FreeS: 120, NextS: 90}},
		"NextBucketIsNotTouched": {true, 2 * time.Hour, 240_000, 0, Price{BilledS: 120, ChargedS: 120, Amount: 25_000}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := directory()
			dir.Accounts[0].CycleSplit = c.split
			row := outbound("+12065550123")
			at := end.Add(-c.before)
			row.AnswerTime = &at
			a := mustTariff(t, dir).Assess(&row)
			if got := a.PriceAcross(c.used, c.next); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			charge, nextS := a.ChargeAcross(c.used, c.next)
			if nextS != c.want.NextS {
				t.Errorf("%d s from the next bucket", nextS)
			}
			checkCharge(t, charge, row.DurationMs)
		})
	}
}

// checkCharge holds a charge against its explanation, recomputed here and by the checker.
func checkCharge(t interface {
	Errorf(string, ...any)
}, c tandem.Charge, durationMs uint32) {
	e, err := ParseExplanation(c.Explanation)
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	if p, err := e.Recompute(); err != nil || p.Amount != c.Amount || p.FreeS != c.FreeS || p.ChargedS != c.ChargedS {
		t.Errorf("recomputed %+v, %v; charged %+v", p, err, c)
	}
	var plain checker.Charge
	text, _ := json.Marshal(c)
	if err := json.Unmarshal(text, &plain); err != nil {
		t.Errorf("%v", err)
	}
	if must, ok, err := checker.Check(plain, int64(durationMs), time.LoadLocation); !ok || err != nil {
		t.Errorf("the checker says %+v, %v; charged %+v", must, err, plain)
	}
}

// TestSplitIsWhatTheCheckerSays for any terms, buckets and instants around the end.
func TestSplitIsWhatTheCheckerSays(t *testing.T) {
	end := time.Date(2026, 12, 1, 5, 0, 0, 0, time.UTC)
	rapid.Check(t, func(rt *rapid.T) {
		dir := directory()
		dir.Accounts[0].CycleSplit = true
		for i := range dir.Decks[0].Rows {
			r := &dir.Decks[0].Rows[i]
			r.Rate, r.ConnectFee = tandem.Rate(rapid.Int64Range(0, 1e10).Draw(rt, "rate")), tandem.Amount(rapid.Int64Range(0, 1e6).Draw(rt, "fee"))
			r.InitialInc, r.NextInc = rapid.IntRange(1, 120).Draw(rt, "initial"), rapid.IntRange(1, 120).Draw(rt, "next")
			r.MinCharge = tandem.Amount(rapid.SampledFrom([]int64{0, 500_000}).Draw(rt, "minimum"))
			if rapid.Bool().Draw(rt, "first rate") {
				r.RateInitial = tandem.OptionalRate{Rate: tandem.Rate(rapid.Int64Range(0, 1e10).Draw(rt, "of the first")), Given: true}
			}
		}
		row := outbound("+12065550123")
		at := end.Add(-time.Duration(rapid.Int64Range(1, 400_000).Draw(rt, "ms before the end")) * time.Millisecond)
		row.AnswerTime, row.DurationMs = &at, uint32(rapid.Int64Range(1, 800_000).Draw(rt, "duration"))
		used, next := 240_000-rapid.Int64Range(0, 500).Draw(rt, "left"), 240_000-rapid.Int64Range(0, 500).Draw(rt, "left then")
		a := mustTariff(t, dir).Assess(&row)
		c, nextS := a.ChargeAcross(used, next)
		if c.FreeS+c.ChargedS != c.BilledS || nextS > c.FreeS || c.FreeS-nextS > 240_000-used || nextS > 240_000-next {
			rt.Fatalf("%+v, %d of the next", c, nextS)
		}
		checkCharge(rt, c, row.DurationMs)
	})
}
