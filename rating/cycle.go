package rating

import "time"

// Cycle is the calendar month of an instant in a time zone: start <= at < next,
// both in UTC. Boundaries are local midnights found by calendar arithmetic:
// months have 672 to 745 hours. Where midnight is skipped by a change of the
// clocks the month begins with the first instant after the gap, where it comes
// twice with the first occurrence.
func Cycle(at time.Time, zone *time.Location) (start, next time.Time) {
	year, month, _ := at.In(zone).Date()
	start, next = firstInstant(year, month, zone), firstInstant(year, month+1, zone)
	// Clocks that are set back over midnight show the old month again for a
	// while: those instants are in the month that had begun already.
	if !at.Before(next) {
		start, next = next, firstInstant(year, month+2, zone)
	}
	return start.UTC(), next.UTC()
}

// firstInstant is when a month begins in a zone.
func firstInstant(year int, month time.Month, zone *time.Location) time.Time {
	t := time.Date(year, month, 1, 0, 0, 0, 0, zone)
	since, until := t.ZoneBounds()
	if h, m, s := t.Clock(); t.Day() != 1 || h+m+s != 0 {
		// Midnight does not exist: time.Date has answered with an instant on
		// either side of the gap.
		if t.Day() != 1 {
			return until
		}
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
