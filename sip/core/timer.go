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
	seq   uint64        // order of setting, so that equal instants fire in a fixed order
	pos   int           // 1 + index in the heap, 0 = not set
	kind  timerKind
	owner timed
}

func (t *timer) active() bool { return t.pos > 0 }

// timerQueue is a binary heap of timers by (at, seq).
type timerQueue struct {
	heap []*timer
	seq  uint64
}

// set (re)arms t.
func (q *timerQueue) set(t *timer, at time.Duration, kind timerKind, owner timed) {
	q.seq++
	t.at, t.seq, t.kind, t.owner = at, q.seq, kind, owner
	if t.pos == 0 {
		q.heap = append(q.heap, t)
		t.pos = len(q.heap)
		q.up(t.pos - 1)
		return
	}
	q.up(t.pos - 1)
	q.down(t.pos - 1)
}

// stop disarms t; stopping one that is not set does nothing.
func (q *timerQueue) stop(t *timer) {
	if t.pos == 0 {
		return
	}
	i, last := t.pos-1, len(q.heap)-1
	q.swap(i, last)
	q.heap[last] = nil
	q.heap = q.heap[:last]
	t.pos = 0
	if i < last {
		q.up(i)
		q.down(i)
	}
}

// due takes the first timer that has run out.
func (q *timerQueue) due(now time.Duration) *timer {
	if len(q.heap) == 0 || q.heap[0].at > now {
		return nil
	}
	t := q.heap[0]
	q.stop(t)
	return t
}

func (q *timerQueue) less(i, j int) bool {
	a, b := q.heap[i], q.heap[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (q *timerQueue) swap(i, j int) {
	q.heap[i], q.heap[j] = q.heap[j], q.heap[i]
	q.heap[i].pos, q.heap[j].pos = i+1, j+1
}

func (q *timerQueue) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !q.less(i, parent) {
			return
		}
		q.swap(i, parent)
		i = parent
	}
}

func (q *timerQueue) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(q.heap) {
			return
		}
		if child+1 < len(q.heap) && q.less(child+1, child) {
			child++
		}
		if !q.less(child, i) {
			return
		}
		q.swap(i, child)
		i = child
	}
}
