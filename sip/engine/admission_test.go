package engine

import (
	"testing"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip"
	"tandem/sip/core"
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

// A trunk that fills its share of the mailbox leaves room to the others.
func TestOneTrunkDoesNotFillTheMailbox(t *testing.T) {
	b := newMailbox(80)
	put := func(trunk tandem.TrunkID, c class) bool {
		return b.put(item{event: core.Event{Flow: sip.Flow{Trunk: trunk}}}, c)
	}
	taken := 0
	for range 100 {
		if put("flood", classNewCall) {
			taken++
		}
	}
	if taken != 60 { // three quarters
		t.Errorf("%d new calls of one trunk wait", taken)
	}
	if !put("other", classNewCall) || !put("other", classRequest) {
		t.Error("there is no room for another trunk")
	}
	for range 10 {
		put("other", classNewCall)
		put("third", classNewCall)
	}
	if len(b.list) != 70 { // seven eighths: the rest is for calls that exist
		t.Errorf("%d new requests wait", len(b.list))
	}
	if !put("flood", classInDialog) || !put("flood", classEmergency) {
		t.Error("calls that exist and emergency calls have room of their own")
	}
	b.take(nil)
	if !put("flood", classNewCall) || len(b.fresh) != 1 {
		t.Error("the share is not given back")
	}
}

// Under a flood 503s are bounded too.
func TestAllowance(t *testing.T) {
	var a allowance
	now := time.Now()
	passed := 0
	for range 3 * maxRefusals {
		if a.take(now) {
			passed++
		}
	}
	if passed != maxRefusals || !a.take(now.Add(time.Second)) {
		t.Errorf("%d refusals in a second", passed)
	}
}
