package journal

import (
	"time"

	"github.com/google/uuid"

	"tandem"
)

// recordAlive puts an alive fact behind all that was recorded before it, while
// calls are in progress; false when there are none, or the disk is behind
// anyway. Only the writer calls it, so none gather in front of a disk that
// stands still, and none lies about a time in which nothing could be written.
func (j *Journal) recordAlive() bool { return j.appendAlive(false) }

func (j *Journal) appendAlive(always bool) bool {
	frame := make([]byte, frameHead, frameHead+prefixSize)
	frame = append(frame, codecVersion, 0, 0, 0, 0, 0, 0, 0, 0)
	frame = appendTime(frame, j.clock())
	frame = append(frame, uuid.Nil[:]...)
	j.mu.Lock()
	defer j.mu.Unlock()
	idle := len(j.open) == 0 || !j.ready || j.closed || int(j.backlog.Load()) > j.cfg.SoftLimit
	if idle && !always {
		return false
	}
	putSeq(frame[frameHead:], j.next)
	seal(frame, tandem.FactAlive)
	j.next++
	j.pending = append(j.pending, frame...)
	j.backlog.Add(int64(len(frame)))
	return true
}

// aliveSlack is how late a checkpoint may come on a loaded node.
const aliveSlack = 5 * time.Second

// stillUp moves a call's checkpoint on to the node's last sign of life: facts
// are in order, so a call without an end on record was up then. A call that had
// already missed a checkpoint of its own was not (its end was lost while the
// disk stood still), or the clock was set forward: it is not lengthened, because
// what can't be shown is not charged.
func (j *Journal) stillUp(c *tandem.CallRecord, alive time.Time) {
	if alive.After(c.Checkpoint) && alive.Sub(c.Checkpoint) <= j.cfg.CheckpointEvery+aliveSlack {
		c.Checkpoint = alive
	}
}
