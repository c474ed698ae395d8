package cdr

import (
	"context"
	"time"

	"tandem"
)

// priceBatch is how many ended calls are priced in one go. It bounds the store's
// transaction, and with it how long an operator's change waits for the books.
const priceBatch = 1024

// ledgerLoop has every end priced, in journal order. Ends gather for
// LedgerEvery, because a transaction costs the store as much as a hundred legs.
func (p *Pipeline) ledgerLoop(ctx context.Context) {
	r := p.deps.Read(p.cur.Ledger + 1)
	defer r.Close()
	from := p.cur.Ledger + 1
	var rows []tandem.CDR
	for {
		fact, err := r.Next(ctx)
		if err != nil {
			if !p.readFailed(ctx, err) {
				return
			}
			continue
		}
		rows = p.rows.AppendRows(rows, fact)
		if !p.gather(ctx, r.Pos()-1) {
			return
		}
		for more := true; more; {
			var ok bool
			if rows, more, ok = p.priceEnds(ctx, r, rows); !ok {
				return
			}
			p.priced(from, r.Pos()-1, rows)
			from, rows = r.Pos(), p.memory()
		}
	}
}

// priceEnds prices rows and those of the durable ends that come next, a batch of
// them; more says that there may be further ones, ok is false when ctx is done.
func (p *Pipeline) priceEnds(ctx context.Context, r FactReader, rows []tandem.CDR) (_ []tandem.CDR, more, ok bool) {
	p.deps.Busy(1)
	defer p.deps.Busy(-1)
	rows, more = p.ends(r, rows)
	return rows, more, p.price(ctx, rows)
}

// ends adds the rows of the durable ends that come next, a batch of them; more
// says that there may be further ones.
func (p *Pipeline) ends(r FactReader, rows []tandem.CDR) ([]tandem.CDR, bool) {
	for n, ends := 0, 0; n < 16*priceBatch && ends < priceBatch; n++ {
		fact, ok, err := r.TryNext()
		if err != nil || !ok { // an error comes again with Next
			return rows, false
		}
		if fact.Kind == tandem.FactEnd {
			ends++
			rows = p.rows.AppendRows(rows, fact)
		}
	}
	return rows, true
}

// memory is an empty slice for the next rows.
func (p *Pipeline) memory() []tandem.CDR {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ready.memory()
}

// gather waits LedgerEvery, less when a flush wants the fact at pos; false when ctx is done.
func (p *Pipeline) gather(ctx context.Context, pos tandem.JournalPos) bool {
	t := time.NewTimer(p.cfg.LedgerEvery)
	defer t.Stop()
	for {
		p.mu.Lock()
		wanted := p.flushTo >= pos
		p.mu.Unlock()
		if wanted {
			return true
		}
		select {
		case <-p.hurry:
		case <-t.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// readFailed reports and waits a little; false when ctx is done.
func (p *Pipeline) readFailed(ctx context.Context, err error) bool {
	if ctx.Err() == nil {
		p.deps.Logger.Error("cdr: reading the journal", "err", err)
	}
	return ctx.Err() == nil && sleep(ctx, p.cfg.RetryMin)
}

// saveEvery is how often the ledger saves its own progress while the writer
// saves none: replaying it after a crash costs nothing but time.
const saveEvery = 10 * time.Second

// priced moves the ledger's cursor over the facts from..pos, whose rows these are.
func (p *Pipeline) priced(from, pos tandem.JournalPos, rows []tandem.CDR) {
	p.mu.Lock()
	p.cur.Ledger = pos
	p.ready.add(from, pos, rows)
	p.waiting += len(rows)
	close(p.moved)
	p.moved = make(chan struct{})
	// Facts without rows are not worth a save: alive facts come each second.
	if len(rows) > 0 && p.deps.Clock().Sub(p.saved) > saveEvery {
		p.save()
	}
	p.mu.Unlock()
	signal(p.wake)
}

// save persists the cursors; the caller holds mu.
func (p *Pipeline) save() bool {
	p.saved = p.deps.Clock()
	if err := saveCursors(p.path, p.cur); err != nil {
		p.status.LastError, p.status.LastErrorAt = "saving the delivery cursor: "+err.Error(), p.saved
		p.deps.Logger.Error("cdr: saving the delivery cursor", "err", err)
		return false
	}
	return true
}

// price fills in the charges, trying until the books are there. Rows that can
// never be priced are set aside and delivered without a charge. False = ctx is done.
func (p *Pipeline) price(ctx context.Context, rows []tandem.CDR) bool {
	if len(rows) == 0 {
		return true
	}
	for pause := p.cfg.RetryMin; ; pause = min(2*pause, p.cfg.RetryMax) {
		err := p.deps.Pricer.Price(ctx, rows)
		if err == nil {
			p.mu.Lock()
			p.priceErr = ""
			p.mu.Unlock()
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if tandem.KindOf(err) == tandem.KindInvalid {
			return p.priceApart(ctx, rows)
		}
		p.mu.Lock()
		p.priceErr = "pricing: " + err.Error()
		p.mu.Unlock()
		p.deps.Logger.Warn("cdr: pricing waits", "err", err, "rows", len(rows), "pause", pause)
		if !sleep(ctx, pause) {
			return false
		}
	}
}

// priceApart prices call by call, so that one bad call does not hold up the others.
func (p *Pipeline) priceApart(ctx context.Context, rows []tandem.CDR) bool {
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].Correlation == rows[0].Correlation {
			n++
		}
		call := rows[:n]
		err := p.deps.Pricer.Price(ctx, call)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return false
		case tandem.KindOf(err) == tandem.KindInvalid:
			p.unpriceable(call, err)
		default:
			if !p.price(ctx, call) {
				return false
			}
		}
		rows = rows[n:]
	}
	return true
}

func (p *Pipeline) unpriceable(call []tandem.CDR, err error) {
	for i := range call {
		call[i].Charge = tandem.Charge{Explanation: `{"error":"not priced, see the quarantine folder"}`}
	}
	p.quarantine("unpriced", call, err)
}
