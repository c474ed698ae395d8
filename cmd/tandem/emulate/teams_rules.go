package emulate

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"tandem/media/player"
	"tandem/sip/ua"
)

// refusal is an answer in Microsoft's manner: the SIP status, and in Reason a
// Q.850 cause, a GUID and the Microsoft code with its meaning (microsoft-teams-trunk.md 4.3).
func refusal(status, cause int, code, text string) verdict {
	return verdict{status: status, headers: []ua.Header{{Name: "Reason",
		Value: fmt.Sprintf(`Q.850;cause=%d;text="%s;%s %s"`, cause, uuid.NewString(), code, text)}}}
}

// contactVerdict finds the trunk name that a request comes from: Contact must
// be there, a name, covered by the certificate, and known (microsoft-teams-trunk.md 2, 3.1).
func (t *Teams) contactVerdict(m *ua.Message) (fqdn string, v verdict) {
	value := m.Get("Record-Route")
	contact := m.Get("Contact")
	if value == "" {
		value = contact
	}
	if value == "" {
		return "", refusal(400, 63, "540400", "Record-Route and Contact headers are missing")
	}
	u, ok := ua.AddressOf(value)
	if !ok || strings.HasPrefix(ua.URIOf(value), "sip:@") {
		return "", refusal(400, 111, "540400", "Contact is not a SIP URI")
	}
	host := strings.ToLower(u.Host)
	if u.IsIP() {
		return host, refusal(403, 21, "510532", "Contact host is an address, a trunk FQDN is needed")
	}
	if m.Has("Record-Route") {
		if c, ok := ua.AddressOf(contact); ok && !strings.EqualFold(c.Host, host) {
			return host, refusal(403, 21, "510532", "Record-Route and Contact name different trunks")
		}
	}
	if t.secure() && !certificateCovers(m.Conn, host) {
		return host, refusal(403, 21, "510532", "the certificate does not cover the Contact FQDN")
	}
	if !t.known(host) {
		return host, refusal(403, 21, "510532", "no trunk configuration for the Contact FQDN in any tenant")
	}
	return host, verdict{}
}

// known: the trunk name, a tenant's name, or a host right below one (its label stripped).
func (t *Teams) known(host string) bool {
	for _, name := range []string{host, afterLabel(host)} {
		if name == "" {
			continue
		}
		if strings.EqualFold(name, t.cfg.TrunkFQDN) {
			return true
		}
		for _, tenant := range t.cfg.Tenants {
			if strings.EqualFold(name, tenant.FQDN) {
				return true
			}
		}
	}
	return false
}

// tenantsFor lists the tenants that a Contact FQDN may reach: its own one, or
// all of them behind the operator's shared trunk.
func (t *Teams) tenantsFor(fqdn string) []TeamsTenant {
	for _, name := range []string{fqdn, afterLabel(fqdn)} {
		for _, tenant := range t.cfg.Tenants {
			if strings.EqualFold(name, tenant.FQDN) {
				return []TeamsTenant{tenant}
			}
		}
	}
	return t.cfg.Tenants
}

// judge applies the rules for an INVITE to Teams in Microsoft's order (microsoft-teams-trunk.md 3.1).
func (t *Teams) judge(listener string, m *ua.Message) verdict {
	fqdn, v := t.contactVerdict(m)
	if v.status != 0 {
		return v
	}
	if m.Has("Replaces") {
		return refusal(400, 111, "540400", "Replaces is not accepted from a trunk")
	}
	if required := m.Get("Require"); required != "" {
		return verdict{status: 420, headers: []ua.Header{{Name: "Unsupported", Value: required}}}
	}
	if v := sessionTimer(m); v.status != 0 {
		return v
	}
	if v := t.body(m); v.status != 0 {
		return v
	}
	uri, ok := ua.ParseURI(m.URI)
	if !ok {
		return refusal(400, 111, "540400", "Request-URI is not a SIP URI")
	}
	t.notice(listener, m, uri)
	if !strings.HasPrefix(uri.User, "+") {
		return refusal(404, 1, "511404", "number not found: it must be E.164 with +")
	}
	number, _, _ := strings.Cut(uri.User, ";")
	best := -1
	var b Behaviour
	for _, tenant := range t.tenantsFor(fqdn) {
		if rule, n := match(tenant.Users, number); n > best {
			best, b = n, rule
		}
	}
	if best < 0 {
		return refusal(404, 1, "511404", "number not found in the tenant")
	}
	return verdict{b: t.merge(b)}
}

