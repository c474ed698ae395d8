package srtp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"

	pion "github.com/pion/srtp/v3"
)

func testKey(suite Suite) Key {
	k := Key{Suite: suite}
	for i := range k.Master {
		k.Master[i] = byte(i * 7)
	}
	for i := range k.Salt {
		k.Salt[i] = byte(200 - i)
	}
	return k
}

func packet(seq uint16, ssrc uint32, payload int) []byte {
	p := make([]byte, 12+payload, MaxPacket+Overhead)
	p[0], p[1] = 0x80, 0
	binary.BigEndian.PutUint16(p[2:], seq)
	binary.BigEndian.PutUint32(p[4:], uint32(seq)*160)
	binary.BigEndian.PutUint32(p[8:], ssrc)
	for i := range payload {
		p[12+i] = byte(int(seq) + i)
	}
	return p
}

func report(ssrc uint32) []byte {
	p := make([]byte, 28, MaxPacket)
	p[0], p[1], p[3] = 0x80, 200, 6
	binary.BigEndian.PutUint32(p[4:], ssrc)
	return p
}

func pionContext(t testing.TB, k Key) *pion.Context {
	t.Helper()
	profile := pion.ProtectionProfileAes128CmHmacSha1_80
	if k.Suite == AESCM32 {
		profile = pion.ProtectionProfileAes128CmHmacSha1_32
	}
	c, err := pion.CreateContext(k.Master[:], k.Salt[:], profile, pion.SRTPReplayProtection(128), pion.SRTCPReplayProtection(128))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestKeyDerivation: RFC 3711 appendix B.3.
func TestKeyDerivation(t *testing.T) {
	var k Key
	k.Suite = AESCM80
	hex.Decode(k.Master[:], []byte("E1F97A0D3E018BE0D64FA32C06DE4139"))
	hex.Decode(k.Salt[:], []byte("0EC675AD498AFEEBB6960B3AABE6"))
	tr := newTransform(&k, labelRTP, 10)
	salt := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, tr.high), tr.low)
	if got := hex.EncodeToString(salt[:14]); got != "30cbbc08863d8c85d49db34a9ae1" {
		t.Errorf("session salt %s", got)
	}
	// The cipher key C61E7A93744F39EE10734AFE3FF7A087 is seen through the key stream (IV of index 0, SSRC 0 is the salt).
	data := make([]byte, 16)
	tr.crypt(NewScratch(), data, 0, 0)
	plain := newTransform(&k, labelRTP, 10)
	want := make([]byte, 16)
	plain.block.Encrypt(want, salt)
	if !bytes.Equal(data, want) {
		t.Error("key stream does not begin at the salt")
	}
}

// TestAgainstPion: what we protect pion opens and the other way round, bit
// exact, for all payload sizes, CSRCs, extensions and across the wrap of the sequence number.
func TestAgainstPion(t *testing.T) {
	w := NewScratch()
	for _, suite := range []Suite{AESCM80, AESCM32} {
		t.Run(suite.String(), func(t *testing.T) {
			k := testKey(suite)
			ours, theirs := NewSender(k), pionContext(t, k)
			back, from := NewReceiver(k, 0), pionContext(t, k)
			rng := rand.New(rand.NewPCG(1, 2))
			seq := uint16(65300)
			for i := range 70_000 {
				size := 160
				if i < 1400 {
					size = i
				}
				p := packet(seq, 0xDEADBEEF, size)
				if rng.IntN(8) == 0 && size >= 24 {
					p[0] |= 0x12 // two CSRCs, an extension of two words
					binary.BigEndian.PutUint16(p[12+8+2:], 2)
				}
				want := bytes.Clone(p)
				n, err := ours.RTP(w, p[:cap(p)], len(p))
				if err != nil {
					t.Fatal(err)
				}
				got, err := theirs.DecryptRTP(nil, p[:n], nil)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("pion opens packet %d: %v", i, err)
				}
				enc, err := from.EncryptRTP(nil, want, nil)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(enc, p[:n]) {
					t.Fatalf("packet %d differs from pion's", i)
				}
				if n, err = back.RTP(w, enc); err != nil || !bytes.Equal(enc[:n], want) {
					t.Fatalf("we open packet %d: %v", i, err)
				}
				seq++
			}
			if roc := ours.sources.find(0xDEADBEEF).roc; roc != 2 {
				t.Errorf("rollover counter %d after two wraps", roc)
			}
		})
	}
}

