package emulate

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/media/player"
)

// Mode says how a tenant is told apart on the trunk (microsoft-teams-trunk.md 9.1).
type Mode string

// The modes: Operator Connect puts X-MS-TenantID on one shared trunk, Direct
// Routing names the tenant in the host of the Request-URI and of our Contact.
const (
	OperatorConnect Mode = "operator_connect"
	DirectRouting   Mode = "direct_routing"
)

// MediaConfig is where an emulator's audio lives.
type MediaConfig struct {
	Address netip.Addr `json:"address"` // of RTP; the emulator's own SIP address when empty
	// PortMin and PortMax bound the RTP ports; 0 = the system's choice.
	PortMin uint16 `json:"port_min,omitempty"`
	PortMax uint16 `json:"port_max,omitempty"`
	Record  string `json:"record,omitempty"` // folder for a WAV file of what each call heard
	// Stream, when not nil, may change the options of every stream before it opens, for tests.
	Stream func(*player.Options) `json:"-"`
}

// TeamsListener is one of Microsoft's proxies: its public name and where it listens.
type TeamsListener struct {
	Name    string         `json:"name"`
	Address netip.AddrPort `json:"address"` // port 0 = any free one
}

// TeamsTenant is a customer of Microsoft with its users.
type TeamsTenant struct {
	ID   tandem.TenantID `json:"id"`
	FQDN string          `json:"fqdn"` // the tenant's trunk name (Direct Routing)
	// Users: the number is exact, or a prefix that ends in '*'.
	Users []Rule `json:"users"`
}

// Rule gives a number, or a prefix ending in '*', its behaviour. The longest match wins.
type Rule struct {
	Number    string    `json:"number"`
	Behaviour Behaviour `json:"behaviour"`
}

// TeamsConfig is the whole configuration of the Microsoft emulator.
type TeamsConfig struct {
	Listeners []TeamsListener `json:"listeners"`
	// Transport TLS is Microsoft's; UDP and TCP with plain RTP are for load tests against a lab trunk.
	Transport tandem.Transport `json:"transport"`
	Mode      Mode             `json:"mode"`
	// TrunkFQDN is the operator's own trunk name: the Contact host of its
	// OPTIONS, and the Request-URI host of Operator Connect calls.
	TrunkFQDN string        `json:"trunk_fqdn"`
	Tenants   []TeamsTenant `json:"tenants"`
	// SBC is where the names of the operator resolve to; its port is dialled when a URI has none.
	SBC netip.AddrPort `json:"sbc"`
	// Hosts overrides SBC for single names.
	Hosts map[string]netip.AddrPort `json:"hosts,omitempty"`
	// CADir gets the private CA and the certificates (see MakeCA); needed for TLS.
	CADir string `json:"ca_dir"`
	// SBCNames are the names of the certificate made for the operator.
	SBCNames []string    `json:"sbc_names"`
	Media    MediaConfig `json:"media"`
	// RecordRouteNext puts the next listener's name into Record-Route, so that
	// in-dialog requests must arrive at another address than the INVITE did.
	RecordRouteNext bool `json:"record_route_next,omitempty"`
	// Idle closes connections without messages, as Microsoft does after 2 minutes; 0 = never.
	Idle tandem.Duration `json:"idle"`
	// Behaviour is what users do whose rule says nothing.
	Behaviour Behaviour `json:"behaviour"`
	// Control is the address of the HTTP control API; invalid = none, port 0 = any.
	Control netip.AddrPort `json:"control"`
	// T1 is SIP's timer, 500 ms when 0.
	T1 tandem.Duration `json:"t1,omitempty"`
	// KeepText keeps whole messages in the ladders; turn off for load.
	KeepText bool `json:"keep_text"`
	// KeepCalls bounds the finished calls that are remembered; 0 = 10,000.
	KeepCalls int `json:"keep_calls,omitempty"`
}

// DefaultTenant is the tenant of the default configuration.
const DefaultTenant = "11111111-2222-4333-8444-555555555555"

