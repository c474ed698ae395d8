package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"tandem"
)

// Journal is an open journal. All methods are safe for concurrent use.
type Journal struct {
	cfg   Config
	clock func() time.Time
	log   *slog.Logger
	fs    FS
	lock  interface{ Close() error }

	slots [64]slot // encode buffers, by shard: no contention, no garbage

	mu      sync.Mutex
	pending []byte // frames that the writer has not taken yet
	free    [][]byte
	next    uint64
	open    map[uuid.UUID]uint64 // position of the last fact of each call in progress
	segs    []*segment           // by index
	unsaved []batch              // written, not synced: rewritten if a sync fails
	suspect bool                 // a sync failed: the writer must rewrite unsaved
	epoch   int                  // counts the rewrites
	mark    lowWater             // taken at the last rotation, to be saved once durable
	low     uint64               // low-water mark that is saved; segments below it are settled
	room    chan struct{}        // closed when memory is freed; remade by those who wait
	watch   chan struct{}        // closed when synced moves; remade then
	lastErr string
	onWrite []func(seq uint64)
	ready   bool // the calls that a crash left open have their ends: alive facts may follow
	closed  bool

	written, synced   atomic.Uint64
	wanted            atomic.Uint64 // last position that somebody waits for in Sync
	backlog           atomic.Int64  // bytes in pending and unsaved
	noSpace           atomic.Bool
	dropped, writeErr atomic.Uint64
	syncErr, damaged  atomic.Uint64
	missing           atomic.Uint64
	delivered         atomic.Uint64
	recovery          Recovery
	cut               []tandem.CallRecord
	reserved          bool // the reserve file exists; writer only

	wake, sync, hurry chan struct{}
	quit              chan struct{}
	writerDone        chan struct{}
	syncerDone        chan struct{}
}

type slot struct {
	mu  sync.Mutex
	buf []byte
	_   [32]byte // own cache line
}

// batch is a run of frames that was written together.
type batch struct {
	first, last uint64
	frames      []byte
	seg         *segment // where it stands
}

// Open locks the folder, repairs what a crash left, ends the calls it cut, and
// starts the writer. Errors are *tandem.Error: KindConflict when another
// process holds the folder, KindUnavailable when the disk refuses.
func Open(cfg Config, deps Deps) (*Journal, error) {
	cfg, deps = cfg.withDefaults(), deps.withDefaults()
	refuse := func(doing string, err error) error {
		return &tandem.Error{Kind: tandem.KindUnavailable, Field: "journal.dir", Message: fmt.Sprintf("journal in %s: %s is not possible", cfg.Dir, doing),
			Mend: "give a folder on a local disk that tandem may write to", Err: err}
	}
	if err := deps.FS.MkdirAll(cfg.Dir); err != nil {
		return nil, refuse("making the folder", err)
	}
	lock, err := deps.FS.Lock(filepath.Join(cfg.Dir, "LOCK"))
	if IsLocked(err) {
		return nil, &tandem.Error{Kind: tandem.KindConflict, Field: "journal.dir", Message: fmt.Sprintf("journal in %s is in use by another tandem process", cfg.Dir),
			Mend: "stop it, or give this one its own data folder", Err: err}
	}
	if err != nil {
		return nil, refuse("locking", err)
	}
	j := &Journal{
		cfg: cfg, clock: deps.Clock, log: deps.Logger, fs: deps.FS, lock: lock,
		open: map[uuid.UUID]uint64{}, watch: make(chan struct{}),
		wake: make(chan struct{}, 1), sync: make(chan struct{}, 1), hurry: make(chan struct{}, 1), quit: make(chan struct{}),
		writerDone: make(chan struct{}), syncerDone: make(chan struct{}),
	}
	orphans, err := j.recover()
	if err != nil {
		lock.Close()
		return nil, refuse("reading back", err)
	}
	j.reserve()
	if err := j.rotate(j.next); err != nil {
		lock.Close()
		return nil, refuse("writing", err)
	}
	go j.writeLoop()
	go j.syncLoop()
	for i := range orphans {
		if c := &orphans[i]; j.recovery.Lost > 0 && deps.Delivered != nil && deps.Delivered(c) {
			c.Legs = nil // an end without legs makes no rows
		}
		j.Record(0, tandem.FactEnd, deps.Clock(), &orphans[i])
	}
	j.cut = orphans
	j.mu.Lock()
	j.ready = true
	j.mu.Unlock()
	if j.recovery.Lost > 0 && j.appendAlive(true) { // something to read behind the gap: readers wait for facts
		signal(j.wake)
	}
	if len(orphans) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := j.Sync(ctx); err != nil {
			j.Close()
			return nil, refuse("writing", err)
		}
	}
	return j, nil
}

