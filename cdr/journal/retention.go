package journal

import (
	"fmt"
	"hash/crc32"
	"path/filepath"

	"tandem"
)

// Release tells the journal that everything up to pos has been delivered and
// the reader's cursor is durable. Segments below it, older than Retention and
// without the last fact of an open call, are deleted.
func (j *Journal) Release(pos tandem.JournalPos) {
	if uint64(pos) > j.delivered.Load() {
		j.delivered.Store(uint64(pos))
		j.dropOldSegments()
	}
}

// lowWater says that recovery needs nothing before low: at the moment when next
// was the next position, no call in progress had its last fact before it.
type lowWater struct{ low, next uint64 }

// takeMark computes the mark of this moment; the caller holds mu. It speaks of
// facts in memory: it may be used only once all before next are durable, else
// a crash could take back the very facts that moved it.
func (j *Journal) takeMark() lowWater {
	m := lowWater{j.next, j.next}
	for _, seq := range j.open {
		m.low = min(m.low, seq)
	}
	return m
}

// settle saves the last rotation's mark as soon as it is true on disk, and
// deletes what it and the delivery allow. The sync goroutine calls it.
func (j *Journal) settle() {
	j.mu.Lock()
	m := j.mark
	due := m.next > 0 && j.synced.Load() >= m.next-1
	if due {
		j.mark = lowWater{}
	}
	j.mu.Unlock()
	if !due {
		return
	}
	if j.saveLowWater(m) {
		j.mu.Lock()
		j.low = m.low
		j.mu.Unlock()
	}
	j.dropOldSegments()
}

func (j *Journal) dropOldSegments() {
	limit := j.clock().Add(-j.cfg.Retention)
	j.mu.Lock()
	low := j.low
	var dead []string
	for len(j.segs) > 1 {
		s, end := j.segs[0], limitOf(j.segs, 0)
		if s.f != nil || end-1 > j.delivered.Load() || end > low || s.lastAt.After(limit) {
			break
		}
		dead = append(dead, s.path)
		j.segs = j.segs[1:]
	}
	j.mu.Unlock()
	for _, path := range dead {
		if err := j.fs.Remove(path); err != nil {
			j.alarm("deleting a delivered segment", err, "segment", path)
		}
	}
}

// saveLowWater lets the next Open skip what is settled, so that a restart takes
// as long as the open calls need, not as the retention does. That it lags is
// harmless: a low-water mark only rises.
func (j *Journal) saveLowWater(m lowWater) bool {
	low, next := m.low, m.next
	body := fmt.Sprintf("tandem journal 1 low %d next %d", low, next)
	body = fmt.Sprintf("%s crc %08x\n", body, crc32.Checksum([]byte(body), castagnoli))
	if err := j.replaceFile("lowwater", []byte(body)); err != nil {
		j.log.Warn("journal: low-water mark not saved, the next start reads more", "err", err)
		return false
	}
	return true
}

// loadLowWater gives (0, 1) when there is no valid mark: everything is read.
func (j *Journal) loadLowWater() (low, next uint64) {
	f, err := j.fs.OpenFile(filepath.Join(j.cfg.Dir, "lowwater"), false)
	if err != nil {
		return 0, 1
	}
	defer f.Close()
	b := make([]byte, 256)
	n, _ := f.ReadAt(b, 0)
	var sum uint32
	if _, err := fmt.Sscanf(string(b[:n]), "tandem journal 1 low %d next %d crc %08x\n", &low, &next, &sum); err != nil {
		return 0, 1
	}
	body := fmt.Sprintf("tandem journal 1 low %d next %d", low, next)
	if crc32.Checksum([]byte(body), castagnoli) != sum {
		return 0, 1
	}
	return low, next
}

// replaceFile writes a small file so that a crash leaves the old or the new one.
func (j *Journal) replaceFile(name string, body []byte) error {
	path := filepath.Join(j.cfg.Dir, name)
	j.fs.Remove(path + ".new")
	f, err := j.fs.OpenFile(path+".new", true)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(body, 0)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = j.fs.Rename(path+".new", path)
	}
	if err == nil {
		err = j.fs.SyncDir(j.cfg.Dir)
	}
	return err
}