// DefaultTeamsConfig listens on 127.0.0.11 to 127.0.0.13 as sip, sip2 and sip3
// .pstnhub.test, knows one tenant whose numbers all begin with +1425555, and
// finds the operator at 127.0.0.1:5061 as sbc.customers.test.
func DefaultTeamsConfig() TeamsConfig {
	return TeamsConfig{
		Listeners: []TeamsListener{
			{"sip.pstnhub.test", netip.MustParseAddrPort("127.0.0.11:5061")},
			{"sip2.pstnhub.test", netip.MustParseAddrPort("127.0.0.12:5061")},
			{"sip3.pstnhub.test", netip.MustParseAddrPort("127.0.0.13:5061")},
		},
		Transport: tandem.TLS,
		Mode:      OperatorConnect,
		TrunkFQDN: "sbc.customers.test",
		Tenants: []TeamsTenant{{ID: uuid.MustParse(DefaultTenant), FQDN: "tenant1.customers.test",
			Users: []Rule{{Number: "+1425555*"}}}},
		SBC:       netip.MustParseAddrPort("127.0.0.1:5061"),
		CADir:     "tandem-data/emulator-ca",
		SBCNames:  []string{"*.customers.test", "sbc.customers.test", "customers.test"},
		Idle:      tandem.Duration(2 * time.Minute),
		Behaviour: Behaviour{Ring: tandem.Duration(200 * time.Millisecond), Media: MediaTone, ToneHz: 1000},
		Control:   netip.MustParseAddrPort("127.0.0.1:5090"),
		KeepText:  true,
	}
}

// Validate reports every mistake at once.
func (c *TeamsConfig) Validate() error {
	var p problems
	if len(c.Listeners) == 0 {
		p.add("listeners", "there is none", "give at least one name and address")
	}
	for i, l := range c.Listeners {
		field := fmt.Sprintf("listeners[%d]", i)
		p.name(field+".name", l.Name)
		p.loopback(field+".address", l.Address)
	}
	p.transport(c.Transport)
	if c.Mode != OperatorConnect && c.Mode != DirectRouting {
		p.add("mode", fmt.Sprintf("%q is unknown", tandem.Clip(string(c.Mode), 30)), "use operator_connect or direct_routing")
	}
	p.name("trunk_fqdn", c.TrunkFQDN)
	for i, t := range c.Tenants {
		field := fmt.Sprintf("tenants[%d]", i)
		if t.ID == uuid.Nil {
			p.add(field+".id", "the tenant has no GUID", "give the Microsoft tenant ID")
		}
		p.name(field+".fqdn", t.FQDN)
		p.rules(field+".users", t.Users)
	}
	if c.Transport == tandem.TLS && c.CADir == "" {
		p.add("ca_dir", "TLS needs certificates", "name a folder for the private CA")
	}
	p.behaviour("behaviour", c.Behaviour)
	p.control(c.Control)
	return errors.Join(p...)
}

// CarrierConfig is the whole configuration of the carrier emulator.
type CarrierConfig struct {
	Name string `json:"name"`
	// Address is listened on over UDP and TCP; port 0 = any free one.
	Address netip.AddrPort `json:"address"`
	// Transport is how the carrier calls; it answers on both.
	Transport tandem.Transport `json:"transport"`
	// SBC is the operator's address for this carrier.
	SBC   netip.AddrPort `json:"sbc"`
	Media MediaConfig    `json:"media"`
	// Rules say what dialled numbers do; Behaviour is the rest.
	Rules     []Rule    `json:"rules"`
	Behaviour Behaviour `json:"behaviour"`
	// SendPAI puts the caller into P-Asserted-Identity too.
	SendPAI bool `json:"send_pai"`
	// SRTP offers and answers RTP/SAVP instead of RTP/AVP.
	SRTP      bool            `json:"srtp,omitempty"`
	Control   netip.AddrPort  `json:"control"`
	T1        tandem.Duration `json:"t1,omitempty"`
	KeepText  bool            `json:"keep_text"`
	KeepCalls int             `json:"keep_calls,omitempty"`
}

// DefaultCarrierConfig listens on 127.0.0.21:5060 and answers every number
// after 200 ms of ringing; numbers ending in an agreed code misbehave, see DefaultCarrierRules.
func DefaultCarrierConfig() CarrierConfig {
	return CarrierConfig{
		Name:      "carrier",
		Address:   netip.MustParseAddrPort("127.0.0.21:5060"),
		Transport: tandem.UDP,
		SBC:       netip.MustParseAddrPort("127.0.0.1:5060"),
		Rules:     DefaultCarrierRules(),
		Behaviour: Behaviour{Ring: tandem.Duration(200 * time.Millisecond), Media: MediaTone, ToneHz: 600},
		SendPAI:   true,
		Control:   netip.MustParseAddrPort("127.0.0.1:5091"),
		KeepText:  true,
	}
}

