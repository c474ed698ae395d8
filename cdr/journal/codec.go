package journal

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"tandem"
)

// codecVersion is the first byte of every payload. A reader knows all versions
// ever written; a change of the layout below takes the next number.
//
// Version 2 ends with the dialogs of connected legs; version 1 has none.
const codecVersion = 2

func knownVersion(v byte) bool { return v == 1 || v == codecVersion }

// Limits of one record. A longer string is cut at a rune, further legs and
// trace steps are left out: hostile headers must not grow the journal.
const (
	maxString = 1024
	maxLegs   = 255
	maxTrace  = 255
)

// prefixSize is what every payload starts with: version, sequence number,
// instant, correlation ID. Recovery reads only this much of most facts.
const prefixSize = 1 + 8 + 8 + 16

// errCodec is returned for a payload that passed its checksum and still makes
// no sense: a bug or a newer version, never a torn write.
var errCodec = errors.New("journal: payload is not readable by this version")

// appendPayload encodes a fact as codecVersion. The sequence number is filled
// in later, when it is known (see putSeq).
func appendPayload(b []byte, at time.Time, c *tandem.CallRecord) []byte {
	b = append(b, codecVersion)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b = appendTime(b, at)
	b = append(b, c.Correlation[:]...)

	b = appendString(b, c.Node)
	b = appendString(b, string(c.Direction))
	b = appendString(b, c.Account)
	b = append(b, c.Tenant[:]...)
	b = appendString(b, string(c.DID))
	b = appendString(b, string(c.UserType))
	b = appendString(b, string(c.Plan))
	b = append(b, bits(c.Emergency, c.Recovered))
	b = appendString(b, c.From)
	b = appendString(b, c.To)
	b = appendString(b, c.Dialled)
	b = appendString(b, string(c.FailsafeTo))
	b = appendTime(b, c.Checkpoint)

	trace := c.Trace[:min(len(c.Trace), maxTrace)]
	b = append(b, byte(len(trace)))
	for i := range trace {
		b = appendString(b, trace[i].Rule)
		b = appendString(b, trace[i].Detail)
	}
	legs := c.Legs[:min(len(c.Legs), maxLegs)]
	b = append(b, byte(len(legs)))
	for i := range legs {
		b = appendLeg(b, &legs[i])
	}
	return appendDialogs(b, legs)
}

func appendLeg(b []byte, l *tandem.LegRecord) []byte {
	b = appendString(b, string(l.Technology))
	b = appendString(b, l.Network)
	b = appendString(b, string(l.Trunk))
	b = appendString(b, l.Endpoint)
	b = appendString(b, l.SIPCallID)
	b = appendString(b, l.From)
	b = appendString(b, l.To)
	b = appendTime(b, l.SetupTime)
	b = appendTime(b, l.RingTime)
	b = appendTime(b, l.AnswerTime)
	b = appendTime(b, l.ReleaseTime)
	b = binary.AppendVarint(b, int64(l.Duration))
	b = appendString(b, string(l.Outcome))
	b = binary.LittleEndian.AppendUint16(b, uint16(l.Status))
	b = append(b, byte(l.Cause))
	b = appendString(b, l.ReasonText)
	b = appendString(b, string(l.ReleasedBy))
	b = appendString(b, string(l.Disposition))
	b = append(b, bits(l.Failsafe, l.SRTP))
	b = appendString(b, l.Codec)
	b = appendStats(b, &l.RX)
	return appendStats(b, &l.TX)
}

func appendStats(b []byte, s *tandem.StreamStats) []byte {
	b = binary.AppendUvarint(b, s.Packets)
	b = binary.AppendUvarint(b, s.Bytes)
	b = binary.AppendUvarint(b, s.Lost)
	b = binary.AppendUvarint(b, uint64(s.JitterMicros))
	b = binary.AppendUvarint(b, s.Dropped)
	return appendTime(b, s.LastSeen)
}

// appendTime writes nanoseconds since 1970 UTC; math.MinInt64 is the zero time.
func appendTime(b []byte, t time.Time) []byte {
	n := int64(math.MinInt64)
	if !t.IsZero() {
		n = t.UnixNano()
	}
	return binary.LittleEndian.AppendUint64(b, uint64(n))
}

