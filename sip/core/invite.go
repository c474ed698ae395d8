package core

import (
	"encoding/binary"
	"strings"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip/header"
)

// invite takes an INVITE that belongs to no dialog: the beginning of a call.
func (c *Core) invite(in *inbound) {
	early := c.servers[string(c.serverKey(in, gosip.CANCEL))]
	view := c.trunks[in.flow.Trunk]
	if status, extra := c.refusalOf(in, view); status != 0 {
		c.stats.BadMessages++
		c.answerOnce(in, status, extra)
		return
	}
	call := c.newCall(in, view)
	a := &call.a
	a.server = c.newServer(in, a.localTag)
	a.server.leg = a
	call.begin(in)
	a.fromInvite(in)
	for _, r := range in.recordRoutes() {
		a.server.routes = append(a.server.routes, "Record-Route: "...)
		a.server.routes = append(a.server.routes, r...)
		a.server.routes = append(a.server.routes, crlf...)
	}
	key := mergeKey(in)
	call.mergeKey = key
	c.invites[key] = call
	c.reply(a.server, 100, nil, nil)
	if early != nil && early.early {
		call.released.set(tandem.ReleasedByCaller, 487, tandem.CauseNormalClearing, "cancelled before the INVITE arrived")
		call.on(evCancel, nil)
		return
	}
	call.route(in)
}

// mergeKey finds copies of a request that came over other ways (RFC 3261 8.2.2.2).
func mergeKey(in *inbound) string { return in.callID + "|" + in.fromTag }

// refusalOf checks an INVITE before a call exists, the cheapest facts first.
// It returns 0 when nothing speaks against it.
func (c *Core) refusalOf(in *inbound, view *TrunkView) (status int, extra []byte) {
	switch {
	case view == nil:
		return 403, appendReason(nil, tandem.CauseRejected, "trunk is not configured")
	case in.maxForwards == 0:
		return 483, nil // RFC 3261 16.3 step 3: a B2BUA ends a loop as a proxy does
	case in.fromTag == "":
		return 400, appendReason(nil, tandem.CauseInterworking, "From has no tag (RFC 3261 8.1.1.3)")
	case in.contact == nil || in.contact.Address.Wildcard || in.contact.Address.Host == "":
		return 400, appendReason(nil, tandem.CauseInterworking, "INVITE needs one Contact (RFC 3261 8.1.1.8)")
	case len(in.body) > c.cfg.MaxBody:
		return 413, nil
	}
	switch in.req.Recipient.Scheme {
	case "sip", "sips", "tel", "":
	default:
		return 416, nil
	}
	if bad := unknownOptions(in.require + "," + in.proxyRequire); bad != "" {
		return 420, unsupportedHeader(bad)
	}
	if merged := c.invites[mergeKey(in)]; merged != nil && merged.a.remoteSeq == in.cseq || c.ownVia(in) {
		return 482, nil
	}
	if status, extra := c.intervalRefusal(in); status != 0 {
		return status, extra
	}
	sdp, _, ok := in.sdp()
	switch {
	case !ok:
		return 415, []byte("Accept: " + sdpType + ", multipart/mixed\r\n")
	case len(sdp) == 0 && view.Kind == tandem.TrunkTeams: // it does not do that (microsoft-teams-trunk.md 6)
		return 488, appendReason(nil, tandem.CauseIncompatible, "INVITE without SDP: delayed offer is not supported")
	}
	return 0, nil
}

// unknownOptions lists the option tags of a Require header that we do not know.
func unknownOptions(list string) string {
	var bad []string
	for tag := range strings.SplitSeq(list, ",") {
		if tag = strings.TrimSpace(tag); tag != "" && !strings.EqualFold(tag, "timer") {
			bad = append(bad, tag)
		}
	}
	return strings.Join(bad, ", ")
}

func unsupportedHeader(tags string) []byte {
	b := header.AppendText([]byte("Unsupported: "), tags)
	return append(b, crlf...)
}

// ownVia reports a request that has already passed this node.
func (c *Core) ownVia(in *inbound) bool {
	for _, h := range in.list {
		v, ok := h.(*gosip.ViaHeader)
		if !ok || !strings.HasPrefix(param(v.Params, "branch"), branchPrefix) {
			continue
		}
		for _, t := range c.trunks {
			if strings.EqualFold(v.Host, t.ViaHost) && v.Port == int(t.ViaPort) {
				return true
			}
		}
	}
	return false
}

// fromInvite makes the caller's dialog (RFC 3261 12.1.1).
func (l *Leg) fromInvite(in *inbound) {
	l.callID, l.remoteTag, l.remoteSeq = in.callID, in.fromTag, in.cseq
	l.local = l.core.address(in.to.DisplayName, &in.to.Address, in.to.Params)
	l.remote = l.core.address(in.from.DisplayName, &in.from.Address, in.from.Params)
	l.learn(in)
	l.setRemote(in, in.recordRoutes(), true)
	host := l.view.FQDN
	if rh := in.req.Recipient.Host; l.view.Kind == tandem.TrunkTeams && isHost(rh) && strings.HasSuffix(strings.ToLower(rh), "."+strings.ToLower(host)) {
		host = rh // a tenant's name below the trunk's: it keeps selecting the tenant
	}
	l.contact = contactOf(l.view, in.req.Recipient.User, host)
}

