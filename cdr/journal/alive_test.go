package journal

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"tandem"
)

// snapshot copies a journal's folder as a crash at this moment would leave it.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// connectedNow is a call of the present moment with both legs up.
func connectedNow(n int) *tandem.CallRecord {
	now := time.Now().UTC()
	c := sampleCall(n)
	for i := range c.Legs {
		l := &c.Legs[i]
		if l.ReleaseTime.IsZero() {
			l.SetupTime, l.RingTime, l.AnswerTime = now, time.Time{}, now
		}
	}
	c.Checkpoint = now
	return c
}

// endsOf reopens a folder and returns the ends in it by call.
func endsOf(t *testing.T, dir string, cfg Config) map[tandem.CorrelationID]tandem.CallRecord {
	t.Helper()
	cfg.Dir = dir
	j := openTest(t, cfg, Deps{})
	defer j.Close()
	ends := map[tandem.CorrelationID]tandem.CallRecord{}
	for _, f := range readAll(t, j, 1) {
		if f.Kind != tandem.FactEnd {
			continue
		}
		if _, twice := ends[f.Call.Correlation]; twice {
			t.Errorf("two ends of call %s", f.Call.Correlation)
		}
		ends[f.Call.Correlation] = f.Call
	}
	return ends
}

func TestRecoveredCallEndsAtTheLastSignOfLife(t *testing.T) {
	for name, tc := range map[string]struct {
		checkpoint time.Duration // Config.CheckpointEvery
		up         time.Duration // from the call's last own fact to the crash
		want       time.Duration // from the answer to the recorded end
	}{
		"within a second of the crash":                    {time.Minute, 42*time.Second + 700*time.Millisecond, 42 * time.Second},
		"a short call keeps its answer fact's instant":    {time.Minute, 300 * time.Millisecond, 0},
		"a call that missed its checkpoint is not billed": {10 * time.Second, 42 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := Config{Dir: t.TempDir(), CheckpointEvery: tc.checkpoint}
				j := openTest(t, cfg, Deps{})
				call := connectedNow(1)
				j.Record(0, tandem.FactAnswer, time.Now(), call)
				time.Sleep(tc.up) // virtual
				j.Sync(waitCtx(t))
				crashed := snapshot(t, cfg.Dir)
				j.Close()
				time.Sleep(time.Hour) // until somebody starts it again
				end := endsOf(t, crashed, cfg)[call.Correlation]
				if !end.Recovered || len(end.Legs) != 3 {
					t.Fatalf("end %+v", end)
				}
				for _, i := range []int{0, 2} {
					if got := end.Legs[i].Duration; (got - tc.want).Abs() > 50*time.Millisecond {
						t.Errorf("leg %d lasted %s, want %s", i, got, tc.want)
					}
				}
			})
		})
	}
}

func TestNoSignOfLifeWithoutCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := openTest(t, Config{Dir: t.TempDir()}, Deps{})
		defer j.Close()
		time.Sleep(time.Minute + 500*time.Millisecond)
		call := connectedNow(1)
		j.Record(0, tandem.FactAnswer, time.Now(), call)
		time.Sleep(5 * time.Second)
		j.Record(0, tandem.FactEnd, time.Now(), call)
		time.Sleep(time.Minute)
		kinds := map[tandem.FactKind]int{}
		for _, f := range readAll(t, j, 1) {
			kinds[f.Kind]++
			if f.Kind == tandem.FactAlive && f.At.IsZero() {
				t.Error("an alive fact without its instant")
			}
		}
		if kinds[tandem.FactAlive] != 5 || kinds[tandem.FactAnswer] != 1 || kinds[tandem.FactEnd] != 1 {
			t.Errorf("facts %v", kinds)
		}
	})
}

// A crash in the middle of recovery leaves some of the ends unwritten: the next
// recovery writes the others as the first one would have, however much later.
func TestCrashInRecoveryEndsTheRestAtTheSameMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Dir: t.TempDir()}
		j := openTest(t, cfg, Deps{})
		for n := range 3 {
			j.Record(0, tandem.FactAnswer, time.Now(), connectedNow(n))
		}
		time.Sleep(20*time.Second + 500*time.Millisecond)
		j.Sync(waitCtx(t))
		crashed, next := snapshot(t, cfg.Dir), uint64(j.Last())+1
		j.Close()
		time.Sleep(10 * time.Second)
		if ends := endsOf(t, crashed, cfg); len(ends) != 3 {
			t.Fatalf("%d ends", len(ends))
		}
		path := filepath.Join(crashed, segmentName(2, next))
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, _, first, state := parseFrame(b[segmentHead:])
		if state != frameOK {
			t.Fatal("no first end")
		}
		os.Remove(filepath.Join(crashed, "lowwater"))
		if err := os.WriteFile(path, b[:segmentHead+first+first/2], 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		ends := endsOf(t, crashed, cfg)
		if len(ends) != 3 {
			t.Fatalf("%d ends", len(ends))
		}
		for id, end := range ends {
			if got := end.Legs[0].Duration; got != ends[sampleCall(0).Correlation].Legs[0].Duration || got < 19*time.Second || got > 21*time.Second {
				t.Errorf("call %s lasted %s", id, got)
			}
		}
	})
}
