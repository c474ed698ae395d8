package provisioning

import (
	"cmp"
	"context"
	"slices"
	"time"

	"tandem"
)

// EventQuery asks for usage events, the newest first. Zero fields do not restrict.
type EventQuery struct {
	Account       string
	DID           tandem.E164
	From, To      time.Time // half-open, by UsageEvent.At
	Limit, Offset int
}

// SpentQuarter sums up an account's postings of one kind within a quarter of an
// hour, from which days in any zone are made.
type SpentQuarter struct {
	At     time.Time
	Kind   tandem.PostingKind
	Count  int
	Amount tandem.Amount // what the balance moved by
}

// NumberUsage is what a number has talked in one cycle: free minutes and charged ones.
type NumberUsage struct {
	Account  string          `json:"account"`
	DID      tandem.E164     `json:"did"`
	Plan     tandem.PlanKind `json:"plan,omitempty" doc:"its plan now; absent: the number is no longer there"`
	Cycle    time.Time       `json:"cycle" doc:"start"`
	CycleEnd time.Time       `json:"cycle_end" doc:"exclusive"`
	LimitS   int64           `json:"limit_s" doc:"seconds of the bucket; 0: the plan has none"`
	UsedS    int64           `json:"used_s" doc:"of them drawn, in billed seconds"`
	LeftS    int64           `json:"left_s"`
	ChargedS int64           `json:"charged_s" doc:"billed seconds that were charged for, as first rated: all of a Metered number's, and what is beyond the bucket or never draws"`
	// ForecastS goes on as the cycle did so far; with a bucket that is empty already, as it did until then.
	ForecastS int64      `json:"forecast_s" doc:"seconds that the whole cycle needs if it goes on as so far"`
	RunsOut   *time.Time `json:"runs_out,omitempty" doc:"when the bucket is empty, past or forecast; absent: it lasts"`
}

// UsageQuery asks for the use of free minutes.
type UsageQuery struct {
	Account string
	DID     tandem.E164
	At      time.Time // an instant of the cycle asked for; zero = now
}

