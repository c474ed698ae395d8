package emulate

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"tandem/sip/ua"
)

// invite builds Microsoft's INVITE in the observed shape (microsoft-teams-trunk.md
// 3.2): display name glued to the address, Contact on :443 with x-i and x-c, Record-Route to a proxy.
func (t *Teams) invite(spec CallSpec, host, tenantID string, to ua.Target, offer []byte) *ua.Message {
	callID := strings.ReplaceAll(uuid.NewString(), "-", "")
	uri := fmt.Sprintf("sip:%s@%s:%d;user=phone;transport=%s", spec.To, host, to.Addr.Port(), strings.ToLower(string(to.Transport)))
	own := fmt.Sprintf("%s:%d", spec.Listener, t.Addr(spec.Listener).Port())
	m := &ua.Message{Method: "INVITE", URI: uri}
	from := "Emulated User<sip:" + spec.From + "@" + own + ";user=phone>"
	if spec.Anonymous {
		from = `"Anonymous"<sip:anonymous@anonymous.invalid>`
	}
	m.Add("From", from+";tag="+ua.NewTag())
	m.Add("To", fmt.Sprintf("<sip:%s@%s:%d;user=phone>", spec.To, host, to.Addr.Port()))
	m.Add("Call-ID", callID)
	m.Add("CSeq", "1 INVITE")
	m.Add("Max-Forwards", "68")
	shape := teamsShape{t}
	m.Add("Record-Route", shape.recordRoute(spec.Listener))
	m.Add("Contact", shape.contact(&ua.Call{Invite: m}, spec.Listener))
	m.Add("Min-SE", "300")
	m.Add("Supported", "timer")
	m.Add("Session-Expires", "3600")
	m.Add("User-Agent", server)
	m.Add("Allow", allow)
	if spec.Mode == OperatorConnect {
		m.Add("X-MS-TenantID", tenantID)
	}
	if spec.Anonymous {
		m.Add("P-Asserted-Identity", "<tel:"+spec.From+">,<sip:user@tenant.test>")
		m.Add("Privacy", "id")
	}
	if offer != nil {
		m.Add("Content-Type", "application/sdp")
		m.Body = offer
	}
	return m
}
