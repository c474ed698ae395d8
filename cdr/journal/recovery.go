package journal

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"tandem"
)

// recover reads back what counts: from the low-water mark on (see
// saveLowWater), cuts the torn tail, sets damage aside, and returns the calls
// without an end, ended at their last sign of life.
func (j *Journal) recover() ([]tandem.CallRecord, error) {
	began := time.Now()
	segs, err := listSegments(j.fs, j.cfg.Dir, j.clock())
	if err != nil {
		return nil, err
	}
	low, next := j.loadLowWater()
	j.segs = segs
	type place struct {
		seg *segment
		off int64
		seq uint64
	}
	open := map[uuid.UUID]place{}
	var alive time.Time
	for i := min(segmentOf(segs, max(low, 1)), len(segs)); i < len(segs); i++ {
		seg, limit := segs[i], limitOf(segs, i)
		next = max(next, seg.first)
		if seg.first >= limit {
			continue
		}
		f, err := j.fs.OpenFile(seg.path, false)
		if err != nil {
			return nil, err
		}
		sc := newScanner(f, seg.first)
		for {
			kind, payload, damage, err := sc.next()
			if err != nil && !errors.Is(err, io.EOF) {
				f.Close()
				return nil, fmt.Errorf("segment %s: %w", seg.path, err)
			}
			ended := err != nil
			if damage > 0 {
				if cut, err := j.mend(seg, f, sc, damage, ended, i == len(segs)-1, limit); err != nil {
					f.Close()
					return nil, err
				} else if cut {
					j.recovery.CutBytes += damage
				}
			}
			if ended || sc.seq >= limit {
				break
			}
			j.recovery.Facts++
			next = max(next, sc.seq+1)
			if kind == tandem.FactAlive {
				alive = instantOf(payload)
				continue
			}
			id := correlationOf(payload)
			if kind == tandem.FactEnd {
				delete(open, id)
				continue
			}
			open[id] = place{seg, sc.off - int64(frameHead+len(payload)), sc.seq}
		}
		f.Close()
	}
	j.next = max(next, 1)
	if floor := uint64(j.cfg.Floor); floor >= j.next {
		j.recovery.Lost = int(floor - j.next + 1)
		j.alarm("the end of the journal is gone, readers were further", errDamage, "from", j.next, "to", floor)
		j.next = floor + 1
	}
	j.written.Store(j.next - 1)
	j.synced.Store(j.next - 1)

	var orphans []tandem.CallRecord
	for id, p := range open {
		j.open[id] = p.seq
		call, err := j.readCall(p.seg, p.off)
		if err != nil {
			j.alarm("a call left open by a crash is not readable", err, "corr_id", id)
			continue
		}
		j.stillUp(&call, alive)
		closeAtCheckpoint(&call)
		orphans = append(orphans, call)
	}
	j.recovery.ClosedCalls = len(orphans)
	j.recovery.Took = time.Since(began)
	if j.recovery.Facts > 0 {
		j.log.Info("journal: read back", "facts", j.recovery.Facts, "calls_closed", len(orphans), "cut_bytes", j.recovery.CutBytes,
			"damaged", j.recovery.Damaged, "took", j.recovery.Took)
	}
	return orphans, nil
}

// mend deals with damage bytes that the scanner stepped over. At the very end
// of the last segment they are a torn write: cut. Anywhere else they are
// corruption: kept for inspection, and what follows stays valid. What a later
// segment holds again (limit) was never missed.
func (j *Journal) mend(seg *segment, f File, sc *scanner, damage int64, ended, last bool, limit uint64) (cut bool, err error) {
	switch {
	case ended && last:
		if err := f.Truncate(sc.off); err != nil {
			return false, err
		}
		if err := f.Sync(); err != nil {
			return false, err
		}
		j.log.Warn("journal: torn tail cut", "segment", seg.path, "bytes", damage)
		return true, nil
	case ended && sc.seq+1 >= limit:
		return false, nil
	}
	j.recovery.Damaged++
	j.setAside(seg, f, sc.damagedAt, damage)
	return false, nil
}

// setAside copies damaged bytes into quarantine/ and raises the alarm, once per place.
func (j *Journal) setAside(seg *segment, f File, at, n int64) {
	dir := filepath.Join(j.cfg.Dir, "quarantine")
	name := filepath.Join(dir, fmt.Sprintf("%s-%d.bad", filepath.Base(seg.path), at))
	err := j.fs.MkdirAll(dir)
	if err == nil {
		var out File
		if out, err = j.fs.OpenFile(name, true); err == nil {
			j.damaged.Add(1)
			b := make([]byte, min(n, 16<<20))
			got, _ := f.ReadAt(b, at)
			_, err = out.WriteAt(b[:got], 0)
			out.Close()
		} else if known, openErr := j.fs.OpenFile(name, false); openErr == nil {
			known.Close()
			return
		}
	}
	j.alarm("damaged bytes in a segment: facts may be missing", errors.Join(errDamage, err), "segment", seg.path, "offset", at, "bytes", n, "copy", name)
}

var errDamage = errors.New("bad frame before the end of the journal")

func (j *Journal) readCall(seg *segment, off int64) (tandem.CallRecord, error) {
	f, err := j.fs.OpenFile(seg.path, false)
	if err != nil {
		return tandem.CallRecord{}, err
	}
	defer f.Close()
	sc := newScanner(f, 1)
	sc.off = off
	_, payload, _, err := sc.frameAt(off)
	if err != nil {
		return tandem.CallRecord{}, err
	}
	_, at, call, err := decodePayload(payload)
	if err != nil {
		return tandem.CallRecord{}, err
	}
	if call.Checkpoint.IsZero() {
		call.Checkpoint = at
	}
	return call, nil
}

// closeAtCheckpoint ends a call whose engine died: connected legs are billed to
// the last instant at which they were known to be up, the others failed.
func closeAtCheckpoint(c *tandem.CallRecord) {
	c.Recovered = true
	for i := range c.Legs {
		l := &c.Legs[i]
		if !l.ReleaseTime.IsZero() {
			if l.Disposition == "" {
				l.Disposition = tandem.FailedNetwork
			}
			continue
		}
		l.ReleaseTime = c.Checkpoint
		l.ReleasedBy = tandem.ReleasedByEngine
		if l.ReasonText == "" {
			l.ReasonText = "recovered after a crash"
		}
		if l.Connected() {
			l.ReleaseTime = later(l.ReleaseTime, l.AnswerTime)
			l.Duration = l.ReleaseTime.Sub(l.AnswerTime)
			l.Disposition = tandem.Answered
			if l.Cause == 0 {
				l.Cause = tandem.CauseTemporaryFailure
			}
			continue
		}
		l.ReleaseTime = later(l.ReleaseTime, l.SetupTime)
		l.Disposition = tandem.FailedNetwork
		if l.Cause == 0 {
			l.Cause = tandem.CauseTemporaryFailure
		}
		if i > 0 && l.Outcome == "" {
			l.Outcome = tandem.OutcomeConnection
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
