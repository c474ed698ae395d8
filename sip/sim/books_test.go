package sim_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/uuid"

	"tandem"
	"tandem/rating/ledger"
	"tandem/rating/ledger/memstore"
)

// books prices the same facts in several schedules: charges must not depend on
// batches, repetitions and restarts, nor on the order of calls that draw from
// different buckets; and however calls are ordered, a bucket gives out the same.
func books(t testing.TB, s *stack, rows []tandem.CDR, seed uint64) (charges int, problems []string) {
	random := rand.New(rand.NewPCG(seed, 0xb00c))
	plain := newBooks(t, s.dir)
	plain.price(rows, func() int { return 1 << 30 })

	retold := newBooks(t, s.dir)
	mixed := interleave(rows, random)
	retold.price(mixed[:len(mixed)/2], func() int { return 1 + random.IntN(40) })
	retold.restart()
	retold.price(mixed[len(mixed)/4:], func() int { return 1 + random.IntN(40) }) // a quarter is told twice
	for id, want := range plain.charges {
		if got := retold.charges[id]; got != want {
			problems = append(problems, fmt.Sprintf("leg %s: charged %+v in one schedule, %+v in another", id, want, got))
		}
	}
	for _, a := range s.dir.Accounts {
		if p, q := plain.store.Balance(a.ID), retold.store.Balance(a.ID); p != q {
			problems = append(problems, fmt.Sprintf("account %s: balance %s in one schedule, %s in another", a.ID, p, q))
		}
	}

	turned := newBooks(t, s.dir)
	any := slices.Clone(rows)
	random.Shuffle(len(any), func(i, j int) { any[i], any[j] = any[j], any[i] })
	turned.price(any, func() int { return 1000 })
	for bucket, want := range plain.drawn() {
		if got := turned.drawn()[bucket]; got != want {
			problems = append(problems, fmt.Sprintf("bucket %v: %d s drawn in one order, %d s in another", bucket, want, got))
		}
	}
	return len(plain.charges), problems
}

// ledgerBooks is a ledger with what it charged.
type ledgerBooks struct {
	t       testing.TB
	dir     *tandem.Directory
	store   *memstore.Store
	ledger  *ledger.Ledger
	charges map[uuid.UUID]tandem.Charge
}

func newBooks(t testing.TB, dir *tandem.Directory) *ledgerBooks {
	b := &ledgerBooks{t: t, dir: dir, store: memstore.New(), charges: map[uuid.UUID]tandem.Charge{}}
	b.restart()
	return b
}

// restart is another process over the same store.
func (b *ledgerBooks) restart() {
	b.ledger = ledger.New(b.store, nil, nil)
	if err := b.ledger.SetDirectory(b.dir); err != nil {
		b.t.Fatal(err)
	}
}

func (b *ledgerBooks) price(rows []tandem.CDR, size func() int) {
	for rest := slices.Clone(rows); len(rest) > 0; {
		n := min(size(), len(rest))
		if err := b.ledger.Price(context.Background(), rest[:n]); err != nil {
			b.t.Fatal(err)
		}
		for _, row := range rest[:n] {
			b.charges[row.ID] = row.Charge
		}
		rest = rest[n:]
	}
}

func (b *ledgerBooks) drawn() map[tandem.Bucket]int64 {
	sums := map[tandem.Bucket]int64{}
	for _, e := range b.store.Entries() {
		sums[e.Bucket] += e.Charge.FreeS
	}
	return sums
}

// interleave mixes calls of different DIDs and keeps the order within each.
func interleave(rows []tandem.CDR, random *rand.Rand) []tandem.CDR {
	queues := map[tandem.E164][]tandem.CDR{}
	var order []tandem.E164
	for _, row := range rows {
		queues[row.DID] = append(queues[row.DID], row)
		order = append(order, row.DID)
	}
	random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	mixed := make([]tandem.CDR, 0, len(rows))
	for _, did := range order {
		mixed = append(mixed, queues[did][0])
		queues[did] = queues[did][1:]
	}
	return mixed
}
