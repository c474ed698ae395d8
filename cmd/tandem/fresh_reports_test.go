package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"tandem"
	"tandem/cdr"
)

type countedReports struct{ read int }

func (c *countedReports) CDRs(context.Context, tandem.CDRFilter) ([]tandem.CDR, error) {
	c.read++
	return nil, nil
}

func TestReportsAreFreshAtBoundedCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reports, flushed, trouble, slow := &countedReports{}, 0, "", time.Duration(0)
		r := &freshReports{Reports: reports, clock: time.Now, status: func() cdr.Status { return cdr.Status{LastError: trouble} },
			flush: func(ctx context.Context) error {
				flushed++
				select {
				case <-time.After(slow):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}}
		read := func(want int, within time.Duration) {
			t.Helper()
			began := time.Now()
			if _, err := r.CDRs(t.Context(), tandem.CDRFilter{}); err != nil {
				t.Fatal(err)
			}
			if flushed != want || time.Since(began) > within {
				t.Errorf("%d flushes, want %d, in %v", flushed, want, time.Since(began))
			}
		}
		read(1, 0)
		read(1, 0) // within a second: no further insert
		time.Sleep(freshEvery)
		read(2, 0)
		time.Sleep(freshEvery)
		trouble = "inserting: away"
		read(2, 0) // reading will tell
		trouble, slow = "", time.Hour
		read(3, freshWait)
		slow = 0
		read(4, 0) // the last one did not get through
		if reports.read != 6 {
			t.Errorf("%d reads", reports.read)
		}
	})
}
