package cdr

import (
	"slices"

	"tandem"
)

// maxReady bounds the memory of priced rows while ClickHouse is away: 20,000 of
// about 2 KB. What does not fit the writer reads from the journal again and
// asks the pricer for its charges.
const maxReady = 20_000

// ready are priced rows that the writer has not taken yet: runs of the journal
// without a gap between them. What is in no run must be read from the journal.
type ready struct {
	max  int // rows
	runs []run
	rows int
}

// run is what the facts from..to gave.
type run struct {
	from, to tandem.JournalPos
	rows     []tandem.CDR
}

// add appends a run if it follows the last one and there is room. A run that is
// left out leaves a gap, so nothing is taken any more until all is gone.
func (q *ready) add(from, to tandem.JournalPos, rows []tandem.CDR) {
	n := len(q.runs)
	if q.rows+len(rows) > q.max || n > 0 && q.runs[n-1].to+1 != from {
		return
	}
	q.rows += len(rows)
	q.runs = append(q.runs, run{from, to, rows})
}

// take removes and returns about n rows of the facts from from on, a quarter more
// or less so that they can stay where the ledger made them: whole calls only, and
// the last position that they cover. ok is false when the first run does not begin there.
func (q *ready) take(from tandem.JournalPos, n int) (rows []tandem.CDR, to tandem.JournalPos, ok bool) {
	q.skip(from)
	if len(q.runs) == 0 || q.runs[0].from != from {
		return nil, 0, false
	}
	least, most := n-n/4, n+n/4
	for len(q.runs) > 0 && len(rows) < least {
		first := &q.runs[0]
		part, left := first.rows, []tandem.CDR(nil)
		if to = first.to; len(rows)+len(part) > most {
			part, left = cut(part, n-len(rows))
			to = part[len(part)-1].NodeSeq
		}
		switch {
		case rows != nil:
			rows = append(rows, part...)
		case len(part) >= least || len(q.runs) == 1: // under load and without any: nothing is copied
			rows = part
		default:
			rows = append(make([]tandem.CDR, 0, min(q.rows, most)), part...)
		}
		if len(left) > 0 {
			first.from, first.rows = to+1, left
			q.rows -= len(part)
			return rows, to, true
		}
		q.drop()
	}
	return rows, to, true
}

// cut splits rows after the call to which the n-th belongs.
func cut(rows []tandem.CDR, n int) (part, left []tandem.CDR) {
	for n < len(rows) && rows[n].NodeSeq == rows[n-1].NodeSeq {
		n++
	}
	return rows[:n:n], rows[n:]
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

func (q *ready) drop() {
	q.rows -= len(q.runs[0].rows)
	q.runs = slices.Delete(q.runs, 0, 1)
}

// before is the first position that a run covers, or limit when there is none:
// up to there the journal must be read.
func (q *ready) before(limit tandem.JournalPos) tandem.JournalPos {
	if len(q.runs) > 0 {
		return min(limit, q.runs[0].from-1)
	}
	return limit
}
