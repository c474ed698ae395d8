package provisioning

import (
	"context"
	"fmt"
	"time"

	"tandem"
)

// maxSpendDays bounds a spend report.
const maxSpendDays = 400

// Spend is what an account spent, day by day in its own zone.
type Spend struct {
	Account  string          `json:"account"`
	Currency tandem.Currency `json:"currency"`
	TimeZone string          `json:"time_zone"`
	Days     []SpendDay      `json:"days" doc:"each day of the period on which something was posted"`
	Sum      SpendDay        `json:"sum"`
}

// SpendDay sums up one day. Amounts are positive when they were taken from the balance.
type SpendDay struct {
	Day         string        `json:"day,omitempty" doc:"local date; a call counts on the day of its answer"`
	Calls       int           `json:"calls" doc:"legs that cost something"`
	Charges     tandem.Amount `json:"charges" doc:"for calls"`
	Fees        tandem.Amount `json:"fees"`
	Corrections tandem.Amount `json:"corrections" doc:"corrections and refunds; negative: given back"`
	Spent       tandem.Amount `json:"spent" doc:"charges, fees and corrections"`
}

func (d *SpendDay) add(q SpentQuarter) {
	switch q.Kind {
	case tandem.PostTopUp:
		return
	case tandem.PostCharge:
		d.Calls, d.Charges = d.Calls+q.Count, d.Charges-q.Amount
	case tandem.PostFee:
		d.Fees -= q.Amount
	default:
		d.Corrections -= q.Amount
	}
	d.Spent -= q.Amount
}

// Spend is an account's spend from a day to a day, both included: dates count in
// the account's zone. Empty days are left out; "" is the first of the month and today.
func (s *Service) Spend(ctx context.Context, id, first, last string) (Spend, error) {
	a, err := s.account(ctx, id)
	if err != nil {
		return Spend{}, err
	}
	zone, err := time.LoadLocation(a.TimeZone)
	if err != nil {
		return Spend{}, err
	}
	today := s.d.Clock().In(zone)
	from, err := localDay(first, "from", time.Date(today.Year(), today.Month(), 1, 0, 0, 0, 0, zone))
	if err != nil {
		return Spend{}, err
	}
	to, err := localDay(last, "to", today)
	if err != nil {
		return Spend{}, err
	}
	if to.Before(from) {
		return Spend{}, refuse("from", first, "is after to", "swap them")
	}
	if to.Sub(from) > maxSpendDays*24*time.Hour {
		return Spend{}, refuse("from", first, "is too long before to", fmt.Sprintf("ask for at most %d days", maxSpendDays))
	}
	// A day more on both sides: a midnight may not exist, the date decides.
	quarters, err := s.d.Books.Spent(ctx, a.ID, a.Currency, from.AddDate(0, 0, -1), to.AddDate(0, 0, 2))
	if err != nil {
		return Spend{}, err
	}
	out := Spend{Account: a.ID, Currency: a.Currency, TimeZone: a.TimeZone, Days: []SpendDay{}}
	lowest, highest := from.Format(time.DateOnly), to.Format(time.DateOnly)
	for _, q := range quarters {
		day := q.At.In(zone).Format(time.DateOnly)
		if day < lowest || day > highest || q.Kind == tandem.PostTopUp {
			continue
		}
		if n := len(out.Days); n == 0 || out.Days[n-1].Day != day {
			out.Days = append(out.Days, SpendDay{Day: day})
		}
		out.Days[len(out.Days)-1].add(q)
		out.Sum.add(q)
	}
	return out, nil
}

// localDay reads a date as a day whose noon is the instant; empty is that of the other instant.
func localDay(s, field string, otherwise time.Time) (time.Time, error) {
	if s == "" {
		s = otherwise.Format(time.DateOnly)
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < 1970 || t.Year() > 9998 {
		return t, refuse(field, s, "is not a date", "write it as in 2026-01-31")
	}
	return t.Add(12 * time.Hour), nil
}
