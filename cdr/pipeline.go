package cdr

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"tandem"
)

// Config of a Pipeline; zero fields take the defaults.
type Config struct {
	Dir  string // for the cursor and the quarantine
	Node string // names this node in tokens
	// MaxRows and Interval bound a batch: about one insert per second, or as soon
	// as 10,000 rows have gathered. Many small inserts are what ClickHouse bears worst.
	MaxRows  int
	Interval time.Duration
	// RetryMin and RetryMax bound the pause after a failed insert or pricing;
	// BusyPause is the first pause when the server asks for patience.
	RetryMin, RetryMax, BusyPause time.Duration
	// InsertTimeout of one try; longer than the server's slowest insert.
	InsertTimeout time.Duration
	MOS           MOSFunc
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	if c.MaxRows <= 0 {
		c.MaxRows = 10_000
	}
	def(&c.Interval, time.Second)
	def(&c.RetryMin, 100*time.Millisecond)
	def(&c.RetryMax, 10*time.Second)
	def(&c.BusyPause, 2*time.Second)
	def(&c.InsertTimeout, 2*time.Minute)
	return c
}

// Deps are the pipeline's neighbours. Read, Sync, Synced and Release are the
// journal's (Read may be its ReadEnds).
type Deps struct {
	Read    func(from tandem.JournalPos) FactReader
	Sync    func(ctx context.Context) error
	Synced  func() tandem.JournalPos
	Release func(pos tandem.JournalPos)
	Pricer  Pricer
	Sink    Sink
	Clock   func() time.Time
	Logger  *slog.Logger
}

// Status is how far the pipeline is.
type Status struct {
	Synced, Ledger, Writer tandem.JournalPos
	Backlog                uint64 // facts that are durable and not delivered
	Rows, Inserts          uint64 // delivered since start
	Retries                uint64
	Quarantined            uint64 // rows set aside since start
	LastError              string // of the insert or pricing in progress; empty when all is well
	LastErrorAt            time.Time
	LastInsertAt           time.Time
}

// Pipeline delivers. Make it with NewPipeline, then Run it.
type Pipeline struct {
	cfg  Config
	deps Deps
	rows Assembler
	path string

	mu       sync.Mutex
	cur      cursors
	saved    time.Time
	charges  map[uuid.UUID]tandem.Charge // priced, not delivered yet: spares the store a second look
	waiting  int                         // rows priced and not delivered
	flushTo  tandem.JournalPos
	moved    chan struct{} // closed when a cursor moves
	priceErr string
	status   Status

	wake chan struct{} // the writer has something to look at
}

// maxCharges bounds the memory of charges while ClickHouse is away: 50,000 of
// about 700 bytes. Beyond it the writer asks the pricer again.
const maxCharges = 50_000

// priceBatch is how many facts are priced in one go: one store transaction can serve them all.
const priceBatch = 512

// NewPipeline reads the cursors.
func NewPipeline(cfg Config, deps Deps) (*Pipeline, error) {
	cfg = cfg.withDefaults()
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Release == nil {
		deps.Release = func(tandem.JournalPos) {}
	}
	p := &Pipeline{cfg: cfg, deps: deps, rows: Assembler{MOS: cfg.MOS}, path: filepath.Join(cfg.Dir, cursorName),
		charges: map[uuid.UUID]tandem.Charge{}, moved: make(chan struct{}), wake: make(chan struct{}, 1)}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, &tandem.Error{Kind: tandem.KindUnavailable, Field: cfg.Dir, Message: "the delivery folder can't be made", Mend: "give a folder that tandem may write to", Err: err}
	}
	var err error
	p.cur, err = loadCursors(p.path)
	return p, err
}

// Run delivers until ctx is done. What is not delivered then follows after the
// next start.
func (p *Pipeline) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { p.ledgerLoop(ctx) })
	wg.Go(func() { p.writeLoop(ctx) })
	wg.Wait()
}

// Status reads the counters.
func (p *Pipeline) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.status
	s.Synced, s.Ledger, s.Writer = p.deps.Synced(), p.cur.Ledger, p.cur.Writer
	if s.Synced > s.Writer {
		s.Backlog = uint64(s.Synced - s.Writer)
	}
	if s.LastError == "" {
		s.LastError = p.priceErr
	}
	return s
}

// Flush delivers all that was recorded before it, without waiting for a batch to fill.
func (p *Pipeline) Flush(ctx context.Context) error {
	if err := p.deps.Sync(ctx); err != nil {
		return err
	}
	target := p.deps.Synced()
	p.mu.Lock()
	p.flushTo = max(p.flushTo, target)
	p.mu.Unlock()
	p.signal()
	for {
		p.mu.Lock()
		done, moved := p.cur.Writer >= target, p.moved
		p.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("deliver up to %d: %w (%s)", target, ctx.Err(), p.Status().LastError)
		}
	}
}

func (p *Pipeline) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// ledgerLoop has every end priced, in journal order.
func (p *Pipeline) ledgerLoop(ctx context.Context) {
	r := p.deps.Read(p.cur.Ledger + 1)
	defer r.Close()
	for {
		fact, err := r.Next(ctx)
		if err != nil {
			p.readFailed(ctx, err)
			if ctx.Err() != nil || !sleep(ctx, p.cfg.RetryMin) {
				return
			}
			continue
		}
		rows := p.rows.Rows(fact)
		ends := 0
		for n := 1; n < 16*priceBatch && ends < priceBatch; n++ {
			fact, ok, err := r.TryNext()
			if err != nil || !ok {
				break
			}
			if fact.Kind == tandem.FactEnd {
				rows = append(rows, p.rows.Rows(fact)...)
				ends++
			}
		}
		if !p.price(ctx, rows) {
			return
		}
		p.priced(r.Pos()-1, rows)
	}
}

func (p *Pipeline) readFailed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		p.deps.Logger.Error("cdr: reading the journal", "err", err)
	}
}

func (p *Pipeline) priced(pos tandem.JournalPos, rows []tandem.CDR) {
	p.mu.Lock()
	p.cur.Ledger = pos
	if len(p.charges)+len(rows) <= maxCharges {
		for i := range rows {
			p.charges[rows[i].ID] = rows[i].Charge
		}
	}
	p.waiting += len(rows)
	full := p.waiting >= p.cfg.MaxRows
	close(p.moved)
	p.moved = make(chan struct{})
	// While the writer is stuck the ledger saves its own progress; replaying a second of it costs nothing but time.
	// Facts without rows are not worth a save: alive facts come each second.
	if len(rows) > 0 && p.deps.Clock().Sub(p.saved) > time.Second {
		p.save()
	}
	p.mu.Unlock()
	if full || len(rows) > 0 {
		p.signal()
	}
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

// sleep waits; false when ctx is done.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