// notice records broken rules for which Microsoft has no documented refusal.
func (t *Teams) notice(listener string, m *ua.Message, uri ua.URI) {
	if !t.secure() {
		return
	}
	if !strings.EqualFold(uri.Host, listener) {
		t.violate("request_uri_host", "Request-URI host "+uri.Host+" is not the name that was dialled, "+listener, listener, m)
	}
	if from, ok := ua.AddressOf(m.Get("From")); !ok || !strings.HasPrefix(from.User, "+") && from.User != "anonymous" {
		t.violate("from_number", "From user "+from.User+" is neither E.164 with + nor anonymous", listener, m)
	}
	if !strings.Contains(";"+uri.Params+";", ";user=phone;") {
		t.violate("user_phone", "Request-URI has no user=phone", listener, m)
	}
	if c, ok := ua.AddressOf(m.Get("Contact")); ok && !strings.Contains(strings.ToLower(c.Params), "transport=tls") {
		t.violate("contact_transport", "Contact has no transport=tls", listener, m)
	}
	if to, ok := ua.AddressOf(m.Get("To")); ok && to.User != uri.User {
		t.violate("to_number", "To is "+to.User+", the Request-URI "+uri.User, listener, m)
	}
}

// minSE is Microsoft's observed Min-SE.
const minSE = 300

// sessionTimer answers 422 to an interval below Min-SE (RFC 4028 6).
func sessionTimer(m *ua.Message) verdict {
	value := strings.TrimSpace(strings.Split(m.Get("Session-Expires"), ";")[0])
	if value == "" {
		return verdict{}
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		return refusal(400, 111, "540400", "Session-Expires is not a number")
	}
	if n < minSE {
		return verdict{status: 422, headers: []ua.Header{{Name: "Min-SE", Value: strconv.Itoa(minSE)}}}
	}
	return verdict{}
}

// body applies the media rules: an SDP offer, SRTP with _80, an address, a codec (microsoft-teams-trunk.md 3.1, 7).
func (t *Teams) body(m *ua.Message) verdict {
	if len(m.Body) == 0 {
		return refusal(488, 88, "531000", "delayed offer is not supported")
	}
	kind, _, _ := strings.Cut(strings.ToLower(m.Get("Content-Type")), ";")
	if strings.TrimSpace(kind) != "application/sdp" {
		return refusal(415, 79, "540415", "missing Content-Type, or a body that is not SDP")
	}
	d, err := player.ParseSDP(m.Body)
	if err != nil {
		return refusal(400, 111, "540400", "SDP cannot be read")
	}
	return t.description(d)
}

func (t *Teams) description(d *player.Description) verdict {
	if d.Addr.Addr().IsValid() && d.Addr.Addr().IsUnspecified() {
		return refusal(488, 88, "531052", "SDP with c=0.0.0.0")
	}
	if !d.Addr.Addr().IsValid() || d.Addr.Port() == 0 {
		return refusal(488, 88, "531000", "SDP without an audio address")
	}
	if _, ok := d.Codec(); !ok {
		return refusal(488, 88, "531000", "no common codec")
	}
	if t.secure() {
		if _, ok := d.Find(player.Suite80); !ok || !d.Secure() {
			return refusal(488, 88, "531000", "SRTP with AES_CM_128_HMAC_SHA1_80 is not offered")
		}
	}
	return verdict{}
}

// inspect looks at the operator's re-INVITE: route set, hold and address.
func (s teamsShape) inspect(m *ua.Message, listener string) int {
	t := s.t
	if t.secure() {
		u, ok := ua.AddressOf(m.Get("Route"))
		if !ok || len(t.pick(u.Host)) == 0 {
			t.violate("route_set", "an in-dialog request does not carry our Record-Route as Route", listener, m)
		} else if !strings.EqualFold(u.Host, listener) && !t.cfg.RecordRouteNext {
			t.violate("route_set", "an in-dialog request came to "+listener+", its Route names "+u.Host, listener, m)
		}
	}
	if len(m.Body) == 0 {
		t.violate("delayed_offer", "a re-INVITE without SDP", listener, m)
		return 488
	}
	d, err := player.ParseSDP(m.Body)
	if err != nil {
		return 400
	}
	if d.Direction == "sendonly" || d.Direction == "recvonly" {
		t.violate("hold_direction", "hold as a="+d.Direction+": Microsoft understands inactive only", listener, m)
	}
	return t.description(d).status
}
