package cdr

import (
	"slices"

	"tandem"
)

// maxReady bounds the memory of priced rows while ClickHouse is away: 20,000 of
// about 2 KB. What does not fit the writer reads from the journal again and
// asks the pricer for its charges.
const maxReady = 20_000

// maxSpare bounds the memory of rows that is kept for the next ones: 4 MB, three
// batches of the ledger.
const maxSpare = 3 * 2 * priceBatch

// ready are priced rows that the writer has not taken yet: runs of the journal
// without a gap between them. What is in no run must be read from the journal.
type ready struct {
	max   int // rows
	runs  []run
	rows  int
	spare [][]tandem.CDR // memory of runs that are gone
	kept  int            // rows that it holds
	usual int            // rows of a run: up at once, down by an eighth a run
}

// run is what the facts from..to gave.
type run struct {
	from, to tandem.JournalPos
	rows     []tandem.CDR // those not taken yet
	all      []tandem.CDR
}

// memory is an empty slice for the rows of a run to come: of one that is gone and
// was large enough, else a new one.
func (q *ready) memory() []tandem.CDR {
	for len(q.spare) > 0 {
		n := len(q.spare) - 1
		rows := q.spare[n]
		q.spare = slices.Delete(q.spare, n, n+1)
		q.kept -= cap(rows)
		if cap(rows) >= q.usual {
			return rows
		}
	}
	return make([]tandem.CDR, 0, q.usual+q.usual/8)
}

// giveBack takes the memory of rows that nobody reads any more.
func (q *ready) giveBack(rows []tandem.CDR) {
	clear(rows) // they refer to what they were read from
	if q.kept+cap(rows) <= maxSpare && cap(rows) > 0 {
		q.spare = append(q.spare, rows[:0])
		q.kept += cap(rows)
	}
}

// add appends a run if it follows the last one and there is room. A run that is
// left out leaves a gap, so nothing is taken any more until all is gone.
func (q *ready) add(from, to tandem.JournalPos, rows []tandem.CDR) {
	q.usual = max(len(rows), q.usual-q.usual/8)
	n := len(q.runs)
	if q.rows+len(rows) > q.max || n > 0 && q.runs[n-1].to+1 != from {
		q.giveBack(rows)
		return
	}
	q.rows += len(rows)
	q.runs = append(q.runs, run{from, to, rows, rows})
}

// take moves the rows of the facts from from on behind dst, n or a few more: whole
// calls only, and the last position that they cover. ok is false when the first run
// does not begin there.
func (q *ready) take(dst []tandem.CDR, from tandem.JournalPos, n int) (rows []tandem.CDR, to tandem.JournalPos, ok bool) {
	q.skip(from)
	if len(q.runs) == 0 || q.runs[0].from != from {
		return dst, 0, false
	}
	for len(q.runs) > 0 && len(dst) < n {
		first := &q.runs[0]
		part := whole(first.rows, n-len(dst))
		dst = append(dst, part...)
		if len(part) == len(first.rows) {
			to = first.to
			q.drop()
			continue
		}
		to = part[len(part)-1].NodeSeq
		first.from, first.rows = to+1, first.rows[len(part):]
		q.rows -= len(part)
	}
	return dst, to, true
}

// whole is the beginning of rows up to the end of the call to which the n-th belongs.
func whole(rows []tandem.CDR, n int) []tandem.CDR {
	if n >= len(rows) {
		return rows
	}
	for n < len(rows) && rows[n].NodeSeq == rows[n-1].NodeSeq {
		n++
	}
	return rows[:n]
}

// skip drops what was delivered from the journal.
func (q *ready) skip(from tandem.JournalPos) {
	for len(q.runs) > 0 && q.runs[0].to < from {
		q.drop()
	}
	if len(q.runs) == 0 || q.runs[0].from >= from {
		return
	}
	first := &q.runs[0]
	first.from = from
	for len(first.rows) > 0 && first.rows[0].NodeSeq < from {
		first.rows = first.rows[1:]
		q.rows--
	}
}

// drop forgets the first run.
func (q *ready) drop() {
	first := q.runs[0]
	q.rows -= len(first.rows)
	q.runs = slices.Delete(q.runs, 0, 1)
	q.giveBack(first.all)
}

// before is the first position that a run covers, or limit when there is none:
// up to there the journal must be read.
func (q *ready) before(limit tandem.JournalPos) tandem.JournalPos {
	if len(q.runs) > 0 {
		return min(limit, q.runs[0].from-1)
	}
	return limit
}
