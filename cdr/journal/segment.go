package journal

import (
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// segmentHead is "TANDEMJ1" and the first sequence number, u64 little endian.
const segmentHead = 16

const segmentMagic = "TANDEMJ1"

// allocateAhead is how much disk is reserved in front of the write position, so
// that a full disk is noticed before a frame meets it.
const allocateAhead = 4 << 20

// segment is one file. Fields below the line belong to the writer.
type segment struct {
	index uint64 // order of creation
	first uint64 // sequence number of its first frame
	path  string
	// lastAt is when its last fact was written; retention counts from it.
	lastAt time.Time

	f         File
	size      int64
	allocated int64
}

// segmentName carries order and first position, so that a listing suffices to
// know what a folder holds.
func segmentName(index, first uint64) string { return fmt.Sprintf("%08d-%020d.seg", index, first) }

func parseSegmentName(name string) (index, first uint64, ok bool) {
	body, ok := strings.CutSuffix(name, ".seg")
	if !ok {
		return 0, 0, false
	}
	a, b, ok := strings.Cut(body, "-")
	if !ok || len(a) < 8 || len(b) != 20 {
		return 0, 0, false
	}
	index, err1 := strconv.ParseUint(a, 10, 64)
	first, err2 := strconv.ParseUint(b, 10, 64)
	return index, first, err1 == nil && err2 == nil && first > 0
}

func listSegments(fsys FS, dir string, now time.Time) ([]*segment, error) {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var segs []*segment
	for _, e := range entries {
		index, first, ok := parseSegmentName(e.Name())
		if !ok {
			continue
		}
		s := &segment{index: index, first: first, path: filepath.Join(dir, e.Name()), lastAt: now}
		if info, err := e.Info(); err == nil {
			s.lastAt = info.ModTime()
		}
		segs = append(segs, s)
	}
	slices.SortFunc(segs, func(a, b *segment) int {
		if a.index < b.index {
			return -1
		}
		return 1
	})
	return segs, nil
}

// maxSeq: no later segment.
const maxSeq = math.MaxUint64

// limitOf is the sequence number from which on a later segment has the facts:
// after a failed sync the facts in doubt are written again into a new segment,
// and what the old one holds of them no longer counts.
func limitOf(segs []*segment, i int) uint64 {
	limit := uint64(maxSeq)
	for _, s := range segs[i+1:] {
		limit = min(limit, s.first)
	}
	return limit
}

// segmentOf is the place in segs of the segment that holds seq, or of the next
// one after it when none does; len(segs) when there is none.
func segmentOf(segs []*segment, seq uint64) int {
	best := len(segs)
	for i := len(segs) - 1; i >= 0; i-- {
		if limitOf(segs, i) <= seq {
			break // this one and the earlier ones end before seq
		}
		best = i
	}
	return best
}

func headOf(first uint64) []byte {
	return binary.LittleEndian.AppendUint64([]byte(segmentMagic), first)
}
