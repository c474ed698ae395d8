package sdp

import "testing"

// Payload types without an rtpmap have the clocks of RFC 3551, an rtpmap's count
// before them, and events have none; no side changes another's.
func TestClocksOfALeg(t *testing.T) {
	rtpmap := func(format, value string) Attribute {
		return Attribute{Name: "rtpmap", Format: format, Value: format + " " + value}
	}
	leg := func(formats []string, maps ...Attribute) Leg {
		s := side{terms: terms{agreed: true, remote: &Media{Attributes: maps}, spoken: speech{Formats: formats}}}
		return s.leg(&side{})
	}
	for name, c := range map[string]struct {
		leg  Leg
		want map[uint8]uint32
	}{
		"fixed types":              {leg([]string{"0", "8", "13"}), map[uint8]uint32{0: 8000, 8: 8000, 9: 8000, 13: 8000, 97: 0}},
		"a dynamic type":           {leg([]string{"97", "0"}, rtpmap("97", "AMR-WB/16000")), map[uint8]uint32{97: 16000, 0: 8000}},
		"events beside speech":     {leg([]string{"0", "101"}, rtpmap("101", "telephone-event/8000")), map[uint8]uint32{0: 8000, 101: 0}},
		"events on a fixed type":   {leg([]string{"0", "18"}, rtpmap("18", "telephone-event/8000")), map[uint8]uint32{0: 8000, 18: 0}},
		"a fixed type's own clock": {leg([]string{"9"}, rtpmap("9", "G722/16000")), map[uint8]uint32{9: 16000}},
		"fixed types after them":   {leg([]string{"9", "18"}), map[uint8]uint32{9: 8000, 18: 8000, 97: 0}},
	} {
		for pt, want := range c.want {
			if got := c.leg.Clocks[pt]; got != want {
				t.Errorf("%s: clock of %d is %d, want %d", name, pt, got, want)
			}
		}
	}
	if got := (&side{}).leg(&side{}); got.Clocks != nil {
		t.Errorf("a side that has agreed to nothing has clocks")
	}
	if fixedClocks[9] != 8000 || fixedClocks[18] != 8000 || fixedClocks[97] != 0 {
		t.Error("a side has changed what all share")
	}
}
