package sdp

import (
	"slices"
	"strconv"
	"strings"
)

// defaultAudio is what we offer when nobody has described anything yet: G.711
// and DTMF events, which Microsoft and every carrier take.
func defaultAudio() *Media {
	return &Media{
		Kind: "audio", Formats: []string{"0", "8", "101"}, Direction: SendRecv,
		Attributes: []Attribute{
			{"rtpmap", "0 PCMU/8000", "0"}, {"rtpmap", "8 PCMA/8000", "8"},
			{"rtpmap", "101 telephone-event/8000", "101"}, {"fmtp", "101 0-15", "101"}, {Name: "ptime", Value: "20"},
		},
	}
}

// keepFormats is the media with only the RTP payload types that allow lists, in
// its own order; allow nil keeps all.
func (m *Media) keepFormats(allow []string) []string {
	kept := make([]string, 0, len(m.Formats))
	for _, f := range m.Formats {
		if _, ok := payloadType(f); ok && (allow == nil || slices.Contains(allow, f)) && !slices.Contains(kept, f) {
			kept = append(kept, f)
		}
	}
	return kept
}

// oneVoice is the media's formats with only the first speech format of it.
func (m *Media) oneVoice() []string {
	var kept []string
	spoken := false
	for _, f := range m.keepFormats(nil) {
		name, _ := mapping(m.Attributes, f)
		if audible(name) {
			if spoken {
				continue
			}
			spoken = true
		}
		kept = append(kept, f)
	}
	return kept
}

// mapping reads the rtpmap of a payload type: encoding name and clock rate.
// Static payload types need none (RFC 3551 6).
func mapping(attributes []Attribute, format string) (name string, clock uint32) {
	for _, a := range attributes {
		if a.Name != "rtpmap" || a.Format != format {
			continue
		}
		_, rest, _ := strings.Cut(a.Value, " ")
		encoding, rest, _ := strings.Cut(strings.TrimSpace(rest), "/")
		rate, _, _ := strings.Cut(rest, "/") // channels may follow
		hz, err := strconv.ParseUint(rate, 10, 32)
		if err != nil || !token(encoding) {
			continue
		}
		return encoding, uint32(hz)
	}
	pt, _ := payloadType(format)
	return static(pt)
}

// static is the table of RFC 3551 6 for audio.
func static(pt uint8) (string, uint32) {
	switch pt {
	case 0:
		return "PCMU", 8000
	case 3:
		return "GSM", 8000
	case 4:
		return "G723", 8000
	case 8:
		return "PCMA", 8000
	case 9:
		return "G722", 8000 // RFC 3551 4.5.2: 8000 by historical error
	case 13:
		return "CN", 8000
	case 15:
		return "G728", 8000
	case 18:
		return "G729", 8000
	}
	return "", 0
}

// audible reports that a format carries speech, and not events or silence.
func audible(name string) bool {
	switch strings.ToLower(name) {
	case "", "telephone-event", "cn", "red", "tone":
		return false
	}
	return true
}
