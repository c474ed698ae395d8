package cdr

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"tandem"
	"tandem/cdr/priority"
)

// Config of a Pipeline; zero fields take the defaults.
type Config struct {
	Dir  string // for the cursor and the quarantine
	Node string // names this node in tokens
	// MaxRows and Interval bound a batch. An insert costs the engine some 15 ms of
	// CPU however few rows it has (parts, indices, the merge that follows), so
	// few and large ones: every 10 s, or as soon as about 2,000 rows (2 MB) have
	// gathered. Who reads reports asks for a Flush first and does not see it.
	MaxRows  int
	Interval time.Duration
	// LedgerEvery is how long ended calls gather before they are priced together:
	// one durable transaction of the store serves them all.
	LedgerEvery time.Duration
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
		c.MaxRows = 2000
	}
	def(&c.Interval, 10*time.Second)
	def(&c.LedgerEvery, time.Second)
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
	// Busy is told when a batch is begun (1) and done (-1). Where processors are
	// few, calls beside it need one more (GOMAXPROCS): the scheduler looks at the
	// network only when no goroutine can run, and takes a busy one off after 10 ms.
	// With one more it is the kernel who decides, and the pipeline's threads have
	// a low priority. nil: nobody is told.
	Busy   func(change int)
	Clock  func() time.Time
	Logger *slog.Logger
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
	ready    ready // priced rows for the writer
	waiting  int   // rows priced and not delivered
	flushTo  tandem.JournalPos
	moved    chan struct{} // closed when a cursor moves
	priceErr string
	status   Status

	wake  chan struct{} // the writer has something to look at
	hurry chan struct{} // the ledger shall not wait for more
}

// NewPipeline reads the cursors.
func NewPipeline(cfg Config, deps Deps) (*Pipeline, error) {
	cfg = cfg.withDefaults()
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Busy == nil {
		deps.Busy = func(int) {}
	}
	if deps.Release == nil {
		deps.Release = func(tandem.JournalPos) {}
	}
	p := &Pipeline{cfg: cfg, deps: deps, rows: Assembler{MOS: cfg.MOS}, path: filepath.Join(cfg.Dir, cursorName),
		ready: ready{max: maxReady}, moved: make(chan struct{}), wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1)}
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
	for _, loop := range []func(context.Context){p.ledgerLoop, p.writeLoop} {
		wg.Go(func() {
			runtime.LockOSThread() // and end with it: the thread stays humble
			priority.Batch()
			loop(ctx)
		})
	}
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
	signal(p.hurry)
	signal(p.wake)
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

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
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
