package sim_test

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"tandem/cdr/journal"
)

// memFS is a disk in memory. What is written to it survives the process, as the
// page cache survives kill -9.
type memFS struct {
	mu    sync.Mutex
	files map[string]*memFile
}

func newMemFS() *memFS { return &memFS{files: map[string]*memFile{}} }

type memFile struct {
	fs   *memFS
	data []byte
}

// clone is the disk as the next process finds it. The dead one writes into the void.
func (m *memFS) clone() *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := newMemFS()
	for name, f := range m.files {
		c.files[name] = &memFile{c, slices.Clone(f.data)}
	}
	return c
}

// tear cuts n bytes off the last file of the journal.
func (m *memFS) tear(n int) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(m.files)), func(s string) bool { return !strings.HasSuffix(s, ".seg") })
	f := m.files[names[len(names)-1]]
	f.data = f.data[:max(len(f.data)-n, 0)]
}

func (m *memFS) OpenFile(name string, create bool) (journal.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[name]
	switch {
	case create && f != nil:
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrExist}
	case create:
		f = &memFile{fs: m}
		m.files[name] = f
	case f == nil:
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
	return f, nil
}

func (m *memFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, name)
	return nil
}

func (m *memFS) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[to] = m.files[from]
	delete(m.files, from)
	return nil
}

func (m *memFS) ReadDir(name string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []fs.DirEntry
	for _, file := range slices.Sorted(maps.Keys(m.files)) {
		if path.Dir(file) == name {
			list = append(list, memEntry{path.Base(file)})
		}
	}
	return list, nil
}

func (*memFS) MkdirAll(string) error { return nil }
func (*memFS) SyncDir(string) error  { return nil }

func (*memFS) Lock(string) (interface{ Close() error }, error) { return io.NopCloser(nil), nil }

// memEntry is a plain file in a folder.
type memEntry struct{ name string }

func (e memEntry) Name() string             { return e.name }
func (memEntry) IsDir() bool                { return false }
func (memEntry) Type() fs.FileMode          { return 0 }
func (memEntry) Info() (fs.FileInfo, error) { return nil, errors.ErrUnsupported }

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if end := int(off) + len(b); end > len(f.data) {
		f.data = slices.Grow(f.data, end-len(f.data))[:end]
	}
	return copy(f.data[off:], b), nil
}

func (f *memFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.data = f.data[:min(int(size), len(f.data))]
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.data)), nil
}

func (*memFile) Sync() error          { return nil }
func (*memFile) Allocate(int64) error { return nil }
func (*memFile) Close() error         { return nil }
