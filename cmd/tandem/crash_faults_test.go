package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tandem"
	"tandem/cdr/journal"
	"tandem/cmd/tandem/emulate"
)

// engineKilled kills the embedded engine again and again under load: no call notices.
func engineKilled(t *testing.T, r *rand.Rand, res *crashResult) {
	s := inProcess(t, nil)
	load := startLoad(t, s.teams, testNet(), sized(50, 20, 10))
	for res.kills < sized(20, 3, 1) {
		if err := s.node.chdb.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		pause(between(r, 0, 2500*time.Millisecond))
		if state := s.node.chdb.State(); state.Up {
			if err := syscall.Kill(state.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				t.Fatal(err)
			}
			res.kills++
			for s.node.chdb.State() == state {
				pause(time.Millisecond)
			}
		}
	}
	res.unaffected(t, s, load)
}

// unaffected ends a load under which no call may have failed, and checks it.
func (r *crashResult) unaffected(t *testing.T, s *stage, load *crashLoad) {
	t.Helper()
	h, outbound, failed := load.stop(t)
	if r.failed = failed; failed > 0 {
		t.Errorf("calls failed: outbound %v of %d, sipp:\n%s", outbound.Statuses, outbound.Placed, load.uac.errors())
	}
	if err := s.node.chdb.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.drain = max(r.drain, s.drained(t))
	r.check(t, s, h, crashFacts{})
	s.checkNothingLeft(t)
}

// drained is how long it takes to deliver all that is recorded by now.
func (s *stage) drained(t *testing.T) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	began := time.Now()
	if err := s.node.Flush(ctx); err != nil {
		t.Errorf("the backlog does not drain: %v", err)
	}
	return time.Since(began)
}

// engineStopped gives the embedded engine no time for 30 s.
func engineStopped(t *testing.T, _ *rand.Rand, res *crashResult) {
	s := inProcess(t, nil)
	load := startLoad(t, s.teams, testNet(), sized(50, 20, 10))
	pause(time.Second)
	pid := s.node.chdb.State().PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	pause(sized(30*time.Second, 3*time.Second, 2*time.Second))
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	res.kills = 1
	res.unaffected(t, s, load)
}

// Faults of the proxy in front of ClickHouse.
const (
	healthy int32 = iota
	refused
	hanging
	storedThenFailed
)

// faultyProxy stands between the writer and the engine.
type faultyProxy struct {
	next    http.RoundTripper
	fault   atomic.Int32
	hits    atomic.Int32
	turn    atomic.Int32
	mu      sync.Mutex
	changed chan struct{}
}

func (p *faultyProxy) set(fault int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault.Store(fault)
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *faultyProxy) RoundTrip(r *http.Request) (*http.Response, error) {
	switch p.fault.Load() {
	case refused:
		p.hits.Add(1)
		return nil, &os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}
	case hanging:
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		p.hits.Add(1)
		if p.turn.Add(1)%2 == 1 { // half of them have been stored before the connection goes silent
			if resp, err := p.next.RoundTrip(r); err == nil {
				_ = resp.Body.Close()
			}
		}
		select {
		case <-changed:
		case <-r.Context().Done():
		}
		return nil, io.ErrUnexpectedEOF
	case storedThenFailed:
		if !strings.Contains(r.URL.Query().Get("query"), "INSERT") {
			break
		}
		resp, err := p.next.RoundTrip(r)
		if err != nil {
			return resp, err
		}
		n := p.hits.Add(1)
		if n%3 == 0 {
			return resp, nil // it gets through at last
		}
		_ = resp.Body.Close()
		if n%3 == 1 {
			return nil, io.ErrUnexpectedEOF
		}
		resp.StatusCode, resp.Status = http.StatusInternalServerError, "500 Internal Server Error"
		resp.Header = http.Header{"X-Clickhouse-Exception-Code": []string{"209"}}
		resp.Body = io.NopCloser(strings.NewReader("Code: 209. DB::NetException: Timeout exceeded while writing to socket. (SOCKET_TIMEOUT)"))
		return resp, nil
	}
	return p.next.RoundTrip(r)
}