// DefaultCarrierRules are numbers that fail in the ways that carriers do.
func DefaultCarrierRules() []Rule {
	return []Rule{
		{"+12065550404", Behaviour{Status: 404}},
		{"+12065550408", Behaviour{NoAnswer: true}},
		{"+12065550480", Behaviour{Status: 480}},
		{"+12065550486", Behaviour{Status: 486, Ring: tandem.Duration(100 * time.Millisecond)}},
		{"+12065550503", Behaviour{Status: 503}},
		{"+12065550603", Behaviour{Status: 603, Ring: tandem.Duration(100 * time.Millisecond)}},
	}
}

// Validate reports every mistake at once.
func (c *CarrierConfig) Validate() error {
	var p problems
	if c.Name == "" {
		p.add("name", "the carrier has no name", "give it one")
	}
	p.loopback("address", c.Address)
	if c.Transport != tandem.UDP && c.Transport != tandem.TCP {
		p.add("transport", fmt.Sprintf("%q is not spoken by the carrier emulator", tandem.Clip(string(c.Transport), 20)), "use UDP or TCP")
	}
	p.rules("rules", c.Rules)
	p.behaviour("behaviour", c.Behaviour)
	p.control(c.Control)
	return errors.Join(p...)
}

// problems collects configuration errors.
type problems []error

func (p *problems) add(field, message, mend string) {
	*p = append(*p, &tandem.Error{Kind: tandem.KindInvalid, Field: field, Message: message, Mend: mend})
}

func (p *problems) name(field, name string) {
	if name == "" || len(name) > 63 || strings.ContainsAny(name, " \t\r\n\x00<>\"@;:,/") {
		p.add(field, fmt.Sprintf("%q is not a host name", tandem.Clip(name, 70)), "use a name of at most 63 characters, as in sip.pstnhub.test")
	}
}

// loopback: an emulator accepts anybody, so it stays on this machine.
func (p *problems) loopback(field string, a netip.AddrPort) {
	if !a.IsValid() || !a.Addr().IsLoopback() {
		p.add(field, fmt.Sprintf("%q is not a loopback address", a.String()), "use 127.0.0.0/8 and a port: an emulator believes whoever reaches it")
	}
}

func (p *problems) control(a netip.AddrPort) {
	if a.IsValid() {
		p.loopback("control", a)
	}
}

func (p *problems) transport(t tandem.Transport) {
	if t != tandem.TLS && t != tandem.UDP && t != tandem.TCP {
		p.add("transport", fmt.Sprintf("%q is unknown", tandem.Clip(string(t), 20)), "use TLS, or UDP or TCP for load tests")
	}
}

func (p *problems) rules(field string, rules []Rule) {
	for i, r := range rules {
		at := fmt.Sprintf("%s[%d]", field, i)
		if r.Number == "" || strings.ContainsAny(r.Number, " \r\n\x00<>\"@") {
			p.add(at+".number", fmt.Sprintf("%q is not a number", tandem.Clip(r.Number, 40)), "write +14255550100, or a prefix such as +1425*")
		}
		p.behaviour(at+".behaviour", r.Behaviour)
	}
}

func (p *problems) behaviour(field string, b Behaviour) {
	if b.Status != 0 && (b.Status < 200 || b.Status > 699) {
		p.add(field+".status", fmt.Sprintf("%d is not a final SIP status", b.Status), "use 200 to 699, or leave it out to answer")
	}
	if !b.Media.known() {
		p.add(field+".media", fmt.Sprintf("%q is unknown", tandem.Clip(string(b.Media), 20)), "use tone, sweep, echo, silence, noise or none")
	}
	if b.ToneHz < 0 || b.ToneHz > 3400 || b.ToneHz%50 != 0 {
		p.add(field+".tone_hz", fmt.Sprintf("%d Hz cannot be played", b.ToneHz), "use a multiple of 50 up to 3400")
	}
	if b.HangUpBy != "" && b.HangUpBy != HangUpCaller && b.HangUpBy != HangUpCallee {
		p.add(field+".hang_up_by", fmt.Sprintf("%q is unknown", tandem.Clip(b.HangUpBy, 20)), "use caller or callee")
	}
	if b.Forks < 0 || b.Forks > 10 {
		p.add(field+".forks", fmt.Sprintf("%d forks", b.Forks), "use 0 to 10")
	}
}
