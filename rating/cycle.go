package rating

import "time"

// Cycle is the calendar month of an instant in a time zone; see CycleOn.
func Cycle(at time.Time, zone *time.Location) (start, next time.Time) { return CycleOn(at, zone, 1) }

// CycleOn is the billing cycle of an instant in a time zone, when cycles begin on a
// day of the month: start <= at < next, both in UTC. In a month without that
// day the cycle begins on its last one: 31 January, 28 February, 31 March, each
// counted from the day itself. Boundaries are local midnights found by calendar
// arithmetic: months have 672 to 745 hours. Where midnight is skipped by a
// change of the clocks the cycle begins with the first instant after the gap, where
// it comes twice with the first occurrence. A day outside 1 to 31 is the nearest of them.
func CycleOn(at time.Time, zone *time.Location, day int) (start, next time.Time) {
	year, month, _ := at.In(zone).Date()
	// Clocks that are set back over midnight show the day before again for a
	// while: those instants are in the cycle that had begun already. So the
	// search goes by instants, from a cycle that has surely begun.
	for month--; ; month++ {
		start, next = firstInstant(year, month, day, zone), firstInstant(year, month+1, day, zone)
		if at.Before(next) {
			return start.UTC(), next.UTC()
		}
	}
}

// firstInstant is when a day of a month begins in a zone; of a month that is
// shorter, its last day.
func firstInstant(year int, month time.Month, day int, zone *time.Location) time.Time {
	last := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	want := time.Date(year, month, min(max(day, 1), last), 0, 0, 0, 0, time.UTC)
	year, month, day = want.Date()
	t := time.Date(year, month, day, 0, 0, 0, 0, zone)
	since, until := t.ZoneBounds()
	y, m, d := t.Date()
	switch shown := time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, time.UTC); {
	// Midnight does not exist, or the whole day does not: time.Date has answered
	// with an instant on either side of the gap.
	case shown.Before(want):
		return until
	case shown.After(want):
		return since
	}
	if since.IsZero() {
		return t
	}
	// Midnight under the offset that was in force before: if that instant is
	// before the change, midnight comes twice and this is its first time.
	_, before := since.Add(-time.Nanosecond).Zone()
	_, now := t.Zone()
	if first := t.Add(time.Duration(now-before) * time.Second); first.Before(since) {
		return first
	}
	return t
}
