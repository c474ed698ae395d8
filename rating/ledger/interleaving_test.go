package ledger

import (
	"context"
	"reflect"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"tandem"
	"tandem/rating/ledger/memstore"
)

// TestInterleavedReplaysChangeNothing: what is booked stays, whatever parts of
// it are replayed, in whatever order, by however many at once; each replay gets
// the stored charges back, also under another deck.
func TestInterleavedReplaysChangeNothing(t *testing.T) {
	var calls [][]tandem.CDR
	for n := range 30 {
		calls = append(calls, call(n, 60+n*700)) // the bucket empties on the way
	}
	first := memstore.New()
	l := mustLedger(t, first)
	charges := map[tandem.CorrelationID]tandem.Charge{}
	for _, c := range calls {
		rows := append([]tandem.CDR(nil), c...)
		price(t, l, rows)
		charges[rows[1].Correlation] = rows[1].Charge
	}
	want, balance := first.Entries(), first.Balance("contoso")
	dearer := directory()
	dearer.Decks[0].Version, dearer.Decks[0].Rows[0].Rate, dearer.Accounts[0].FreeMinutes = 2, 990_000_000, 10
	rapid.Check(t, func(rt *rapid.T) {
		if rapid.Bool().Draw(rt, "another deck meanwhile") {
			if err := l.SetDirectory(dearer); err != nil {
				rt.Fatal(err)
			}
		}
		var wait sync.WaitGroup
		for range 3 {
			order := rapid.SliceOfN(rapid.IntRange(0, len(calls)-1), 1, 20).Draw(rt, "calls")
			wait.Go(func() {
				for _, i := range order {
					rows := append([]tandem.CDR(nil), calls[i]...)
					if err := l.Price(context.Background(), rows); err != nil || rows[1].Charge != charges[rows[1].Correlation] {
						t.Errorf("call %d is charged %+v, %v", i, rows[1].Charge, err)
					}
				}
			})
		}
		wait.Wait()
		if !reflect.DeepEqual(first.Entries(), want) || first.Balance("contoso") != balance {
			rt.Fatalf("the books changed")
		}
	})
}

// TestAnyOrderDrawsTheSame: in whatever order calls come, together they draw
// the whole bucket or all they need, and what they are charged is the rest.
func TestAnyOrderDrawsTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		store := memstore.New()
		l := mustLedger(t, store)
		lengths := rapid.SliceOfN(rapid.IntRange(1, 40_000), 1, 20).Draw(rt, "lengths")
		var billed, free, charged int64
		var amount tandem.Amount
		for _, i := range rapid.Permutation(indexes(len(lengths))).Draw(rt, "order") {
			rows := call(i, lengths[i])
			price(t, l, rows)
			c := rows[1].Charge
			billed, free, charged, amount = billed+c.BilledS, free+c.FreeS, charged+c.ChargedS, amount+c.Amount
		}
		if free != min(billed, 240_000) || charged != billed-free || store.Balance("contoso") != -amount || int64(amount) != charged/60*12_500 {
			rt.Fatalf("%d billed, %d free, %d charged, %s", billed, free, charged, amount)
		}
	})
}

func indexes(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}
