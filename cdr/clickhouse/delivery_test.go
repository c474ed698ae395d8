package clickhouse

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/cdr"
	"tandem/cdr/journal"
)

type flatPricer struct{}

func (flatPricer) Price(_ context.Context, rows []tandem.CDR) error {
	for i := range rows {
		if rows[i].Technology == tandem.Phone {
			rows[i].Charge = tandem.Charge{Amount: 100, Currency: "USD"}
		}
	}
	return nil
}

// The whole path from the journal to the real engine, whose child is killed at
// any moment: each row is there once, by plain count().
func TestDeliveryIsExactWhileTheEngineIsKilled(t *testing.T) {
	s := startEngine(t)
	c, err := Open(Config{Transport: s.RoundTripper()}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dir := t.TempDir()
	j, err := journal.Open(journal.Config{Dir: filepath.Join(dir, "journal"), Reserve: 1 << 16}, journal.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	p, err := cdr.NewPipeline(cdr.Config{Dir: dir, Node: "n1", MaxRows: 200, Interval: 5 * time.Millisecond, RetryMin: 5 * time.Millisecond, RetryMax: 50 * time.Millisecond},
		cdr.Deps{Read: func(from tandem.JournalPos) cdr.FactReader { return j.ReadEnds(from) }, Sync: j.Sync, Synced: j.Synced, Release: j.Release, Pricer: flatPricer{}, Sink: c})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { p.Run(ctx); close(done) }()
	defer func() { cancel(); <-done }()

	rounds, each := 8, 300
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		for i := range each {
			at := noon.Add(time.Duration(i) * time.Second)
			j.Record(0, tandem.FactEnd, at, &tandem.CallRecord{Correlation: uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, round, i)), Node: "n1", Account: "a", Legs: []tandem.LegRecord{
				{Technology: tandem.Phone, SetupTime: at, AnswerTime: at, ReleaseTime: at.Add(time.Second), Duration: time.Second},
				{Technology: tandem.OperatorConnect, SetupTime: at, AnswerTime: at, ReleaseTime: at.Add(time.Second), Duration: time.Second}}})
		}
		if pid := s.State().PID; pid > 0 {
			time.AfterFunc(time.Duration(round*7)*time.Millisecond, func() { syscall.Kill(pid, syscall.SIGKILL) })
		}
		wait, stop := context.WithTimeout(ctx, 60*time.Second)
		err := p.Flush(wait)
		stop()
		if err != nil {
			t.Fatal(err)
		}
	}
	ready, stop := context.WithTimeout(ctx, 60*time.Second)
	defer stop()
	want := uint64(2 * rounds * each)
	for {
		if err := s.Ready(ready); err != nil {
			t.Fatal(err)
		}
		var rows, ids uint64
		if err := c.conn.QueryRow(ready, "SELECT count(), uniqExact(cdr_id) FROM cdr").Scan(&rows, &ids); err != nil {
			if ready.Err() != nil {
				t.Fatal(err)
			}
			continue // the last kill came late
		}
		if rows != want || ids != want {
			t.Fatalf("%d rows, %d different, want %d", rows, ids, want)
		}
		break
	}
	if st := p.Status(); st.Backlog != 0 || st.Quarantined != 0 {
		t.Fatalf("status %+v", st)
	}
	t.Logf("%d rows, %d engine restarts, %d retries", want, s.State().Restarts, p.Status().Retries)
}
