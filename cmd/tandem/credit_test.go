package main

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"tandem"
	"tandem/cmd/tandem/emulate"
	"tandem/provisioning"
)

// TestPrepaidAccount takes a prepaid account through a running node: 30 calls at
// once with credit for one, which ends at the last second that is paid for;
// emergency calls without any; fees once.
func TestPrepaidAccount(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	s := newStage(t, func(o *stageOptions) {
		o.document = func(text []byte) []byte {
			return bytes.Replace(text, []byte("    retail_in: retail-in\n"), []byte("    retail_in: retail-in\n    prepaid: true\n    fee_metered: \"1.00\"\n"), 1)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	const berlin = "+4930901820" // 0.01 a call and 0.0345 a minute, by the second
	statement := func() provisioning.Statement {
		t.Helper()
		st, err := s.node.service.Statement(ctx, provisioning.StatementQuery{Account: "contoso", To: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	fees := 0
	dir, err := s.node.service.Directory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range dir.Numbers {
		if n.Plan == tandem.Metered {
			fees++
		}
	}
	for deadline := time.Now().Add(10 * time.Second); statement().Total < fees; <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("fees: %+v", statement())
		}
	}
	// What pays the fees and two seconds of one call.
	if _, err := s.node.service.Post(ctx, tandem.Posting{Account: "contoso", Kind: tandem.PostTopUp, Amount: tandem.Amount(fees)*1_000_000 + 11_150}); err != nil {
		t.Fatal(err)
	}
	results := make([]emulate.CallResult, 30)
	var wait sync.WaitGroup
	for i := range results {
		wait.Go(func() {
			var err error
			results[i], err = s.teams.Call(ctx, emulate.CallSpec{From: "+14255550101", To: berlin, Hold: tandem.Duration(8 * time.Second)})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	answered := 0
	for _, r := range results {
		switch r.Status {
		case 200:
			answered++
			for _, row := range s.rowsOf(t, r) {
				if !row.Connected {
					continue
				}
				if row.DurationMs != 2000 || row.ReleasedBy != tandem.ReleasedByEngine || row.Reason != "the account's credit is used up" {
					t.Errorf("%s: %d ms, released by %s: %s", row.Technology, row.DurationMs, row.ReleasedBy, row.Reason)
				}
				if row.Technology == tandem.Phone && row.Charge.Amount != 11_150 {
					t.Errorf("charged %s", row.Charge.Amount)
				}
			}
		case 402:
			if rows := s.rowsOf(t, r); rows[0].Disposition != tandem.BlockedPolicy || rows[0].Reason != "the account has no credit for this call" {
				t.Errorf("%+v", rows[0])
			}
		default:
			t.Errorf("status %d %s", r.Status, r.Reason)
		}
	}
	if st := statement(); answered != 1 || st.Closing != 0 {
		t.Errorf("%d calls were answered, balance %s", answered, st.Closing)
	}
	if c := s.node.service.Credit("contoso"); c == nil || *c != (provisioning.Credit{}) {
		t.Errorf("%+v", c)
	}
	for _, to := range []string{"911", "+18005550199"} {
		r, err := s.teams.Call(ctx, emulate.CallSpec{From: "+14255550101", To: to, Hold: tandem.Duration(200 * time.Millisecond)})
		if err != nil || r.Status != 200 {
			t.Errorf("%s without credit: %d %s, %v", to, r.Status, r.Reason, err)
		}
	}
}
