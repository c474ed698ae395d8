package engine

import (
	"testing"

	gosip "github.com/emiago/sipgo/sip"
)

// An emergency call is told by its number, however the Request-URI writes it.
func TestEmergencyNumberInEveryFormOfURI(t *testing.T) {
	for uri, want := range map[string]class{
		"sip:911@192.0.2.1":                  classEmergency,
		"sip:+1911@192.0.2.1;user=phone":     classEmergency,
		"sip:911;phone-context=+1@192.0.2.1": classEmergency,
		"sip:%39%31%31@192.0.2.1":            classEmergency,
		"sips:933@192.0.2.1":                 classEmergency,
		"tel:911":                            classEmergency,
		"tel:911;phone-context=+1":           classEmergency,
		"urn:service:sos":                    classEmergency,
		"sip:+14255550911@192.0.2.1":         classNewCall,
		"tel:+14255550911":                   classNewCall,
		"sip:9110@192.0.2.1":                 classNewCall,
	} {
		m, err := gosip.ParseMessage([]byte("INVITE " + uri + " SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: e\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"))
		if err != nil {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		if got := classify(m.(*gosip.Request)); got != want {
			t.Errorf("%s: class %d, want %d", uri, got, want)
		}
	}
}
