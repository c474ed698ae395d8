package journal

import (
	"errors"
	"path/filepath"
	"slices"
	"time"
)

// writeLoop is the only goroutine that appends. It takes what has gathered
// since the last write as one batch: the busier, the larger the writes.
func (j *Journal) writeLoop() {
	defer close(j.writerDone)
	spaceCheck := time.NewTicker(time.Second)
	defer spaceCheck.Stop()
	alive := time.NewTicker(j.cfg.AliveEvery)
	defer alive.Stop()
	for {
		quitting := false
		select {
		case <-j.wake:
		case <-spaceCheck.C:
			j.regainSpace()
			continue
		case <-alive.C:
			if !j.recordAlive() {
				continue
			}
		case <-j.quit:
			quitting = true
		}
		if !j.rewriteSuspect(quitting) {
			return
		}
		if b, ok := j.take(); ok && !j.writeBatch(b, quitting) {
			return
		}
		if quitting {
			return
		}
	}
}

// take swaps the pending buffer for an empty one.
func (j *Journal) take() (batch, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.pending) == 0 {
		return batch{}, false
	}
	b := batch{first: j.written.Load() + 1, last: j.next - 1, frames: j.pending}
	j.pending = nil
	if n := len(j.free); n > 0 {
		j.pending, j.free = j.free[n-1], j.free[:n-1]
	}
	return b, true
}

// writeBatch writes until it succeeds; false means that the journal is closing
// and the disk still refuses.
func (j *Journal) writeBatch(b batch, quitting bool) bool {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := j.append(&b)
		if err == nil {
			break
		}
		j.writeErr.Add(1)
		j.alarm("writing", err, "first", b.first, "last", b.last)
		if quitting {
			return false
		}
		quitting = !j.pause(wait)
		if !j.rewriteSuspect(quitting) {
			return false
		}
	}
	j.mu.Lock()
	j.unsaved = append(j.unsaved, b)
	callbacks := j.onWrite
	j.mu.Unlock()
	if b.last > j.written.Load() {
		j.written.Store(b.last)
		for _, f := range callbacks {
			f(b.last)
		}
	}
	signal(j.sync)
	return true
}

// pause waits before a retry; false when the journal is closing.
func (j *Journal) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-j.quit:
		return false
	}
}

// append puts a batch at the end of the current segment. After an error nothing
// of the batch is left there: a half frame would be completed by nobody, but a
// later batch must not follow it either.
func (j *Journal) append(b *batch) error {
	s := j.current()
	if s.f == nil || (s.size > segmentHead && s.size+int64(len(b.frames)) > j.cfg.SegmentSize) {
		if err := j.rotate(b.first); err != nil {
			return err
		}
		s = j.current()
	}
	if end := s.size + int64(len(b.frames)); end > s.allocated {
		if err := s.f.Allocate(end + allocateAhead); err == nil {
			s.allocated = end + allocateAhead
		} else if isNoSpace(err) {
			j.outOfSpace(err)
		}
	}
	n, err := s.f.WriteAt(b.frames, s.size)
	if err == nil && n < len(b.frames) {
		err = errors.New("short write")
	}
	if err != nil {
		if isNoSpace(err) {
			j.outOfSpace(err)
		}
		if cut := s.f.Truncate(s.size); cut != nil {
			j.abandon(s)
		}
		s.allocated = s.size
		return err
	}
	s.size += int64(len(b.frames))
	s.lastAt = j.clock()
	b.seg = s
	return nil
}

func (j *Journal) current() *segment {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.segs[len(j.segs)-1]
}

// abandon gives a segment up whose tail can't be cut: the batches in it that
// are not durable yet are written again into the next one.
func (j *Journal) abandon(s *segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s.f.Close()
	s.f = nil
	j.suspect = true
}

// rotate begins a new segment whose first frame will be first. The old one is
// closed by the syncer once it is durable.
func (j *Journal) rotate(first uint64) error {
	index := uint64(1)
	j.mu.Lock()
	if n := len(j.segs); n > 0 {
		index = j.segs[n-1].index + 1
	}
	j.mu.Unlock()
	s := &segment{index: index, first: first, path: filepath.Join(j.cfg.Dir, segmentName(index, first)), lastAt: j.clock()}
	f, err := j.fs.OpenFile(s.path, true)
	if err != nil {
		if isNoSpace(err) {
			j.outOfSpace(err)
		}
		j.fs.Remove(s.path) // a leftover of a failed try
		return err
	}
	_, err = f.WriteAt(headOf(first), 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = j.fs.SyncDir(j.cfg.Dir)
	}
	if err != nil {
		if isNoSpace(err) {
			j.outOfSpace(err)
		}
		f.Close()
		j.fs.Remove(s.path)
		return err
	}
	s.f, s.size, s.allocated = f, segmentHead, segmentHead
	j.mu.Lock()
	j.segs = append(j.segs, s)
	j.mark = j.takeMark()
	j.mu.Unlock()
	return nil
}

