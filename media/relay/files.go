package relay

import "sync/atomic"

// files is the budget of open sockets. Without it a burst of calls would take
// the last descriptor, and since bound ports stay bound, whatever else opens a
// file would fail from then on.
type files struct {
	limit int64
	open  atomic.Int64
}

// take asks for the two sockets of a pair.
func (f *files) take() bool {
	if f.open.Add(2) <= f.limit {
		return true
	}
	f.open.Add(-2)
	return false
}

// giveBack is for a pair that could not be bound.
func (f *files) giveBack() { f.open.Add(-2) }

// room is how many sockets may be opened yet.
func (f *files) room() int { return int(max(0, f.limit-f.open.Load())) }
