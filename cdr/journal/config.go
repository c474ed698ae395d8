package journal

import (
	"log/slog"
	"time"

	"tandem"
)

// Config is what an operator may choose.
type Config struct {
	// Dir is the journal's folder; it is made when missing and locked while open.
	Dir string
	// SegmentSize in bytes, from which on a new segment is begun.
	SegmentSize int64
	// SyncEvery is the longest time from write to fdatasync: one sync per
	// interval serves all calls. A sync costs some 100 us of CPU and 2.4 ms of a
	// disk: at 50 ms 0.2 % of a core, at 5 ms 2 %; a call of 200 a second
	// pays 10 us instead of 100 us.
	SyncEvery time.Duration
	// Retention keeps delivered segments for reconciliation.
	Retention time.Duration
	// SoftLimit is the number of bytes in memory (not yet durable) at which
	// Accepting turns false: 8 MiB is about one second at 8,000 facts/s.
	SoftLimit int
	// HardLimit bounds memory. Between the two only calls in progress write,
	// about 1 KB a fact: 56 MiB carries 50,000 of them over a stalled disk.
	HardLimit int
	// AliveEvery is how often an alive fact says that the calls on record were
	// still up, while there are any: a crash shortens a call by this much at most,
	// and a second costs one small write and sync, whatever the number of calls.
	AliveEvery time.Duration
	// CheckpointEvery is how often a connected call gives a sign of life of its
	// own. A call that missed it is not lengthened by alive facts: its end was
	// lost, or the clock was set.
	CheckpointEvery time.Duration
	// Floor is the highest position that a reader has on record: new facts get
	// higher ones, also when damage took the journal's end away.
	Floor tandem.JournalPos
	// Reserve is disk space held back in a file of its own, and given up when the
	// disk is full so that calls in progress can still be recorded.
	Reserve int64
}

// DefaultConfig is Config for a folder with the documented defaults.
func DefaultConfig(dir string) Config {
	return Config{Dir: dir, SegmentSize: 64 << 20, SyncEvery: 50 * time.Millisecond, Retention: 48 * time.Hour,
		AliveEvery: time.Second, CheckpointEvery: time.Minute, SoftLimit: 8 << 20, HardLimit: 64 << 20, Reserve: 16 << 20}
}

func (c Config) withDefaults() Config {
	d := DefaultConfig(c.Dir)
	if c.SegmentSize <= 0 {
		c.SegmentSize = d.SegmentSize
	}
	if c.SyncEvery <= 0 {
		c.SyncEvery = d.SyncEvery
	}
	if c.Retention < 0 {
		c.Retention = 0
	} else if c.Retention == 0 {
		c.Retention = d.Retention
	}
	if c.AliveEvery <= 0 {
		c.AliveEvery = d.AliveEvery
	}
	if c.CheckpointEvery <= 0 {
		c.CheckpointEvery = d.CheckpointEvery
	}
	if c.SoftLimit <= 0 {
		c.SoftLimit = d.SoftLimit
	}
	if c.HardLimit <= c.SoftLimit {
		c.HardLimit = 8 * c.SoftLimit
	}
	if c.Reserve <= 0 {
		c.Reserve = d.Reserve
	}
	return c
}

// Deps are the journal's neighbours; all may be left out.
type Deps struct {
	Clock  func() time.Time
	Logger *slog.Logger
	FS     FS
	// Delivered, when set, is asked when damage took the journal's end away:
	// whether the end of this call had been delivered, so that it gets no second one.
	Delivered func(call *tandem.CallRecord) bool
}

func (d Deps) withDefaults() Deps {
	if d.Clock == nil {
		d.Clock = time.Now
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.FS == nil {
		d.FS = OS{}
	}
	return d
}

// Stats are the journal's counters, for metrics and the status page.
type Stats struct {
	Last, Written, Synced tandem.JournalPos
	Backlog               int // bytes in memory that are not durable yet
	OpenCalls             int
	Segments              int
	Dropped               uint64 // facts lost because HardLimit was reached: never, or the disk has stood still
	WriteErrors           uint64
	SyncErrors            uint64
	Damaged               uint64 // damaged stretches that were set aside
	Missing               uint64 // sequence numbers that no segment holds any more
	Accepting             bool
	LastError             string
	Recovery              Recovery
}

// Recovery is what Open found.
type Recovery struct {
	Facts       int   // frames read back
	CutBytes    int64 // torn tail that was cut
	Damaged     int   // damaged stretches that were set aside
	Lost        int   // positions at the end that readers had seen and that are gone
	ClosedCalls int   // calls that a crash had left open, ended at their last sign of life
	Took        time.Duration
}
