package srtp

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Crypto is an a=crypto attribute (RFC 4568 9.1): the key with which its author
// sends.
type Crypto struct {
	Tag int // 0 to 999,999,999; the answer repeats the one it chose
	Key Key
	// MKI is the length in octets of the master key identifier that its author
	// puts into every packet; 0 = none (RFC 3711 3.1). Its value is not needed: there is one key.
	MKI int
}

// Errors of ParseCrypto. An attribute that fails is skipped, another may serve.
var (
	ErrSyntax  = errors.New("crypto attribute is not readable")       // RFC 4568 9.1
	ErrSuite   = errors.New("crypto suite is not supported")          // only the AES_CM_128 suites are
	ErrSession = errors.New("crypto session parameter not supported") // RFC 4568 6.3: then the attribute must not be chosen
)

const maxMKI = 128 // RFC 4568 9.2: mki-length is 1 to 128

// ParseCrypto reads the value of a crypto attribute, what follows "a=crypto:".
// Lifetimes are read and ignored: 2^48 packets are years of voice. Of several
// inline keys the first is taken.
func ParseCrypto(value string) (Crypto, error) {
	f := strings.Fields(value)
	if len(f) < 3 || len(f[0]) > 9 {
		return Crypto{}, ErrSyntax
	}
	tag, err := strconv.ParseUint(f[0], 10, 32)
	if err != nil {
		return Crypto{}, fmt.Errorf("%w: tag", ErrSyntax)
	}
	c := Crypto{Tag: int(tag)}
	switch strings.ToUpper(f[1]) {
	case "AES_CM_128_HMAC_SHA1_80":
		c.Key.Suite = AESCM80
	case "AES_CM_128_HMAC_SHA1_32":
		c.Key.Suite = AESCM32
	default:
		return Crypto{}, ErrSuite
	}
	first, _, _ := strings.Cut(f[2], ";")
	if len(first) < 7 || !strings.EqualFold(first[:7], "inline:") {
		return Crypto{}, fmt.Errorf("%w: key method", ErrSyntax)
	}
	if err := c.inline(first[7:]); err != nil {
		return Crypto{}, err
	}
	for _, p := range f[3:] {
		// WSH is a hint about the replay window; everything else changes the packets.
		if !strings.HasPrefix(strings.ToUpper(p), "WSH=") && !strings.HasPrefix(p, "-") {
			return Crypto{}, ErrSession
		}
	}
	return c, nil
}

// inline reads key||salt, lifetime and MKI: base64 ["|" lifetime] ["|" mki ":" length].
func (c *Crypto) inline(s string) error {
	parts := strings.Split(s, "|")
	// Some stacks leave the padding off; a 30-octet key needs none anyway.
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(parts[0], "="))
	if err != nil || len(raw) != KeySize+SaltSize {
		return fmt.Errorf("%w: key must be 30 octets in base64", ErrSyntax)
	}
	copy(c.Key.Master[:], raw)
	copy(c.Key.Salt[:], raw[KeySize:])
	for _, p := range parts[1:] {
		_, length, isMKI := strings.Cut(p, ":")
		if !isMKI {
			continue
		}
		n, err := strconv.Atoi(length)
		if err != nil || n < 0 || n > maxMKI {
			return fmt.Errorf("%w: MKI length", ErrSyntax)
		}
		c.MKI = n
	}
	return nil
}

// String is the attribute's value as we write it: lifetime 2^31, no MKI
// (microsoft-teams-trunk.md 7). It holds the key, so it goes into SDP only.
func (c Crypto) String() string {
	raw := make([]byte, 0, KeySize+SaltSize)
	raw = append(append(raw, c.Key.Master[:]...), c.Key.Salt[:]...)
	return strconv.Itoa(c.Tag) + " " + c.Key.Suite.String() + " inline:" + base64.StdEncoding.EncodeToString(raw) + "|2^31"
}
