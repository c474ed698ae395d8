package ledgertest

import (
	"context"
	"errors"
	"testing"

	"tandem"
)

// noticedOnce: an event is fresh once for account, number, cycle and kind, and not if its transaction fails.
func noticedOnce(t *testing.T, s tandem.LedgerStore) {
	minutes := tandem.UsageEvent{Kind: tandem.UsageMinutes80, Account: "contoso", DID: "+14255550101", Cycle: cycle, At: cycle.AddDate(0, 0, 9), UsedS: 192_000, LimitS: 240_000}
	full, later, other, another := minutes, minutes, minutes, minutes
	full.Kind, later.Cycle, other.DID, another.Account = tandem.UsageMinutes100, cycle.AddDate(0, 1, 0), "+14255550102", "fabrikam"
	again := minutes
	again.UsedS++
	low := tandem.UsageEvent{Kind: tandem.UsageLowBalance, Account: "contoso", Cycle: cycle, At: cycle, Balance: -1, Threshold: 5_000_000, Currency: "USD"}
	boom := errors.New("boom")
	if err := s.Books(context.Background(), func(tx tandem.LedgerTx) error { _, _ = tx.Notice(minutes); return boom }); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	for i, e := range []tandem.UsageEvent{minutes, full, later, other, another, low, again, low, full} {
		if err := s.Books(context.Background(), func(tx tandem.LedgerTx) error {
			for want := i < 6; ; want = false {
				fresh, err := tx.Notice(e)
				if err != nil || fresh != want {
					t.Errorf("event %d: fresh %v, %v", i, fresh, err)
				}
				if !want {
					return err
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
}
