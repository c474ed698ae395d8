package cdr

import (
	"testing"

	"pgregory.net/rapid"

	"tandem"
)

// Whatever is added and taken, in memory or from the journal: every call comes
// once, whole and in order.
func TestReadyRowsComeOnceWholeAndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := ready{max: rapid.IntRange(1, 60).Draw(t, "max")}
		calls := map[tandem.JournalPos]int{} // rows of the call that ended there
		var batch []tandem.CDR
		ledger, writer := tandem.JournalPos(0), tandem.JournalPos(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "price") {
				from := ledger + 1
				rows := q.memory()
				for _, row := range rows[:cap(rows)] {
					if row != (tandem.CDR{}) {
						t.Fatalf("memory given with what was in it: %v", row)
					}
				}
				for range rapid.IntRange(1, 8).Draw(t, "facts") {
					ledger++
					calls[ledger] = rapid.IntRange(0, 3).Draw(t, "legs")
					for range calls[ledger] {
						rows = append(rows, tandem.CDR{NodeSeq: ledger})
					}
				}
				q.add(from, ledger, rows)
				continue
			}
			if writer == ledger {
				continue
			}
			n := rapid.IntRange(1, 10).Draw(t, "n")
			rows, to, ok := q.take(batch[:0], writer+1, n)
			batch = rows
			if !ok { // the writer reads the journal up to there
				limit := q.before(ledger)
				if limit <= writer {
					t.Fatalf("nothing to take at %d and nothing to read up to %d", writer+1, limit)
				}
				writer = tandem.JournalPos(rapid.Uint64Range(uint64(writer)+1, uint64(limit)).Draw(t, "read to"))
				continue
			}
			if len(rows) >= n+3 {
				t.Fatalf("%d rows for %d", len(rows), n)
			}
			got := map[tandem.JournalPos]int{}
			for _, row := range rows {
				got[row.NodeSeq]++
			}
			for pos := writer + 1; pos <= to; pos++ {
				if got[pos] != calls[pos] {
					t.Fatalf("call at %d: %d rows, has %d", pos, got[pos], calls[pos])
				}
				delete(got, pos)
			}
			if len(got) > 0 {
				t.Fatalf("rows outside %d..%d: %v", writer+1, to, got)
			}
			writer = to
		}
		left := 0
		for _, r := range q.runs {
			left += len(r.rows)
		}
		if left != q.rows || left > q.max {
			t.Fatalf("%d rows left, counted %d, bound %d", left, q.rows, q.max)
		}
	})
}