// Minutes is the use of free minutes by number, in the cycle around an instant.
func (s *Service) Minutes(ctx context.Context, q UsageQuery) ([]NumberUsage, error) {
	if s.d.Books == nil || s.d.Cycle == nil {
		return nil, absent("the books are not open here", "ask a node that runs tandem serve")
	}
	dir, err := s.d.Store.Directory(ctx)
	if err != nil {
		return nil, err
	}
	now := s.d.Clock().UTC()
	if q.At.IsZero() {
		q.At = now
	}
	numbers := map[string][]*tandem.Number{}
	for i := range dir.Numbers {
		numbers[dir.Numbers[i].Account] = append(numbers[dir.Numbers[i].Account], &dir.Numbers[i])
	}
	out, known := []NumberUsage{}, q.Account == ""
	for i := range dir.Accounts {
		a := &dir.Accounts[i]
		if q.Account != "" && q.Account != a.ID {
			continue
		}
		known = true
		list, err := s.minutesOf(ctx, a, numbers[a.ID], q, now)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	if !known {
		return nil, noAccount(q.Account)
	}
	if q.DID != "" && len(out) == 0 {
		return nil, &tandem.Error{Kind: tandem.KindNotFound, Field: "did", Message: tandem.Clip(string(q.DID), 20) + " is not a number here, and has drawn no minutes in that cycle", Mend: "list numbers with GET /api/v1/numbers"}
	}
	return out, nil
}

// minutesOf lists the numbers of an account, and those that talked and are gone.
func (s *Service) minutesOf(ctx context.Context, a *tandem.Account, numbers []*tandem.Number, q UsageQuery, now time.Time) ([]NumberUsage, error) {
	zone, err := time.LoadLocation(a.TimeZone)
	if err != nil {
		return nil, err
	}
	start, next := s.d.Cycle(q.At, zone, a.CycleDay)
	used, err := s.d.Books.Buckets(ctx, a.ID, start)
	if err != nil {
		return nil, err
	}
	charged, err := s.d.Books.Charged(ctx, a.ID, start, next)
	if err != nil {
		return nil, err
	}
	empty, err := s.emptied(ctx, a.ID, start, next)
	if err != nil {
		return nil, err
	}
	var out []NumberUsage
	add := func(did tandem.E164, plan tandem.PlanKind) {
		u := NumberUsage{Account: a.ID, DID: did, Plan: plan, Cycle: start, CycleEnd: next, UsedS: used[did], ChargedS: charged[did]}
		if plan == tandem.Unlimited || u.UsedS > 0 {
			u.LimitS = int64(a.FreeMinutes) * 60
		}
		if q.DID == "" || q.DID == did {
			u.forecast(now, empty[did])
			out = append(out, u)
		}
	}
	listed := map[tandem.E164]bool{}
	for _, n := range numbers {
		add(n.DID, n.Plan)
		listed[n.DID] = true
	}
	for _, seconds := range []map[tandem.E164]int64{used, charged} {
		for did := range seconds {
			if !listed[did] {
				add(did, "")
				listed[did] = true
			}
		}
	}
	slices.SortFunc(out, func(x, y NumberUsage) int { return cmp.Compare(x.DID, y.DID) })
	return out, nil
}

// emptied tells when buckets of a cycle were empty.
func (s *Service) emptied(ctx context.Context, account string, start, next time.Time) (map[tandem.E164]time.Time, error) {
	events, _, err := s.d.Books.UsageEvents(ctx, EventQuery{Account: account, From: start, To: next, Limit: 1_000_000})
	out := map[tandem.E164]time.Time{}
	for _, e := range events {
		if e.Kind == tandem.UsageMinutes100 {
			out[e.DID] = e.At
		}
	}
	return out, err
}

// forecast fills in what is left and what comes; empty is when the bucket was, zero = it is not.
func (u *NumberUsage) forecast(now, empty time.Time) {
	u.LeftS = max(u.LimitS-u.UsedS, 0)
	u.ForecastS = u.UsedS
	until := now
	if u.LimitS > 0 && u.LeftS == 0 && !empty.IsZero() {
		until, u.RunsOut = empty, &empty
	}
	elapsed, length := int64(until.Sub(u.Cycle)/time.Second), int64(u.CycleEnd.Sub(u.Cycle)/time.Second)
	if u.UsedS == 0 || elapsed <= 0 || elapsed >= length {
		return
	}
	u.ForecastS = u.UsedS * length / elapsed // at most 6e7 * 2.7e6
	if u.LeftS > 0 && u.ForecastS > u.LimitS {
		at := u.Cycle.Add(time.Duration(elapsed*u.LimitS/u.UsedS) * time.Second)
		u.RunsOut = &at
	}
}

// UsageEvents lists events, the newest first, and how many there are.
func (s *Service) UsageEvents(ctx context.Context, q EventQuery) ([]tandem.UsageEvent, int, error) {
	if s.d.Books == nil {
		return nil, 0, absent("the books are not open here", "ask a node that runs tandem serve")
	}
	if q.Limit == 0 {
		q.Limit = DefaultRows
	}
	if err := checkFilter(tandem.CDRFilter{From: q.From, To: q.To, Limit: q.Limit, Offset: q.Offset}); err != nil {
		return nil, 0, err
	}
	return s.d.Books.UsageEvents(ctx, q)
}

// noticeBalance stores an event when a posting left an account with less than
// its low_balance; Post and whoever else takes money calls it in the same transaction.
func (s *Service) noticeBalance(tx tandem.LedgerTx, a *tandem.Account, balance tandem.Amount) (fresh bool, err error) {
	e, low, err := s.lowBalance(a, balance)
	if err != nil || !low {
		return false, err
	}
	return tx.Notice(e)
}

// lowBalance is the event of a balance; low is false when it needs none.
func (s *Service) lowBalance(a *tandem.Account, balance tandem.Amount) (e tandem.UsageEvent, low bool, err error) {
	if a.LowBalance == nil || balance >= *a.LowBalance || s.d.Cycle == nil {
		return e, false, nil
	}
	zone, err := time.LoadLocation(a.TimeZone)
	if err != nil {
		return e, false, err
	}
	now := s.d.Clock().UTC()
	cycle, _ := s.d.Cycle(now, zone, a.CycleDay)
	return tandem.UsageEvent{Kind: tandem.UsageLowBalance, Account: a.ID, Cycle: cycle, At: now, Balance: balance, Threshold: *a.LowBalance, Currency: a.Currency}, true, nil
}
