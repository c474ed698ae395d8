package journal

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem"
)

func TestLongValuesAreCutNotRefused(t *testing.T) {
	c := sampleCall(1)
	c.Dialled = strings.Repeat("ä", 5000)
	for range 400 {
		c.Trace = append(c.Trace, tandem.TraceStep{Rule: "r", Detail: strings.Repeat("x", 3000)})
		c.Legs = append(c.Legs, tandem.LegRecord{ReasonText: strings.Repeat("y", 3000)})
	}
	b := appendPayload(nil, noon, c)
	if len(b) > maxFrame {
		t.Fatalf("%d bytes", len(b))
	}
	_, _, got, err := decodePayload(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Legs) != maxLegs || len(got.Trace) != maxTrace || got.Dialled != strings.Repeat("ä", 512) {
		t.Fatalf("%d legs, %d steps, %d bytes", len(got.Legs), len(got.Trace), len(got.Dialled))
	}
}

func TestDecodeOfEveryCutPayloadIsAnError(t *testing.T) {
	b := appendPayload(nil, noon, sampleCall(1))
	for n := range b {
		if _, _, _, err := decodePayload(b[:n]); err == nil {
			t.Fatalf("%d of %d bytes decoded", n, len(b))
		}
	}
	if _, _, _, err := decodePayload(append(b, 0)); err == nil {
		t.Fatal("a trailing byte was accepted")
	}
}

// Version 1 had no dialogs: journals of before are read on.
func TestVersionOneIsReadOn(t *testing.T) {
	c := sampleCall(1)
	for i := range c.Legs {
		c.Legs[i].Dialog = nil
	}
	b := appendPayload(nil, noon, c)
	b = b[:len(b)-1]
	b[0] = 1
	_, _, got, err := decodePayload(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(*c, got); d != "" {
		t.Fatal(d)
	}
}

// Half a Contact is no address: a dialog that does not fit is left out, the call stays.
func TestDialogThatDoesNotFitIsLeftOut(t *testing.T) {
	c := sampleCall(1)
	c.Legs[0].Dialog.Target = "sip:" + strings.Repeat("x", 2000)
	_, _, got, err := decodePayload(appendPayload(nil, noon, c))
	if err != nil || got.Legs[0].Dialog != nil || got.Legs[2].Dialog == nil {
		t.Fatalf("%v: %+v", err, got.Legs)
	}
}

func FuzzDecodePayload(f *testing.F) {
	f.Add(appendPayload(nil, noon, sampleCall(1)))
	f.Add(appendPayload(nil, time.Time{}, &tandem.CallRecord{}))
	f.Add([]byte{codecVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		seq, at, c, err := decodePayload(b)
		if err != nil {
			return
		}
		again := appendPayload(nil, at, &c)
		putSeq(again, seq)
		seq2, at2, c2, err := decodePayload(again)
		if err != nil || seq2 != seq || !at2.Equal(at) {
			t.Fatalf("what was decoded does not encode: %v", err)
		}
		if d := cmp.Diff(c, c2); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzParseFrame(f *testing.F) {
	good := make([]byte, frameHead)
	good = appendPayload(good, noon, sampleCall(1))
	putSeq(good[frameHead:], 7)
	seal(good, tandem.FactEnd)
	f.Add(good)
	f.Add(make([]byte, 4096))
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, payload, size, state := parseFrame(b)
		if state != frameOK {
			return
		}
		again := append(make([]byte, frameHead), payload...)
		seal(again, kind)
		if !bytes.Equal(again, b[:size]) {
			t.Fatal("a frame was accepted that we would not write")
		}
	})
}

func TestEncodingAllocatesNothing(t *testing.T) {
	c := sampleCall(1)
	buf := appendPayload(nil, noon, c)
	if n := testing.AllocsPerRun(100, func() { buf = appendPayload(buf[:0], noon, c) }); n != 0 {
		t.Errorf("%v objects per fact", n)
	}
}

func BenchmarkEncodeFact(b *testing.B) {
	c := sampleCall(1)
	buf := appendPayload(nil, noon, c)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = appendPayload(buf[:0], noon, c)
	}
}

func BenchmarkDecodeFact(b *testing.B) {
	buf := appendPayload(nil, noon, sampleCall(1))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := decodePayload(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	j := openTest(b, Config{Dir: b.TempDir(), SyncEvery: 5 * time.Millisecond, HardLimit: 1 << 30}, Deps{})
	defer j.Close()
	calls := make([]*tandem.CallRecord, 1024)
	for i := range calls {
		calls[i] = sampleCall(i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		j.Record(0, tandem.FactCheckpoint, noon, calls[i%len(calls)])
		i++
	}
	b.StopTimer()
	if j.Stats().Dropped > 0 {
		b.Fatal("facts were dropped")
	}
}
