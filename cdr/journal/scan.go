package journal

import (
	"errors"
	"io"

	"tandem"
)

// scanner reads the frames of one segment in order. Damage is stepped over: it
// looks for the next place where a frame with a right checksum and a later
// sequence number starts.
type scanner struct {
	f   File
	off int64 // of the next frame
	buf []byte
	at  int64 // file offset of buf[0]
	seq uint64
	// damagedAt is where the damage began that the last next reported.
	damagedAt int64
}

func newScanner(f File, first uint64) *scanner {
	return &scanner{f: f, off: segmentHead, at: segmentHead, seq: first - 1}
}

const readChunk = 256 << 10

// fill makes at least n bytes from s.off available, or all there are.
func (s *scanner) fill(n int) ([]byte, error) {
	if s.off < s.at || s.off > s.at+int64(len(s.buf)) {
		s.buf, s.at = s.buf[:0], s.off
	}
	rest := s.buf[s.off-s.at:]
	if len(rest) >= n {
		return rest, nil
	}
	want := max(n, readChunk)
	if cap(s.buf) < want {
		s.buf = append(make([]byte, 0, want), rest...)
	} else {
		copy(s.buf[:len(rest)], rest)
		s.buf = s.buf[:len(rest)]
	}
	s.at = s.off
	have := len(s.buf)
	got, err := s.f.ReadAt(s.buf[have:want], s.at+int64(have))
	s.buf = s.buf[:have+got]
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return s.buf, err
}

// next returns the next frame; the payload is valid until the next call. damage
// is how many bytes were stepped over to reach it. io.EOF: no further frame;
// s.off then stands behind the last good one and damage counts what follows it.
func (s *scanner) next() (kind tandem.FactKind, payload []byte, damage int64, err error) {
	kind, payload, size, err := s.frameAt(s.off)
	if errors.Is(err, errNoFrame) && len(s.buf) > 0 {
		// What is in memory may have been read while it was being written.
		s.buf, s.at = s.buf[:0], s.off
		kind, payload, size, err = s.frameAt(s.off)
	}
	if err == nil {
		s.off += int64(size)
		s.seq = seqOf(payload)
		return kind, payload, 0, nil
	}
	if !errors.Is(err, errNoFrame) {
		return 0, nil, 0, err
	}
	start := s.off
	s.damagedAt = start
	total, err := s.f.Size()
	if err != nil {
		return 0, nil, 0, err
	}
	for off := start + 1; off+frameHead+prefixSize <= total; off++ {
		kind, payload, size, err := s.frameAt(off)
		if errors.Is(err, errNoFrame) {
			continue
		}
		if err != nil {
			return 0, nil, 0, err
		}
		s.off = off + int64(size)
		s.seq = seqOf(payload)
		return kind, payload, off - start, nil
	}
	s.off = start
	return 0, nil, total - start, io.EOF
}

// maxLeap is the widest believable gap between neighbouring frames: what a
// whole lost disk of segments could have held.
const maxLeap = 1 << 40

var errNoFrame = errors.New("journal: no frame here")

func (s *scanner) frameAt(off int64) (tandem.FactKind, []byte, int, error) {
	saved := s.off
	s.off = off
	defer func() { s.off = saved }()
	b, err := s.fill(frameHead + prefixSize)
	if err != nil {
		return 0, nil, 0, err
	}
	// Cheap checks first: while looking for the next frame in damaged bytes, a
	// random length must not make us read and sum up megabytes at every step.
	if len(b) < frameHead+prefixSize || !knownVersion(b[frameHead]) || seqOf(b[frameHead:]) <= s.seq || seqOf(b[frameHead:])-s.seq > maxLeap {
		return 0, nil, 0, errNoFrame
	}
	kind, payload, size, state := parseFrame(b)
	if state == frameMore && size > len(b) {
		if b, err = s.fill(size); err != nil {
			return 0, nil, 0, err
		}
		kind, payload, size, state = parseFrame(b)
	}
	if state != frameOK {
		return 0, nil, 0, errNoFrame
	}
	return kind, payload, size, nil
}
