package provtest

import (
	"context"
	"time"

	"tandem"
	"tandem/provisioning"
)

// Books answers with a few samples; nothing can be posted.
type Books struct{}

// Books implements tandem.LedgerStore.
func (Books) Books(context.Context, func(tandem.LedgerTx) error) error {
	return &tandem.Error{Kind: tandem.KindUnavailable, Message: "sample books take no postings"}
}

// Statement implements provisioning.Books.
func (Books) Statement(_ context.Context, q provisioning.StatementQuery) (provisioning.Statement, error) {
	return provisioning.Statement{Account: q.Account, Currency: q.Currency, From: q.From, To: q.To, Sums: []provisioning.PostingSum{}, Items: []tandem.Posting{}}, nil
}

// Buckets implements provisioning.Books.
func (Books) Buckets(context.Context, string, time.Time) (map[tandem.E164]int64, error) {
	return map[tandem.E164]int64{"+14255550100": 192_000}, nil
}

// Charged implements provisioning.Books.
func (Books) Charged(context.Context, string, time.Time, time.Time) (map[tandem.E164]int64, error) {
	return map[tandem.E164]int64{"+14255550101": 5_400}, nil
}

// Spent implements provisioning.Books.
func (Books) Spent(context.Context, string, tandem.Currency, time.Time, time.Time) ([]provisioning.SpentQuarter, error) {
	return []provisioning.SpentQuarter{{At: time.Date(2026, 11, 3, 15, 0, 0, 0, time.UTC), Kind: tandem.PostCharge, Count: 2, Amount: -17_000}}, nil
}

// UsageEvents implements provisioning.Books.
func (Books) UsageEvents(context.Context, provisioning.EventQuery) ([]tandem.UsageEvent, int, error) {
	return []tandem.UsageEvent{{Kind: tandem.UsageMinutes80, Account: "contoso", DID: "+14255550100", Cycle: time.Date(2026, 11, 1, 4, 0, 0, 0, time.UTC), At: Now(), UsedS: 192_000, LimitS: 240_000}}, 1, nil
}

// month is a cycle as rating.Cycle has them but for odd midnights.
func month(at time.Time, zone *time.Location, _ int) (start, next time.Time) {
	y, m, _ := at.In(zone).Date()
	return time.Date(y, m, 1, 0, 0, 0, 0, zone).UTC(), time.Date(y, m+1, 1, 0, 0, 0, 0, zone).UTC()
}
