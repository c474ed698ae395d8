package trunk

import (
	"fmt"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem/sip"
	"tandem/sip/core"
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
