package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"tandem"
	"tandem/provisioning"
)

// TestParallelCallsOnOneBucketOnDisk: 64 calls with 60 s left in the bucket, on
// the store that a node uses: no second too many, and the event comes once.
func TestParallelCallsOnOneBucketOnDisk(t *testing.T) {
	r := newBooksRig(t)
	r.calls(t, "+14255550102", tandem.Unlimited, 0, 9, time.Minute) // 9 of 10 minutes
	rows := make([][]tandem.CDR, 64)
	var wait sync.WaitGroup
	for i := range rows {
		rows[i] = callsOf("+14255550102", tandem.Unlimited, 100+i, 1, time.Minute)
		wait.Go(func() {
			for range 2 { // each is replayed
				if err := r.ledger.Price(context.Background(), rows[i]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	var free, charged int64
	for _, one := range rows {
		free, charged = free+one[0].Charge.FreeS, charged+one[0].Charge.ChargedS
	}
	if sum, used := r.balance(t); free != 60 || charged != 63*60 || used != 600 || sum != -63*12_500 {
		t.Errorf("%d free, %d charged, %d drawn, balance %s", free, charged, used, sum)
	}
	got, total, err := r.svc.UsageEvents(context.Background(), provisioning.EventQuery{Account: "contoso"})
	if err != nil || total != 2 || got[0].Kind != tandem.UsageMinutes100 || got[1].Kind != tandem.UsageMinutes80 {
		t.Errorf("%+v, %v", got, err)
	}
}