// clickHouseFaults: while ClickHouse is away or lies, calls are set up as fast as before and none fails; then the backlog drains.
func clickHouseFaults(t *testing.T, _ *rand.Rand, res *crashResult) {
	proxy := &faultyProxy{changed: make(chan struct{})}
	s := inProcess(t, func(c *Config) {
		c.ClickHouse.wrap = func(next http.RoundTripper) http.RoundTripper { proxy.next = next; return proxy }
	})
	rate, phase := sized(50, 20, 10), sized(10*time.Second, 1500*time.Millisecond, 1500*time.Millisecond)
	percent := sized(99, 50, 50) // a few dozen calls have no 99th percentile
	load := startLoad(t, s.teams, testNet(), rate)
	setup := map[bool][]time.Duration{}
	// A probe of its own measures set-up, in turns with and without the fault.
	measure := func(faulty bool) {
		probe, err := s.teams.Load(t.Context(), emulate.LoadSpec{CallSpec: emulate.CallSpec{From: "+14255550101", To: outsideNumber, Media: emulate.MediaNone},
			Rate: 20, For: tandem.Duration(phase), Keep: true})
		if err != nil || probe.Answered != probe.Placed {
			t.Errorf("probe: %v, %d of %d answered, %v", err, probe.Answered, probe.Placed, probe.Statuses)
		}
		for _, c := range probe.Results {
			if first := c.RingAt; !first.IsZero() {
				setup[faulty] = append(setup[faulty], first.Sub(c.Start))
			}
		}
	}
	for range 3 { // again when the machine was too busy with other things to tell
		for _, fault := range []int32{refused, hanging, storedThenFailed} {
			measure(false)
			proxy.hits.Store(0)
			proxy.set(fault)
			flush, cancel := context.WithCancel(t.Context())
			go func() { _ = s.node.Flush(flush) }() // sooner than by itself
			measure(true)
			waitFor(t, "the writer meets the fault", func() bool { return proxy.hits.Load() > 0 })
			cancel()
			proxy.set(healthy)
			res.kills++
			res.drain = max(res.drain, s.drained(t))
		}
		res.callsP99, res.faultP99 = shareOf(setup[false], 99), shareOf(setup[true], 99)
		if slower(setup, percent) <= 5*time.Millisecond {
			break
		}
	}
	if d := slower(setup, percent); d > 5*time.Millisecond {
		t.Errorf("set-up p%d is %s longer while ClickHouse is away (p99 %s, %s otherwise)", percent, d, res.faultP99, res.callsP99)
	}
	res.unaffected(t, s, load)
}

func shareOf(all []time.Duration, percent int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)*percent/100, len(all)-1)]
}

// slower is by how much set-up takes longer with a fault than without.
func slower(setup map[bool][]time.Duration, percent int) time.Duration {
	return shareOf(setup[true], percent) - shareOf(setup[false], percent)
}

// faultyDisk is the true file system with faults in front of the segments.
type faultyDisk struct {
	journal.OS
	slow  atomic.Int64 // delay of each sync, in ns
	stall atomic.Int64 // delay of the next write
	full  atomic.Int32 // 1: nothing can be reserved; 2: nor written
	met   atomic.Int32
}

func (d *faultyDisk) OpenFile(name string, create bool) (journal.File, error) {
	f, err := d.OS.OpenFile(name, create)
	if err != nil || !strings.HasSuffix(name, ".seg") {
		return f, err
	}
	return &faultySegment{f, d}, nil
}

func (d *faultyDisk) ReadDir(name string) ([]fs.DirEntry, error) { return d.OS.ReadDir(name) }

type faultySegment struct {
	journal.File
	d *faultyDisk
}

func (f *faultySegment) WriteAt(b []byte, off int64) (int, error) {
	if wait := f.d.stall.Swap(0); wait > 0 {
		f.d.met.Add(1)
		pause(time.Duration(wait))
	}
	if f.d.full.Load() == 2 {
		f.d.met.Add(1)
		n, _ := f.File.WriteAt(b[:len(b)/2], off)
		return n, syscall.ENOSPC
	}
	return f.File.WriteAt(b, off)
}

func (f *faultySegment) Sync() error {
	if wait := f.d.slow.Load(); wait > 0 {
		f.d.met.Add(1)
		pause(time.Duration(wait))
	}
	return f.File.Sync()
}

