package journal

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem"
)

// faultFS is the true file system with a fault in front; fast leaves syncs out.
type faultFS struct {
	OS
	fast bool

	mu       sync.Mutex
	write    func(name string, b []byte) (n int, err error) // err != nil: only n bytes are written
	sync     func(name string) error
	truncate func(name string) error
	allocate func(name string) error
}

func (f *faultFS) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *faultFS) OpenFile(name string, create bool) (File, error) {
	file, err := f.OS.OpenFile(name, create)
	if err != nil {
		return nil, err
	}
	return &faultFile{file, f, filepath.Base(name)}, nil
}

func (f *faultFS) SyncDir(name string) error {
	if f.fast {
		return nil
	}
	return f.OS.SyncDir(name)
}

type faultFile struct {
	File
	fs   *faultFS
	name string
}

func (f *faultFile) WriteAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	hook := f.fs.write
	f.fs.mu.Unlock()
	if hook != nil {
		if n, err := hook(f.name, b); err != nil {
			n, _ = f.File.WriteAt(b[:n], off)
			return n, err
		}
	}
	return f.File.WriteAt(b, off)
}

func (f *faultFile) Sync() error {
	f.fs.mu.Lock()
	hook := f.fs.sync
	f.fs.mu.Unlock()
	if hook != nil {
		if err := hook(f.name); err != nil {
			return err
		}
	}
	if f.fs.fast {
		return nil
	}
	return f.File.Sync()
}

func (f *faultFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	hook := f.fs.truncate
	f.fs.mu.Unlock()
	if hook != nil {
		if err := hook(f.name); err != nil {
			return err
		}
	}
	return f.File.Truncate(size)
}

func (f *faultFile) Allocate(size int64) error {
	f.fs.mu.Lock()
	hook := f.fs.allocate
	f.fs.mu.Unlock()
	if hook != nil {
		if err := hook(f.name); err != nil {
			return err
		}
	}
	return f.File.Allocate(size)
}

func smallCall(n int) *tandem.CallRecord {
	c := sampleCall(n)
	return &tandem.CallRecord{Correlation: c.Correlation, Node: "n", Legs: []tandem.LegRecord{{From: "+12065550123", SetupTime: noon}}}
}

// writtenSegment makes a journal of n ended calls and returns its folder, the
// one segment with facts, and where each frame ends.
func writtenSegment(t *testing.T, n int) (dir, name string, ends []int) {
	t.Helper()
	dir = t.TempDir()
	j := openTest(t, Config{Dir: dir}, Deps{FS: &faultFS{fast: true}})
	for i := range n {
		j.Record(0, tandem.FactEnd, noon, smallCall(i))
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	name = segmentName(1, 1)
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	for off := segmentHead; off < len(b); {
		_, _, size, state := parseFrame(b[off:])
		if state != frameOK {
			t.Fatal("a frame that was just written is bad")
		}
		off += size
		ends = append(ends, off)
	}
	if len(ends) != n {
		t.Fatalf("%d frames", len(ends))
	}
	return dir, name, ends
}

// reopenWith opens a journal whose only segment has the given bytes, checks
// that each fact read is one of the originals and that writing goes on, and
// returns the calls read.
func reopenWith(t *testing.T, name string, segment []byte) (read []int, r Recovery) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), segment, 0o600); err != nil {
		t.Fatal(err)
	}
	j := openTest(t, Config{Dir: dir}, Deps{FS: &faultFS{fast: true}})
	defer j.Close()
	next := j.Record(0, tandem.FactEnd, noon, smallCall(99))
	if next == 0 {
		t.Fatal("the repaired journal takes nothing")
	}
	facts := readAll(t, j, 1)
	if len(facts) == 0 || facts[len(facts)-1].Pos != tandem.JournalPos(next) {
		t.Fatalf("the new fact does not come back: %d facts", len(facts))
	}
	for _, f := range facts[:len(facts)-1] {
		n := int(f.Pos) - 1
		if d := cmp.Diff(*smallCall(n), f.Call); d != "" {
			t.Fatalf("position %d: %s", f.Pos, d)
		}
		read = append(read, n)
	}
	return read, j.Recovered()
}