func appendString(b []byte, s string) []byte {
	if len(s) > maxString {
		cut := maxString
		for cut > maxString-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func bits(first, second bool) (b byte) {
	if first {
		b |= 1
	}
	if second {
		b |= 2
	}
	return b
}

func putSeq(payload []byte, seq uint64) { binary.LittleEndian.PutUint64(payload[1:], seq) }

func seqOf(payload []byte) uint64 { return binary.LittleEndian.Uint64(payload[1:]) }

func instantOf(payload []byte) time.Time {
	d := decoder{b: payload[9:]}
	return d.time()
}

func correlationOf(payload []byte) (id uuid.UUID) {
	copy(id[:], payload[17:])
	return id
}

// decodePayload reads what appendPayload wrote, into fresh memory: one copy of
// the payload, of which all strings of the call are parts.
func decodePayload(p []byte) (seq uint64, at time.Time, c tandem.CallRecord, err error) {
	if len(p) < prefixSize || !knownVersion(p[0]) {
		return 0, at, c, errCodec
	}
	d := decoder{b: p[1:], text: string(p)}
	seq = d.u64()
	at = d.time()
	copy(c.Correlation[:], d.bytes(16))
	c.Node = d.string()
	c.Direction = tandem.Direction(d.string())
	c.Account = d.string()
	copy(c.Tenant[:], d.bytes(16))
	c.DID = tandem.E164(d.string())
	c.UserType = tandem.UserType(d.string())
	c.Plan = tandem.PlanKind(d.string())
	flags := d.byte()
	c.Emergency, c.Recovered = flags&1 != 0, flags&2 != 0
	c.From = d.string()
	c.To = d.string()
	c.Dialled = d.string()
	c.FailsafeTo = tandem.E164(d.string())
	c.Checkpoint = d.time()
	if n := int(d.byte()); n > 0 && !d.bad {
		c.Trace = make([]tandem.TraceStep, n)
		for i := range c.Trace {
			c.Trace[i].Rule = d.string()
			c.Trace[i].Detail = d.string()
		}
	}
	if n := int(d.byte()); n > 0 && !d.bad {
		c.Legs = make([]tandem.LegRecord, n)
		for i := range c.Legs {
			d.leg(&c.Legs[i])
		}
	}
	if p[0] >= 2 {
		d.dialogs(c.Legs)
	}
	if d.bad || len(d.b) != 0 {
		return 0, time.Time{}, tandem.CallRecord{}, errCodec
	}
	return seq, at, c, nil
}

// decoder consumes b; once bad it returns zero values, so that callers check once.
type decoder struct {
	b    []byte
	text string // what b is the end of
	bad  bool
}

func (d *decoder) bytes(n int) []byte {
	if d.bad || n > len(d.b) {
		d.bad = true
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if v := d.bytes(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if v := d.bytes(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

func (d *decoder) time() time.Time {
	n := int64(d.u64())
	if n == math.MinInt64 || d.bad {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if d.bad || n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if d.bad || n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) string() string {
	n := d.uvarint()
	if n > maxString {
		d.bad = true
		return ""
	}
	at := len(d.text) - len(d.b)
	return d.text[at : at+len(d.bytes(int(n)))]
}

func (d *decoder) leg(l *tandem.LegRecord) {
	l.Technology = tandem.Technology(d.string())
	l.Network = d.string()
	l.Trunk = tandem.TrunkID(d.string())
	l.Endpoint = d.string()
	l.SIPCallID = d.string()
	l.From = d.string()
	l.To = d.string()
	l.SetupTime = d.time()
	l.RingTime = d.time()
	l.AnswerTime = d.time()
	l.ReleaseTime = d.time()
	l.Duration = time.Duration(d.varint())
	l.Outcome = tandem.OutcomeKind(d.string())
	if v := d.bytes(2); v != nil {
		l.Status = tandem.SIPStatus(binary.LittleEndian.Uint16(v))
	}
	l.Cause = tandem.Cause(d.byte())
	l.ReasonText = d.string()
	l.ReleasedBy = tandem.ReleasedBy(d.string())
	l.Disposition = tandem.Disposition(d.string())
	flags := d.byte()
	l.Failsafe, l.SRTP = flags&1 != 0, flags&2 != 0
	l.Codec = d.string()
	d.stats(&l.RX)
	d.stats(&l.TX)
}

func (d *decoder) stats(s *tandem.StreamStats) {
	s.Packets = d.uvarint()
	s.Bytes = d.uvarint()
	s.Lost = d.uvarint()
	jitter := d.uvarint()
	if jitter > math.MaxUint32 {
		d.bad = true
	}
	s.JitterMicros = uint32(jitter)
	s.Dropped = d.uvarint()
	s.LastSeen = d.time()
}
