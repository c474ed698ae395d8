package sdp

import (
	"slices"
	"strconv"

	"tandem/media/srtp"
)

// view is one description of ours, before it is written.
type view struct {
	lines       []slot
	audio       int // index of the audio line
	speech      speech
	direction   Direction
	secure, mux bool
	answer      bool // then the protocol of the offer is repeated
}

// describe writes our description for a side: the audio line with our address,
// all other lines of the session zeroed. The version in o= counts up only when
// something changed (RFC 3264 8, RFC 4566 5.2).
func (s *side) describe(v view) []byte {
	family := "IP4 "
	if s.Address.Is6() {
		family = "IP6 "
	}
	size := headRoom + 256
	for _, a := range v.speech.Attributes {
		size += len("a=:\r\n") + len(a.Name) + len(a.Value)
	}
	b := make([]byte, 0, size)
	b = b[:headRoom] // v= and o= come in front of the rest, which decides the version
	b = append(append(b, "s=-\r\nc=IN "...), family...)
	b = append(s.Address.AppendTo(b), "\r\nt=0 0\r\n"...)
	for i, line := range v.lines {
		if i != v.audio {
			b = add(b, "m=", line.kind, " 0 ", line.proto, " ", line.format, "\r\n")
			continue
		}
		b = s.audio(b, line.proto, &v)
	}
	if string(b[headRoom:]) != s.last {
		s.version++
		s.last = string(b[headRoom:])
	}
	var head [headRoom]byte
	h := add(head[:0], "v=0\r\no=- ")
	h = append(strconv.AppendUint(h, s.session, 10), ' ')
	h = add(strconv.AppendUint(h, s.version, 10), " IN ", family)
	h = add(s.Address.AppendTo(h), "\r\n")
	return b[headRoom-copy(b[headRoom-len(h):], h):]
}

// headRoom holds "v=0", and "o=- " with two 64-bit numbers and an IPv6 address.
const headRoom = 128

// add appends strings.
func add(b []byte, parts ...string) []byte {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// audio writes the audio section. An answer repeats the protocol of the offer
// (RFC 3264 6.1). An offer uses the plain profiles; a peer that put its keys
// into RTP/AVP is offered the same again.
func (s *side) audio(b []byte, proto string, v *view) []byte {
	switch {
	case v.answer, v.secure && proto == "RTP/AVP":
	case v.secure:
		proto = "RTP/SAVP"
	default:
		proto = "RTP/AVP"
	}
	b = add(strconv.AppendUint(add(b, "m=audio "), uint64(s.Port), 10), " ", proto)
	for _, f := range v.speech.Formats {
		b = add(b, " ", f)
	}
	b = add(b, "\r\n")
	for _, value := range v.speech.Bandwidth {
		b = add(b, "b=", value, "\r\n")
	}
	if v.secure {
		b = add(b, "a=crypto:", srtp.Crypto{Tag: s.tag, Key: s.key}.String(), "\r\n")
	}
	for _, a := range v.speech.Attributes {
		if a.Format == "" || slices.Contains(v.speech.Formats, a.Format) {
			b = add(b, "a=", a.Name, ":", a.Value, "\r\n")
		}
	}
	if v.mux {
		b = add(b, "a=rtcp-mux\r\n")
	}
	return add(b, "a=", v.direction.String(), "\r\n")
}
