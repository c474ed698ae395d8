package core

import (
	"encoding/binary"

	"tandem"
)

// Call-IDs that we mint look like td<shard:4 hex>-<32 hex>: the shard stands in
// clear, so that every later message of the B-leg finds the shard that owns the
// call, and 128 random bits make it unguessable (RFC 3261 8.1.1.4).
const (
	callIDLen    = 2 + 4 + 1 + 32
	branchPrefix = "z9hG4bKtd" // magic cookie (RFC 3261 8.1.1.7) and our mark
	hexDigits    = "0123456789abcdef"
)

// ShardOf is the shard of shards that owns a Call-ID: the one named in the
// Call-IDs that we mint, a hash for all others.
func ShardOf(callID string, shards int) uint16 {
	if shards <= 1 {
		return 0
	}
	if s, ok := mintedShard(callID); ok && int(s) < shards {
		return s
	}
	return uint16(fnv(callID) % uint64(shards))
}

func mintedShard(callID string) (uint16, bool) {
	if len(callID) != callIDLen || callID[:2] != "td" || callID[6] != '-' {
		return 0, false
	}
	v, ok := parseHex(callID[2:6])
	return uint16(v), ok
}

// fnv is FNV-1a, 64 bit.
func fnv(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

func parseHex(s string) (uint64, bool) {
	if s == "" || len(s) > 16 {
		return 0, false
	}
	var v uint64
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}

func appendHex(b []byte, v uint64, digits int) []byte {
	for i := digits - 1; i >= 0; i-- {
		b = append(b, hexDigits[v>>(4*uint(i))&0xf])
	}
	return b
}

func (c *Core) newCallID() string {
	var a [callIDLen]byte
	b := append(a[:0], "td"...)
	b = appendHex(b, uint64(c.cfg.Shard), 4)
	b = append(b, '-')
	b = appendHex(b, c.deps.Random(), 16)
	b = appendHex(b, c.deps.Random(), 16)
	return string(b)
}

// newTag carries the number of the leg in clear, so that an in-dialog request
// finds its leg without a string table, and 64 random bits.
func (c *Core) newTag(leg uint64) string {
	var a [34]byte
	b := appendHex(a[:0], leg, 16)
	b = append(b, '-')
	b = appendHex(b, c.deps.Random(), 16)
	return string(b)
}

// legOfTag is the leg number in a tag of ours.
func legOfTag(tag string) (uint64, bool) {
	if len(tag) != 33 || tag[16] != '-' {
		return 0, false
	}
	return parseHex(tag[:16])
}

// newBranch carries the number of the client transaction in clear.
func (c *Core) newBranch(tx uint64) string {
	var a [len(branchPrefix) + 33]byte
	b := append(a[:0], branchPrefix...)
	b = appendHex(b, tx, 16)
	b = append(b, '.')
	b = appendHex(b, c.deps.Random(), 16)
	return string(b)
}

// txOfBranch is the client transaction number in a branch of ours.
func txOfBranch(branch string) (uint64, bool) {
	if len(branch) != len(branchPrefix)+33 || branch[:len(branchPrefix)] != branchPrefix {
		return 0, false
	}
	return parseHex(branch[len(branchPrefix) : len(branchPrefix)+16])
}

// newCorrelation is the call's instant in milliseconds and 74 random bits (RFC 9562
// version 7) from the core's own source: IDs in the order of time spare books and
// ClickHouse most of their work, see tandem.LegID and LegKey.
func (c *Core) newCorrelation() tandem.CorrelationID {
	var id tandem.CorrelationID
	binary.BigEndian.PutUint64(id[:8], uint64(c.wall.UnixMilli())<<16|c.deps.Random()>>48)
	binary.BigEndian.PutUint64(id[8:], c.deps.Random())
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id
}
