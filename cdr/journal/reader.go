package journal

import (
	"context"
	"errors"
	"io"

	"tandem"
)

// Reader streams facts in order from a position on, and then follows the
// journal live. It sees durable facts only. One goroutine may use it; Close it
// when done.
type Reader struct {
	j    *Journal
	next uint64 // position to deliver next
	ends bool   // decode the call of ends only
	seg  *segment
	f    File
	sc   *scanner
}

// Read starts a reader at a position; 0 and 1 are the beginning. Positions whose
// segments are gone (delivered and past retention, or lost) are skipped and counted.
func (j *Journal) Read(from tandem.JournalPos) *Reader {
	return &Reader{j: j, next: max(uint64(from), 1)}
}

// ReadEnds is Read for those who need ends only: other facts come with their
// position and kind, but without the call, which saves most of the work.
func (j *Journal) ReadEnds(from tandem.JournalPos) *Reader {
	r := j.Read(from)
	r.ends = true
	return r
}

// Next waits for the next fact. It returns ErrClosed after the last one of a
// closed journal, and ctx's error.
func (r *Reader) Next(ctx context.Context) (tandem.JournalFact, error) {
	for {
		fact, ok, err := r.TryNext()
		if ok || err != nil {
			return fact, err
		}
		if err := r.j.waitSynced(ctx, r.next); err != nil {
			return tandem.JournalFact{}, err
		}
	}
}

// TryNext is Next without waiting: ok is false when there is nothing new.
func (r *Reader) TryNext() (fact tandem.JournalFact, ok bool, err error) {
	for r.next <= r.j.synced.Load() {
		if r.sc == nil {
			found, err := r.openSegment()
			if err != nil {
				return fact, false, err
			}
			if !found { // the durable facts up to here are nowhere: they were deleted or lost
				r.skipTo(r.j.synced.Load() + 1)
				return fact, false, nil
			}
		}
		fact, ok, err := r.step()
		if ok || err != nil {
			return fact, ok, err
		}
	}
	return fact, false, nil
}

// Pos is the position that is delivered next.
func (r *Reader) Pos() tandem.JournalPos { return tandem.JournalPos(r.next) }

// Close releases the file.
func (r *Reader) Close() {
	if r.f != nil {
		r.f.Close()
		r.f, r.sc, r.seg = nil, nil, nil
	}
}

func (r *Reader) openSegment() (bool, error) {
	r.j.mu.Lock()
	i := segmentOf(r.j.segs, r.next)
	if i == len(r.j.segs) {
		r.j.mu.Unlock()
		return false, nil
	}
	seg := r.j.segs[i]
	r.j.mu.Unlock()
	f, err := r.j.fs.OpenFile(seg.path, false)
	if err != nil {
		return false, err
	}
	r.seg, r.f, r.sc = seg, f, newScanner(f, seg.first)
	return true, nil
}

// step reads one frame of the open segment; ok is false when it led nowhere
// (an older frame, the end of the segment) and the caller shall look again.
func (r *Reader) step() (fact tandem.JournalFact, ok bool, err error) {
	limit := r.limit()
	synced := r.j.synced.Load()
	before := *r.sc
	kind, payload, damage, err := r.sc.next()
	if errors.Is(err, io.EOF) {
		if damage > 0 && r.next < limit && r.next <= synced {
			r.j.setAside(r.seg, r.f, r.sc.damagedAt, damage)
		}
		if limit == maxSeq { // the newest segment ends before a durable fact
			r.skipTo(synced + 1)
		} else {
			r.skipTo(max(limit, r.next))
		}
		r.Close()
		return fact, false, nil
	}
	if err != nil {
		return fact, false, err
	}
	seq := r.sc.seq
	if seq >= limit {
		r.skipTo(max(limit, r.next))
		r.Close()
		return fact, false, nil
	}
	if seq > synced {
		// Reached through damage, or not durable yet: come back for it.
		*r.sc = before
		r.sc.buf, r.sc.at = nil, r.sc.off
		r.skipTo(synced + 1)
		return fact, false, nil
	}
	if damage > 0 {
		r.j.setAside(r.seg, r.f, r.sc.damagedAt, damage)
	}
	if seq < r.next {
		return fact, false, nil
	}
	r.skipTo(seq)
	if r.ends && kind != tandem.FactEnd {
		r.next = seq + 1
		return tandem.JournalFact{Pos: tandem.JournalPos(seq), Kind: kind}, true, nil
	}
	if kind == tandem.FactAlive {
		r.next = seq + 1
		return tandem.JournalFact{Pos: tandem.JournalPos(seq), Kind: kind, At: instantOf(payload)}, true, nil
	}
	pos, at, call, err := decodePayload(payload)
	r.next = seq + 1
	if err != nil {
		r.j.alarm("a fact is not readable and is left out", err, "pos", seq)
		r.j.missing.Add(1)
		return fact, false, nil
	}
	return tandem.JournalFact{Pos: tandem.JournalPos(pos), Kind: kind, At: at, Call: call}, true, nil
}

func (r *Reader) limit() uint64 {
	r.j.mu.Lock()
	defer r.j.mu.Unlock()
	for i, s := range r.j.segs {
		if s == r.seg {
			return limitOf(r.j.segs, i)
		}
	}
	// Deleted meanwhile: it was delivered; whatever it still holds is not needed.
	if len(r.j.segs) > 0 {
		return r.j.segs[0].first
	}
	return maxSeq
}

// skipTo moves on over positions that no segment holds.
func (r *Reader) skipTo(seq uint64) {
	if seq <= r.next {
		return
	}
	if lost := seq - r.next; r.next > r.j.delivered.Load() {
		r.j.missing.Add(lost)
		r.j.alarm("facts are missing", errDamage, "from", r.next, "to", seq-1)
	}
	r.next = seq
}
