package deck

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func mustTimes(t testing.TB, s string) *Times {
	t.Helper()
	times, err := ParseTimes(s)
	if err != nil {
		t.Fatal(err)
	}
	return times
}

func instant(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestTimesContain(t *testing.T) {
	const business = "America/New_York Mon-Fri 08:00-18:00"
	for name, c := range map[string]struct {
		times, at string
		want      bool
	}{
		"inside":                              {business, "2026-11-27T08:00:00-05:00", true},
		"the end is outside":                  {business, "2026-11-27T18:00:00-05:00", false},
		"the last millisecond is inside":      {business, "2026-11-27T17:59:59.999-05:00", true},
		"saturday":                            {business, "2026-11-28T12:00:00-05:00", false},
		"UTC is converted":                    {business, "2026-11-27T12:59:59Z", false},
		"past midnight, evening":              {"UTC Fri 22:00-06:00", "2026-11-27T23:00:00Z", true},
		"past midnight, morning":              {"UTC Fri 22:00-06:00", "2026-11-28T05:59:00Z", true},
		"past midnight, other morning":        {"UTC Fri 22:00-06:00", "2026-11-27T05:59:00Z", false},
		"past the end of the week":            {"UTC Sat 22:00-06:00", "2026-11-29T05:00:00Z", true},
		"whole days":                          {"UTC Sat,Sun", "2026-11-29T23:59:59Z", true},
		"days over the weekend":               {"UTC Fri-Mon 00:00-24:00", "2026-11-30T12:00:00Z", true},
		"second part":                         {business + "; Sat 09:00-12:00", "2026-11-28T09:00:00-05:00", true},
		"the repeated hour counts, first":     {"America/New_York Sun 01:00-02:00", "2026-11-01T01:30:00-04:00", true},
		"the repeated hour counts, again":     {"America/New_York Sun 01:00-02:00", "2026-11-01T01:30:00-05:00", true},
		"the skipped hour does not come":      {"America/New_York Sun 02:00-03:00", "2026-03-08T03:00:00-04:00", false},
		"what begins in the gap begins after": {"America/New_York Sun 02:30-05:00", "2026-03-08T03:00:00-04:00", true},
	} {
		if got := mustTimes(t, c.times).Contain(instant(t, c.at)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestParseTimesRefuses(t *testing.T) {
	for name, s := range map[string]string{
		"ErrEmpty": "", "ErrNoDays": "UTC", "ErrZone": "Mars/Olympus Mon 08:00-09:00", "ErrLocal": "Local Mon 08:00-09:00", "ErrNoZone": "Mon-Fri 08:00-18:00",
		"ErrDay": "UTC Monday 08:00-18:00", "ErrHours": "UTC Mon 8-18", "ErrMinute": "UTC Mon 08:60-18:00", "ErrHour": "UTC Mon 08:00-25:00",
		"ErrBegins24": "UTC Mon 24:00-01:00", "ErrTwoHours": "UTC Mon 08:00-09:00 10:00-11:00", "ErrTrailing": "UTC Mon;",
	} {
		if _, err := ParseTimes(s); err == nil {
			t.Errorf("%s: %q accepted", name, s)
		}
	}
}

// TestNextIsTheNextChange: between an instant and its Next nothing changes,
// whatever the zone does with its clocks.
func TestNextIsTheNextChange(t *testing.T) {
	list := []*Times{mustTimes(t, "America/New_York Mon-Fri 08:00-18:00; Sun 01:30-05:00"), mustTimes(t, "Africa/Cairo Fri 22:00-06:00"),
		mustTimes(t, "Australia/Lord_Howe Sun 01:45-02:15; Wed"), mustTimes(t, "UTC Mon 00:00-24:00"), mustTimes(t, "Asia/Kathmandu Sun-Sat 00:00-00:15")}
	start := instant(t, "2026-01-01T00:00:00Z")
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SampledFrom(list).Draw(t, "times")
		at := start.Add(time.Duration(rapid.Int64Range(0, 2*365*86400*1000).Draw(t, "ms")) * time.Millisecond)
		next := times.Next(at)
		if !next.After(at) || next.Sub(at) > oneWeek {
			t.Fatalf("next of %s is %s", at, next)
		}
		inside := at.Add(time.Duration(rapid.Int64Range(0, int64(next.Sub(at))-1).Draw(t, "inside")))
		if times.Contain(inside) != times.Contain(at) {
			t.Fatalf("%s and %s differ before %s", at, inside, next)
		}
	})
}
