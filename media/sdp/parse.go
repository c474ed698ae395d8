package sdp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"tandem"
	"tandem/media/srtp"
)

// Limits of a description. A large real one (Teams with ICE and many codecs)
// has 4 KB, 2 media and 60 lines.
const (
	MaxSize       = 16 << 10 // octets
	maxMedia      = 16
	maxFormats    = 64
	maxAttributes = 256 // kept, per media
	maxCrypto     = 16
	maxLine       = 1024
)

// Attribute is an a= line that we carry on.
type Attribute struct {
	Name, Value string
	Format      string // the payload type that rtpmap and fmtp belong to
}

// Media is one m= section.
type Media struct {
	Kind    string // "audio", "video", "image"...
	Port    uint16
	Proto   string   // in upper case: "RTP/SAVP"
	Formats []string // payload types in the author's order

	Addr      netip.Addr // where the author receives; invalid when unknown
	Hold      bool       // c=0.0.0.0: hold as RFC 2543 wrote it
	HostName  string     // a c= line with a name, which we can't use
	Direction Direction
	RTCP      netip.AddrPort // from a=rtcp (RFC 3605); address may be invalid, port 0 = not given
	Mux       bool           // RFC 5761
	Crypto    []srtp.Crypto  // usable ones, in order

	Attributes []Attribute // the ones we carry, in order
	Bandwidth  []string    // b= values
	directed   bool
	written    string // protocol as the author wrote it, which an answer repeats
}

// Description is a session description as far as we need it.
type Description struct {
	Media []Media
}

// carried are the attributes that mean something end to end. Everything else
// speaks about the author's transport (ICE, DTLS, BUNDLE, feedback) or is unknown.
func carried(name string) bool {
	switch name {
	case "rtpmap", "fmtp", "ptime", "maxptime", "silenceSupp", "ecan":
		return true
	}
	return false
}

type connection struct {
	addr netip.Addr
	hold bool
	name string
}

// Parse reads a description. Errors are *tandem.Error of KindInvalid.
func Parse(body []byte) (*Description, error) {
	if len(body) > MaxSize {
		return nil, invalid(fmt.Sprintf("the description has %d octets", len(body)), fmt.Sprintf("send %d at most", MaxSize))
	}
	var d Description
	var session struct {
		connection
		direction Direction
		mux       bool
	}
	session.direction = SendRecv
	version := false
	for raw := range strings.Lines(string(body)) {
		line := strings.TrimRight(raw, " \t\r\n")
		if len(line) < 2 || line[1] != '=' || len(line) > maxLine || !clean(line) {
			continue
		}
		kind, value := line[0], strings.TrimSpace(line[2:])
		if kind == 'm' {
			if len(d.Media) == maxMedia {
				return nil, invalid("the description has too many m= lines", fmt.Sprintf("send %d at most", maxMedia))
			}
			m, err := parseMedia(value)
			if err != nil {
				return nil, err
			}
			d.Media = append(d.Media, m)
			continue
		}
		if len(d.Media) == 0 {
			switch kind {
			case 'v':
				version = true
			case 'c':
				session.connection = parseConnection(value)
			case 'a':
				if dir, ok := parseDirection(value); ok {
					session.direction = dir
				}
				session.mux = session.mux || value == "rtcp-mux"
			}
			continue
		}
		m := &d.Media[len(d.Media)-1]
		switch kind {
		case 'c':
			c := parseConnection(value)
			m.Addr, m.Hold, m.HostName = c.addr, c.hold, c.name
		case 'b':
			if bandwidth(value) && len(m.Bandwidth) < 8 {
				m.Bandwidth = append(m.Bandwidth, value)
			}
		case 'a':
			m.attribute(value)
		}
	}
	if !version {
		return nil, invalid("the body is no session description: no v= line", "send application/sdp (RFC 4566)")
	}
	if len(d.Media) == 0 {
		return nil, invalid("the description has no m= line", "describe one audio stream")
	}
	for i := range d.Media {
		m := &d.Media[i]
		if !m.Addr.IsValid() && !m.Hold && m.HostName == "" {
			m.Addr, m.Hold, m.HostName = session.addr, session.hold, session.name
		}
		if !m.directed {
			m.Direction = session.direction
		}
		if m.Hold { // RFC 2543 B.5: the author can't receive
			m.Direction &= SendOnly
		}
		m.Mux = m.Mux || session.mux
	}
	return &d, nil
}

