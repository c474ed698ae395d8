package deck

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem"
)

// Times are times of the week by the clock on the wall in one IANA zone, as a
// deck row writes them:
//
//	America/New_York Mon-Fri 08:00-18:00; Sat,Sun 09:00-12:00
//
// Days without hours are whole days; hours that end where they begin or before
// run past midnight (22:00-06:00). An instant belongs to the times when the
// local clock shows one of them: an hour that the clocks repeat in autumn counts
// both times, one that they skip in spring does not come. It is read-only.
type Times struct {
	zone    *time.Location
	windows []window // sorted, apart from each other
}

// window is a part of the week: from <= t < to since Sunday 00:00.
type window struct{ from, to time.Duration }

const (
	oneDay  = 24 * time.Hour
	oneWeek = 7 * oneDay
)

const timesMend = "write a zone, days and hours, as in America/New_York Mon-Fri 08:00-18:00; Sat 09:00-12:00"

// ParseTimes reads what a row's Times say.
func ParseTimes(s string) (*Times, error) {
	zone, rest, _ := strings.Cut(strings.TrimSpace(s), " ")
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "" || zone == "Local" {
		return nil, &tandem.Error{Kind: tandem.KindInvalid, Message: fmt.Sprintf("%q is not a time zone", tandem.Clip(zone, 40)),
			Mend: "write an IANA zone such as America/New_York before the days", Err: err}
	}
	t := &Times{zone: loc}
	for part := range strings.SplitSeq(rest, ";") {
		days, hours, _ := strings.Cut(strings.TrimSpace(part), " ")
		list, ok := parseDays(days)
		from, to, fine := parseHours(strings.TrimSpace(hours))
		if !ok || !fine {
			return nil, &tandem.Error{Kind: tandem.KindInvalid, Message: fmt.Sprintf("%q is not a time of the week", tandem.Clip(strings.TrimSpace(part), 40)), Mend: timesMend}
		}
		for _, day := range list {
			t.add(time.Duration(day)*oneDay+from, time.Duration(day)*oneDay+to)
		}
	}
	t.join()
	return t, nil
}

// add puts in a window, which may reach into the next week.
func (t *Times) add(from, to time.Duration) {
	if to > oneWeek {
		t.windows = append(t.windows, window{0, to - oneWeek})
		to = oneWeek
	}
	t.windows = append(t.windows, window{from, to})
}

// join sorts the windows and joins those that touch.
func (t *Times) join() {
	slices.SortFunc(t.windows, func(a, b window) int { return int((a.from - b.from) / time.Second) })
	out := t.windows[:0]
	for _, w := range t.windows {
		if n := len(out); n > 0 && w.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, w.to)
			continue
		}
		out = append(out, w)
	}
	t.windows = out
}

var dayNames = [...]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

// parseDays reads "Mon", "Mon-Fri" (also over the weekend: "Fri-Mon") and lists.
func parseDays(s string) (days []int, ok bool) {
	for item := range strings.SplitSeq(s, ",") {
		first, last, ranged := strings.Cut(item, "-")
		if !ranged {
			last = first
		}
		from, to := slices.Index(dayNames[:], first), slices.Index(dayNames[:], last)
		if from < 0 || to < 0 {
			return nil, false
		}
		for d := from; ; d = (d + 1) % 7 {
			days = append(days, d)
			if d == to {
				break
			}
		}
	}
	return days, true
}

// parseHours reads "08:00-18:00"; "" is the whole day.
func parseHours(s string) (from, to time.Duration, ok bool) {
	if s == "" {
		return 0, oneDay, true
	}
	first, last, _ := strings.Cut(s, "-")
	from, fine := parseClock(first)
	to, good := parseClock(last)
	if !fine || !good || from == oneDay {
		return 0, 0, false
	}
	if to <= from {
		to += oneDay
	}
	return from, to, true
}

// parseClock reads "00:00" to "24:00".
func parseClock(s string) (time.Duration, bool) {
	if len(s) != 5 || s[2] != ':' || !allDigits(s[:2]) || !allDigits(s[3:]) {
		return 0, false
	}
	h, m := int(s[0]-'0')*10+int(s[1]-'0'), int(s[3]-'0')*10+int(s[4]-'0')
	d := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
	return d, m < 60 && d <= oneDay
}

// clock is how long ago the local week began by the clock on the wall.
func (t *Times) clock(at time.Time) (local time.Time, since time.Duration) {
	local = at.In(t.zone)
	h, m, s := local.Clock()
	return local, time.Duration(local.Weekday())*oneDay + time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second + time.Duration(local.Nanosecond())
}

// Contain reports whether the instant belongs to the times.
func (t *Times) Contain(at time.Time) bool {
	_, since := t.clock(at)
	for _, w := range t.windows {
		if since < w.from {
			break
		}
		if since < w.to {
			return true
		}
	}
	return false
}

// Next is the first instant after at at which Contain may change: an edge of a
// window or a change of the zone's clocks, between which the clock on the wall
// runs evenly.
func (t *Times) Next(at time.Time) time.Time {
	local, since := t.clock(at)
	wait := oneWeek
	for _, w := range t.windows {
		for _, edge := range [...]time.Duration{w.from, w.to} {
			ahead := edge - since
			if ahead <= 0 {
				ahead += oneWeek
			}
			wait = min(wait, ahead)
		}
	}
	next := at.Add(wait)
	if _, change := local.ZoneBounds(); !change.IsZero() && change.Before(next) {
		next = change
	}
	return next
}

// overlap reports whether two times share an instant, as far as the week tells:
// in different zones they are taken to.
func (t *Times) overlap(o *Times) bool {
	if t.zone.String() != o.zone.String() {
		return true
	}
	for _, a := range t.windows {
		for _, b := range o.windows {
			if a.from < b.to && b.from < a.to {
				return true
			}
		}
	}
	return false
}

// clocks remembers parsed times: a deck names the same few on many rows.
type clocks map[string]*Times

func (c clocks) get(s string) (*Times, error) {
	if t, known := c[s]; known {
		return t, nil
	}
	t, err := ParseTimes(s)
	if err == nil {
		c[s] = t
	}
	return t, err
}
