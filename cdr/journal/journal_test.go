package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"tandem"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("TANDEM_TEST_JOURNAL_CHILD"); dir != "" {
		writeUntilKilled(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// sampleCall is a connected inbound call with a failed first attempt.
func sampleCall(n int) *tandem.CallRecord {
	id := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, n))
	return &tandem.CallRecord{
		Correlation: id, Node: "node-1", Direction: tandem.Inbound, Account: "contoso",
		Tenant: uuid.NewSHA1(uuid.NameSpaceOID, []byte("tenant")), DID: "+14255550100", UserType: tandem.StandardUser, Plan: tandem.Unlimited,
		From: "+12065550123", To: "+14255550100", Dialled: "14255550100",
		Trace: []tandem.TraceStep{{Rule: "did", Detail: "+14255550100 belongs to contoso"}, {Rule: "health", Detail: "teams is up"}},
		Legs: []tandem.LegRecord{
			{Technology: tandem.Phone, Network: "Carrier East", Trunk: "carrier-east", Endpoint: "192.0.2.10:5060", SIPCallID: "a84b4c76e66710@pc33", From: "+12065550123", To: "+14255550100",
				SetupTime: noon, RingTime: noon.Add(time.Second), AnswerTime: noon.Add(2 * time.Second), Codec: "PCMU",
				RX: tandem.StreamStats{Packets: 3000, Bytes: 480000, Lost: 3, JitterMicros: 800, LastSeen: noon.Add(time.Minute)},
				Dialog: &tandem.DialogRecord{LocalTag: "a1", RemoteTag: "1928301774", Local: "<sip:+14255550100@192.0.2.1>", Remote: `"Anna" <sip:+12065550123@192.0.2.10>`,
					Target: "sip:+12065550123@192.0.2.10:5060;transport=udp", Routes: []string{"<sip:edge.example.test;lr>", "<sip:core.example.test;lr>"}}},
			{Technology: tandem.OperatorConnect, Network: "Operator Connect", Trunk: "teams", Endpoint: "sip.example.test:5061", SIPCallID: "x1", From: "+12065550123", To: "+14255550100",
				SetupTime: noon, ReleaseTime: noon.Add(time.Second), Outcome: tandem.OutcomeStatus, Status: 503, Cause: 41, ReasonText: "busy \"here\"\r\n", ReleasedBy: tandem.ReleasedByCallee, Disposition: tandem.Congestion},
			{Technology: tandem.OperatorConnect, Network: "Operator Connect", Trunk: "teams", Endpoint: "sip2.example.test:5061", SIPCallID: "x2", From: "+12065550123", To: "+14255550100",
				SetupTime: noon.Add(time.Second), AnswerTime: noon.Add(2 * time.Second), Outcome: tandem.OutcomeAnswered, Status: 200, Codec: "PCMU", SRTP: true,
				Dialog: &tandem.DialogRecord{LocalTag: "b1", RemoteTag: "x9", Local: "<sip:+12065550123@sbc.example.test>", Remote: "<sip:+14255550100@sip2.example.test>", Target: "sip:api@sip2.example.test:443", LocalSeq: 7}},
		},
		Checkpoint: noon.Add(30 * time.Second),
	}
}

