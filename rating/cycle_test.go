package rating

import (
	"testing"
	"time"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Skipf("zone %s is not on this machine: %v", name, err)
	}
	return z
}

func TestCycle(t *testing.T) {
	for name, c := range map[string]struct{ zone, at, start, next string }{
		"spring month of 743 h":           {"America/New_York", "2026-03-15T12:00:00Z", "2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z"},
		"autumn month of 721 h":           {"America/New_York", "2026-11-15T12:00:00Z", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z"},
		"first instant belongs":           {"America/New_York", "2026-11-01T04:00:00Z", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z"},
		"last instant belongs":            {"America/New_York", "2026-11-01T03:59:59.999Z", "2026-10-01T04:00:00Z", "2026-11-01T04:00:00Z"},
		"year end":                        {"America/Los_Angeles", "2027-01-01T07:59:59Z", "2026-12-01T08:00:00Z", "2027-01-01T08:00:00Z"},
		"february of a leap year":         {"UTC", "2028-02-29T23:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"},
		"half-hour zone":                  {"Asia/Kolkata", "2026-01-31T18:30:00Z", "2026-01-31T18:30:00Z", "2026-02-28T18:30:00Z"},
		"repeated hour, second pass":      {"America/New_York", "2026-11-01T06:30:00Z", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z"},
		"midnight of the 1st skipped":     {"America/Asuncion", "2017-10-01T12:00:00Z", "2017-10-01T04:00:00Z", "2017-11-01T03:00:00Z"},
		"midnight of the 1st comes twice": {"America/Havana", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			at, _ := time.Parse(time.RFC3339Nano, c.at)
			start, next := Cycle(at, zone(t, c.zone))
			if start.Format(time.RFC3339) != c.start || next.Format(time.RFC3339) != c.next {
				t.Errorf("%s to %s, want %s to %s", start.Format(time.RFC3339), next.Format(time.RFC3339), c.start, c.next)
			}
		})
	}
	spring, _ := time.Parse(time.RFC3339, "2026-03-15T12:00:00Z")
	if start, next := Cycle(spring, zone(t, "America/New_York")); next.Sub(start) != 743*time.Hour {
		t.Errorf("March 2026 has %s", next.Sub(start))
	}
}

// TestCyclesTile: every instant lies in exactly one cycle, and cycles follow one
// another without gap, in zones with every kind of odd midnight.
func TestCyclesTile(t *testing.T) {
	for _, name := range []string{"UTC", "America/New_York", "America/Havana", "America/Asuncion", "America/Sao_Paulo", "Africa/Cairo", "Asia/Beirut", "Asia/Amman", "Asia/Tehran",
		"Pacific/Apia", "Antarctica/Troll", "Australia/Lord_Howe", "America/St_Johns", "America/Scoresbysund", "Atlantic/Azores", "Asia/Gaza"} {
		z := zone(t, name)
		start, next := Cycle(time.Date(1975, 1, 15, 0, 0, 0, 0, time.UTC), z)
		for next.Year() < 2040 {
			if !start.Before(next) || next.Sub(start) < 27*24*time.Hour || next.Sub(start) > 32*24*time.Hour {
				t.Fatalf("%s: cycle from %s to %s", name, start, next)
			}
			if local := next.In(z); local.Day() != 1 || local.Hour() > 1 {
				t.Fatalf("%s: cycle begins at %s", name, local)
			}
			for _, at := range []time.Time{start, start.Add(time.Hour), start.Add(90 * time.Minute), start.Add(2 * time.Hour), next.Add(-time.Hour), next.Add(-time.Nanosecond)} {
				if s, n := Cycle(at, z); !s.Equal(start) || !n.Equal(next) {
					t.Fatalf("%s: %s is in %s to %s, want %s to %s", name, at, s, n, start, next)
				}
			}
			start, next = Cycle(next, z)
		}
	}
}

// TestCycleDay: months that are too short begin on their last day, counted from
// the day itself and not from the cycle before.
func TestCycleDay(t *testing.T) {
	at := func(s string) time.Time {
		x, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for name, c := range map[string]struct {
		zone  string
		day   int
		first string
		want  []string // starts of the cycles that follow, the one of first before them
	}{
		"31st":                      {zone: "UTC", day: 31, first: "2026-02-10T00:00:00Z", want: []string{"2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z", "2026-04-30T00:00:00Z", "2026-05-31T00:00:00Z"}},
		"30th":                      {zone: "UTC", day: 30, first: "2028-02-10T00:00:00Z", want: []string{"2028-01-30T00:00:00Z", "2028-02-29T00:00:00Z", "2028-03-30T00:00:00Z"}},
		"15th with DST":             {zone: "America/New_York", day: 15, first: "2026-03-01T00:00:00Z", want: []string{"2026-02-15T05:00:00Z", "2026-03-15T04:00:00Z"}},
		"31st in autumn":            {zone: "America/New_York", day: 31, first: "2026-11-05T00:00:00Z", want: []string{"2026-10-31T04:00:00Z", "2026-11-30T05:00:00Z", "2026-12-31T05:00:00Z"}},
		"a day that a zone skipped": {zone: "Pacific/Apia", day: 30, first: "2011-12-05T00:00:00Z", want: []string{"2011-11-30T10:00:00Z", "2011-12-30T10:00:00Z", "2012-01-29T10:00:00Z"}},
		"0 is the 1st":              {zone: "UTC", day: 0, first: "2026-02-10T00:00:00Z", want: []string{"2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			z, instant := zone(t, c.zone), at(c.first)
			for _, want := range c.want {
				start, next := CycleOn(instant, z, c.day)
				if start.Format(time.RFC3339) != want {
					t.Errorf("cycle of %s from %s, want %s", instant, start, want)
				}
				instant = next
			}
		})
	}
}

// TestCyclesOfAnyDayTile: whatever day and zone, cycles follow one another
// without gap, and every instant is in the one that it lies in.
func TestCyclesOfAnyDayTile(t *testing.T) {
	for _, name := range []string{"UTC", "America/New_York", "America/Havana", "America/Asuncion", "Africa/Cairo", "Asia/Beirut", "Pacific/Apia", "Australia/Lord_Howe", "Asia/Gaza"} {
		z := zone(t, name)
		for day := 1; day <= 31; day++ {
			table := newCycles(z, day)
			start, next := CycleOn(time.Date(2005, 1, 15, 0, 0, 0, 0, time.UTC), z, day)
			for next.Year() < 2035 {
				if next.Sub(start) < 26*24*time.Hour || next.Sub(start) > 33*24*time.Hour {
					t.Fatalf("%s, day %d: cycle from %s to %s", name, day, start, next)
				}
				for _, at := range []time.Time{start, start.Add(time.Hour), start.Add(90 * time.Minute), next.Add(-time.Hour), next.Add(-time.Nanosecond)} {
					s, n := CycleOn(at, z, day)
					ts, tn := table.at(at)
					if !s.Equal(start) || !n.Equal(next) || !ts.Equal(start) || !tn.Equal(next) {
						t.Fatalf("%s, day %d: %s is in %s to %s, by the table %s to %s, want %s to %s", name, day, at, s, n, ts, tn, start, next)
					}
				}
				start, next = CycleOn(next, z, day)
			}
		}
	}
}

// TestTableOfCycles: the table finds the same months as the calendar.
func TestTableOfCycles(t *testing.T) {
	for _, name := range []string{"UTC", "America/New_York", "Africa/Cairo", "Asia/Beirut", "America/Santiago", "Pacific/Apia"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		table := newCycles(zone, 1)
		check := func(at time.Time) {
			start, next := table.at(at)
			wantStart, wantNext := Cycle(at, zone)
			if !start.Equal(wantStart) || !next.Equal(wantNext) {
				t.Errorf("%s in %s: %s to %s, want %s to %s", at, name, start, next, wantStart, wantNext)
			}
		}
		for _, s := range table.starts {
			for _, around := range []time.Duration{-time.Second, -time.Nanosecond, 0, time.Nanosecond, 36 * time.Hour} {
				check(time.Unix(s, 0).Add(around))
			}
		}
		check(time.Date(1999, 12, 31, 23, 0, 0, 0, time.UTC))
		check(time.Date(2080, 2, 29, 12, 0, 0, 0, time.UTC))
	}
}