// rewriteSuspect writes again, into a new segment, what a failed sync has left
// in doubt: the kernel may have thrown the dirty pages away and would report
// success the next time, so the old file is never synced again.
func (j *Journal) rewriteSuspect(quitting bool) bool {
	j.mu.Lock()
	if !j.suspect {
		j.mu.Unlock()
		return true
	}
	again := j.unsaved
	j.unsaved = nil
	for _, s := range j.segs {
		if s.f != nil {
			s.f.Close()
			s.f = nil
		}
	}
	j.suspect = false
	j.epoch++
	j.mu.Unlock()
	for i, b := range again {
		if !j.writeBatch(b, quitting) {
			j.mu.Lock()
			j.unsaved = append(j.unsaved, again[i:]...)
			j.mu.Unlock()
			return false
		}
	}
	return true
}

// syncLoop makes written facts durable, at most SyncEvery after the first of them.
func (j *Journal) syncLoop() {
	defer close(j.syncerDone)
	for {
		select {
		case <-j.sync:
			j.gather()
			if j.syncOnce() {
				j.settle()
			} else {
				j.pause(j.cfg.SyncEvery) // a broken disk is not asked without end
			}
		case <-j.writerDone:
			if !j.syncOnce() {
				// One more try on fresh files: closing with facts in doubt is the last resort.
				if j.rewriteSuspect(true) {
					j.syncOnce()
				}
			}
			return
		}
	}
}

// gather waits SyncEvery, so that one sync serves all that comes within it;
// less when somebody waits in Sync.
func (j *Journal) gather() {
	if j.wanted.Load() > j.synced.Load() {
		return
	}
	t := time.NewTimer(j.cfg.SyncEvery)
	defer t.Stop()
	select {
	case <-t.C:
	case <-j.hurry:
	case <-j.quit:
	}
}

// worthKeeping tells whether a buffer of that size is kept for the next writes
// beside so many others: at most 2 MiB of small ones, and four of those that a slow
// disk made.
func worthKeeping(size, kept int) bool {
	switch {
	case size <= 4<<10:
		return kept < 512
	case size <= 32<<10:
		return kept < 64
	case size <= 4<<20:
		return kept < 4
	}
	return false
}

// syncOnce syncs the files of all batches written so far. It reports false when
// they are in doubt and must be rewritten.
func (j *Journal) syncOnce() bool {
	j.mu.Lock()
	if j.suspect {
		j.mu.Unlock()
		return false
	}
	n, epoch := len(j.unsaved), j.epoch
	var files []File
	var last *segment
	for _, b := range j.unsaved {
		if b.seg != last {
			last = b.seg
			files = append(files, b.seg.f)
		}
	}
	j.mu.Unlock()
	if n == 0 {
		return true
	}
	for _, f := range files {
		if err := f.Sync(); err != nil {
			j.syncErr.Add(1)
			j.mu.Lock()
			j.suspect = true
			j.mu.Unlock()
			j.alarm("syncing: what is in doubt is written again", err)
			signal(j.wake)
			return false
		}
	}

	j.mu.Lock()
	defer j.mu.Unlock()
	if j.suspect || j.epoch != epoch {
		return false // given up meanwhile: what was synced no longer counts
	}
	for _, b := range j.unsaved[:n] {
		j.backlog.Add(-int64(len(b.frames)))
		// One sync frees the buffers of all writes since the last: at 1,000 calls/s
		// a hundred of a few KB.
		if worthKeeping(cap(b.frames), len(j.free)) {
			j.free = append(j.free, b.frames[:0])
		}
	}
	j.synced.Store(j.unsaved[n-1].last)
	j.unsaved = slices.Delete(j.unsaved, 0, n)
	for _, s := range j.segs[:len(j.segs)-1] { // full segments that are durable now
		if s.f != nil && !slices.ContainsFunc(j.unsaved, func(b batch) bool { return b.seg == s }) {
			s.f.Close()
			s.f = nil
		}
	}
	if j.watch != nil {
		close(j.watch)
	}
	j.watch = make(chan struct{})
	if j.room != nil {
		close(j.room)
		j.room = nil
	}
	return true
}