func openTest(t testing.TB, cfg Config, deps Deps) *Journal {
	t.Helper()
	if cfg.Reserve == 0 {
		cfg.Reserve = 1 << 16
	}
	if cfg.SyncEvery == 0 {
		cfg.SyncEvery = time.Millisecond
	}
	j, err := Open(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func waitCtx(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func readAll(t testing.TB, j *Journal, from tandem.JournalPos) []tandem.JournalFact {
	t.Helper()
	if err := j.Sync(waitCtx(t)); err != nil {
		t.Fatal(err)
	}
	r := j.Read(from)
	defer r.Close()
	var facts []tandem.JournalFact
	for {
		f, ok, err := r.TryNext()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return facts
		}
		facts = append(facts, f)
	}
}

func TestFactsComeBackAsWritten(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, Config{Dir: dir}, Deps{})
	call := sampleCall(1)
	if pos := j.Record(3, tandem.FactStart, noon, call); pos != 1 {
		t.Fatalf("first position %d, want 1", pos)
	}
	call.Legs[0].ReleaseTime = noon.Add(time.Minute)
	if pos := j.Record(3, tandem.FactEnd, noon.Add(time.Minute), call); pos != 2 {
		t.Fatalf("second position %d, want 2", pos)
	}
	facts := readAll(t, j, 0)
	if len(facts) != 2 || facts[0].Kind != tandem.FactStart || facts[1].Kind != tandem.FactEnd || facts[1].Pos != 2 || !facts[1].At.Equal(noon.Add(time.Minute)) {
		t.Fatalf("facts %+v", facts)
	}
	if d := cmp.Diff(*call, facts[1].Call); d != "" {
		t.Fatal(d)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = openTest(t, Config{Dir: dir}, Deps{})
	defer j.Close()
	if facts := readAll(t, j, 2); len(facts) != 1 || facts[0].Pos != 2 {
		t.Fatalf("after reopening: %+v", facts)
	}
	if pos := j.Record(0, tandem.FactEnd, noon, sampleCall(2)); pos != 3 {
		t.Fatalf("position after reopening %d, want 3", pos)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, Config{Dir: dir}, Deps{})
	defer j.Close()
	_, err := Open(Config{Dir: dir}, Deps{})
	if tandem.KindOf(err) != tandem.KindConflict {
		t.Fatalf("got %v, want a conflict", err)
	}
}

func TestManyShardsSegmentsAndLiveReader(t *testing.T) {
	j := openTest(t, Config{Dir: t.TempDir(), SegmentSize: 32 << 10}, Deps{})
	defer j.Close()
	const shards, each = 4, 500
	var last sync.Map
	j.OnWritten(func(seq uint64) { last.Store("seq", seq) })
	var wg sync.WaitGroup
	for s := range shards {
		wg.Go(func() {
			for i := range each {
				j.Record(uint16(s), tandem.FactEnd, noon, sampleCall(s*each+i))
			}
		})
	}
	r := j.Read(1)
	defer r.Close()
	seen := map[uuid.UUID]bool{}
	for want := tandem.JournalPos(1); want <= shards*each; want++ {
		f, err := r.Next(waitCtx(t))
		if err != nil {
			t.Fatal(err)
		}
		if f.Pos != want {
			t.Fatalf("position %d, want %d", f.Pos, want)
		}
		seen[f.Call.Correlation] = true
	}
	wg.Wait()
	if len(seen) != shards*each {
		t.Fatalf("%d calls, want %d", len(seen), shards*each)
	}
	if s := j.Stats(); s.Segments < 2 || s.Missing != 0 || s.Dropped != 0 {
		t.Fatalf("stats %+v", s)
	}
	if v, _ := last.Load("seq"); v != uint64(shards*each) {
		t.Fatalf("OnWritten ended at %v", v)
	}
}

func TestReaderEndsWithTheJournal(t *testing.T) {
	j := openTest(t, Config{Dir: t.TempDir()}, Deps{})
	r := j.Read(1)
	defer r.Close()
	done := make(chan error)
	go func() { _, err := r.Next(context.Background()); done <- err }()
	j.Close()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Fatalf("got %v", err)
	}
	if j.Record(0, tandem.FactEnd, noon, sampleCall(1)) != 0 {
		t.Fatal("a closed journal took a fact")
	}
}

func TestOpenCallsAreEndedAtTheirLastCheckpoint(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, Config{Dir: dir}, Deps{})
	up, ringing, over := sampleCall(1), sampleCall(2), sampleCall(3)
	ringing.Legs = ringing.Legs[:2]
	ringing.Legs[0].AnswerTime, ringing.Legs[1].ReleaseTime, ringing.Legs[1].Disposition, ringing.Legs[1].Outcome = time.Time{}, time.Time{}, "", ""
	j.Record(0, tandem.FactStart, noon, up)
	j.Record(0, tandem.FactStart, noon, ringing)
	j.Record(0, tandem.FactStart, noon, over)
	j.Record(0, tandem.FactAnswer, noon, up)
	j.Record(0, tandem.FactEnd, noon, over)
	up.Checkpoint = noon.Add(90 * time.Second)
	j.Record(0, tandem.FactCheckpoint, noon, up)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}

	j = openTest(t, Config{Dir: dir}, Deps{})
	if got := j.Recovered(); got.ClosedCalls != 2 || got.Facts != 6 {
		t.Fatalf("recovered %+v", got)
	}
	ends := map[uuid.UUID]tandem.CallRecord{}
	for _, f := range readAll(t, j, 7) {
		if f.Kind != tandem.FactEnd || !f.Call.Recovered {
			t.Fatalf("fact %+v", f)
		}
		ends[f.Call.Correlation] = f.Call
	}
	c := ends[up.Correlation]
	a, b := c.Legs[0], c.Legs[2]
	if a.Duration != 88*time.Second || a.ReleasedBy != tandem.ReleasedByEngine || a.Disposition != tandem.Answered || !b.ReleaseTime.Equal(up.Checkpoint) {
		t.Errorf("connected call: %+v", c.Legs)
	}
	if c.Legs[1].Disposition != tandem.Congestion {
		t.Errorf("an ended attempt was changed: %+v", c.Legs[1])
	}
	for _, l := range ends[ringing.Correlation].Legs {
		if l.Disposition != tandem.FailedNetwork || l.ReleaseTime.IsZero() || l.Duration != 0 {
			t.Errorf("ringing call: %+v", l)
		}
	}
	j.Close()
	j = openTest(t, Config{Dir: dir}, Deps{})
	defer j.Close()
	if got := j.Recovered(); got.ClosedCalls != 0 {
		t.Fatalf("a second start ended %d calls again", got.ClosedCalls)
	}
}

