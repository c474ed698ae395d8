package sdp

import (
	"slices"
	"strconv"
	"strings"

	"tandem/media/srtp"
)

// view is one description of ours, before it is written.
type view struct {
	lines       []slot
	audio       int   // index of the audio line
	speech      Media // formats and their attributes
	direction   Direction
	secure, mux bool
	answer      bool // then the protocol of the offer is repeated
}

// describe writes our description for a side: the audio line with our address,
// all other lines of the session zeroed. The version in o= counts up only when
// something changed (RFC 3264 8, RFC 4566 5.2).
func (s *side) describe(v view) []byte {
	var b strings.Builder
	b.Grow(512)
	family := "IP4 "
	if s.Address.Is6() {
		family = "IP6 "
	}
	b.WriteString("s=-\r\nc=IN " + family + s.Address.String() + "\r\nt=0 0\r\n")
	for i, line := range v.lines {
		if i != v.audio {
			b.WriteString("m=" + line.kind + " 0 " + line.proto + " " + line.format + "\r\n")
			continue
		}
		s.audio(&b, line.proto, &v)
	}
	text := b.String()
	if text != s.last {
		s.version++
		s.last = text
	}
	return []byte("v=0\r\no=- " + strconv.FormatUint(s.session, 10) + " " + strconv.FormatUint(s.version, 10) +
		" IN " + family + s.Address.String() + "\r\n" + text)
}

// audio writes the audio section. An answer repeats the protocol of the offer
// (RFC 3264 6.1). An offer uses the plain profiles; a peer that put its keys
// into RTP/AVP is offered the same again.
func (s *side) audio(b *strings.Builder, proto string, v *view) {
	switch {
	case v.answer, v.secure && proto == "RTP/AVP":
	case v.secure:
		proto = "RTP/SAVP"
	default:
		proto = "RTP/AVP"
	}
	b.WriteString("m=audio " + strconv.Itoa(int(s.Port)) + " " + proto)
	for _, f := range v.speech.Formats {
		b.WriteString(" " + f)
	}
	b.WriteString("\r\n")
	for _, value := range v.speech.Bandwidth {
		b.WriteString("b=" + value + "\r\n")
	}
	if v.secure {
		b.WriteString("a=crypto:" + srtp.Crypto{Tag: s.tag, Key: s.key}.String() + "\r\n")
	}
	for _, a := range v.speech.Attributes {
		if a.Format == "" || slices.Contains(v.speech.Formats, a.Format) {
			b.WriteString("a=" + a.Name + ":" + a.Value + "\r\n")
		}
	}
	if v.mux {
		b.WriteString("a=rtcp-mux\r\n")
	}
	b.WriteString("a=" + v.direction.String() + "\r\n")
}
