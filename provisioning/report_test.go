package provisioning_test

import (
	"net/url"
	"testing"
	"time"

	"tandem/provisioning"
)

func TestFilterDates(t *testing.T) {
	q := url.Values{"from": {"2026-11-01"}, "to": {"2026-11-30"}, "number": {"+1 (425) 555-0100"}}
	f, err := provisioning.ParseFilter(q.Get)
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC); !f.To.Equal(want) || f.From.Day() != 1 || f.Number != "14255550100" {
		t.Errorf("%+v: a date as \"to\" includes that day", f)
	}
	q.Set("to", "2026-11-30T12:00:00+02:00")
	if f, err = provisioning.ParseFilter(q.Get); err != nil || !f.To.Equal(time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("%v, %v", f.To, err)
	}
}

// FuzzFilter: any query is read or refused, and what is read is searchable.
func FuzzFilter(f *testing.F) {
	f.Add("from=2026-11-01&to=2026-11-02&number=1425&limit=5&offset=10&technology=Phone&account=a")
	f.Add("limit=-1&number=%27")
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		filter, err := provisioning.ParseFilter(q.Get)
		if err != nil {
			return
		}
		for _, c := range filter.Number {
			if c < '0' || c > '9' {
				t.Errorf("number %q", filter.Number)
			}
		}
		if filter.Limit < 0 || filter.Limit > provisioning.MaxRows+1 || filter.Offset < 0 {
			t.Errorf("limit %d offset %d", filter.Limit, filter.Offset)
		}
	})
}