func TestTailTruncatedAtEveryByte(t *testing.T) {
	dir, name, ends := writtenSegment(t, 4)
	whole, _ := os.ReadFile(filepath.Join(dir, name))
	step := 1
	if testing.Short() {
		step = 7
	}
	for n := 0; n <= len(whole); n += step {
		want := 0
		for _, end := range ends {
			if end <= n {
				want++
			}
		}
		read, r := reopenWith(t, name, whole[:n])
		if len(read) != want || r.Damaged != 0 {
			t.Fatalf("cut at %d: %d facts, want %d; %+v", n, len(read), want, r)
		}
	}
}

func TestEachByteFlipped(t *testing.T) {
	dir, name, ends := writtenSegment(t, 4)
	whole, _ := os.ReadFile(filepath.Join(dir, name))
	step := 1
	if testing.Short() {
		step = 7
	}
	for n := 0; n < len(whole); n += step {
		damaged := append([]byte(nil), whole...)
		damaged[n] ^= 0x40
		read, r := reopenWith(t, name, damaged)
		lost := len(ends) - len(read)
		switch {
		case n < segmentHead && lost != 0:
			t.Fatalf("byte %d of the head: %d facts lost", n, lost)
		case n >= segmentHead && lost != 1:
			t.Fatalf("byte %d: %d facts lost, want the damaged one only", n, lost)
		case n >= segmentHead && r.Damaged+int(min(r.CutBytes, 1)) != 1:
			t.Fatalf("byte %d: damage not reported: %+v", n, r)
		}
	}
}

func TestPagesOfZerosAreNoFacts(t *testing.T) {
	dir, name, ends := writtenSegment(t, 3)
	whole, _ := os.ReadFile(filepath.Join(dir, name))
	for _, at := range []int{ends[2], ends[1], ends[1] + 10, segmentHead, 0} {
		zeroed := append(append([]byte(nil), whole[:at]...), make([]byte, 8192)...)
		want := 0
		for _, end := range ends {
			if end <= at {
				want++
			}
		}
		if read, _ := reopenWith(t, name, zeroed); len(read) != want {
			t.Fatalf("zeros from %d: %d facts, want %d", at, len(read), want)
		}
	}
}

func TestDamageInAnEarlierSegmentKeepsTheLaterOnes(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, Config{Dir: dir, SegmentSize: 1 << 10}, Deps{})
	for i := range 20 {
		j.Record(0, tandem.FactEnd, noon, smallCall(i))
		j.Sync(waitCtx(t))
	}
	j.Close()
	os.Remove(filepath.Join(dir, "lowwater")) // as after a lost disk block: read everything
	path := filepath.Join(dir, segmentName(1, 1))
	b, _ := os.ReadFile(path)
	b[segmentHead+30] ^= 1
	os.WriteFile(path, b, 0o600)
	j = openTest(t, Config{Dir: dir}, Deps{})
	defer j.Close()
	if r := j.Recovered(); r.Damaged != 1 {
		t.Fatalf("recovered %+v", r)
	}
	facts := readAll(t, j, 1)
	if len(facts) != 19 || facts[0].Pos != 2 {
		t.Fatalf("%d facts from %d", len(facts), facts[0].Pos)
	}
	if s := j.Stats(); s.Missing != 1 {
		t.Fatalf("stats %+v", s)
	}
	if kept, _ := filepath.Glob(filepath.Join(dir, "quarantine", "*")); len(kept) != 1 {
		t.Fatalf("quarantine %v", kept)
	}
}

