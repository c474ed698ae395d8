package journal

import (
	"path/filepath"
)

// reserve makes the file that holds back Config.Reserve bytes of disk.
func (j *Journal) reserve() bool {
	if j.reserved {
		return true
	}
	path := filepath.Join(j.cfg.Dir, "reserve")
	f, err := j.fs.OpenFile(path, false)
	if err != nil {
		if f, err = j.fs.OpenFile(path, true); err != nil {
			j.outOfSpace(err)
			return false
		}
	}
	defer f.Close()
	if err := f.Allocate(j.cfg.Reserve); err != nil {
		f.Truncate(0)
		j.fs.Remove(path)
		if isNoSpace(err) {
			j.outOfSpace(err)
		}
		return false
	}
	j.reserved = true
	return true
}

// outOfSpace stops new calls and gives up the reserve, so that the calls in
// progress can still be recorded.
func (j *Journal) outOfSpace(err error) {
	if !j.noSpace.Swap(true) {
		j.alarm("disk is full: no new calls are taken", err, "dir", j.cfg.Dir)
	}
	if j.reserved {
		j.reserved = false
		j.fs.Remove(filepath.Join(j.cfg.Dir, "reserve"))
	}
}

// regainSpace is called every second by the writer: calls are taken again once
// the reserve can be made and there is room ahead.
func (j *Journal) regainSpace() {
	if !j.noSpace.Load() {
		return
	}
	if !j.reserve() {
		return
	}
	s := j.current()
	if s.f != nil {
		if err := s.f.Allocate(s.size + allocateAhead); err != nil && isNoSpace(err) {
			return
		}
	}
	j.noSpace.Store(false)
	j.log.Info("journal: disk has room again, calls are taken")
}