// clean reports that a line has no control characters: such a line is left out,
// because it can't be a real one and must not travel on.
func clean(line string) bool {
	for i := range len(line) {
		if c := line[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// parseMedia reads "audio 49170/2 RTP/AVP 0 8".
func parseMedia(value string) (Media, error) {
	var room [16]string
	f := fields(room[:0], value)
	if len(f) < 3 {
		return Media{}, invalid(fmt.Sprintf("m=%s is not readable", tandem.Clip(value, 60)), "write media, port, protocol and formats")
	}
	port, _, _ := strings.Cut(f[1], "/")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return Media{}, invalid(fmt.Sprintf("port %s of the m= line is not readable", tandem.Clip(port, 20)), "write a number from 0 to 65535")
	}
	m := Media{Kind: strings.ToLower(f[0]), Port: uint16(n), Proto: strings.ToUpper(f[2]), written: f[2]}
	if !token(m.Kind) || !token(m.written) { // written, not Proto: some letters beyond ASCII have an ASCII capital
		return Media{}, invalid("the m= line has characters that do not belong there", "write tokens (RFC 4566 9)")
	}
	m.Formats = make([]string, 0, min(len(f)-3, maxFormats))
	for _, format := range f[3:] {
		if token(format) && len(m.Formats) < maxFormats {
			m.Formats = append(m.Formats, format)
		}
	}
	return m, nil
}

// fields appends the words of s, which blanks separate.
func fields(to []string, s string) []string {
	for word := range strings.FieldsSeq(s) {
		to = append(to, word)
	}
	return to
}

func token(s string) bool {
	if s == "" || len(s) > 40 {
		return false
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),:;<=>?@[\]`, c) >= 0 {
			return false
		}
	}
	return true
}

// parseConnection reads "IN IP4 192.0.2.1[/ttl]"; the address decides, not the
// family word, which some get wrong.
func parseConnection(value string) connection {
	var room [4]string
	f := fields(room[:0], value)
	if len(f) == 0 {
		return connection{}
	}
	text, _, _ := strings.Cut(f[len(f)-1], "/")
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return connection{name: tandem.Clip(text, 60)}
	}
	addr = addr.Unmap()
	if addr.IsUnspecified() {
		return connection{hold: true}
	}
	return connection{addr: addr}
}

// bandwidth accepts "AS:64" and its like. Other types than the registered ones
// must be ignored (RFC 4566 5.8); there are peers that refuse a body with one.
func bandwidth(value string) bool {
	name, n, _ := strings.Cut(value, ":")
	switch name {
	case "CT", "AS", "TIAS", "RS", "RR": // RFC 4566 5.8, 3890 6.2, 3556 2
	default:
		return false
	}
	if len(n) > 12 {
		return false
	}
	_, err := strconv.ParseUint(n, 10, 64)
	return err == nil
}

func (m *Media) attribute(value string) {
	name, rest, _ := strings.Cut(value, ":")
	name, rest = strings.TrimSpace(name), strings.TrimSpace(rest)
	if dir, ok := parseDirection(name); ok {
		m.Direction, m.directed = dir, true
		return
	}
	switch name {
	case "rtcp-mux":
		m.Mux = true
	case "rtcp":
		m.RTCP = parseRTCP(rest)
	case "crypto":
		if c, err := srtp.ParseCrypto(rest); err == nil && len(m.Crypto) < maxCrypto {
			m.Crypto = append(m.Crypto, c)
		}
	default:
		if carried(name) && rest != "" && len(m.Attributes) < maxAttributes {
			a := Attribute{Name: name, Value: rest}
			if name == "rtpmap" || name == "fmtp" {
				a.Format, _, _ = strings.Cut(rest, " ")
			}
			if m.Attributes == nil {
				m.Attributes = make([]Attribute, 0, 8)
			}
			m.Attributes = append(m.Attributes, a)
		}
	}
}

// parseRTCP reads "53020 [IN IP4 192.0.2.1]" (RFC 3605 2.1).
func parseRTCP(value string) netip.AddrPort {
	f := strings.Fields(value)
	if len(f) == 0 {
		return netip.AddrPort{}
	}
	n, err := strconv.ParseUint(f[0], 10, 16)
	if err != nil {
		return netip.AddrPort{}
	}
	if len(f) >= 4 {
		return netip.AddrPortFrom(parseConnection(f[3]).addr, uint16(n))
	}
	return netip.AddrPortFrom(netip.Addr{}, uint16(n))
}

// payloadType reads an RTP payload type (RFC 3551); false for what is none.
func payloadType(format string) (uint8, bool) {
	n, err := strconv.ParseUint(format, 10, 8)
	return uint8(n), err == nil && n < 128
}

// UsesIPv6 tells the family of the first address that a description gives, so
// that the side can be given ports of that family; known is false when it gives none.
func UsesIPv6(body []byte) (six, known bool) {
	d, err := Parse(body)
	if err != nil {
		return false, false
	}
	for _, m := range d.Media {
		if m.Kind == "audio" && m.Addr.IsValid() {
			return m.Addr.Is6(), true
		}
	}
	return false, false
}
