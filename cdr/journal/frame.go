package journal

import (
	"encoding/binary"
	"hash/crc32"

	"tandem"
)

// A frame is `len u32 | crc32c u32 | type u8 | payload`, little endian. len
// counts type and payload; the checksum (Castagnoli) covers len, type and
// payload, so that a flipped length can't send the reader astray. len 0 is
// invalid: pages of zeros, which file systems leave after a power loss, never
// decode as facts.
const (
	frameHead = 9 // len, crc, type
	// maxFrame bounds what a reader allocates: 255 legs and 255 trace steps of
	// full strings would be 4 MiB; anything longer is damage.
	maxFrame = 4 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal fills in the head of a frame whose payload is complete.
func seal(frame []byte, kind tandem.FactKind) {
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-frameHead+1))
	frame[8] = byte(kind)
	binary.LittleEndian.PutUint32(frame[4:], checksum(frame))
}

func checksum(frame []byte) uint32 {
	crc := crc32.Update(0, castagnoli, frame[:4])
	return crc32.Update(crc, castagnoli, frame[8:])
}

// frameState is what parseFrame found.
type frameState uint8

const (
	frameOK   frameState = iota
	frameMore            // b ends before the frame does
	frameBad             // no frame starts here
)

// parseFrame reads the frame at the start of b. The payload is a part of b.
func parseFrame(b []byte) (kind tandem.FactKind, payload []byte, size int, state frameState) {
	if len(b) < 4 {
		return 0, nil, 0, frameMore
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n < 1+prefixSize || n > maxFrame {
		return 0, nil, 0, frameBad
	}
	size = n + frameHead - 1
	if len(b) < size {
		return 0, nil, size, frameMore
	}
	frame := b[:size]
	if binary.LittleEndian.Uint32(frame[4:]) != checksum(frame) {
		return 0, nil, 0, frameBad
	}
	kind = tandem.FactKind(frame[8])
	if kind < tandem.FactStart || kind > tandem.FactAlive {
		return 0, nil, 0, frameBad
	}
	return kind, frame[frameHead:], size, frameOK
}
