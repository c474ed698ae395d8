package journal

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"tandem"
)

// writeUntilKilled is the child of TestKillAtRandomMoments: it writes calls of
// three facts each, as fast as it can, and prints the positions that OnWritten reports.
func writeUntilKilled(dir string) {
	out := bufio.NewWriter(os.Stdout)
	j, err := Open(Config{Dir: dir, SegmentSize: 64 << 10, SyncEvery: time.Millisecond, Reserve: 1 << 16, SoftLimit: 256 << 10}, Deps{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	j.OnWritten(func(seq uint64) {
		fmt.Fprintln(out, seq)
		out.Flush()
	})
	base := int(j.Last()) * 1000
	for i := 0; ; i++ {
		c := sampleCall(base + i)
		j.Record(0, tandem.FactStart, noon, c)
		j.Record(0, tandem.FactAnswer, noon, c)
		j.Record(0, tandem.FactEnd, noon, c)
		for !j.Accepting() {
			if err := j.Sync(context.Background()); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	}
}

func TestKillAtRandomMoments(t *testing.T) {
	dir := t.TempDir()
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "TANDEM_TEST_JOURNAL_CHILD="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal("the child wrote nothing")
		}
		kill := time.AfterFunc(time.Duration(rand.IntN(40))*time.Millisecond, func() { cmd.Process.Kill() })
		acked := uint64(0)
		for {
			line, err := lines.ReadString('\n')
			if err == io.EOF {
				break
			}
			if n, err := strconv.ParseUint(line[:max(len(line)-1, 0)], 10, 64); err == nil {
				acked = n
			}
		}
		cmd.Wait()
		kill.Stop()

		j := openTest(t, Config{Dir: dir, SegmentSize: 64 << 10}, Deps{})
		if last := uint64(j.Last()); last < acked {
			t.Fatalf("round %d: position %d was reported as written, the journal ends at %d", round, acked, last)
		}
		state := map[tandem.CorrelationID]tandem.FactKind{}
		want := tandem.JournalPos(1)
		for _, f := range readAll(t, j, 1) {
			if f.Pos != want {
				t.Fatalf("round %d: position %d, want %d", round, f.Pos, want)
			}
			want++
			if state[f.Call.Correlation] == tandem.FactEnd {
				t.Fatalf("round %d: a fact after the end of call %s", round, f.Call.Correlation)
			}
			state[f.Call.Correlation] = f.Kind
		}
		for id, kind := range state {
			if kind != tandem.FactEnd {
				t.Fatalf("round %d: call %s has no end", round, id)
			}
		}
		if s := j.Stats(); s.Missing != 0 || s.Damaged != 0 {
			t.Fatalf("round %d: %+v", round, s)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
