package core

import (
	"hash/maphash"
	"time"
)

// doneSet remembers server transactions that have nothing left to do but to
// absorb copies of their request until Timer J or L: the INVITEs of answered
// calls, whose copies must not begin a new call (RFC 6026 7.1), and the BYEs that
// ended one, whose copies get the same answer again.
//
// Such a transaction would hold some 700 bytes for 32 s, which at 1,500 calls/s
// is most of the process's memory; here it is a hash and a status, in
// generations that are forgotten whole, without a timer or a pointer.
type doneSet struct {
	seed  maphash.Seed
	life  time.Duration // least time that an entry stays
	began time.Duration // of the newest generation
	gens  [doneGenerations]map[uint64]uint16
}

// doneGenerations cuts the life into four: an entry stays at most a quarter longer.
const doneGenerations = 5

func newDoneSet(life time.Duration) doneSet {
	d := doneSet{seed: maphash.MakeSeed(), life: life}
	for i := range d.gens {
		d.gens[i] = map[uint64]uint16{}
	}
	return d
}

// add remembers the transaction of a key and the status that it answered.
func (d *doneSet) add(now time.Duration, key string, status int) {
	d.turn(now)
	d.gens[0][maphash.String(d.seed, key)] = uint16(status)
}

// find gives the status that a transaction has answered.
func (d *doneSet) find(now time.Duration, key []byte) (status int, ok bool) {
	d.turn(now)
	h := maphash.Bytes(d.seed, key)
	for _, g := range d.gens {
		if s, ok := g[h]; ok {
			return int(s), true
		}
	}
	return 0, false
}

// turn forgets generations whose time is over.
func (d *doneSet) turn(now time.Duration) {
	step := d.life / (doneGenerations - 1)
	for n := 0; now-d.began >= step; n++ {
		if n == doneGenerations { // a long rest: all are empty by now
			d.began = now
			return
		}
		d.began += step
		oldest := d.gens[doneGenerations-1]
		copy(d.gens[1:], d.gens[:])
		clear(oldest)
		d.gens[0] = oldest
	}
}