func TestRTCPAgainstPion(t *testing.T) {
	w := NewScratch()
	k := testKey(AESCM80)
	ours, theirs := NewSender(k), pionContext(t, k)
	back, from := NewReceiver(k, 0), pionContext(t, k)
	for i := range 300 {
		p := report(7)
		want := bytes.Clone(p)
		n, err := ours.RTCP(w, p[:cap(p)], len(p))
		if err != nil {
			t.Fatal(err)
		}
		if p[:n][28]&0x80 == 0 {
			t.Fatal("E flag is not set")
		}
		got, err := theirs.DecryptRTCP(nil, p[:n], nil)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("pion opens report %d: %v", i, err)
		}
		enc, err := from.EncryptRTCP(nil, want, nil)
		if err != nil {
			t.Fatal(err)
		}
		replay := bytes.Clone(enc)
		if n, err = back.RTCP(w, enc); err != nil || !bytes.Equal(enc[:n], want) {
			t.Fatalf("we open report %d: %v", i, err)
		}
		if _, err = back.RTCP(w, replay); !errors.Is(err, ErrReplay) {
			t.Fatalf("replayed report: %v", err)
		}
	}
}

// TestUnencryptedRTCP: a cleared E flag means authenticated but not encrypted (RFC 3711 3.4).
func TestUnencryptedRTCP(t *testing.T) {
	w := NewScratch()
	k := testKey(AESCM80)
	r := NewReceiver(k, 0)
	p := append(report(9), 0, 0, 0, 5)
	tr := newTransform(&k, labelRTCP, rtcpTag)
	p = append(p, tr.tag(w, p, 0, false)...)
	n, err := r.RTCP(w, p)
	if err != nil || !bytes.Equal(p[:n], report(9)) {
		t.Fatal(n, err)
	}
}

func TestRefused(t *testing.T) {
	w := NewScratch()
	k := testKey(AESCM80)
	protect := func(seq uint16) []byte {
		// A sender per packet: rollover counter 0 throughout.
		p := packet(seq, 5, 20)
		n, _ := NewSender(k).RTP(w, p[:cap(p)], len(p))
		return p[:n]
	}
	r := NewReceiver(k, 0)
	for name, c := range map[string]struct {
		p    []byte
		want error
	}{
		"empty":          {nil, ErrShort},
		"only a tag":     {make([]byte, 10), ErrShort},
		"version 1":      {append([]byte{0x40}, protect(1)[1:]...), ErrShort},
		"long extension": {append([]byte{0x90}, protect(1)[1:]...), ErrShort},
		"oversize":       {make([]byte, MaxPacket+1), ErrLong},
		"flipped bit":    {flip(protect(2), 15), ErrTag},
		"flipped header": {flip(protect(2), 1), ErrTag},
		"flipped tag":    {flip(protect(2), 41), ErrTag},
	} {
		before := bytes.Clone(c.p)
		if _, err := r.RTP(w, c.p); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if !bytes.Equal(before, c.p) {
			t.Errorf("%s: the packet was changed", name)
		}
	}
	if r.sources.last.live || len(r.sources.others) != 0 {
		t.Error("refused packets left state")
	}
	for _, seq := range []uint16{1000, 1001, 1003, 1002} {
		if _, err := r.RTP(w, protect(seq)); err != nil {
			t.Errorf("packet %d: %v", seq, err)
		}
	}
	for _, seq := range []uint16{1000, 1003, 875} {
		if _, err := r.RTP(w, protect(seq)); !errors.Is(err, ErrReplay) {
			t.Errorf("packet %d again: %v", seq, err)
		}
	}
	if _, err := r.RTP(w, protect(876)); err != nil {
		t.Errorf("oldest in the window: %v", err)
	}
}

func flip(p []byte, at int) []byte {
	p[at] ^= 0x20
	return p
}

// TestReorderAcrossWrap: a late packet from before the wrap still belongs to the old rollover counter.
func TestReorderAcrossWrap(t *testing.T) {
	w := NewScratch()
	k := testKey(AESCM80)
	s, r := NewSender(k), NewReceiver(k, 0)
	var sent [][]byte
	for _, seq := range []uint16{65533, 65534, 65535, 0, 1, 2} {
		p := packet(seq, 1, 160)
		n, err := s.RTP(w, p[:cap(p)], len(p))
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, p[:n])
	}
	for _, i := range []int{0, 3, 2, 1, 5, 4} {
		if _, err := r.RTP(w, sent[i]); err != nil {
			t.Errorf("packet %d: %v", i, err)
		}
	}
}

