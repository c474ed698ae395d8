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

// lowWater is the first position that recovery needs: the oldest last fact of
// a call in progress, else the next position.
func (j *Journal) lowWater() (low, next uint64) {
	low = j.next
	for _, seq := range j.open {
		low = min(low, seq)
	}
	return low, j.next
}

func (j *Journal) dropOldSegments() {
	limit := j.clock().Add(-j.cfg.Retention)
	j.mu.Lock()
	low, _ := j.lowWater()
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
// as long as the open calls need, not as the retention does. It is written at
// each rotation; that it lags is harmless: a low-water mark only rises.
func (j *Journal) saveLowWater() {
	j.mu.Lock()
	low, next := j.lowWater()
	j.mu.Unlock()
	body := fmt.Sprintf("tandem journal 1 low %d next %d", low, next)
	body = fmt.Sprintf("%s crc %08x\n", body, crc32.Checksum([]byte(body), castagnoli))
	if err := j.replaceFile("lowwater", []byte(body)); err != nil {
		j.log.Warn("journal: low-water mark not saved, the next start reads more", "err", err)
	}
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
