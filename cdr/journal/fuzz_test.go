package journal

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"tandem"
)

// memory is a segment file that is only read.
type memory struct {
	File
	*bytes.Reader
}

func (m memory) ReadAt(b []byte, off int64) (int, error) { return m.Reader.ReadAt(b, off) }
func (m memory) Size() (int64, error)                    { return m.Reader.Size(), nil }

// FuzzSegment reads any bytes as a segment: it comes to an end, in order, every
// byte is in a frame or told as damage, and each frame decodes or is an error.
// That the journal goes on behind damage is TestEachByteFlipped's.
func FuzzSegment(f *testing.F) {
	dir := f.TempDir()
	j := openTest(f, Config{Dir: dir}, Deps{FS: &faultFS{fast: true}})
	for i := range 3 {
		j.Record(0, tandem.FactStart, noon, smallCall(i))
	}
	j.Record(0, tandem.FactEnd, noon, sampleCall(1))
	if err := j.Close(); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, segmentName(1, 1)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-7])
	f.Add(append(append([]byte(nil), whole[:segmentHead]...), make([]byte, 4096)...))
	f.Add(append(append([]byte(nil), whole[:segmentHead+20]...), whole[segmentHead:]...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, segment []byte) {
		s := newScanner(memory{Reader: bytes.NewReader(segment)}, 1)
		told := int64(segmentHead)
		last := uint64(0)
		for {
			before := s.off
			_, payload, damage, err := s.next()
			if errors.Is(err, io.EOF) {
				if told+damage != max(int64(len(segment)), segmentHead) && len(segment) >= segmentHead {
					t.Fatalf("%d of %d bytes accounted for", told+damage, len(segment))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			seq := seqOf(payload)
			if seq <= last || s.off <= before {
				t.Fatalf("no progress: frame %d after %d, offset %d after %d", seq, last, s.off, before)
			}
			last, told = seq, s.off
			_, _, _, _ = decodePayload(payload)
		}
	})
}
