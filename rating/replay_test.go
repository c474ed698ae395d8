package rating

import (
	"testing"

	"tandem"
)

// TestReplayIsWhatTheBooksDo: drawing leg by leg gives the splits of a ledger.
func TestReplayIsWhatTheBooksDo(t *testing.T) {
	tariff := mustTariff(t, directory())
	r := NewReplay(tariff)
	row := outbound("+12065550123") // 90 s: 120 billed
	bucket := tariff.Assess(&row)
	r.Draw(bucket.Bucket, 240_000-180)
	for i, want := range []Price{{BilledS: 120, FreeS: 120}, {BilledS: 120, FreeS: 60, ChargedS: 60, Amount: 12_500}, {BilledS: 120, ChargedS: 120, Amount: 25_000}} {
		a, p, before := r.Leg(&row)
		if p != want || before != min(240_000-180+int64(i)*120, 240_000) {
			t.Errorf("leg %d: %+v after %d s, want %+v", i+1, p, before, want)
		}
		if c := a.Charge(before); c.Amount != p.Amount || c.FreeS != p.FreeS {
			t.Errorf("leg %d explains %+v", i+1, c)
		}
	}
	metered := row
	metered.Plan = tandem.Metered
	if _, p, _ := r.Leg(&metered); p.Amount != 25_000 || r.Used(bucket.Bucket) != 240_000 {
		t.Errorf("metered what-if: %+v, %d drawn", p, r.Used(bucket.Bucket))
	}
}

// TestReplayDoesNotAllocate once its buckets are known.
func TestReplayDoesNotAllocate(t *testing.T) {
	r, row := NewReplay(mustTariff(t, directory())), outbound("+12065550123")
	r.Leg(&row)
	if n := testing.AllocsPerRun(100, func() { r.Leg(&row) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
