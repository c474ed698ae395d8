package core

import "time"

// timerKind says which clock ran out; the owner decides what that means.
type timerKind uint8

const (
	timerTx       timerKind = iota + 1 // retransmission or life of a transaction
	timerState                         // bound of a call state
	timerResponse                      // INVITE to first response
	timerTrying                        // 100 to the next response
	timerWatch                         // an INVITE still waits for its final response: see that its peer lives
	timerCancel                        // our CANCEL to the final response that lets the call go on
	timerAnswer                        // INVITE to final response, also Timer C
	timerSilence                       // Plan.SilenceBound
	timerPoint                         // checkpoint of an established call
	timerSession                       // refresh or expiry (RFC 4028)
	timerModify                        // a re-INVITE that is never answered
	timerCredit                        // the credit reserved for the call runs out
	timerNone     timerKind = 0
)

func (k timerKind) String() string {
	return [...]string{"", "transaction", "state", "response", "trying", "watch", "cancel", "answer", "silence", "checkpoint", "session", "modify", "credit"}[k]
}

// timed owns timers.
type timed interface {
	fire(c *Core, k timerKind)
}

// timer is embedded in its owner, so that setting one allocates nothing.
type timer struct {
	at    time.Duration // on the core's clock
	pos   int           // 1 + index in the heap, 0 = not set
	kind  timerKind
	owner timed
}

func (t *timer) active() bool { return t.pos > 0 }

// timerQueue is a heap of timers by instant and order of setting, so that equal
// instants fire in a fixed order. The keys stand in the heap itself: to look for
// them in the timers would be a wait for memory at each step, for the ten thousand
// timers of a busy node lie in as many calls.
type timerQueue struct {
	heap []timerSlot
	seq  uint64
}

// timerSlot is a node of the heap.
type timerSlot struct {
	at    time.Duration
	seq   uint64
	timer *timer
}

func (s *timerSlot) before(o *timerSlot) bool {
	return s.at < o.at || s.at == o.at && s.seq < o.seq
}

// set (re)arms t.
func (q *timerQueue) set(t *timer, at time.Duration, kind timerKind, owner timed) {
	q.seq++
	t.at, t.kind, t.owner = at, kind, owner
	if t.pos == 0 {
		q.heap = append(q.heap, timerSlot{})
		t.pos = len(q.heap)
	}
	q.place(t.pos-1, timerSlot{at, q.seq, t})
}

// stop disarms t; stopping one that is not set does nothing.
func (q *timerQueue) stop(t *timer) {
	if t.pos == 0 {
		return
	}
	i, last := t.pos-1, len(q.heap)-1
	moved := q.heap[last]
	q.heap[last] = timerSlot{}
	q.heap = q.heap[:last]
	t.pos = 0
	if i < last {
		q.place(i, moved)
	}
}

// due takes the first timer that has run out.
func (q *timerQueue) due(now time.Duration) *timer {
	if len(q.heap) == 0 || q.heap[0].at > now {
		return nil
	}
	t := q.heap[0].timer
	q.stop(t)
	return t
}

// place puts s where it belongs, beginning with the free node i.
func (q *timerQueue) place(i int, s timerSlot) {
	for i > 0 {
		parent := (i - 1) / 2
		if !s.before(&q.heap[parent]) {
			break
		}
		q.put(i, q.heap[parent])
		i = parent
	}
	for {
		child := 2*i + 1
		if child >= len(q.heap) {
			break
		}
		if child+1 < len(q.heap) && q.heap[child+1].before(&q.heap[child]) {
			child++
		}
		if !q.heap[child].before(&s) {
			break
		}
		q.put(i, q.heap[child])
		i = child
	}
	q.put(i, s)
}

func (q *timerQueue) put(i int, s timerSlot) {
	q.heap[i] = s
	s.timer.pos = i + 1
}
