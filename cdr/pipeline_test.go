package cdr

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/cdr/journal"
)

// fakeClickHouse keeps rows per token as the real one does, and misbehaves on
// command: fault is asked before each insert and may store and then fail.
type fakeClickHouse struct {
	mu     sync.Mutex
	tokens map[string]int
	rows   map[uuid.UUID]int
	all    []tandem.CDR
	calls  int
	fault  func(call int, token string, rows []tandem.CDR) (store bool, err error)
}

func newFake() *fakeClickHouse {
	return &fakeClickHouse{tokens: map[string]int{}, rows: map[uuid.UUID]int{}}
}

func (f *fakeClickHouse) Insert(ctx context.Context, token string, rows []tandem.CDR) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	store, err := true, error(nil)
	if f.fault != nil {
		store, err = f.fault(f.calls, token, rows)
	}
	if store {
		if n, seen := f.tokens[token]; seen && n != len(rows) {
			panic(fmt.Sprintf("token %s came with %d rows, then with %d", token, n, len(rows)))
		} else if !seen {
			f.tokens[token] = len(rows)
			for _, r := range rows {
				f.rows[r.ID]++
				f.all = append(f.all, r)
			}
		}
	}
	return err
}

// books is a Pricer that books once per row and counts how often.
type books struct {
	mu     sync.Mutex
	booked map[uuid.UUID]tandem.Charge
	order  []tandem.JournalPos
	fail   func(rows []tandem.CDR) error
}

func (b *books) Price(_ context.Context, rows []tandem.CDR) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		if err := b.fail(rows); err != nil {
			return err
		}
	}
	for i := range rows {
		c, known := b.booked[rows[i].ID]
		if !known {
			c = tandem.Charge{Amount: tandem.Amount(len(b.booked) + 1), Currency: "USD"}
			b.booked[rows[i].ID] = c
			b.order = append(b.order, rows[i].NodeSeq)
		}
		rows[i].Charge = c
	}
	return nil
}

type rig struct {
	t     *testing.T
	dir   string
	j     *journal.Journal
	sink  *fakeClickHouse
	books *books
	cfg   Config
	p     *Pipeline
	stop  func()
	// maxReady replaces the pipeline's bound of rows in memory.
	maxReady int
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, dir: t.TempDir(), sink: newFake(), books: &books{booked: map[uuid.UUID]tandem.Charge{}}}
	r.cfg = Config{Node: "n1", MaxRows: 10, Interval: time.Millisecond, LedgerEvery: time.Millisecond, RetryMin: time.Millisecond, RetryMax: 2 * time.Millisecond, BusyPause: time.Millisecond}
	j, err := journal.Open(journal.Config{Dir: filepath.Join(r.dir, "journal"), SyncEvery: time.Millisecond, Reserve: 1 << 16, SegmentSize: 16 << 10}, journal.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	r.j = j
	t.Cleanup(func() { j.Close() })
	return r
}

func (r *rig) start() {
	r.t.Helper()
	r.cfg.Dir = filepath.Join(r.dir, "delivery")
	p, err := NewPipeline(r.cfg, Deps{Read: func(from tandem.JournalPos) FactReader { return r.j.ReadEnds(from) },
		Sync: r.j.Sync, Synced: r.j.Synced, Release: r.j.Release, Pricer: r.books, Sink: r.sink})
	if err != nil {
		r.t.Fatal(err)
	}
	if r.maxReady > 0 {
		p.ready.max = r.maxReady
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { p.Run(ctx); close(done) }()
	r.p = p
	var once sync.Once
	r.stop = func() { once.Do(func() { cancel(); <-done }) }
	r.t.Cleanup(r.stop)
}

func (r *rig) calls(from, to int) {
	for i := from; i < to; i++ {
		id := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, i))
		c := &tandem.CallRecord{Correlation: id, Node: "n1", Legs: []tandem.LegRecord{leg(tandem.Phone, true), leg(tandem.OperatorConnect, true)}}
		r.j.Record(0, tandem.FactStart, noon, c)
		r.j.Record(0, tandem.FactEnd, noon, c)
	}
}

func (r *rig) flush() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := r.p.Flush(ctx); err != nil {
		r.t.Fatal(err)
	}
}

// wantExactly asserts that each row of n calls is stored once, priced as booked.
func (r *rig) wantExactly(n int) {
	r.t.Helper()
	r.sink.mu.Lock()
	defer r.sink.mu.Unlock()
	if len(r.sink.all) != 2*n || len(r.sink.rows) != 2*n {
		r.t.Fatalf("%d rows, %d different, want %d", len(r.sink.all), len(r.sink.rows), 2*n)
	}
	for _, row := range r.sink.all {
		if row.Charge != r.books.booked[row.ID] {
			r.t.Fatalf("row %s: charge %v, booked %v", row.ID, row.Charge, r.books.booked[row.ID])
		}
	}
	for i := 1; i < len(r.books.order); i++ {
		if r.books.order[i] < r.books.order[i-1] {
			r.t.Fatal("priced out of journal order")
		}
	}
}