// Record appends a fact and returns its position, in microseconds: it encodes
// into memory and never waits for a disk. Only when HardLimit bytes wait for a
// disk that stands still does it wait, up to 10 ms, and then gives up: it
// counts the fact as dropped and returns 0, as after Close. shard chooses the
// encode buffer; calls of one shard do not meet those of others there.
func (j *Journal) Record(shard uint16, kind tandem.FactKind, at time.Time, call *tandem.CallRecord) uint64 {
	s := &j.slots[int(shard)%len(j.slots)]
	s.mu.Lock()
	defer s.mu.Unlock()
	var head [frameHead]byte
	s.buf = appendPayload(append(s.buf[:0], head[:]...), at, call)
	frame := s.buf

	j.mu.Lock()
	if int(j.backlog.Load())+len(frame) > j.cfg.HardLimit {
		j.waitForRoom(len(frame))
	}
	if j.closed || int(j.backlog.Load())+len(frame) > j.cfg.HardLimit {
		j.mu.Unlock()
		j.dropped.Add(1)
		return 0
	}
	seq := j.next
	j.next++
	putSeq(frame[frameHead:], seq)
	seal(frame, kind)
	j.pending = append(j.pending, frame...)
	j.backlog.Add(int64(len(frame)))
	if kind == tandem.FactEnd {
		delete(j.open, call.Correlation)
	} else {
		j.open[call.Correlation] = seq
	}
	j.mu.Unlock()
	signal(j.wake)
	return seq
}

// waitForRoom waits up to 10 ms, unlocked, for the writer to free memory.
func (j *Journal) waitForRoom(n int) {
	timeout := time.NewTimer(10 * time.Millisecond)
	defer timeout.Stop()
	for !j.closed && int(j.backlog.Load())+n > j.cfg.HardLimit {
		if j.room == nil {
			j.room = make(chan struct{})
		}
		room := j.room
		j.mu.Unlock()
		select {
		case <-room:
			j.mu.Lock()
		case <-timeout.C:
			j.mu.Lock()
			return
		}
	}
}

// OnWritten adds a callback that the writer goroutine calls after each write(2)
// with the last position in it: from there on the fact survives kill -9 (not a
// power cut: see Synced). It must not block.
func (j *Journal) OnWritten(f func(seq uint64)) {
	j.mu.Lock()
	j.onWrite = append(j.onWrite, f)
	j.mu.Unlock()
}

// Synced is the last position that is durable.
func (j *Journal) Synced() tandem.JournalPos { return tandem.JournalPos(j.synced.Load()) }

// Last is the last position that Record gave out.
func (j *Journal) Last() tandem.JournalPos {
	j.mu.Lock()
	defer j.mu.Unlock()
	return tandem.JournalPos(j.next - 1)
}

// Accepting reports whether new calls may be taken: false while the disk is
// full or more than SoftLimit bytes wait for it. Cheap enough for every INVITE.
func (j *Journal) Accepting() bool {
	return !j.noSpace.Load() && int(j.backlog.Load()) < j.cfg.SoftLimit
}

// Sync waits until all that was recorded before is durable. It does not wait
// for SyncEvery.
func (j *Journal) Sync(ctx context.Context) error {
	seq := uint64(j.Last())
	for have := j.wanted.Load(); have < seq && !j.wanted.CompareAndSwap(have, seq); have = j.wanted.Load() {
	}
	signal(j.hurry)
	return j.waitSynced(ctx, seq)
}

func (j *Journal) waitSynced(ctx context.Context, seq uint64) error {
	for {
		j.mu.Lock()
		watch, closed := j.watch, j.closed
		j.mu.Unlock()
		if j.synced.Load() >= seq {
			return nil
		}
		if closed {
			return ErrClosed
		}
		select {
		case <-watch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ErrClosed is returned by waits on a closed journal.
var ErrClosed = errors.New("journal: closed")

// Recovered is what Open found and did.
func (j *Journal) Recovered() Recovery { return j.recovery }

// TakeCut hands out, once, the calls that Open ended: their far ends may still be up.
func (j *Journal) TakeCut() []tandem.CallRecord {
	j.mu.Lock()
	defer j.mu.Unlock()
	calls := j.cut
	j.cut = nil
	return calls
}

// Stats reads the counters.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	s := Stats{Last: tandem.JournalPos(j.next - 1), OpenCalls: len(j.open), Segments: len(j.segs), LastError: j.lastErr}
	j.mu.Unlock()
	s.Written, s.Synced = tandem.JournalPos(j.written.Load()), j.Synced()
	s.Backlog = int(j.backlog.Load())
	s.Dropped, s.WriteErrors, s.SyncErrors = j.dropped.Load(), j.writeErr.Load(), j.syncErr.Load()
	s.Damaged, s.Missing, s.Accepting, s.Recovery = j.damaged.Load(), j.missing.Load(), j.Accepting(), j.recovery
	return s
}

// Close writes and syncs what waits, then unlocks the folder. It returns the
// last error when something could not be made durable.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		<-j.syncerDone
		return nil
	}
	j.closed = true
	j.mu.Unlock()
	close(j.quit)
	<-j.writerDone
	<-j.syncerDone
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.watch) // readers see closed
	j.watch = nil
	var err error
	if last := j.next - 1; j.synced.Load() < last {
		err = fmt.Errorf("journal: %d facts are not durable: %s", last-j.synced.Load(), j.lastErr)
	}
	for _, s := range j.segs {
		if s.f != nil {
			s.f.Close()
		}
	}
	if err == nil {
		j.saveLowWater(j.takeMark())
	}
	return errors.Join(err, j.lock.Close())
}

func (j *Journal) alarm(msg string, err error, args ...any) {
	j.mu.Lock()
	j.lastErr = fmt.Sprintf("%s: %v", msg, err)
	j.mu.Unlock()
	j.log.Error("journal: "+msg, append(args, "err", err)...)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
