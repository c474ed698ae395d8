package rating

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem"
	"tandem/rating/checker"
	"tandem/rating/deck"
)

// asStored is a charge as the report API answers it.
func asStored(c tandem.Charge) checker.Charge {
	return checker.Charge{Amount: c.Amount.String(), BilledS: c.BilledS, FreeS: c.FreeS, ChargedS: c.ChargedS, Explanation: c.Explanation}
}

// drawer draws the numbers of a case; rapid and the proof's own generator both do.
type drawer func(name string, low, high int64) int64

// one draws one of a list.
func one[T any](draw drawer, name string, list ...T) T {
	return list[draw(name, 0, int64(len(list)-1))]
}

var proofTimes = []string{
	"America/New_York Mon-Fri 08:00-18:00", "America/New_York Sat,Sun; Mon-Fri 19:00-07:00", "Europe/Berlin Sun 01:30-02:30", "Africa/Cairo Fri 22:00-06:00",
	"Australia/Lord_Howe Sun 01:45-02:15; Wed", "Asia/Kathmandu Sun-Sat 00:00-00:15", "UTC Fri-Mon 00:00-24:00", "America/St_Johns Sun 00:00-03:00",
}

// drawRow draws any row that a deck may hold; special ones now and then.
func drawRow(draw drawer) tandem.DeckRow {
	r := tandem.DeckRow{ID: 1, Prefix: "1",
		Rate:       tandem.Rate(one(draw, "rate kind", draw("rate", 0, 1e10), draw("odd rate", 0, int64(deck.MaxRate)), draw("tie rate", 0, 1000)*5000)),
		ConnectFee: tandem.Amount(one(draw, "fee kind", 0, 0, draw("fee", 0, int64(deck.MaxConnectFee)))),
		InitialInc: int(one(draw, "initial kind", 1, 6, 30, 60, draw("initial", 1, 3600))), NextInc: int(one(draw, "next kind", 1, 6, 60, draw("next", 1, 3600)))}
	if draw("rounded", 0, 2) == 0 {
		r.Rounding = tandem.Rounding{Mode: tandem.RoundMode(draw("mode", 0, 2)), Drop: uint8(draw("drop", 0, 6))}
	}
	if draw("least", 0, 7) == 0 {
		r.MinCharge = tandem.Amount(draw("min charge", 0, 1e6))
	}
	if draw("graced", 0, 7) == 0 {
		r.Grace = int(draw("grace", 0, 90))
	}
	switch draw("special", 0, 7) {
	case 0:
		r.RateInitial = tandem.OptionalRate{Rate: tandem.Rate(draw("initial rate", 0, 1e11)), Given: true}
	case 1:
		r.RateIntrastate = tandem.OptionalRate{Rate: tandem.Rate(draw("intrastate", 0, 1e10)), Given: true}
		r.RateIndeterminate = tandem.OptionalRate{Rate: tandem.Rate(draw("indeterminate", 0, 1e10)), Given: draw("told", 0, 1) == 0}
	}
	return r
}