func TestEveryRowOnceDespite(t *testing.T) {
	away := errors.New("connection refused")
	faults := map[string]func(call int, token string, rows []tandem.CDR) (bool, error){
		"nothing":               nil,
		"refused at first":      func(call int, _ string, _ []tandem.CDR) (bool, error) { return call > 5, ifErr(call <= 5, away) },
		"stored, response lost": func(call int, _ string, _ []tandem.CDR) (bool, error) { return true, ifErr(call%2 == 1, away) },
		"too many parts": func(call int, _ string, _ []tandem.CDR) (bool, error) {
			return call%3 == 0, ifErr(call%3 != 0, &InsertError{Busy, away})
		},
		"stored then error, busy": func(call int, _ string, _ []tandem.CDR) (bool, error) {
			return true, ifErr(call%4 != 0, &InsertError{Busy, away})
		},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.sink.fault = fault
			r.start()
			r.calls(0, 60)
			r.flush()
			r.calls(60, 100)
			r.flush()
			r.wantExactly(100)
			if s := r.p.Status(); s.Backlog != 0 || s.Rows != 200 || s.LastError != "" {
				t.Fatalf("status %+v", s)
			}
		})
	}
}

func ifErr(when bool, err error) error {
	if when {
		return err
	}
	return nil
}

// A process that dies between the insert and its cursor sends the same rows
// under the same token after the restart, whatever came meanwhile.
func TestRestartAfterALostResponseRepeatsTheSameBatch(t *testing.T) {
	r := newRig(t)
	r.cfg.MaxRows = 1000
	sent := make(chan struct{}, 100)
	r.sink.fault = func(call int, _ string, _ []tandem.CDR) (bool, error) {
		sent <- struct{}{}
		return true, errors.New("response lost")
	}
	r.calls(0, 5)
	r.start()
	<-sent
	<-sent
	r.stop() // dies with the batch in flight
	r.calls(5, 40)
	r.cfg.MaxRows = 3 // even another batch size must not re-cut it
	r.sink.mu.Lock()
	r.sink.fault = nil
	r.sink.mu.Unlock()
	r.start()
	r.flush()
	r.wantExactly(40)
}

func TestManyRestartsAtAnyMoment(t *testing.T) {
	r := newRig(t)
	r.sink.fault = func(call int, _ string, _ []tandem.CDR) (bool, error) {
		return call%3 != 1, ifErr(call%3 != 0, errors.New("flaky"))
	}
	for i := range 30 {
		r.start()
		r.calls(i*10, i*10+10)
		if i%2 == 0 {
			r.flush()
		}
		r.stop()
	}
	r.start()
	r.flush()
	r.wantExactly(300)
}

// What the ledger leaves in memory and what the writer reads back from the
// journal are the same rows in the same batches, wherever memory ends.
func TestRowsBeyondMemoryComeFromTheJournal(t *testing.T) {
	for _, most := range []int{1, 7, 40, 1000} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			r := newRig(t)
			r.maxReady = most
			r.sink.fault = func(call int, _ string, _ []tandem.CDR) (bool, error) {
				return call > 3, ifErr(call <= 3, errors.New("away"))
			}
			r.start()
			for i := range 30 {
				r.calls(i*7, i*7+7)
				if i%10 == 9 {
					r.flush()
				}
			}
			r.flush()
			r.wantExactly(210)
		})
	}
}

// Reports flush before they read: neither interval may hold them up, and one
// transaction prices all that waits.
func TestFlushWaitsForNoInterval(t *testing.T) {
	r := newRig(t)
	r.cfg.Interval, r.cfg.LedgerEvery, r.cfg.MaxRows = time.Hour, time.Hour, 1000
	priced := 0
	r.books.fail = func([]tandem.CDR) error { priced++; return nil }
	r.start()
	for i := range 3 {
		r.calls(i*50, i*50+50)
		r.flush()
	}
	r.wantExactly(150)
	if r.sink.calls != 3 || priced != 3 {
		t.Errorf("%d inserts, %d pricings of 3 flushes", r.sink.calls, priced)
	}
}

