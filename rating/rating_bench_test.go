package rating

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tandem"
)

// manyPrefixes is the tests' directory with n rows in deck out.
func manyPrefixes(n int) *tandem.Directory {
	d := directory()
	seen := map[string]bool{"1": true, "1907": true, "44": true, "53": true, "49": true, "1411": true, "41": true}
	for i := uint64(1); len(seen) < n; i++ {
		p := fmt.Sprint(1 + i*2654435761%999_999_999)
		if p = p[:min(len(p), 4+int(i%6))]; !seen[p] {
			seen[p] = true
			d.Decks[0].Rows = append(d.Decks[0].Rows, deckRow(int64(len(seen)), p, "0.01"))
		}
	}
	return d
}

// manyCalls are n outbound calls to numbers all over the deck, half of them to
// the US, of 1,000 numbers over two months.
func manyCalls(n int, plan tandem.PlanKind) []tandem.CDR {
	rng := rand.New(rand.NewPCG(1, 2))
	first := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	rows := make([]tandem.CDR, n)
	for i := range rows {
		to := fmt.Sprintf("+%d", 2_000_000_000+rng.Int64N(7_999_999_999))
		if i%2 == 0 {
			to = fmt.Sprintf("+1206%07d", 2_000_000+rng.IntN(7_999_999))
		}
		at := first.Add(time.Duration(i) * (60 * 24 * time.Hour) / time.Duration(n))
		rows[i] = outbound(to)
		rows[i].DID = tandem.E164(fmt.Sprintf("+1425555%04d", rng.IntN(1000)))
		rows[i].Plan, rows[i].DurationMs, rows[i].AnswerTime = plan, uint32(1+rng.IntN(600_000)), &at
	}
	return rows
}

// BenchmarkRateOneCall classifies, looks up and prices one call with 300,000
// prefixes in the deck. The budget is 500 ns and 0 allocations; CGRateS takes
// 228,000 ns for a one-hour call on such a machine (rating-and-cdr.md 7).
//
// best-ns/op is the best of all runs of 500 calls: what the code takes when
// nobody else has the core.
func BenchmarkRateOneCall(b *testing.B) {
	const calls = 500
	tariff := mustTariff(b, manyPrefixes(300_000))
	for name, plan := range map[string]tandem.PlanKind{"metered": tandem.Metered, "unlimited": tandem.Unlimited} {
		rows := manyCalls(2_000, plan)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			best, began := time.Duration(1<<62), time.Now()
			for i := 0; b.Loop(); i++ {
				a := tariff.Assess(&rows[i%len(rows)])
				a.Price(0)
				if i%calls == calls-1 {
					now := time.Now()
					best, began = min(best, now.Sub(began)), now
				}
			}
			ns := float64(best.Nanoseconds()) / calls
			b.ReportMetric(ns, "best-ns/op")
			b.ReportMetric(228_000/ns, "x-CGRateS")
		})
	}
	b.Run("with explanation", func(b *testing.B) {
		row := outbound("+12065550123")
		b.ReportAllocs()
		for b.Loop() {
			a := tariff.Assess(&row)
			a.Charge(0)
		}
	})
}

// BenchmarkReplay is a what-if replay of legs in memory on one core; the aim is
// 1,000,000 legs/s. best-legs/s is that of the best run of 500 legs.
func BenchmarkReplay(b *testing.B) {
	tariff := mustTariff(b, manyPrefixes(300_000))
	rows := manyCalls(200_000, tandem.Unlimited)
	b.ReportAllocs()
	b.ResetTimer()
	const run = 500
	var sum tandem.Amount
	best := time.Duration(1 << 62)
	for b.Loop() {
		r := NewReplay(tariff)
		began := time.Now()
		for i := range rows {
			_, p, _ := r.Leg(&rows[i])
			sum += p.Amount
			if i%run == run-1 {
				now := time.Now()
				best, began = min(best, now.Sub(began)), now
			}
		}
	}
	b.ReportMetric(run/best.Seconds(), "best-legs/s")
	b.ReportMetric(float64(b.N*len(rows))/b.Elapsed().Seconds(), "legs/s")
	if sum == 0 {
		b.Error("nothing was charged")
	}
}
