package cdr

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"tandem"
)

// writeLoop cuts batches by journal position and inserts them. A cut is made
// durable before it is sent: after any crash the same positions, hence the same
// rows, go out under the same token.
func (p *Pipeline) writeLoop(ctx context.Context) {
	// A cut that was in flight when the last process ended goes first, as it was.
	first := true
	w := collector{p: p}
	defer w.close()
	for {
		if !first && !p.awaitBatch(ctx) {
			return
		}
		p.mu.Lock()
		from, to := p.cur.Writer+1, p.cur.CutTo
		inFlight := to >= from && p.cur.CutFrom == from
		limit := p.cur.Ledger
		p.mu.Unlock()
		first = false
		if inFlight && limit < to && !p.awaitLedger(ctx, to) {
			return
		}
		if !inFlight && limit < from {
			continue
		}
		var rows []tandem.CDR
		var err error
		if inFlight {
			rows, to, err = w.read(ctx, from, to, math.MaxInt)
		} else {
			rows, to, err = w.collect(ctx, from, limit)
		}
		if err != nil {
			w.close()
			if !p.readFailed(ctx, err) {
				return
			}
			first = true
			continue
		}
		if !p.deliver(ctx, from, to, rows) {
			return
		}
		w.done(rows)
		p.mu.Lock()
		first = p.cur.Ledger > p.cur.Writer && (p.waiting >= p.cfg.MaxRows || p.flushTo > p.cur.Writer)
		p.mu.Unlock()
	}
}