func TestRatingGoesOnWhileClickHouseIsAway(t *testing.T) {
	r := newRig(t)
	tried := make(chan struct{}, 1000)
	r.sink.fault = func(int, string, []tandem.CDR) (bool, error) {
		tried <- struct{}{}
		return false, errors.New("away")
	}
	r.start()
	r.calls(0, 50)
	<-tried
	<-tried // the first failure is on record by the second try
	if err := r.j.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	for r.p.Status().Ledger < 100 {
		r.p.mu.Lock()
		moved, at := r.p.moved, r.p.cur.Ledger
		r.p.mu.Unlock()
		if at < 100 {
			<-moved
		}
	}
	if s := r.p.Status(); s.Rows != 0 || s.Backlog != 100 || s.LastError == "" {
		t.Fatalf("status %+v", s)
	}
	r.sink.mu.Lock()
	r.sink.fault = nil
	r.sink.mu.Unlock()
	r.flush()
	r.wantExactly(50)
}

func TestPoisonRowsAreSetAsideAndTheOthersDelivered(t *testing.T) {
	r := newRig(t)
	bad := tandem.LegID(uuid.NewSHA1(uuid.NameSpaceOID, []byte("3")), 1)
	r.sink.fault = func(_ int, _ string, rows []tandem.CDR) (bool, error) {
		for _, row := range rows {
			if row.ID == bad {
				return false, &InsertError{Poison, errors.New("type mismatch")}
			}
		}
		return true, nil
	}
	r.calls(0, 10)
	r.start()
	r.flush()
	if len(r.sink.all) != 19 || r.p.Status().Quarantined != 1 {
		t.Fatalf("%d rows, %+v", len(r.sink.all), r.p.Status())
	}
	files, _ := filepath.Glob(filepath.Join(r.dir, "delivery", "quarantine", "*.json"))
	if len(files) != 1 {
		t.Fatalf("files %v", files)
	}
}

func TestPricingTroubleIsWaitedForAndBadCallsAreSetAside(t *testing.T) {
	r := newRig(t)
	bad, tries := uuid.NewSHA1(uuid.NameSpaceOID, []byte("3")), 0
	r.books.fail = func(rows []tandem.CDR) error {
		if tries++; tries < 4 {
			return errors.New("store is locked")
		}
		for _, row := range rows {
			if row.Correlation == bad {
				return &tandem.Error{Kind: tandem.KindInvalid, Message: "no such account"}
			}
		}
		return nil
	}
	r.calls(0, 10)
	r.start()
	r.flush()
	if len(r.sink.all) != 20 || len(r.books.booked) != 18 {
		t.Fatalf("%d rows, %d booked", len(r.sink.all), len(r.books.booked))
	}
}

func TestDamagedCursorIsRefusedWithItsMend(t *testing.T) {
	r := newRig(t)
	r.calls(0, 3)
	r.start()
	r.flush()
	r.stop()
	path := filepath.Join(r.cfg.Dir, "delivery.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		damaged := append([]byte(nil), b...)
		damaged[i] ^= 1
		os.WriteFile(path, damaged, 0o600)
		c, err := loadCursors(path)
		if err == nil && c != r.p.cur {
			t.Fatalf("byte %d flipped: %+v read", i, c)
		}
	}
	os.WriteFile(path, b[:len(b)/2], 0o600)
	if _, err := NewPipeline(r.cfg, Deps{}); tandem.KindOf(err) != tandem.KindUnavailable {
		t.Fatalf("got %v", err)
	}
}

// The last facts of the journal were delivered, then the disk lost them: what
// is recorded next must not get their positions, or nobody would read it.
func TestDamagedEndNeverGivesDeliveredPositionsOutAgain(t *testing.T) {
	damages := map[string]func(b []byte) []byte{
		"last frame flipped": func(b []byte) []byte { b[len(b)-20] ^= 1; return b },
		"last frames cut":    func(b []byte) []byte { return b[:len(b)-700] },
		"all frames zeros":   func(b []byte) []byte { clear(b[16:]); return b },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.start()
			r.calls(0, 5)
			r.flush()
			r.stop()
			dir := filepath.Join(r.dir, "journal")
			if err := r.j.Close(); err != nil {
				t.Fatal(err)
			}
			segments, _ := filepath.Glob(filepath.Join(dir, "*.seg"))
			path := segments[len(segments)-1]
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			os.Remove(filepath.Join(dir, "lowwater"))
			floor, _, err := Progress(filepath.Join(r.dir, "delivery"))
			if err != nil {
				t.Fatal(err)
			}
			r.j, err = journal.Open(journal.Config{Dir: dir, SyncEvery: time.Millisecond, Reserve: 1 << 16, Floor: floor}, journal.Deps{
				Delivered: func(c *tandem.CallRecord) bool {
					_, booked := r.books.booked[tandem.LegID(c.Correlation, 0)]
					return booked
				}})
			if err != nil {
				t.Fatal(err)
			}
			defer r.j.Close()
			r.start()
			r.flush() // must not wait for facts that are gone
			r.calls(5, 10)
			r.flush()
			r.wantExactly(10)
			r.stop()
		})
	}
}
