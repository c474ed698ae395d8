package srtp

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"unsafe"
)

// TestTagIsHMAC holds the kept chaining values against crypto/hmac: keys up to a
// block, messages around the block boundaries, one scratch for all.
func TestTagIsHMAC(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	w := NewScratch()
	for size := range 400 {
		key := random(rng.IntN(sha1.BlockSize + 1))
		if size%2 == 0 {
			key = random(20) // RFC 3711 8.2
		}
		tr := transform{keyed: newKeyed(key), tagLen: sha1.Size}
		msg, roc := random(size), rng.Uint32()
		h := hmac.New(sha1.New, key)
		h.Write(msg)
		if got, want := tr.tag(w, msg, 0, false), h.Sum(nil); !bytes.Equal(got, want) {
			t.Fatalf("%d octets under a key of %d: % x, want % x", size, len(key), got, want)
		}
		h.Write(binary.BigEndian.AppendUint32(nil, roc))
		if got, want := tr.tag(w, msg, roc, true), h.Sum(nil); !bytes.Equal(got, want) {
			t.Fatalf("%d octets and a rollover counter under a key of %d: % x, want % x", size, len(key), got, want)
		}
	}
}

// TestLayout: what an RTP packet needs stays within two cache lines, and the
// objects in a size of Go's allocator that begins on a line.
func TestLayout(t *testing.T) {
	const line, class = 64, 192
	var s Sender
	var r Receiver
	for name, end := range map[string]uintptr{
		"Sender":   unsafe.Offsetof(s.sources) + unsafe.Offsetof(s.sources.last.control),
		"Receiver": unsafe.Offsetof(r.sources) + unsafe.Offsetof(r.sources.last.control),
	} {
		if end > 2*line {
			t.Errorf("%s: RTP needs %d octets", name, end)
		}
	}
	for name, size := range map[string]uintptr{"Sender": unsafe.Sizeof(s), "Receiver": unsafe.Sizeof(r)} {
		if size > class || size <= class-16 {
			t.Errorf("%s has %d octets", name, size)
		}
	}
}

// TestSourcesInTurn: sources that alternate keep their rollover counters and
// windows, as if each had a key for itself.
func TestSourcesInTurn(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	k, w := testKey(AESCM80), NewScratch()
	s, r := NewSender(k), NewReceiver(k, 0)
	const count = 5
	var alone [count]*Sender
	var seq [count]uint16
	var replay [count][]byte
	for i := range count {
		alone[i], seq[i] = NewSender(k), uint16(65400-20*i)
	}
	for n := range 3000 {
		i := rng.IntN(count)
		ssrc := uint32(i) // 0 is a source too
		p := packet(seq[i], ssrc, 40)
		plain, want := bytes.Clone(p), make([]byte, cap(p))
		copy(want, p)
		seq[i]++
		end, err := s.RTP(w, p[:cap(p)], len(p))
		if err != nil {
			t.Fatal(err)
		}
		if m, _ := alone[i].RTP(w, want, len(p)); !bytes.Equal(p[:end], want[:m]) {
			t.Fatalf("packet %d of source %d differs from that of a sender for itself", n, i)
		}
		if rng.IntN(4) == 0 { // a report in between must not disturb
			c := report(ssrc)
			m, err := s.RTCP(w, c[:cap(c)], len(c))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.RTCP(w, c[:m]); err != nil {
				t.Fatalf("report of source %d: %v", i, err)
			}
		}
		if old := replay[i]; old != nil {
			if _, err := r.RTP(w, old); err != ErrReplay {
				t.Fatalf("source %d again: %v", i, err)
			}
		}
		replay[i] = bytes.Clone(p[:end])
		if m, err := r.RTP(w, p[:end]); err != nil || !bytes.Equal(p[:m], plain) {
			t.Fatalf("packet %d of source %d: %v", n, i, err)
		}
	}
}

// TestWarmBesidePackets: Warm is called without the lock that guards the rest.
// The race detector watches.
func TestWarmBesidePackets(t *testing.T) {
	k := testKey(AESCM80)
	s, r := NewSender(k), NewReceiver(k, 0)
	var done sync.WaitGroup
	done.Go(func() {
		w := NewScratch()
		for range 2000 {
			s.Warm(w)
			r.Warm(w)
		}
	})
	w := NewScratch()
	for seq := range uint16(2000) {
		p := packet(seq, 1, 160)
		want := bytes.Clone(p)
		n, err := s.RTP(w, p[:cap(p)], len(p))
		if err != nil {
			t.Fatal(err)
		}
		if n, err = r.RTP(w, p[:n]); err != nil || !bytes.Equal(p[:n], want) {
			t.Fatal(err)
		}
	}
	done.Wait()
}
