package srtp

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
)

const (
	coldContexts = 2000    // one direction of as many calls
	coldMemory   = 8 << 20 // larger than a second-level cache
	coldLines    = 1024    // 64 KB read between two packets: the nearest cache whole, a larger one after a few packets
)

// BenchmarkCold is a packet as a relay of many calls meets it: the memory of its
// call was last used many packets ago and has left the near caches. Only the
// packet is timed, the reading of other memory before it is not; the timing
// itself is about 50 ns of the figure cold-ns. The code stays warm, so a true
// relay pays more.
func BenchmarkCold(b *testing.B) {
	memory := make([]byte, coldMemory)
	w := NewScratch()
	rng := rand.New(rand.NewPCG(5, 6))
	b.Run("floor", func(b *testing.B) {
		cold(b, rng, memory, func(int) (prepare, step func()) { return func() {}, func() {} })
	})
	b.Run("protect", func(b *testing.B) {
		buf := packet(0, 1, 160)[:MaxPacket]
		cold(b, rng, memory, func(i int) (prepare, step func()) {
			k := testKey(AESCM80)
			k.Master[0], k.Master[1] = byte(i), byte(i>>8)
			s, seq := NewSender(k), uint16(0)
			return func() {
					seq++
					binary.BigEndian.PutUint16(buf[2:], seq)
				}, func() {
					if _, err := s.RTP(w, buf, 172); err != nil {
						b.Fatal(err)
					}
				}
		})
	})
	b.Run("open", func(b *testing.B) {
		k := testKey(AESCM80)
		s := NewSender(k)
		const packets = 512
		sealed := make([][]byte, packets)
		for i := range sealed {
			p := packet(uint16(i), 1, 160)
			n, _ := s.RTP(w, p[:cap(p)], len(p))
			sealed[i] = p[:n]
		}
		buf := make([]byte, MaxPacket)
		cold(b, rng, memory, func(int) (prepare, step func()) {
			r, next, n := NewReceiver(k, 0), 0, 0
			return func() {
					if next == packets {
						r.sources, next = sources{}, 0
					}
					n = copy(buf, sealed[next])
					next++
				}, func() {
					if _, err := r.RTP(w, buf[:n]); err != nil {
						b.Fatal(err)
					}
				}
		})
	})
}

// cold times the steps of many contexts in a random order.
func cold(b *testing.B, rng *rand.Rand, memory []byte, context func(int) (prepare, step func())) {
	type one struct{ prepare, step func() }
	all := make([]one, coldContexts)
	for i := range all {
		all[i].prepare, all[i].step = context(i)
		all[i].prepare()
		all[i].step()
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var sum time.Duration
	var at, read int
	for i := 0; b.Loop(); i++ {
		for range coldLines {
			read += int(memory[at])
			at = (at + 64) % len(memory)
		}
		one := &all[i%len(all)]
		one.prepare()
		start := time.Now()
		one.step()
		sum += time.Since(start)
	}
	if read < 0 {
		b.Fatal()
	}
	b.ReportMetric(float64(sum.Nanoseconds())/float64(b.N), "cold-ns")
}
