package core

import (
	"net/netip"
	"strconv"
	"strings"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip"
	"tandem/sip/header"
)

// dialog is the state of RFC 3261 12 that one leg keeps: identity, sequence
// numbers, route set and remote target.
type dialog struct {
	callID, localTag, remoteTag string
	local, remote               string // name-addr of From and To of our requests, without tag
	localSeq, remoteSeq         uint32
	target                      string   // remote target: the peer's Contact, byte for byte
	routes                      []string // "<uri>" in the order of our Route headers
	strict                      bool     // the first route is a strict router (12.2.1.1)
	hop                         sip.Target
	contact                     string // our own Contact value
}

// address prints a name-addr without its tag, for the From and To of a dialog.
func (c *Core) address(name string, u *gosip.Uri, params gosip.HeaderParams) string {
	c.buf = appendAddress(c.buf[:0], name, u, params, false)
	return string(c.buf)
}

// setRemote takes remote target and route set from a message that forms or
// refreshes the dialog. The route set is fixed once it was set by a 2xx or a
// request (12.2); the target moves with every target refresh.
func (l *Leg) setRemote(in *inbound, routes []string, setRoutes bool) {
	if in.contact != nil && !in.contact.Address.Wildcard {
		b := appendURI(l.core.buf[:0], &in.contact.Address)
		l.core.buf = b
		l.target = string(b)
	}
	if setRoutes {
		l.routes, l.strict = routes, false
	}
	if len(l.routes) == 0 && in.contact != nil {
		l.hop = l.hopTo(&in.contact.Address)
		return
	}
	l.hop = l.nextHop()
}

// nextHop is where in-dialog requests go: the first route, else the remote
// target. They never use a connection that the peer opened: Microsoft ignores
// requests there (microsoft-teams-trunk.md 1.4), so Conn stays 0.
func (l *Leg) nextHop() sip.Target {
	uri := l.target
	if len(l.routes) > 0 {
		uri = strings.Trim(l.routes[0], "<>")
	}
	var u gosip.Uri
	if gosip.ParseUri(uri, &u) != nil {
		return l.fallbackHop()
	}
	return l.hopTo(&u)
}

// hopTo is the transport address of a URI.
func (l *Leg) hopTo(u *gosip.Uri) sip.Target {
	if u.Host == "" {
		return l.fallbackHop()
	}
	_, loose := u.UriParams.Get("lr")
	l.strict = len(l.routes) > 0 && !loose
	// Microsoft's Contact names port 443 without a transport: it is an
	// identifier, never an address to dial (microsoft-teams-trunk.md 3.2).
	if len(l.routes) == 0 && l.view.Kind == tandem.TrunkTeams && u.Port == 443 {
		return l.fallbackHop()
	}
	t := sip.Target{Trunk: l.view.ID, Transport: l.view.Transport, Host: strings.Trim(u.Host, "[]")}
	if l.view.Kind == tandem.TrunkCarrier {
		switch tp, _ := u.UriParams.Get("transport"); strings.ToLower(tp) {
		case "udp":
			t.Transport = tandem.UDP
		case "tcp":
			t.Transport = tandem.TCP
		case "tls":
			t.Transport = tandem.TLS
		}
	}
	t.Port = defaultPort(string(t.Transport))
	if u.Port > 0 && u.Port < 1<<16 {
		t.Port = uint16(u.Port)
	}
	t.Addr = addressOf(l.view, t.Host)
	return t
}

// addressOf is the address of a host that needs no resolver: a literal, or an endpoint with a fixed address.
func addressOf(v *TrunkView, host string) netip.Addr {
	if a, err := netip.ParseAddr(host); err == nil {
		return a
	}
	for _, ep := range v.Endpoints {
		if strings.EqualFold(ep.Host, host) {
			return ep.Address
		}
	}
	return netip.Addr{}
}

// fallbackHop is the endpoint that the leg was set up with.
func (l *Leg) fallbackHop() sip.Target {
	ep := l.endpoint
	if ep.Host == "" && len(l.view.Endpoints) > 0 {
		ep = l.view.Endpoints[0]
	}
	return endpointTarget(l.view, ep)
}

func endpointTarget(v *TrunkView, ep tandem.Endpoint) sip.Target {
	t := sip.Target{Trunk: v.ID, Transport: v.Transport, Host: ep.Host, Port: ep.Port, Addr: ep.Address}
	if t.Port == 0 {
		t.Port = defaultPort(string(v.Transport))
	}
	if !t.Addr.IsValid() {
		if a, err := netip.ParseAddr(ep.Host); err == nil {
			t.Addr = a
		}
	}
	return t
}