// isHost reports whether s is a plain host name or address.
func isHost(s string) bool {
	for i := 0; i < len(s); i++ {
		ch := s[i]
		if !(ch >= 'a' && ch <= 'z' || ch >= 'A' && ch <= 'Z' || ch >= '0' && ch <= '9' || ch == '-' || ch == '.' || ch == ':' || ch == '[' || ch == ']') {
			return false
		}
	}
	return s != ""
}

// contactOf is our Contact towards a trunk. Microsoft wants the name of our
// certificate there; carriers get the address that surely reaches us.
func contactOf(v *TrunkView, user, host string) string {
	var room [128]byte
	b := append(room[:0], "<sip:"...)
	if user != "" {
		b = append(header.AppendUser(b, user), '@')
	}
	if v.Kind != tandem.TrunkTeams || host == "" {
		host = v.ViaHost
	}
	b = appendHostPort(b, host, v.ViaPort)
	if v.Transport != tandem.UDP {
		b = append(b, ";transport="...)
		for i := 0; i < len(v.Transport); i++ {
			b = append(b, v.Transport[i]|0x20)
		}
	}
	return string(append(b, '>'))
}

// route asks where the call goes and starts it, or refuses it.
func (c *Call) route(in *inbound) {
	k := c.core
	sdp, pidf, _ := in.sdp()
	c.offer, c.location, c.delayed = sdp, pidf, len(sdp) == 0
	c.a.gotSDP = sdp
	c.passed = passed{in.diversion, in.history, in.geolocation, in.geolocationRouting, in.maxForwards}
	c.a.startSession(in)
	req := routeRequest(in)
	req.Correlation = c.rec.Correlation
	req.Seed = binary.BigEndian.Uint64(c.rec.Correlation[8:])
	c.plan = k.deps.Router.Plan(req, k.wall)
	c.planned()
	switch p := &c.plan; {
	case p.Reject != nil:
		c.reject(p.Reject.Status, p.Reject.Cause, p.Reject.Reason)
		return
	case !p.Emergency && (k.draining || k.cfg.MaxCalls > 0 && k.stats.Calls > k.cfg.MaxCalls):
		k.stats.Refused++
		c.reject(503, tandem.CauseCongestion, "no more calls are taken now")
		return
	case len(p.Attempts)+len(p.Failsafe) == 0:
		c.reject(480, tandem.CauseNetworkOutOfOrder, "no route is usable now")
		return
	}
	if !c.plan.Emergency {
		c.location = nil
	}
	session, err := k.deps.Media.OpenMedia(tandem.CallRef{Shard: k.cfg.Shard, Serial: c.serial}, mediaProfile(c.a.view))
	if err != nil {
		c.reject(503, tandem.CauseNoCircuit, "no media port is free")
		return
	}
	c.media = session
	c.on(evRoute, nil)
}

// reject refuses a call that routing, admission or media did not take.
func (c *Call) reject(status tandem.SIPStatus, cause tandem.Cause, text string) {
	if status < 300 || status > 699 {
		status = 500
	}
	if cause == 0 {
		cause = tandem.CauseOf(status)
	}
	c.released.set(tandem.ReleasedByEngine, status, cause, text)
	c.on(evReject, nil)
}

// routeRequest gives routing the facts of the INVITE.
func routeRequest(in *inbound) *tandem.RouteRequest {
	r := &tandem.RouteRequest{
		Trunk: in.flow.Trunk, RequestUser: userOf(&in.req.Recipient), RequestHost: in.req.Recipient.Host,
		FromUser: userOf(&in.from.Address), FromName: header.Unquote(`"` + in.from.DisplayName + `"`),
		Privacy: header.ParsePrivacy(in.privacy).Withheld(), TenantHint: strings.TrimSpace(in.tenant),
		ContactHost: in.contact.Address.Host,
	}
	if in.pai != "" {
		if list, err := header.ParseAddresses("P-Asserted-Identity", in.pai); err == nil {
			for _, a := range list {
				if r.PAIUser = a.User(); r.PAIUser != "" {
					break
				}
			}
		}
	}
	unread := false
	if in.diversion != "" { // newest first (RFC 5806 6)
		list, err := header.ParseAddresses("Diversion", in.diversion)
		unread = err != nil
		for _, a := range list {
			r.Diverters = append(r.Diverters, a.User())
		}
	}
	if in.history != "" { // oldest first; the last one is the present target (RFC 7044 10)
		list, err := header.ParseAddresses("History-Info", in.history)
		unread = unread || err != nil
		for i := len(list) - 2; i >= 0; i-- {
			r.Diverters = append(r.Diverters, list[i].User())
		}
	}
	r.Forwarded = unread || len(r.Diverters) > 0
	return r
}

// userOf is the user part of a URI: escapes decoded, parameters cut.
func userOf(u *gosip.Uri) string {
	user := u.User
	if raw := u.Raw(); raw != "" { // tel:
		user = raw
	}
	user, _, _ = strings.Cut(user, ";")
	return header.Unescape(user)
}