// awaitBatch returns when rows wait long enough, or enough rows wait, or a flush is due.
func (p *Pipeline) awaitBatch(ctx context.Context) bool {
	var timer *time.Timer
	var due <-chan time.Time
	for {
		p.mu.Lock()
		some := p.cur.Ledger > p.cur.Writer
		now := some && (p.waiting >= p.cfg.MaxRows || p.flushTo > p.cur.Writer)
		p.mu.Unlock()
		if now {
			return true
		}
		if some && timer == nil {
			timer = time.NewTimer(p.cfg.Interval)
			defer timer.Stop()
			due = timer.C
		}
		p.mu.Lock()
		moved := p.moved
		p.mu.Unlock()
		if some {
			moved = nil // the timer, a full batch or a flush wake us, not every fact
		}
		select {
		case <-p.wake:
		case <-moved:
		case <-due:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

func (p *Pipeline) awaitLedger(ctx context.Context, pos tandem.JournalPos) bool {
	for {
		p.mu.Lock()
		done, moved := p.cur.Ledger >= pos, p.moved
		p.mu.Unlock()
		if done {
			return true
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return false
		}
	}
}

// collector gets the writer's rows: from memory as the ledger left them, else
// from the journal.
type collector struct {
	p    *Pipeline
	r    FactReader   // nil, or where the last read ended
	rows []tandem.CDR // the last batch's memory
}

// collect returns the priced rows of a batch that begins at from, and the last
// position that they cover, at most limit.
func (w *collector) collect(ctx context.Context, from, limit tandem.JournalPos) ([]tandem.CDR, tandem.JournalPos, error) {
	w.p.mu.Lock()
	rows, to, ok := w.p.ready.take(w.rows, from, w.p.cfg.MaxRows)
	limit = w.p.ready.before(limit)
	w.p.mu.Unlock()
	if ok {
		w.close()
		return rows, to, nil
	}
	return w.read(ctx, from, limit, w.p.cfg.MaxRows)
}

// read is collect from the journal: after a restart, and for what was too much
// for memory. The books give the charges, without booking again.
func (w *collector) read(ctx context.Context, from, limit tandem.JournalPos, maxRows int) ([]tandem.CDR, tandem.JournalPos, error) {
	if w.r == nil || w.r.Pos() != from {
		w.close()
		w.r = w.p.deps.Read(from)
	}
	rows := w.rows
	for w.r.Pos() <= limit && len(rows) < maxRows {
		fact, ok, err := w.r.TryNext()
		if err != nil {
			return nil, 0, err
		}
		if !ok {
			break // the rest was lost to damage: the reader has skipped and counted it
		}
		rows = w.p.rows.AppendRows(rows, fact)
	}
	if len(rows) == 0 {
		return nil, limit, nil
	}
	if !w.p.price(ctx, rows) {
		return nil, 0, ctx.Err()
	}
	return rows, min(w.r.Pos()-1, limit), nil
}

// done keeps the memory of delivered rows for the next batch.
func (w *collector) done(rows []tandem.CDR) {
	clear(rows)
	if w.rows = nil; cap(rows) <= maxSpare {
		w.rows = rows[:0]
	}
}

func (w *collector) close() {
	if w.r != nil {
		w.r.Close()
		w.r = nil
	}
}

// deliver makes the cut durable, inserts until it succeeded, and moves the cursor.
func (p *Pipeline) deliver(ctx context.Context, from, to tandem.JournalPos, rows []tandem.CDR) bool {
	if len(rows) > 0 {
		for saved := false; !saved; {
			p.mu.Lock()
			p.cur.CutFrom, p.cur.CutTo = from, to
			saved = p.save()
			p.mu.Unlock()
			if !saved && !sleep(ctx, p.cfg.RetryMax) {
				return false
			}
		}
		if !p.insert(ctx, fmt.Sprintf("%s:%d-%d", p.cfg.Node, from, to), rows) {
			return false
		}
	}
	p.mu.Lock()
	p.cur.Writer, p.cur.CutFrom, p.cur.CutTo = to, 0, 0
	p.waiting = max(0, p.waiting-len(rows))
	saved := len(rows) == 0 || p.save()
	close(p.moved)
	p.moved = make(chan struct{})
	p.mu.Unlock()
	if saved && len(rows) > 0 {
		p.deps.Release(to)
	}
	return true
}

// insert tries until the rows are stored. Poisoned batches are halved until the
// bad rows stand alone; the parts' tokens follow from the whole one's, so a
// crash in between repeats the same steps.
func (p *Pipeline) insert(ctx context.Context, token string, rows []tandem.CDR) bool {
	pause := time.Duration(0)
	for {
		try, cancel := context.WithTimeout(ctx, p.cfg.InsertTimeout)
		p.deps.Busy(1)
		err := p.deps.Sink.Insert(try, token, rows)
		p.deps.Busy(-1)
		cancel()
		if err == nil {
			p.mu.Lock()
			p.status.Rows += uint64(len(rows))
			p.status.Inserts++
			p.status.LastInsertAt = p.deps.Clock()
			p.status.LastError = ""
			p.mu.Unlock()
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		p.mu.Lock()
		p.status.Retries++
		p.status.LastError, p.status.LastErrorAt = "inserting: "+err.Error(), p.deps.Clock()
		p.mu.Unlock()
		switch classOf(err) {
		case Poison:
			if len(rows) == 1 {
				p.quarantine("refused", rows, err)
				return true
			}
			half := len(rows) / 2
			return p.insert(ctx, token+"a", rows[:half]) && p.insert(ctx, token+"b", rows[half:])
		case Busy:
			pause = min(max(2*pause, p.cfg.BusyPause), 4*p.cfg.RetryMax)
		default:
			pause = min(max(2*pause, p.cfg.RetryMin), p.cfg.RetryMax)
		}
		p.deps.Logger.Warn("cdr: insert failed, the same batch goes again", "token", token, "rows", len(rows), "pause", pause, "err", err)
		if !sleep(ctx, pause) {
			return false
		}
	}
}

// quarantine keeps rows that can't be delivered or priced, with the reason, and raises the alarm.
func (p *Pipeline) quarantine(why string, rows []tandem.CDR, cause error) {
	p.mu.Lock()
	p.status.Quarantined += uint64(len(rows))
	p.mu.Unlock()
	dir := filepath.Join(p.cfg.Dir, "quarantine")
	path := filepath.Join(dir, fmt.Sprintf("%s-%d-%s.json", why, rows[0].NodeSeq, rows[0].ID))
	body, err := json.MarshalIndent(struct {
		Reason string       `json:"reason"`
		Rows   []tandem.CDR `json:"rows"`
	}{cause.Error(), rows}, "", " ")
	if err == nil {
		if err = os.MkdirAll(dir, 0o700); err == nil {
			err = replaceFile(path, body)
		}
	}
	p.deps.Logger.Error("cdr: rows set aside: "+why, "corr_id", rows[0].Correlation, "rows", len(rows), "file", path, "err", cause, "file_err", err)
}
