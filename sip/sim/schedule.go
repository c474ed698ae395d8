package sim

import "time"

// schedule is a binary heap of things to happen by (at, seq).
type schedule struct {
	items []item
	seq   uint64
}

type item struct {
	at  time.Duration
	seq uint64
	f   func()
}

func (s *schedule) less(i, j int) bool {
	a, b := &s.items[i], &s.items[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (s *schedule) push(at time.Duration, f func()) {
	s.seq++
	s.items = append(s.items, item{at, s.seq, f})
	for i := len(s.items) - 1; i > 0; {
		parent := (i - 1) / 2
		if !s.less(i, parent) {
			return
		}
		s.items[i], s.items[parent] = s.items[parent], s.items[i]
		i = parent
	}
}

func (s *schedule) pop() func() {
	f := s.items[0].f
	last := len(s.items) - 1
	s.items[0] = s.items[last]
	s.items[last] = item{}
	s.items = s.items[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			return f
		}
		if child+1 < last && s.less(child+1, child) {
			child++
		}
		if !s.less(child, i) {
			return f
		}
		s.items[i], s.items[child] = s.items[child], s.items[i]
		i = child
	}
}

// forgettable is state of a peer that nobody can ask for any more when its time
// has come: as long as a message may be repeated, and what lags in the network.
type forgettable struct {
	at     time.Duration
	forget func()
}

const memory = 64*t1 + 20*time.Second

// forgetLater drops state after memory. All wait equally long, so the list is in order.
func (w *World) forgetLater(f func()) {
	for len(w.old) > 0 && w.old[0].at <= w.elapsed {
		w.old[0].forget()
		w.old[0] = forgettable{}
		w.old = w.old[1:]
	}
	w.old = append(w.old, forgettable{w.elapsed + memory, f})
}
