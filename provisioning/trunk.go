package provisioning

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"tandem"
)

// profile is what a trunk gets where its entry is silent.
type profile struct {
	network          string
	transport        tandem.Transport
	srtp             tandem.SRTPMode
	options          time.Duration
	response, answer time.Duration
	nextOn           string
	pai, diversion   bool
	relay183         bool
}

// teamsProfile is the default of a Microsoft trunk (microsoft-teams-trunk.md 2,
// 4.2, 5): only these outcomes mean that Microsoft can't be reached. With 2 s
// per silent address two addresses are tried within the failsafe bound of 4 s.
// 183 becomes 180 because Microsoft's early audio may be silence.
func teamsProfile() profile {
	return profile{network: "Operator Connect", transport: tandem.TLS, srtp: tandem.SRTPRequired, options: time.Minute,
		response: 2 * time.Second, answer: 2 * time.Minute, nextOn: "408,503,504,silence,connection"}
}

// carrierProfile is the default of a carrier: SIP over UDP with plain RTP, the
// next carrier on network trouble only. 4 s of silence is four INVITEs on UDP
// (T1 = 500 ms, RFC 3261 17.1.1.2); 3 minutes is Timer C.
func carrierProfile() profile {
	return profile{transport: tandem.UDP, srtp: tandem.SRTPOff, options: time.Minute,
		response: 4 * time.Second, answer: 3 * time.Minute, nextOn: "408,500,502,503,504,silence,connection",
		pai: true, diversion: true, relay183: true}
}

// teamsHosts are Microsoft's commercial names, in the order to try
// (microsoft-teams-trunk.md 1.1).
func teamsHosts() []tandem.Endpoint {
	return []tandem.Endpoint{
		{Host: "sip.pstnhub.microsoft.com", Port: 5061},
		{Host: "sip2.pstnhub.microsoft.com", Port: 5061},
		{Host: "sip3.pstnhub.microsoft.com", Port: 5061},
	}
}

// teamsSources are the networks of Microsoft's commercial signalling.
func teamsSources() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("52.112.0.0/14"), netip.MustParsePrefix("52.122.0.0/15")}
}

func readTrunk(s Section, v value) (tandem.Trunk, object) {
	o := v.object("id", "kind", "network", "carrier", "disabled", "lab", "endpoints", "transport", "sources", "media_sources", "tls_names", "fqdn",
		"certificate", "srtp", "options_interval", "response_timeout", "answer_timeout", "next_on", "priority", "weight",
		"send_pai", "send_diversion", "send_history_info", "session_expires", "relay_183", "cost_deck")
	p, kind := teamsProfile(), tandem.TrunkTeams
	if s == Carriers {
		p, kind = carrierProfile(), tandem.TrunkCarrier
	}
	if written := o.text("kind"); written != "" && written != string(kind) {
		mend := "leave it out: a trunk under trunks is of kind teams; list carriers under carriers"
		if s == Carriers {
			mend = "leave it out: a trunk under carriers is of kind carrier; list Microsoft's under trunks"
		}
		o.fields["kind"].bad("is not the kind of trunk of this section", mend)
	}
	t := tandem.Trunk{
		ID:              tandem.TrunkID(o.name("id")),
		Kind:            kind,
		Network:         or(o.label("network"), p.network),
		Carrier:         o.label("carrier"),
		Disabled:        o.boolean("disabled", false),
		Lab:             o.boolean("lab", false),
		Transport:       parsed(o, "transport", p.transport, parseTransport),
		FQDN:            o.text("fqdn"),
		Certificate:     o.text("certificate"),
		SRTP:            word(o, "srtp", p.srtp, tandem.SRTPOff, tandem.SRTPOptional, tandem.SRTPRequired),
		OptionsInterval: o.duration("options_interval", p.options),
		ResponseTimeout: o.duration("response_timeout", p.response),
		AnswerTimeout:   o.duration("answer_timeout", p.answer),
		Priority:        o.integer("priority", 1, 0, 1000),
		Weight:          o.integer("weight", 1, 1, 1000),
		SendPAI:         o.boolean("send_pai", p.pai),
		SendDiversion:   o.boolean("send_diversion", p.diversion),
		SendHistoryInfo: o.boolean("send_history_info", false),
		SessionExpires:  o.duration("session_expires", 0),
		Relay183:        o.boolean("relay_183", p.relay183),
		CostDeck:        o.text("cost_deck"),
	}
	if t.Network == "" {
		t.Network = or(t.Carrier, string(t.ID))
	}
	if err := t.NextOn.UnmarshalText([]byte(p.nextOn)); err != nil {
		v.report(err)
	}
	if list, ok := o.fields["next_on"]; ok {
		t.NextOn = readOutcomes(list)
	}
	defaultPort := uint16(5060)
	if t.Transport == tandem.TLS {
		defaultPort = 5061
	}
	switch list, ok := o.fields["endpoints"]; {
	case ok:
		for _, item := range list.list() {
			t.Endpoints = append(t.Endpoints, readEndpoint(item, defaultPort))
		}
	case kind == tandem.TrunkTeams && !t.Lab:
		t.Endpoints, t.TLSNames = teamsHosts(), []string{"sip.pstnhub.microsoft.com"}
	}
	t.MediaSources = readPrefixes(o, "media_sources")
	switch _, ok := o.fields["sources"]; {
	case ok:
		t.Sources = readPrefixes(o, "sources")
	case kind == tandem.TrunkTeams && !t.Lab:
		t.Sources = teamsSources()
	}
	if list, ok := o.fields["tls_names"]; ok {
		t.TLSNames = nil
		for _, item := range list.list() {
			t.TLSNames = append(t.TLSNames, item.text())
		}
	}
	return t, o
}