// wantAll checks that positions 1..n are read, once each, now and after reopening.
func wantAll(t *testing.T, j *Journal, dir string, n int) {
	t.Helper()
	check := func(facts []tandem.JournalFact) {
		t.Helper()
		if len(facts) != n {
			t.Fatalf("%d facts, want %d", len(facts), n)
		}
		for i, f := range facts {
			if f.Pos != tandem.JournalPos(i+1) {
				t.Fatalf("fact %d has position %d", i, f.Pos)
			}
		}
	}
	check(readAll(t, j, 1))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	again := openTest(t, Config{Dir: dir}, Deps{})
	defer again.Close()
	check(readAll(t, again, 1))
}

func TestFailedSyncRewritesWhatIsInDoubt(t *testing.T) {
	dir := t.TempDir()
	fsys := &faultFS{}
	j := openTest(t, Config{Dir: dir}, Deps{FS: fsys})
	failures := 0
	fsys.set(func() {
		fsys.sync = func(name string) error {
			if strings.HasSuffix(name, ".seg") && failures < 3 {
				failures++
				return syscall.EIO
			}
			return nil
		}
	})
	for i := range 50 {
		j.Record(0, tandem.FactEnd, noon, smallCall(i))
		if i%10 == 0 {
			j.Sync(waitCtx(t))
		}
	}
	if err := j.Sync(waitCtx(t)); err != nil {
		t.Fatal(err)
	}
	if s := j.Stats(); s.SyncErrors == 0 && s.WriteErrors == 0 {
		t.Fatalf("stats %+v", s)
	}
	wantAll(t, j, dir, 50)
}

func TestFullDiskStopsCallsAndLosesNoFact(t *testing.T) {
	for name, truncateFails := range map[string]bool{"the half frame is cut": false, "the half frame can't be cut": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			fsys := &faultFS{}
			j := openTest(t, Config{Dir: dir}, Deps{FS: fsys})
			j.Record(0, tandem.FactEnd, noon, smallCall(0))
			j.Sync(waitCtx(t))
			hit := make(chan struct{}, 100)
			fsys.set(func() {
				fsys.write = func(name string, b []byte) (int, error) {
					if strings.HasSuffix(name, ".seg") {
						select {
						case hit <- struct{}{}:
						default:
						}
						return len(b) / 2, syscall.ENOSPC
					}
					return len(b), nil
				}
				fsys.allocate = func(string) error { return syscall.ENOSPC }
				if truncateFails {
					fsys.truncate = func(string) error { return syscall.EIO }
				}
			})
			for i := 1; i < 10; i++ {
				if j.Record(0, tandem.FactEnd, noon, smallCall(i)) == 0 {
					t.Fatal("a call in progress was not recorded")
				}
			}
			<-hit
			<-hit
			if j.Accepting() {
				t.Fatal("new calls are taken on a full disk")
			}
			fsys.set(func() { fsys.write, fsys.allocate, fsys.truncate = nil, nil, nil })
			if err := j.Sync(waitCtx(t)); err != nil {
				t.Fatal(err)
			}
			for deadline := time.After(10 * time.Second); !j.Accepting(); {
				select {
				case <-deadline:
					t.Fatal("calls are not taken again")
				case <-time.After(10 * time.Millisecond):
				}
			}
			wantAll(t, j, dir, 10)
		})
	}
}

func TestStalledDiskNeitherBlocksCallsNorGrowsWithoutBound(t *testing.T) {
	fsys := &faultFS{}
	dir := t.TempDir()
	j := openTest(t, Config{Dir: dir, SoftLimit: 4 << 10, HardLimit: 16 << 10}, Deps{FS: fsys})
	stall := make(chan struct{})
	fsys.set(func() {
		fsys.write = func(name string, b []byte) (int, error) { <-stall; return len(b), nil }
	})
	taken := 0
	for i := range 200 {
		if j.Record(0, tandem.FactEnd, noon, smallCall(i)) != 0 {
			taken++
		} else {
			break
		}
	}
	s := j.Stats()
	if s.Accepting || s.Backlog > 16<<10 || s.Dropped != 1 || taken < 20 {
		t.Fatalf("taken %d, %+v", taken, s)
	}
	close(stall)
	wantAll(t, j, dir, taken)
}
