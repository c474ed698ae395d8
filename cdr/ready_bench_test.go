package cdr

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"tandem"
)

// endsReader gives the end of the same call until n are read.
type endsReader struct {
	fact tandem.JournalFact
	n    int
}

func (r *endsReader) Next(context.Context) (tandem.JournalFact, error) { return r.fact, nil }

func (r *endsReader) TryNext() (tandem.JournalFact, bool, error) {
	if r.n--; r.n < 0 {
		return tandem.JournalFact{}, false, nil
	}
	r.fact.Pos++
	return r.fact, true, nil
}

func (r *endsReader) Pos() tandem.JournalPos { return r.fact.Pos + 1 }
func (r *endsReader) Close()                 {}

// BenchmarkBatch is what a second of 1,000 calls costs between journal and
// ClickHouse but for their pricing: rows made, kept and taken.
func BenchmarkBatch(b *testing.B) {
	p := &Pipeline{ready: ready{max: maxReady}}
	r := &endsReader{fact: tandem.JournalFact{Kind: tandem.FactEnd, At: noon, Call: tandem.CallRecord{Correlation: uuid.New(), From: "+12065550123", To: "+14255550100",
		Legs: []tandem.LegRecord{leg(tandem.Phone, true), leg(tandem.OperatorConnect, true)}}}}
	var batch []tandem.CDR
	written, second := tandem.JournalPos(0), 0
	b.ReportAllocs()
	for b.Loop() {
		second++
		from := r.Pos()
		r.n = 960 + second%5*20
		rows, _ := p.ends(r, p.memory())
		p.ready.add(from, r.Pos()-1, rows)
		for p.ready.rows >= 2000 {
			batch, written, _ = p.ready.take(batch[:0], written+1, 2000)
			clear(batch)
		}
	}
}
