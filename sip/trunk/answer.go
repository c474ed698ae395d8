package trunk

import (
	"fmt"
	"strings"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip"
	"tandem/sip/core"
	"tandem/sip/header"
	"tandem/sip/reply"
)

// Request answers an OPTIONS outside a dialog (RFC 3261 11.2): 200 with our
// FQDN in Contact, which is how Microsoft sees the trunk alive, or 503 while
// draining. It belongs to no transaction: a retransmission is answered again.
func (m *Monitor) Request(flow sip.Flow, req *gosip.Request, _ time.Time) {
	if m.draining.Load() {
		to, msg := reply.To(flow, req, 503, "Service Unavailable", "Retry-After: 30\r\n"+m.server())
		m.deps.Sender.Send(to, sip.SendRef{}, msg)
		return
	}
	switch req.Recipient.Scheme {
	case "sip", "sips", "tel":
	default: // RFC 3261 8.2.2.1
		to, msg := reply.To(flow, req, 416, "Unsupported URI Scheme", m.server())
		m.deps.Sender.Send(to, sip.SendRef{}, msg)
		return
	}
	if tags := unknownTags(req); tags != "" { // RFC 3261 8.2.2.3
		to, msg := reply.To(flow, req, 420, "Bad Extension", "Unsupported: "+tags+"\r\n"+m.server())
		m.deps.Sender.Send(to, sip.SendRef{}, msg)
		return
	}
	extra := "Allow: " + allow + "\r\nAccept: application/sdp\r\nSupported: timer\r\n" + m.server()
	if v, ok := m.view(flow); ok {
		name := v.FQDN
		if name == "" {
			name = v.ViaHost
		}
		extra = fmt.Sprintf("Contact: <sip:%s%s>\r\n", hostPort(name, v.ViaPort), transportParam(flow.Transport)) + extra
	}
	to, msg := reply.To(flow, req, 200, "OK", extra)
	m.deps.Sender.Send(to, sip.SendRef{}, msg)
}

// unknownTags are the extensions that an OPTIONS requires of us and that we do
// not have: all but timer. A proxy's requirements are not ours to meet.
func unknownTags(req *gosip.Request) string {
	var unknown []string
	for _, h := range req.GetHeaders("Require") {
		for tag := range strings.SplitSeq(h.Value(), ",") {
			if tag = strings.TrimSpace(tag); tag != "" && !strings.EqualFold(tag, "timer") && len(unknown) < maxTags {
				unknown = append(unknown, string(header.AppendText(nil, tandem.Clip(tag, 64))))
			}
		}
	}
	return strings.Join(unknown, ", ")
}

// maxTags bounds what of a Require is repeated to its sender.
const maxTags = 16

func (m *Monitor) server() string { return "Server: " + m.cfg.UserAgent + "\r\n" }

func (m *Monitor) view(flow sip.Flow) (v core.TrunkView, ok bool) {
	m.locked(func() {
		for _, p := range m.points {
			if p.view.ID == flow.Trunk {
				v, ok = p.view, true
				return
			}
		}
	})
	return v, ok
}
