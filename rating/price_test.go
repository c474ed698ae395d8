package rating

import (
	"math"
	"testing"

	"tandem"
	"tandem/rating/deck"
)

func TestBilled(t *testing.T) {
	for name, c := range map[string]struct{ initial, next, seconds, want int64 }{
		"60/60, 0 s":     {60, 60, 0, 0},
		"60/60, 1 s":     {60, 60, 1, 60},
		"60/60, 60 s":    {60, 60, 60, 60},
		"60/60, 61 s":    {60, 60, 61, 120},
		"30/6, 1 s":      {30, 6, 1, 30},
		"30/6, 31 s":     {30, 6, 31, 36},
		"30/6, 36 s":     {30, 6, 36, 36},
		"30/6, 37 s":     {30, 6, 37, 42},
		"6/6, 7 s":       {6, 6, 7, 12},
		"1/1, 7 s":       {1, 1, 7, 7},
		"60/1, 5 s":      {60, 1, 5, 60}, // kamailio pull 2182
		"60/1, 61 s":     {60, 1, 61, 61},
		"1/60, 2 s":      {1, 60, 2, 61},
		"negative":       {60, 60, -5, 0},
		"86401 s at 1/1": {1, 1, 86401, 86401},
	} {
		terms := Terms{InitialInc: c.initial, NextInc: c.next}
		if got := terms.Billed(c.seconds); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func rate(t *testing.T, s string) tandem.Rate {
	t.Helper()
	r, err := tandem.ParseRate(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func amount(t *testing.T, s string) tandem.Amount {
	t.Helper()
	a, err := tandem.ParseAmount(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestPrice(t *testing.T) {
	for name, c := range map[string]struct {
		rate, fee          string
		initial, next      int64
		seconds, available int64
		want               string
		free, charged      int64
	}{
		"one minute":                            {"0.0125", "0", 60, 60, 60, 0, "0.0125", 0, 60},
		"begun minute":                          {"0.0125", "0", 60, 60, 61, 0, "0.025", 0, 120},
		"per second, rounded once":              {"0.0085", "0", 1, 1, 137, 0, "0.019408", 0, 137}, // 0.01940833...; 0.01918 when rounded per second
		"a day per second":                      {"0.0085", "0", 1, 1, 86_400, 0, "12.24", 0, 86_400},
		"86,401 s":                              {"0.0085", "0", 1, 1, 86_401, 0, "12.240142", 0, 86_401}, // a float rater got 12.240170
		"ten decimals":                          {"0.0000000001", "0", 60, 60, 60 * 10_000, 0, "0.000001", 0, 600_000},
		"tie goes to the even amount, down":     {"0.00000050", "0", 60, 60, 60, 0, "0", 0, 60},
		"tie goes to the even amount, up":       {"0.00000150", "0", 60, 60, 60, 0, "0.000002", 0, 60},
		"the even one of the sums with the fee": {"0.00000050", "0.000001", 60, 60, 60, 0, "0.000002", 0, 60},
		"just above a tie":                      {"0.0000005001", "0", 60, 60, 60, 0, "0.000001", 0, 60},
		"just below a tie":                      {"0.0000014999", "0", 60, 60, 60, 0, "0.000001", 0, 60},
		"connect fee":                           {"0.0345", "0.01", 1, 1, 1, 0, "0.010575", 0, 1},
		"zero duration has no fee":              {"1", "0.5", 60, 60, 0, 0, "0", 0, 0},
		"all free":                              {"0.0125", "0.01", 60, 60, 61, 240_000, "0", 120, 0},
		"split at the last free second":         {"0.0125", "0.01", 60, 60, 90, 30, "0.01875", 30, 90}, // no second interval, no fee
		"split inside the first increment":      {"0.06", "0", 60, 60, 10, 59, "0.001", 59, 1},
		"exactly used up":                       {"0.06", "0.01", 60, 60, 60, 60, "0", 60, 0},
		"bucket empty":                          {"0.06", "0.01", 60, 60, 60, 0, "0.07", 0, 60},
		"bucket overdrawn by another decision":  {"0.06", "0.01", 60, 60, 60, -7, "0.07", 0, 60},
		"zero rate":                             {"0", "0", 1, 1, 5, 0, "0", 0, 5},
	} {
		t.Run(name, func(t *testing.T) {
			terms := Terms{Rate: rate(t, c.rate), ConnectFee: amount(t, c.fee), InitialInc: c.initial, NextInc: c.next}
			p, err := terms.Price(c.seconds, c.available)
			if err != nil || p.Amount != amount(t, c.want) || p.FreeS != c.free || p.ChargedS != c.charged || p.FreeS+p.ChargedS != p.BilledS {
				t.Errorf("%+v, %v; want %s, %d free, %d charged", p, err, c.want, c.free, c.charged)
			}
		})
	}
}

func TestPriceRefuses(t *testing.T) {
	good := Terms{Rate: 1, InitialInc: 60, NextInc: 60}
	for name, c := range map[string]struct {
		terms   Terms
		seconds int64
	}{
		"ErrZeroInitial":  {Terms{Rate: 1, ConnectFee: 0, InitialInc: 0, NextInc: 60}, 60},
		"ErrZeroNext":     {Terms{Rate: 1, ConnectFee: 0, InitialInc: 60, NextInc: 0}, 60},
		"ErrNegativeRate": {Terms{Rate: -1, ConnectFee: 0, InitialInc: 60, NextInc: 60}, 60},
		"ErrNegativeFee":  {Terms{Rate: 1, ConnectFee: -1, InitialInc: 60, NextInc: 60}, 60},
		"ErrHugeNext":     {Terms{Rate: 1, ConnectFee: 0, InitialInc: 60, NextInc: math.MaxInt64}, 61},
		"ErrAgeless":      {good, math.MaxInt64},
		"ErrOverflow":     {Terms{Rate: math.MaxInt64, ConnectFee: 0, InitialInc: 60, NextInc: 60}, 1 << 40},
		"ErrFeeOverflow":  {Terms{Rate: 1e10, ConnectFee: math.MaxInt64, InitialInc: 60, NextInc: 60}, 60},
	} {
		if p, err := c.terms.Price(c.seconds, 0); err == nil || p != (Price{}) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	most := Terms{Rate: deck.MaxRate, ConnectFee: deck.MaxConnectFee, InitialInc: deck.MaxIncrement, NextInc: deck.MaxIncrement}
	if _, err := most.Price(Seconds(math.MaxUint32), 0); err != nil {
		t.Errorf("the limits of decks must not overflow: %v", err)
	}
}

func TestSeconds(t *testing.T) {
	for ms, want := range map[uint32]int64{0: 0, 1: 1, 999: 1, 1000: 1, 1001: 2, math.MaxUint32: 4_294_968} {
		if got := Seconds(ms); got != want {
			t.Errorf("Seconds(%d) = %d, want %d", ms, got, want)
		}
	}
}

func TestPriceDoesNotAllocate(t *testing.T) {
	terms := Terms{Rate: 85_000_000, ConnectFee: 10_000, InitialInc: 30, NextInc: 6}
	if n := testing.AllocsPerRun(100, func() { terms.Price(137, 40) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPrice(b *testing.B) {
	terms := Terms{Rate: 85_000_000, ConnectFee: 10_000, InitialInc: 30, NextInc: 6}
	b.ReportAllocs()
	for b.Loop() {
		terms.Price(137, 40)
	}
}
