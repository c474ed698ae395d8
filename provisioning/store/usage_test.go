package store_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/provisioning"
	"tandem/provisioning/store"
	"tandem/provisioning/store/storetest"
)

// months stands in for rating.CycleOn, which this folder may not know.
func months(at time.Time, zone *time.Location, _ int) (start, next time.Time) {
	y, m, _ := at.In(zone).Date()
	return time.Date(y, m, 1, 0, 0, 0, 0, zone).UTC(), time.Date(y, m+1, 1, 0, 0, 0, 0, zone).UTC()
}

func usageService(t *testing.T, now time.Time) (*store.Store, *provisioning.Service) {
	t.Helper()
	s := open(t, filepath.Join(t.TempDir(), "tandem.db"))
	if _, err := s.Update(context.Background(), func(*tandem.Directory) (*tandem.Directory, error) { d := storetest.Sample(); return &d, nil }); err != nil {
		t.Fatal(err)
	}
	return s, provisioning.NewService(provisioning.Deps{Store: s, Books: s, Cycle: months, Clock: func() time.Time { return now }})
}

// TestMinutesAndForecast: a third of the cycle is over, half of the bucket drawn.
func TestMinutesAndForecast(t *testing.T) {
	ctx := context.Background()
	start := time.Date(2026, 11, 1, 4, 0, 0, 0, time.UTC)
	length := time.Date(2026, 12, 1, 5, 0, 0, 0, time.UTC).Sub(start)
	s, svc := usageService(t, start.Add(length/3))
	drawn := storetest.Entry(1, 0, 120_000)
	drawn.Account, drawn.DID, drawn.Bucket = "contoso", "+14255550100", tandem.Bucket{Account: "contoso", DID: "+14255550100", Cycle: start}
	gone := storetest.Entry(2, 8_500, 60)
	gone.DID, gone.Charge.BilledS, gone.Charge.ChargedS = "+14255550777", 150, 90
	gone.Bucket = tandem.Bucket{Account: "contoso", DID: "+14255550777", Cycle: start}
	full := storetest.Entry(3, 0, 240_000)
	full.Bucket = tandem.Bucket{Account: "contoso", DID: "+14255550778", Cycle: start}
	if err := s.Books(ctx, func(tx tandem.LedgerTx) error {
		for _, e := range []tandem.LedgerEntry{drawn, gone, full} {
			if err := tx.Book(e); err != nil {
				return err
			}
		}
		_, err := tx.Notice(tandem.UsageEvent{Kind: tandem.UsageMinutes100, Account: "contoso", DID: "+14255550778", Cycle: start, At: start.Add(length / 4), UsedS: 240_000, LimitS: 240_000})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	got, err := svc.Minutes(ctx, provisioning.UsageQuery{})
	if err != nil || len(got) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	if u := got[0]; u.Plan != tandem.Unlimited || u.LimitS != 240_000 || u.UsedS != 120_000 || u.LeftS != 120_000 || u.ForecastS != 360_000 || u.RunsOut == nil || !u.RunsOut.Equal(start.Add(length*2/3)) {
		t.Errorf("%+v", u)
	}
	if got[0].ChargedS != 0 || got[1].ChargedS != 90 {
		t.Errorf("charged %d and %d s", got[0].ChargedS, got[1].ChargedS)
	}
	if u := got[1]; u.DID != "+14255550777" || u.Plan != "" || u.ForecastS != 180 || u.RunsOut != nil {
		t.Errorf("%+v", u)
	}
	if u := got[2]; u.LeftS != 0 || u.ForecastS != 960_000 || u.RunsOut == nil || !u.RunsOut.Equal(start.Add(length/4)) {
		t.Errorf("%+v", u)
	}
	if got, err := svc.Minutes(ctx, provisioning.UsageQuery{DID: "+14255550100", At: start.Add(-time.Hour)}); err != nil || len(got) != 1 || got[0].UsedS != 0 || got[0].CycleEnd != start {
		t.Errorf("the cycle before: %+v, %v", got, err)
	}
	if _, err := svc.Minutes(ctx, provisioning.UsageQuery{Account: "nobody"}); tandem.KindOf(err) != tandem.KindNotFound {
		t.Errorf("unknown account: %v", err)
	}
}

// TestSpendByDay: days begin at the account's midnight, top-ups are no spend.
func TestSpendByDay(t *testing.T) {
	ctx := context.Background()
	s, svc := usageService(t, time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))
	midnight := time.Date(2026, 11, 3, 5, 0, 0, 0, time.UTC) // New York
	before, after := storetest.Entry(1, 8_500, 0), storetest.Entry(2, 1_500, 0)
	before.At, after.At = midnight.Add(-time.Microsecond), midnight
	if err := s.Books(ctx, func(tx tandem.LedgerTx) error {
		for _, e := range []tandem.LedgerEntry{before, after} {
			if err := tx.Book(e); err != nil {
				return err
			}
		}
		for i, p := range []tandem.Posting{{Kind: tandem.PostTopUp, Amount: 9}, {Kind: tandem.PostFee, Amount: -100}, {Kind: tandem.PostRefund, Amount: 500}, {Kind: tandem.PostCorrection, Amount: -1}} {
			p.ID, p.Account, p.Currency, p.At = uuid.UUID{byte(i + 1)}, "contoso", "USD", midnight
			if err := tx.Post(p); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	got, err := svc.Spend(ctx, "contoso", "", "")
	if err != nil || len(got.Days) != 2 || got.TimeZone != "America/New_York" {
		t.Fatalf("%+v, %v", got, err)
	}
	if want := (provisioning.SpendDay{Day: "2026-11-02", Calls: 1, Charges: 8_500, Spent: 8_500}); got.Days[0] != want {
		t.Errorf("%+v", got.Days[0])
	}
	if want := (provisioning.SpendDay{Day: "2026-11-03", Calls: 1, Charges: 1_500, Fees: 100, Corrections: -499, Spent: 1_101}); got.Days[1] != want {
		t.Errorf("%+v", got.Days[1])
	}
	if one, err := svc.Spend(ctx, "contoso", "2026-11-03", "2026-11-03"); err != nil || len(one.Days) != 1 || one.Sum.Spent != 1_101 {
		t.Errorf("%+v, %v", one, err)
	}
	if _, err := svc.Spend(ctx, "contoso", "2026-11-04", "2026-11-03"); tandem.KindOf(err) != tandem.KindInvalid {
		t.Errorf("days swapped: %v", err)
	}
}

// TestFeeBelowLowBalance: postings other than charges tell it too, once.
func TestFeeBelowLowBalance(t *testing.T) {
	ctx := context.Background()
	_, svc := usageService(t, time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))
	for _, amount := range []tandem.Amount{6_000_000, -500_000, -600_000, -1} { // low_balance is 5
		kind := tandem.PostFee
		if amount > 0 {
			kind = tandem.PostTopUp
		}
		if _, err := svc.Post(ctx, tandem.Posting{Account: "contoso", Kind: kind, Amount: amount}); err != nil {
			t.Fatal(err)
		}
	}
	got, total, err := svc.UsageEvents(ctx, provisioning.EventQuery{Account: "contoso"})
	if err != nil || total != 1 || got[0].Kind != tandem.UsageLowBalance || got[0].Balance != 4_900_000 || got[0].Threshold != 5_000_000 {
		t.Errorf("%+v, %d, %v", got, total, err)
	}
	if got, total, err := svc.UsageEvents(ctx, provisioning.EventQuery{Account: "contoso", To: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)}); err != nil || total != 0 || len(got) != 0 {
		t.Errorf("earlier: %+v, %d, %v", got, total, err)
	}
}
