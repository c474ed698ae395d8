package clickhouse

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/google/uuid"

	"tandem"
)

// encoder writes rows as one block of ClickHouse's Native format, as it is read
// from a file (revision 0): for each column its name, its type and its values one
// after the other, numbers in little endian. It keeps its memory; one goroutine uses it.
//
// The driver does the same by way of a column object per column and an interface
// per value, and by reflection for LowCardinality; a test holds the two together,
// byte by byte.
type encoder struct {
	b     []byte
	words []string       // dictionary of the present column
	at    map[string]int // their places in it
	keys  []int          // the rows' places in it
}

// maxKept is the largest block whose memory is kept: twice that of 2,000 rows.
const maxKept = 4 << 20

// block encodes rows. The result is valid until the next block.
func (e *encoder) block(rows []tandem.CDR) []byte {
	e.b = binary.AppendUvarint(e.b[:0], uint64(len(tableColumns)))
	e.b = binary.AppendUvarint(e.b, uint64(len(rows)))
	for i := range tableColumns {
		c := &tableColumns[i]
		e.text(c.name)
		e.text(c.kind)
		c.encode(e, rows)
	}
	return e.b
}

func (e *encoder) text(s string) {
	e.b = binary.AppendUvarint(e.b, uint64(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) u64(v uint64) { e.b = binary.LittleEndian.AppendUint64(e.b, v) }

func (e *encoder) flag(v bool) {
	b := byte(0)
	if v {
		b = 1
	}
	e.b = append(e.b, b)
}

// id is written as two numbers of 8 bytes.
func (e *encoder) id(v uuid.UUID) {
	e.u64(binary.BigEndian.Uint64(v[:8]))
	e.u64(binary.BigEndian.Uint64(v[8:]))
}

// time is in milliseconds; the zero time is 1970, as the driver has it.
func (e *encoder) time(t time.Time) {
	ms := int64(0)
	if !t.IsZero() {
		ms = t.UnixMilli()
	}
	e.u64(uint64(ms))
}

// Bits of LowCardinality's head: the keys' size is its lowest byte.
const (
	dictionaryVersion = 1
	dictionaryHere    = 1<<9 | 1<<10 // its words come with the block, and are all
)

// dictionary writes LowCardinality: the words, then each row's place among them.
// Place 0 is the default value, whether or not a row has it.
func (e *encoder) dictionary(rows []tandem.CDR, get func(*tandem.CDR) string) {
	e.words, e.keys = append(e.words[:0], ""), e.keys[:0]
	if e.at == nil {
		e.at = map[string]int{}
	}
	// The legs of a call alternate between two words, mostly the same as in the call before.
	last, before := 0, 0
	for i := range rows {
		v := get(&rows[i])
		switch {
		case last > 0 && e.words[last] == v:
		case before > 0 && e.words[before] == v:
			last, before = before, last
		default:
			k, known := e.at[v]
			if !known {
				k = len(e.words)
				e.words = append(e.words, v)
				e.at[v] = k
			}
			last, before = k, last
		}
		e.keys = append(e.keys, last)
	}
	e.u64(dictionaryVersion)
	size := 0
	switch n := len(e.words) - 1; { // the driver's bounds
	case n >= math.MaxUint16:
		size = 2
	case n >= math.MaxUint8:
		size = 1
	}
	e.u64(uint64(dictionaryHere | size))
	e.u64(uint64(len(e.words)))
	for _, w := range e.words {
		e.text(w)
	}
	e.u64(uint64(len(e.keys)))
	for _, k := range e.keys {
		switch size {
		case 0:
			e.b = append(e.b, byte(k))
		case 1:
			e.b = binary.LittleEndian.AppendUint16(e.b, uint16(k))
		default:
			e.b = binary.LittleEndian.AppendUint32(e.b, uint32(k))
		}
	}
	clear(e.words) // they are parts of what the rows were read from
	clear(e.at)
}
