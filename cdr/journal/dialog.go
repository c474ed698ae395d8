package journal

import (
	"encoding/binary"
	"math"

	"tandem"
)

// maxRoutes of one dialog; Record-Route lists in the field have a handful.
const maxRoutes = 32

// appendDialogs writes the dialogs that the legs carry: how many, then each
// with its leg's index. One with a longer string than fits is left out: a BYE
// to half a Contact helps nobody.
func appendDialogs(b []byte, legs []tandem.LegRecord) []byte {
	count := len(b)
	b = append(b, 0)
	for i := range legs {
		if d := legs[i].Dialog; d != nil && fits(d) {
			b[count]++
			b = append(b, byte(i))
			for _, s := range [...]string{d.LocalTag, d.RemoteTag, d.Local, d.Remote, d.Target} {
				b = appendString(b, s)
			}
			b = append(b, byte(len(d.Routes)))
			for _, r := range d.Routes {
				b = appendString(b, r)
			}
			b = binary.AppendUvarint(b, uint64(d.LocalSeq))
		}
	}
	return b
}

func fits(d *tandem.DialogRecord) bool {
	for _, r := range d.Routes {
		if len(r) > maxString {
			return false
		}
	}
	return len(d.Routes) <= maxRoutes && max(len(d.LocalTag), len(d.RemoteTag), len(d.Local), len(d.Remote), len(d.Target)) <= maxString
}

func (d *decoder) dialogs(legs []tandem.LegRecord) {
	before := -1
	for n := int(d.byte()); n > 0 && !d.bad; n-- {
		i := int(d.byte())
		if i <= before || i >= len(legs) {
			d.bad = true
			return
		}
		before = i
		v := &tandem.DialogRecord{LocalTag: d.string(), RemoteTag: d.string(), Local: d.string(), Remote: d.string(), Target: d.string()}
		routes := int(d.byte())
		if routes > maxRoutes {
			d.bad = true
			return
		}
		for range routes {
			v.Routes = append(v.Routes, d.string())
		}
		seq := d.uvarint()
		if seq > math.MaxUint32 {
			d.bad = true
			return
		}
		v.LocalSeq = uint32(seq)
		legs[i].Dialog = v
	}
}