// drawCall draws a deck of one prefix, and a call that it prices.
func drawCall(t testing.TB, draw drawer) (a Assessment, used int64, row tandem.CDR) {
	base := drawRow(draw)
	rows := []tandem.DeckRow{base}
	timed := draw("timed", 0, 9) == 0
	if timed {
		other := base
		other.ID, other.Times, other.Rate = 2, one(draw, "times", proofTimes...), tandem.Rate(draw("timed rate", 0, 1e10))
		rows = append(rows, other)
	}
	table, err := deck.New(&tandem.Deck{ID: "out", Currency: "USD", Version: 1, Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	to := one(draw, "to", "+12065550123", "+12125550123", "+14165550123")
	row = outbound(to)
	// Between 2025 and 2028, with the days on which clocks change more often.
	at := time.Unix(draw("at", 1_735_689_600, 1_830_297_600), draw("ms", 0, 999)*1e6).UTC()
	if draw("clock change", 0, 3) == 0 {
		at = one(draw, "change", time.Date(2026, 11, 1, 5, 59, 0, 0, time.UTC), time.Date(2026, 3, 8, 6, 30, 0, 0, time.UTC), time.Date(2026, 10, 25, 0, 15, 0, 0, time.UTC)).
			Add(time.Duration(draw("around", -7_200_000, 7_200_000)) * time.Millisecond)
	}
	longest := int64(4_294_967_295)
	if timed {
		longest = 40_000_000
	}
	row.AnswerTime = &at
	row.DurationMs = uint32(one(draw, "length", draw("duration", 0, 7_200_000), draw("seconds", 0, 7200)*1000, draw("any", 0, longest)))
	a = Assessment{durationMs: row.DurationMs, At: at, Kind: LegOutbound, Number: to, Rule: RuleUnrated, Class: tandem.ClassUS,
		account: &account{Account: &tandem.Account{ID: "contoso", Currency: "USD"}}}
	a.find(table, &row)
	if row.DurationMs == 0 {
		a.Rule = RuleNoDuration
	}
	if draw("free", 0, 1) == 0 && a.Rule == RuleMetered {
		a.Rule, a.LimitS = RuleAllowance, 240_000
		used = one(draw, "used kind", 0, draw("used", 0, 250_000), draw("nearly", 232_800, 240_000))
	}
	return a, used, row
}

func rapidDrawer(t *rapid.T) drawer {
	return func(name string, low, high int64) int64 { return rapid.Int64Range(low, high).Draw(t, name) }
}

// TestProperties: dearer when longer, the same inside an increment, nothing
// lost between free and charged, cheaper with more free seconds, and what the
// checker computes from the explanation.
func TestProperties(t *testing.T) {
	zones := cachedZones()
	rapid.Check(t, func(r *rapid.T) {
		a, used, row := drawCall(t, rapidDrawer(r))
		c := a.Charge(used)
		if a.Rule == RuleUnrated {
			r.Fatalf("unrated: %s", a.Error)
		}
		if c.FreeS+c.ChargedS != c.BilledS {
			r.Fatalf("%d free + %d charged are not %d billed", c.FreeS, c.ChargedS, c.BilledS)
		}
		if must, ok, err := checker.Check(asStored(c), int64(row.DurationMs), zones); !ok || err != nil {
			r.Fatalf("the checker has %+v, %v, the rater %+v", must, err, c)
		}
		if a.Rule != RuleMetered && a.Rule != RuleAllowance {
			return
		}
		e, err := ParseExplanation(c.Explanation)
		if err != nil {
			r.Fatal(err)
		}
		if p, err := e.Recompute(); err != nil || p.Amount != c.Amount || p.FreeS != c.FreeS || p.BilledS != c.BilledS {
			r.Fatalf("recomputed %+v, %v from %s", p, err, c.Explanation)
		}
		longer := a
		longer.durationMs += uint32(min(1000, 4_294_967_295-int64(a.durationMs)))
		d := longer.Charge(used)
		if d.Amount < c.Amount || d.BilledS < c.BilledS {
			r.Fatalf("a second more costs less: %+v, %+v", c, d)
		}
		if Seconds(longer.durationMs) <= c.BilledS && (d.Amount != c.Amount || d.BilledS != c.BilledS || d.FreeS != c.FreeS) {
			r.Fatalf("the price changes inside an increment: %+v, %+v", c, d)
		}
		if a.Rule == RuleAllowance && used > 0 {
			if f := a.Charge(used - 1); f.Amount > c.Amount {
				r.Fatalf("a free second more costs more: %+v, %+v", c, f)
			}
		}
	})
}

// cachedZones is time.LoadLocation that remembers, for one goroutine.
func cachedZones() checker.Zones {
	known := map[string]*time.Location{}
	return func(name string) (*time.Location, error) {
		if z := known[name]; z != nil {
			return z, nil
		}
		z, err := time.LoadLocation(name)
		known[name] = z
		return z, err
	}
}

// TestProof compares rater and checker on random calls: as many as
// TANDEM_PROOF_CASES says (`make rate-proof`: 10,000,000), else a few.
func TestProof(t *testing.T) {
	cases, seed := 20_000, uint64(time.Now().UnixNano())
	if s := os.Getenv("TANDEM_PROOF_CASES"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		cases = n
	}
	if s := os.Getenv("TANDEM_PROOF_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	workers := runtime.GOMAXPROCS(0)
	failed := make(chan string, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			draw := func(_ string, low, high int64) int64 { return low + rng.Int64N(high-low+1) }
			zones := cachedZones()
			for range cases / workers {
				a, used, row := drawCall(t, draw)
				c := a.Charge(used)
				if must, ok, err := checker.Check(asStored(c), int64(row.DurationMs), zones); !ok || err != nil || a.Rule == RuleUnrated {
					failed <- fmt.Sprintf("the checker has %+v, %v, the rater %+v", must, err, c)
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	for f := range failed {
		t.Errorf("seed %d: %s", seed, f)
	}
	t.Logf("%d cases, seed %d", cases/workers*workers, seed)
}
