package player

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/srtp/v3"
)

// RTP payload types (RFC 3551).
const (
	PCMU uint8 = 0
	PCMA uint8 = 8
)

// Crypto is one a=crypto line (RFC 4568 9.1).
type Crypto struct {
	Tag   string
	Suite string
	Key   []byte // master key and salt together, 30 bytes for AES_CM_128
	MKI   []byte // nil when there is none
}

// The suites of RFC 4568 6.2.
const (
	Suite80 = "AES_CM_128_HMAC_SHA1_80"
	Suite32 = "AES_CM_128_HMAC_SHA1_32"
)

func (c Crypto) profile() (srtp.ProtectionProfile, bool) {
	switch c.Suite {
	case Suite80:
		return srtp.ProtectionProfileAes128CmHmacSha1_80, true
	case Suite32:
		return srtp.ProtectionProfileAes128CmHmacSha1_32, true
	}
	return 0, false
}

// NewCrypto makes a fresh key.
func NewCrypto(tag, suite string) Crypto {
	key := make([]byte, 30)
	rand.Read(key)
	return Crypto{Tag: tag, Suite: suite, Key: key}
}

func (c Crypto) String() string {
	s := "a=crypto:" + c.Tag + " " + c.Suite + " inline:" + base64.StdEncoding.EncodeToString(c.Key) + "|2^31"
	if c.MKI != nil {
		n := 0
		for _, b := range c.MKI {
			n = n<<8 | int(b)
		}
		s += fmt.Sprintf("|%d:%d", n, len(c.MKI))
	}
	return s
}

// parseCrypto reads the value of a crypto attribute; lifetime and MKI may be there.
func parseCrypto(value string) (Crypto, bool) {
	fields := strings.Fields(value)
	if len(fields) < 3 {
		return Crypto{}, false
	}
	c := Crypto{Tag: fields[0], Suite: fields[1]}
	params, ok := strings.CutPrefix(fields[2], "inline:")
	if !ok {
		return c, false
	}
	params, _, _ = strings.Cut(params, ";")
	parts := strings.Split(params, "|")
	key, err := base64.StdEncoding.DecodeString(parts[0])
	if err != nil || len(key) != 30 {
		return c, false
	}
	c.Key = key
	for _, p := range parts[1:] {
		number, length, is := strings.Cut(p, ":")
		if !is {
			continue // lifetime
		}
		n, err1 := strconv.ParseUint(number, 10, 64)
		l, err2 := strconv.Atoi(length)
		if err1 != nil || err2 != nil || l < 1 || l > 8 {
			return c, false
		}
		for i := l - 1; i >= 0; i-- {
			c.MKI = append(c.MKI, byte(n>>(8*i)))
		}
	}
	return c, true
}

// Description is what the player reads out of an SDP: the first audio line.
type Description struct {
	Addr      netip.AddrPort
	Profile   string // RTP/AVP, RTP/SAVP...
	Types     []uint8
	Cryptos   []Crypto
	Direction string // sendrecv when absent
	Lines     int    // number of m= lines
	HasICE    bool
	RTCPMux   bool
	Names     map[uint8]string // rtpmap
}

// ParseSDP reads an SDP leniently: unknown lines are passed over.
func ParseSDP(body []byte) (*Description, error) {
	d := &Description{Direction: "sendrecv", Names: map[uint8]string{}}
	var session, media netip.Addr
	port, in := 0, false
	if !strings.HasPrefix(string(body), "v=0") {
		return nil, fmt.Errorf("SDP does not begin with v=0")
	}
	for line := range strings.Lines(string(body)) {
		line = strings.TrimRight(line, "\r\n")
		kind, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		switch kind {
		case "m":
			d.Lines++
			in = d.Profile == "" && strings.HasPrefix(value, "audio ")
			if !in {
				continue
			}
			f := strings.Fields(value)
			if len(f) < 4 {
				return nil, fmt.Errorf("SDP m=audio line is short")
			}
			p, err := strconv.ParseUint(f[1], 10, 16)
			if err != nil {
				return nil, fmt.Errorf("SDP port %q: %w", f[1], err)
			}
			port, d.Profile = int(p), f[2]
			for _, t := range f[3:] {
				if n, err := strconv.ParseUint(t, 10, 7); err == nil {
					d.Types = append(d.Types, uint8(n))
				}
			}
		case "c":
			f := strings.Fields(value)
			if len(f) == 3 {
				host, _, _ := strings.Cut(f[2], "/")
				if a, err := netip.ParseAddr(host); err == nil {
					if in {
						media = a
					} else if d.Profile == "" {
						session = a
					}
				}
			}
		case "a":
			if in || d.Lines == 0 {
				d.attribute(value)
			}
		}
	}
	if d.Profile == "" {
		return nil, fmt.Errorf("SDP has no m=audio line")
	}
	if !media.IsValid() {
		media = session
	}
	d.Addr = netip.AddrPortFrom(media, uint16(port))
	return d, nil
}

func (d *Description) attribute(value string) {
	name, rest, _ := strings.Cut(value, ":")
	switch name {
	case "crypto":
		if c, ok := parseCrypto(rest); ok {
			d.Cryptos = append(d.Cryptos, c)
		}
	case "sendrecv", "sendonly", "recvonly", "inactive":
		d.Direction = name
	case "candidate":
		d.HasICE = true
	case "rtcp-mux":
		d.RTCPMux = true
	case "rtpmap":
		number, codec, _ := strings.Cut(rest, " ")
		if n, err := strconv.ParseUint(number, 10, 7); err == nil {
			d.Names[uint8(n)] = codec
		}
	}
}

// Codec is the first G.711 payload type of a description.
func (d *Description) Codec() (uint8, bool) {
	for _, t := range d.Types {
		if t == PCMU || t == PCMA {
			return t, true
		}
	}
	return 0, false
}

// Secure reports whether the profile is RTP/SAVP (or its DTLS spelling).
func (d *Description) Secure() bool { return strings.Contains(d.Profile, "SAVP") }

// Find is the crypto line of a suite.
func (d *Description) Find(suite string) (Crypto, bool) {
	for _, c := range d.Cryptos {
		if c.Suite == suite {
			return c, true
		}
	}
	return Crypto{}, false
}

// codecName for CDR comparison.
func codecName(t uint8) string {
	if t == PCMA {
		return "PCMA"
	}
	return "PCMU"
}