// appendTop appends the Via of a request of ours.
func appendTop(b []byte, v *TrunkView, transport tandem.Transport, branch string) []byte {
	b = append(b, "Via: SIP/2.0/"...)
	b = append(b, transport...)
	b = append(b, ' ')
	b = appendHostPort(b, v.ViaHost, v.ViaPort)
	b = append(b, ";branch="...)
	b = append(b, branch...)
	if transport == tandem.UDP {
		b = append(b, ";rport"...)
	}
	return append(b, crlf...)
}

// appendIdentity appends the headers that name this product.
func (c *Core) appendIdentity(b []byte, v *TrunkView) []byte {
	b = append(b, "User-Agent: "...)
	b = append(b, c.cfg.UserAgent...)
	b = append(b, crlf...)
	if v.Kind == tandem.TrunkTeams {
		b = append(b, "X-MS-SBC: "...)
		b = append(b, c.cfg.UserAgent...)
		b = append(b, crlf...)
	}
	return b
}

// request builds an in-dialog request (RFC 3261 12.2.1.1). extra are complete header lines.
func (l *Leg) request(method gosip.RequestMethod, branch string, cseq uint32, extra []byte, contentType string, body []byte) []byte {
	c := l.core
	b := append(c.buf[:0], method...)
	b = append(b, ' ')
	routes := l.routes
	if l.strict {
		b = header.AppendText(b, strings.Trim(routes[0], "<>"))
		routes = routes[1:]
	} else {
		b = header.AppendText(b, l.target)
	}
	b = append(b, " SIP/2.0\r\n"...)
	b = appendTop(b, l.view, l.hop.Transport, branch)
	b = append(b, "Max-Forwards: 70\r\n"...)
	for _, r := range routes {
		b = append(b, "Route: "...)
		b = header.AppendText(b, r)
		b = append(b, crlf...)
	}
	if l.strict {
		b = append(b, "Route: <"...)
		b = header.AppendText(b, l.target)
		b = append(b, ">\r\n"...)
	}
	b = append(b, "From: "...)
	b = append(b, l.local...)
	b = append(b, ";tag="...)
	b = append(b, l.localTag...)
	b = append(b, "\r\nTo: "...)
	b = append(b, l.remote...)
	b = append(b, ";tag="...)
	b = header.AppendText(b, l.remoteTag)
	b = append(b, "\r\nCall-ID: "...)
	b = header.AppendText(b, l.callID)
	b = append(b, "\r\nCSeq: "...)
	b = strconv.AppendUint(b, uint64(cseq), 10)
	b = append(b, ' ')
	b = append(b, method...)
	b = append(b, crlf...)
	if method == gosip.INVITE || method == gosip.UPDATE {
		b = append(b, "Contact: "...)
		b = append(b, l.contact...)
		b = append(b, crlf...)
		b = append(b, allowHeader...)
		b = append(b, "Supported: timer\r\n"...)
	}
	b = c.appendIdentity(b, l.view)
	b = append(b, extra...)
	b = appendBody(b, contentType, body)
	c.buf = b
	return append(make([]byte, 0, len(b)), b...)
}

// send starts a client transaction in the dialog.
func (l *Leg) send(method gosip.RequestMethod, why purpose, extra []byte, contentType string, body []byte) *clientTx {
	c := l.core
	tx := c.newClient(method, why, l, l.hop)
	l.localSeq++
	tx.cseq = l.localSeq
	c.start(tx, l.request(method, tx.branch, tx.cseq, extra, contentType, body))
	return tx
}

// sendAck acknowledges a 2xx and keeps the ACK for copies of it (13.2.2.4).
func (l *Leg) sendAck(cseq uint32) {
	l.ack = l.request(gosip.ACK, l.core.newBranch(0), cseq, nil, "", nil)
	l.ackSeq = cseq
	l.core.deps.Output.Send(l.hop, sip.SendRef{}, l.ack)
}

// ackAgain answers a copy of a 2xx. Of an INVITE before the last one the ACK is
// built anew: it was lost, and without it the peer ends the call (13.3.1.4).
func (l *Leg) ackAgain(cseq uint32) {
	l.core.stats.Retransmits++
	ack := l.ack
	if l.ackSeq != cseq {
		ack = l.request(gosip.ACK, l.core.newBranch(0), cseq, nil, "", nil)
	}
	l.core.deps.Output.Send(l.hop, sip.SendRef{}, ack)
}
