package srtp

import (
	"crypto/subtle"
	"fmt"
	"io"
)

// Suite is a protection profile (RFC 4568 6.2).
type Suite uint8

// The suites. They differ in the tag of SRTP only; SRTCP's is always 80 bits.
const (
	AESCM80 Suite = iota + 1 // AES_CM_128_HMAC_SHA1_80
	AESCM32                  // AES_CM_128_HMAC_SHA1_32
)

func (s Suite) String() string {
	switch s {
	case AESCM80:
		return "AES_CM_128_HMAC_SHA1_80"
	case AESCM32:
		return "AES_CM_128_HMAC_SHA1_32"
	}
	return fmt.Sprintf("Suite(%d)", uint8(s))
}

// tag is the length of the authentication tag of RTP packets in octets.
func (s Suite) tag() int {
	if s == AESCM32 {
		return 4
	}
	return 10
}

// Sizes in octets.
const (
	KeySize  = 16
	SaltSize = 14
	rtcpTag  = 10
	// Overhead is the most that protecting a packet adds: SRTCP index and tag.
	Overhead = 4 + rtcpTag
)

// Key is a master key with its salt, for one suite.
type Key struct {
	Suite  Suite
	Master [KeySize]byte
	Salt   [SaltSize]byte
}

// NewKey draws a key from random, which must be a cryptographic source.
func NewKey(suite Suite, random io.Reader) (Key, error) {
	k := Key{Suite: suite}
	if _, err := io.ReadFull(random, k.Master[:]); err != nil {
		return Key{}, fmt.Errorf("draw SRTP master key: %w", err)
	}
	if _, err := io.ReadFull(random, k.Salt[:]); err != nil {
		return Key{}, fmt.Errorf("draw SRTP master salt: %w", err)
	}
	return k, nil
}

// Equal compares two keys in constant time.
func (k Key) Equal(o Key) bool {
	same := subtle.ConstantTimeCompare(k.Master[:], o.Master[:]) & subtle.ConstantTimeCompare(k.Salt[:], o.Salt[:])
	return same == 1 && k.Suite == o.Suite
}

// String hides the key: it must never reach a log.
func (k Key) String() string { return k.Suite.String() + " (key hidden)" }

// GoString hides the key.
func (k Key) GoString() string { return k.String() }
