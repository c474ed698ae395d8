package rating

import (
	"sort"
	"time"
)

// cycles are the starts of a zone's cycles that begin on a day over some decades, in Unix seconds:
// finding a month among them takes a fraction of computing it, and a rater asks
// for each call. It is immutable.
type cycles struct {
	zone   *time.Location
	day    int
	starts []int64
}

// The table's first and last year; instants outside are computed.
const (
	firstYear = 2020
	lastYear  = 2045
)

func newCycles(zone *time.Location, day int) *cycles {
	c := &cycles{zone: zone, day: day}
	last := time.Date(lastYear+1, 1, 1, 0, 0, 0, 0, time.UTC)
	for at := time.Date(firstYear, 1, 15, 0, 0, 0, 0, time.UTC); ; {
		start, next := CycleOn(at, zone, day)
		c.starts = append(c.starts, start.Unix())
		if next.After(last) {
			return c
		}
		at = next
	}
}

// at is CycleOn in the zone.
func (c *cycles) at(at time.Time) (start, next time.Time) {
	s := at.Unix()
	i := sort.Search(len(c.starts), func(i int) bool { return c.starts[i] > s })
	if i == 0 || i == len(c.starts) {
		return CycleOn(at, c.zone, c.day)
	}
	return time.Unix(c.starts[i-1], 0).UTC(), time.Unix(c.starts[i], 0).UTC()
}
