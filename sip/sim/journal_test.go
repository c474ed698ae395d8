package sim_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
	"tandem/cdr/journal"
	"tandem/sip/sim"
)

// realJournal is the product's journal on a disk in memory.
type realJournal struct {
	t     testing.TB
	fs    *memFS
	now   atomic.Int64 // the world's wall clock, for the journal's own goroutines
	pick  func(n int) int
	j     *journal.Journal
	last  uint64 // position of the last fact
	wrote chan uint64
	facts int
}

func newJournal(t testing.TB, pick func(int) int) *realJournal {
	r := &realJournal{t: t, fs: newMemFS(), pick: pick}
	r.open()
	return r
}

func (r *realJournal) open() {
	cfg := journal.DefaultConfig("/data")
	cfg.SegmentSize, cfg.SoftLimit, cfg.HardLimit = 1<<20, 1<<30, 1<<31 // a busy machine is no full disk
	cfg.AliveEvery = 1000 * time.Hour                                   // of real time: never
	j, err := journal.Open(cfg, journal.Deps{FS: r.fs, Clock: func() time.Time { return time.Unix(0, r.now.Load()) }})
	if err != nil {
		r.t.Fatalf("open journal: %v", err)
	}
	r.j, r.last, r.wrote = j, uint64(j.Last()), make(chan uint64, 1)
	wrote := r.wrote
	j.OnWritten(func(seq uint64) {
		select {
		case <-wrote: // only the latest counts
		default:
		}
		wrote <- seq
	})
}

// Record implements sim.Journal.
func (r *realJournal) Record(kind tandem.FactKind, at time.Time, call *tandem.CallRecord) {
	r.now.Store(at.UnixNano())
	if r.last = r.j.Record(0, kind, at, call); r.last == 0 {
		r.t.Error("the journal did not take a fact")
	}
	r.facts++
}

// written waits until everything recorded is on the disk.
func (r *realJournal) written() {
	for r.last > uint64(r.j.Stats().Written) {
		<-r.wrote
	}
}

// Crash implements sim.Journal.
func (r *realJournal) Crash(torn *sim.Fact) {
	r.written()
	before := r.fs.size()
	if torn != nil {
		r.Record(torn.Kind, torn.At, &torn.Call)
		r.facts--
		r.written()
	}
	disk := r.fs.clone()
	if torn != nil {
		disk.tear(1 + r.pick(disk.size()-before))
	}
	_ = r.j.Close() // its disk is gone
	r.fs = disk
}

// Restart implements sim.Journal.
func (r *realJournal) Restart(at time.Time) []sim.Fact {
	r.now.Store(at.UnixNano())
	known := tandem.JournalPos(r.facts)
	r.open()
	var list []sim.Fact
	for _, f := range r.read(known + 1) {
		list = append(list, sim.Fact{Kind: f.Kind, At: f.At, Call: f.Call})
	}
	r.facts += len(list)
	return list
}

// read reads back from a position what is durable.
func (r *realJournal) read(from tandem.JournalPos) []tandem.JournalFact {
	if err := r.j.Sync(context.Background()); err != nil {
		r.t.Fatalf("sync journal: %v", err)
	}
	reader := r.j.Read(from)
	defer reader.Close()
	var list []tandem.JournalFact
	for {
		f, ok, err := reader.TryNext()
		if err != nil {
			r.t.Fatalf("read journal: %v", err)
		}
		if !ok {
			return list
		}
		list = append(list, f)
	}
}

func (r *realJournal) close() {
	if err := r.j.Close(); err != nil {
		r.t.Errorf("close journal: %v", err)
	}
}

// size is what all segments hold together.
func (m *memFS) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, f := range m.files {
		n += len(f.data)
	}
	return n
}