// TestMKI: peers that declare an MKI and send it, and those that only declare it.
func TestMKI(t *testing.T) {
	w := NewScratch()
	k := testKey(AESCM80)
	for _, sends := range []bool{true, false} {
		s, r := NewSender(k), NewReceiver(k, 4)
		for seq := range uint16(20) {
			p := packet(seq, 1, 160)
			want := bytes.Clone(p)
			n, _ := s.RTP(w, p[:cap(p)], len(p))
			p = p[:n]
			if sends {
				p = append(append(bytes.Clone(p[:n-10]), 0, 0, 0, 1), p[n-10:]...)
			}
			if n, err := r.RTP(w, p); err != nil || !bytes.Equal(p[:n], want) {
				t.Fatalf("sends %v, packet %d: %v", sends, seq, err)
			}
		}
	}
}

func TestSourcesAreBounded(t *testing.T) {
	w := NewScratch()
	s := NewSender(testKey(AESCM80))
	for ssrc := range uint32(maxSources) {
		p := packet(1, ssrc, 10)
		if _, err := s.RTP(w, p[:cap(p)], len(p)); err != nil {
			t.Fatal(err)
		}
	}
	p := packet(1, 1<<20, 10)
	if _, err := s.RTP(w, p[:cap(p)], len(p)); !errors.Is(err, ErrSources) {
		t.Errorf("one too many: %v", err)
	}
}

// TestWindow holds the bit pair against a plain set.
func TestWindow(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var w window
		seen := map[uint64]bool{}
		top := uint64(1000)
		first := true
		for range 500 {
			i := top + uint64(rng.IntN(160))
			if back := uint64(rng.IntN(300)); back < 200 {
				i = top - back
			}
			want := first || i > top || top-i < windowSize && !seen[i]
			if got := w.fresh(i); got != want {
				t.Fatalf("fresh(%d) = %v with top %d", i, got, top)
			}
			if want {
				w.take(i)
				seen[i] = true
				if first || i > top {
					top = i
				}
				first = false
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	w := NewScratch()
	k := testKey(AESCM80)
	s, r := NewSender(k), NewReceiver(k, 0)
	rtp, rtcp, buf := packet(0, 1, 160), report(1), make([]byte, MaxPacket)
	seq := uint16(0)
	for name, step := range map[string]func(){
		"RTP": func() {
			seq++
			binary.BigEndian.PutUint16(rtp[2:], seq)
			n, _ := s.RTP(w, buf, copy(buf, rtp))
			if _, err := r.RTP(w, buf[:n]); err != nil {
				t.Fatal(err)
			}
		},
		"RTCP": func() {
			n, _ := s.RTCP(w, buf, copy(buf, rtcp))
			if _, err := r.RTCP(w, buf[:n]); err != nil {
				t.Fatal(err)
			}
		},
		"forged": func() {
			n := copy(buf, rtp)
			buf[8] = 0xFF // of no known source
			if _, err := r.RTP(w, buf[:n+10]); err != ErrTag {
				t.Fatal(err)
			}
		},
		"warm": func() {
			s.Warm(w)
			r.Warm(w)
		},
	} {
		if n := testing.AllocsPerRun(1000, step); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// BenchmarkProtect compares our path with pion's for a 20 ms G.711 packet.
func BenchmarkProtect(b *testing.B) {
	w := NewScratch()
	k := testKey(AESCM80)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		s := NewSender(k)
		buf := packet(0, 1, 160)[:MaxPacket]
		for i := uint16(0); b.Loop(); i++ {
			binary.BigEndian.PutUint16(buf[2:], i)
			if _, err := s.RTP(w, buf, 172); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("pion", func(b *testing.B) {
		b.ReportAllocs()
		s := pionContext(b, k)
		src, dst := packet(0, 1, 160), make([]byte, 0, MaxPacket)
		for i := uint16(0); b.Loop(); i++ {
			binary.BigEndian.PutUint16(src[2:], i)
			if _, err := s.EncryptRTP(dst, src, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRoundTrip protects and opens.
func BenchmarkRoundTrip(b *testing.B) {
	w := NewScratch()
	k := testKey(AESCM80)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		s, r := NewSender(k), NewReceiver(k, 0)
		buf := packet(0, 1, 160)[:MaxPacket]
		for i := uint16(0); b.Loop(); i++ {
			binary.BigEndian.PutUint16(buf[2:], i)
			n, _ := s.RTP(w, buf, 172)
			if _, err := r.RTP(w, buf[:n]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("pion", func(b *testing.B) {
		b.ReportAllocs()
		s, r := pionContext(b, k), pionContext(b, k)
		src, enc, dst := packet(0, 1, 160), make([]byte, 0, MaxPacket), make([]byte, 0, MaxPacket)
		for i := uint16(0); b.Loop(); i++ {
			binary.BigEndian.PutUint16(src[2:], i)
			e, _ := s.EncryptRTP(enc, src, nil)
			if _, err := r.DecryptRTP(dst, e, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