func (f *faultySegment) Allocate(size int64) error {
	if f.d.full.Load() > 0 {
		f.d.met.Add(1)
		return syscall.ENOSPC
	}
	return f.File.Allocate(size)
}

// slowDisk: each sync takes 150 ms, and now and then the disk stands still for a second.
func slowDisk(t *testing.T, r *rand.Rand, res *crashResult) {
	disk := &faultyDisk{}
	s := inProcess(t, func(c *Config) { c.Records.fs = disk })
	load := startLoad(t, s.teams, testNet(), sized(50, 20, 10))
	disk.slow.Store(int64(150 * time.Millisecond))
	for range sized(8, 2, 1) {
		disk.stall.Store(int64(between(r, 300*time.Millisecond, 1500*time.Millisecond)))
		pause(between(r, time.Second, sized(4*time.Second, 1500*time.Millisecond, 1500*time.Millisecond)))
		res.kills++
	}
	disk.slow.Store(0)
	if disk.met.Load() == 0 {
		t.Error("the slow disk was never met")
	}
	res.unaffected(t, s, load)
	if st := s.node.journal.Stats(); st.Dropped > 0 {
		t.Errorf("facts were dropped: %+v", st)
	}
}

// fullDisk: first only the reserve is left, then not even a write goes through.
// Calls in progress end and are on record, new ones are refused, and are taken again.
func fullDisk(t *testing.T, _ *rand.Rand, res *crashResult) {
	disk := &faultyDisk{}
	s := inProcess(t, func(c *Config) { c.Records.fs = disk })
	load := startLoad(t, s.teams, testNet(), sized(50, 20, 10))
	for _, how := range []int32{1, 2} {
		pause(sized(4*time.Second, time.Second, time.Second))
		disk.full.Store(2) // noticed at the next write
		waitFor(t, "new calls are refused", func() bool { return !s.node.journal.Accepting() })
		disk.full.Store(how) // 1: the reserve that was given up takes the writes
		pause(sized(4*time.Second, 1500*time.Millisecond, time.Second))
		disk.full.Store(0)
		waitFor(t, "calls are taken again", s.node.journal.Accepting)
		res.kills++
	}
	res.survived(t, s, load)
}

// survived ends a load under which calls were refused: those that were answered are right.
func (r *crashResult) survived(t *testing.T, s *stage, load *crashLoad) {
	t.Helper()
	pause(2 * time.Second)
	h, outbound, _ := load.stop(t)
	if outbound.Statuses[503] == 0 {
		t.Errorf("no call was refused while the disk was full: %v", outbound.Statuses)
	}
	r.note = fmt.Sprintf("%d outbound calls refused with 503", outbound.Statuses[503])
	r.drain = s.drained(t)
	r.check(t, s, h, crashFacts{})
	s.checkNothingLeft(t)
	if st := s.node.journal.Stats(); st.Dropped > 0 {
		t.Errorf("facts were dropped: %+v", st)
	}
}

// fullTmpfs is fullDisk on a true file system that is full.
func fullTmpfs(t *testing.T, _ *rand.Rand, res *crashResult) {
	if !*crashFull {
		t.Skip("runs in make crash; the injected form above always runs")
	}
	if os.Geteuid() != 0 {
		t.Skip("mounting a small tmpfs needs root; the injected form above always runs")
	}
	var folder string
	s := inProcess(t, func(c *Config) {
		folder = filepath.Join(c.Data, "journal")
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size=40m"); err != nil {
			t.Skip("mounting a small tmpfs is not possible here: ", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(folder, unix.MNT_DETACH) })
	})
	load := startLoad(t, s.teams, testNet(), 50)
	for range 2 {
		pause(4 * time.Second)
		ballast := filepath.Join(folder, "ballast")
		fill(t, ballast)
		waitFor(t, "new calls are refused", func() bool { return !s.node.journal.Accepting() })
		pause(5 * time.Second)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "calls are taken again", s.node.journal.Accepting)
		res.kills++
	}
	res.survived(t, s, load)
}

// fill takes what a file system has left.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		pause(5 * time.Millisecond)
	}
}
