package relay

import (
	"encoding/binary"
	"time"

	"tandem"
)

// Limits of sequence numbers that belong to one run (RFC 3550 A.1).
const (
	maxDropout  = 3000
	maxMisorder = 100
	// maxTransit bounds the change of transit time that counts as jitter. More is
	// a jump of the source's timestamps, as after a hold: a new beginning.
	maxTransit = 2 * time.Second
)

// received counts the RTP stream that comes from a side. Its owner holds the session's lock.
type received struct {
	packets, bytes, dropped uint64
	seen                    time.Duration // since the pool's start; 0 = never

	started  bool
	ssrc     uint32
	base     uint32 // extended sequence number of the run's first packet
	cycles   uint32 // count of wraps << 16
	max      uint16 // highest sequence number
	bad      uint32 // next sequence number after a jump, maxUint32 = none
	run      uint64 // packets of the run
	lost     uint64 // of the runs before
	arrival  time.Duration
	stamp    uint32
	clock    uint32
	jitter16 int64 // interarrival jitter in microseconds, times 16
}

const noBad = 1 << 16

// take counts an authentic RTP packet that arrived at now. clock is the RTP
// clock rate of its payload type in Hz, 0 when it says nothing about timing.
func (r *received) take(p []byte, size int, clock uint32, now time.Duration) {
	r.packets++
	r.bytes += uint64(size)
	seq, ssrc := binary.BigEndian.Uint16(p[2:]), binary.BigEndian.Uint32(p[8:])
	if !r.started || ssrc != r.ssrc {
		r.begin(seq, ssrc)
	} else if !r.follow(seq) {
		return
	}
	r.measure(binary.BigEndian.Uint32(p[4:]), clock, now)
}

// begin starts a run: another source has taken over, or the source has jumped.
func (r *received) begin(seq uint16, ssrc uint32) {
	r.lost += r.missing()
	r.started, r.ssrc, r.base, r.cycles, r.max, r.bad, r.run = true, ssrc, uint32(seq), 0, seq, noBad, 1
	r.clock = 0
}

// follow takes a sequence number into the run (RFC 3550 A.1); false for one of a jump that is not confirmed.
func (r *received) follow(seq uint16) bool {
	switch d := seq - r.max; {
	case d < maxDropout:
		if seq < r.max {
			r.cycles += 1 << 16
		}
		r.max = seq
	case d <= 1<<16-1-maxMisorder:
		if uint32(seq) != r.bad {
			r.bad = uint32(seq + 1)
			return false
		}
		r.begin(seq, r.ssrc) // two in a row: the source has restarted
		r.run = 2
		r.base = uint32(seq - 1)
		if seq == 0 {
			r.base, r.cycles = 1<<16-1, 1<<16
		}
		return true
	}
	r.run++
	return true
}

// missing is the loss of the present run: expected minus received, never below 0 (RFC 3550 A.3).
func (r *received) missing() uint64 {
	if !r.started {
		return 0
	}
	expected := uint64(r.cycles) + uint64(r.max) - uint64(r.base) + 1
	if expected <= r.run {
		return 0
	}
	return expected - r.run
}

// measure is the interarrival jitter of RFC 3550 6.4.1 and A.8, in microseconds
// so that payload types with different clocks share one estimate.
func (r *received) measure(stamp, clock uint32, now time.Duration) {
	if clock == 0 {
		return
	}
	if r.clock == clock {
		d := (now - r.arrival) - time.Duration(int64(int32(stamp-r.stamp))*int64(time.Second)/int64(clock))
		if d < 0 {
			d = -d
		}
		if d < maxTransit {
			r.jitter16 += d.Microseconds() - (r.jitter16+8)>>4
		}
	}
	r.arrival, r.stamp, r.clock = now, stamp, clock
}

// stats are the counters as everyone else sees them.
func (r *received) stats(start time.Time) tandem.StreamStats {
	return tandem.StreamStats{
		Packets: r.packets, Bytes: r.bytes, Lost: r.lost + r.missing(), Dropped: r.dropped,
		JitterMicros: uint32(max(0, r.jitter16>>4)), LastSeen: instant(start, r.seen),
	}
}

// sent counts what goes to a side.
type sent struct {
	packets, bytes, dropped uint64
	seen                    time.Duration
}

func (s *sent) stats(start time.Time) tandem.StreamStats {
	return tandem.StreamStats{Packets: s.packets, Bytes: s.bytes, Dropped: s.dropped, LastSeen: instant(start, s.seen)}
}

// instant turns Pool.now into a time; 0 is never.
func instant(start time.Time, d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return start.Add(d - 1)
}