func TestSegmentsGoWhenDeliveredOldAndWithoutOpenCalls(t *testing.T) {
	now := noon
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	dir := t.TempDir()
	j := openTest(t, Config{Dir: dir, SegmentSize: 4 << 10, Retention: time.Hour}, Deps{Clock: clock})
	defer j.Close()
	write := func(from, to int) {
		for i := from; i < to; i++ {
			j.Record(0, tandem.FactEnd, clock(), sampleCall(i))
			if err := j.Sync(waitCtx(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(0, 20)
	full := j.Stats().Segments
	if full < 4 {
		t.Fatalf("%d segments", full)
	}
	j.Release(20)
	if got := j.Stats().Segments; got != full {
		t.Fatalf("%d of %d segments left before retention is over", got, full)
	}
	j.Record(0, tandem.FactStart, clock(), sampleCall(99)) // position 21 stays open
	write(20, 30)
	mu.Lock()
	now = now.Add(2 * time.Hour)
	mu.Unlock()
	j.Release(31)
	left := j.Stats().Segments
	if left >= full {
		t.Fatalf("%d segments left", left)
	}
	first := readAll(t, j, 1)[0].Pos
	if first > 21 {
		t.Fatalf("the segment of an open call is gone: first fact %d", first)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.seg"))
	if len(files) != left {
		t.Fatalf("%d files, %d segments", len(files), left)
	}
}

func TestRestartReadsOnlyWhatOpenCallsNeed(t *testing.T) {
	dir := t.TempDir()
	j := openTest(t, Config{Dir: dir, SegmentSize: 8 << 10}, Deps{})
	for i := range 100 {
		j.Record(0, tandem.FactEnd, noon, sampleCall(i))
		j.Sync(waitCtx(t))
	}
	j.Close()
	j = openTest(t, Config{Dir: dir, SegmentSize: 8 << 10}, Deps{})
	defer j.Close()
	if got := j.Recovered().Facts; got > 20 {
		t.Fatalf("read %d of 100 settled facts", got)
	}
	if got := j.Last(); got != 100 {
		t.Fatalf("last position %d", got)
	}
	if n := len(readAll(t, j, 1)); n != 100 {
		t.Fatalf("%d facts", n)
	}
}

// Who waits for durability is not held up by the interval, whether the fact is
// written already or still in memory.
func TestSyncDoesNotWaitForTheInterval(t *testing.T) {
	j, err := Open(Config{Dir: t.TempDir(), SyncEvery: time.Hour, Reserve: 1 << 16}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	written := make(chan uint64, 100)
	j.OnWritten(func(seq uint64) { written <- seq })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i := range 50 {
		seq := j.Record(0, tandem.FactStart, time.Now(), &tandem.CallRecord{Correlation: uuid.New()})
		if i%2 == 0 {
			for s := range written {
				if s >= seq {
					break
				}
			}
		}
		if err := j.Sync(ctx); err != nil || uint64(j.Synced()) < seq {
			t.Fatalf("fact %d: synced %d of %d, %v", i, j.Synced(), seq, err)
		}
	}
}