func parseTransport(s string) (tandem.Transport, error) {
	switch t := tandem.Transport(strings.ToUpper(s)); t {
	case tandem.UDP, tandem.TCP, tandem.TLS:
		return t, nil
	}
	return "", refuse("", s, "is not a transport", "use udp, tcp or tls")
}

// readOutcomes reads next_on, reporting each wrong word at its place.
func readOutcomes(list value) tandem.OutcomeSet {
	var words []string
	for _, item := range list.list() {
		w := item.text()
		if _, err := tandem.ParseOutcomeSet([]string{w}); err != nil {
			item.report(err)
			continue
		}
		words = append(words, w)
	}
	set, _ := tandem.ParseOutcomeSet(words) // each word was parsed above
	return set
}

// readEndpoint takes "host", "host:port", or a mapping with host, port and address.
func readEndpoint(v value, defaultPort uint16) tandem.Endpoint {
	if s, plain := scalar(v.node); plain {
		e, err := parseEndpoint(s, defaultPort)
		if err != nil {
			v.report(err)
		}
		return e
	}
	o := v.object("host", "port", "address")
	host := o.need("host", "write the name or address that goes into the Request-URI")
	if host != "" && !isHost(host) {
		o.fields["host"].bad("is not a host name or address", "write a DNS name or an IP address")
	}
	return tandem.Endpoint{
		Host: host,
		Port: uint16(o.integer("port", int(defaultPort), 1, 65535)),
		Address: parsed(o, "address", netip.Addr{}, func(s string) (netip.Addr, error) {
			a, err := netip.ParseAddr(s)
			if err != nil || a.IsUnspecified() || a.Zone() != "" {
				return netip.Addr{}, refuse("", s, "is not an IP address", "write the address to dial instead of resolving host")
			}
			return a, nil
		}),
	}
}

func parseEndpoint(s string, defaultPort uint16) (tandem.Endpoint, error) {
	if isHost(s) {
		return tandem.Endpoint{Host: s, Port: defaultPort}, nil
	}
	i := strings.LastIndexByte(s, ':')
	if i > 0 {
		host := strings.TrimSuffix(strings.TrimPrefix(s[:i], "["), "]")
		port, err := strconv.ParseUint(s[i+1:], 10, 16)
		if err == nil && port > 0 && isHost(host) {
			return tandem.Endpoint{Host: host, Port: uint16(port)}, nil
		}
	}
	return tandem.Endpoint{}, refuse("", s, "is not an endpoint", "write host:port, as in sip.example.net:5061, 192.0.2.10:5060 or [2001:db8::1]:5060")
}

// readPrefixes reads a list of networks; nil when there is none.
func readPrefixes(o object, key string) (all []netip.Prefix) {
	if list, ok := o.fields[key]; ok {
		for _, item := range list.list() {
			if p, ok := readPrefix(item); ok {
				all = append(all, p)
			}
		}
	}
	return all
}

// readPrefix takes a network or a single address.
func readPrefix(v value) (netip.Prefix, bool) {
	s := v.text()
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		v.bad("is not a network", "write an address or a network, as in 192.0.2.0/24")
		return p, false
	case p != p.Masked():
		v.bad("has bits set beyond its length", "write "+p.Masked().String())
		return p, false
	}
	return p, true
}

// isHost reports whether s is a DNS name (RFC 1123 2.1) or an IP address.
func isHost(s string) bool {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Zone() == "" && !a.IsUnspecified()
	}
	if len(s) == 0 || len(s) > 253 || strings.Trim(s, "0123456789.") == "" {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-') {
				return false
			}
		}
	}
	return true
}
