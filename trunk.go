package tandem

import (
	"net/netip"
	"time"
)

// TrunkID names a trunk in configuration, for example "teams" or "carrier-east".
type TrunkID string

// TrunkKind is what is at the far end; it chooses the header profile, the
// health rules and the Technology of legs.
type TrunkKind string

// The kinds of trunk.
const (
	TrunkTeams   TrunkKind = "teams"
	TrunkCarrier TrunkKind = "carrier"
)

// Transport is a SIP transport, written as in a Via header.
type Transport string

// The transports that the engine speaks.
const (
	UDP Transport = "UDP"
	TCP Transport = "TCP"
	TLS Transport = "TLS"
)

// SRTPMode is what a trunk's media must be.
type SRTPMode string

// The SRTP modes: off = plain RTP/AVP only; required = RTP/SAVP with SDES
// (RFC 4568), plain refused; optional = what the far end offers, plain in our own offers.
const (
	SRTPOff      SRTPMode = "off"
	SRTPRequired SRTPMode = "required"
	SRTPOptional SRTPMode = "optional"
)

// Endpoint is one signalling address of a trunk. Host goes into the Request-URI
// and is the TLS server name; Address, when set, is dialled instead of
// resolving Host (labs and emulators).
type Endpoint struct {
	Host    string     `json:"host"`
	Port    uint16     `json:"port"`
	Address netip.Addr `json:"address,omitzero"`
}

// Trunk is a signalling peer as configured. It is read-only once in a Directory.
type Trunk struct {
	ID        TrunkID    `json:"id"`
	Kind      TrunkKind  `json:"kind"`
	Network   string     `json:"network"` // network name in logs and CDRs; "Operator Connect" for Microsoft's
	Carrier   string     `json:"carrier,omitempty"`
	Disabled  bool       `json:"disabled,omitempty"`
	Lab       bool       `json:"lab,omitempty"` // allows UDP/TCP and plain RTP on a Teams trunk (load tests)
	Endpoints []Endpoint `json:"endpoints"`     // in the order to try
	Transport Transport  `json:"transport"`
	// Sources lists the networks whose requests belong to this trunk.
	Sources []netip.Prefix `json:"sources"`
	// TLSNames lists the names one of which the peer's certificate must carry,
	// both when it dials us and when we dial it; empty: the endpoint's Host when dialling, any verified name when accepting.
	TLSNames []string `json:"tls_names,omitempty"`
	// FQDN is our own name towards this trunk: Contact and From host, and a name of our certificate.
	FQDN string `json:"fqdn"`
	// Certificate names the certificate in tandem.yaml that we present; empty: the default one.
	Certificate string   `json:"certificate,omitempty"`
	SRTP        SRTPMode `json:"srtp"`
	// MediaSources lists networks that media may come from besides the address
	// in SDP: a peer behind a NAT that writes its private address.
	MediaSources []netip.Prefix `json:"media_sources,omitempty"`

	OptionsInterval Duration   `json:"options_interval"` // 0 = no probing, the trunk counts as up
	ResponseTimeout Duration   `json:"response_timeout"` // INVITE sent to its first response (100 included)
	AnswerTimeout   Duration   `json:"answer_timeout"`   // INVITE sent to its final response
	NextOn          OutcomeSet `json:"next_on"`          // outcomes that allow the next endpoint or trunk
	Priority        int        `json:"priority"`         // carriers: lower is tried first
	Weight          int        `json:"weight"`           // carriers: share among equal priority
	// SendPAI, SendDiversion and SendHistoryInfo say which identity and redirection headers the peer takes.
	SendPAI         bool `json:"send_pai,omitempty"`
	SendDiversion   bool `json:"send_diversion,omitempty"`
	SendHistoryInfo bool `json:"send_history_info,omitempty"`
	// SessionExpires, when not 0, is what we ask for in our INVITEs (RFC 4028).
	SessionExpires Duration `json:"session_expires,omitempty"`
	// Ring183 relays 183 with SDP to the caller when true; else a 183 from this trunk becomes 180 (microsoft-teams-trunk.md 5).
	Relay183 bool `json:"relay_183,omitempty"`
	// CostDeck names the deck of what the carrier charges us for calls that it terminates; empty: not known.
	CostDeck string `json:"cost_deck,omitempty"`
}

// Duration is a time.Duration that is written with its unit ("4s", "1m30s") in
// YAML, JSON and forms.
type Duration time.Duration

// D is the plain duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

// MarshalText writes the duration with its unit.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads a duration with its unit.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return &Error{Kind: KindInvalid, Message: "duration " + Clip(string(b), 40) + " is not readable", Mend: "write a number and a unit, as in 4s or 1m30s"}
	}
	*d = Duration(v)
	return nil
}

// HealthState is the state of one endpoint of a trunk.
type HealthState string

// The health states. Demoted endpoints are tried last; misconfigured ones
// answer, but refuse us (403 to OPTIONS): reachable, alarmed, tried last.
const (
	HealthUnknown       HealthState = "unknown" // not probed yet: tried as if up
	HealthUp            HealthState = "up"
	HealthDemoted       HealthState = "demoted"
	HealthDown          HealthState = "down"
	HealthMisconfigured HealthState = "misconfigured"
)

// EndpointHealth is what probing and calls have taught about one endpoint.
type EndpointHealth struct {
	Trunk     TrunkID     `json:"trunk"`
	Endpoint  Endpoint    `json:"endpoint"`
	State     HealthState `json:"state"`
	Since     time.Time   `json:"since"`
	DownUntil time.Time   `json:"down_until,omitzero"` // from Retry-After
	LastProbe time.Time   `json:"last_probe,omitzero"`
	LastOK    time.Time   `json:"last_ok,omitzero"`
	Reason    string      `json:"reason"` // why it is in this state, for people
	// Alarm says that calls are refused here for our trunk's configuration, "" = none.
	// It stands apart from State: the address works for other names of ours.
	Alarm string `json:"alarm,omitempty"`
}

// Health is an immutable snapshot of all endpoints, keyed by trunk, in the order of Trunk.Endpoints.
type Health map[TrunkID][]EndpointHealth

// State is the state of endpoint i of a trunk; HealthUnknown when never probed.
func (h Health) State(id TrunkID, i int) HealthState {
	if eps := h[id]; i < len(eps) {
		return eps[i].State
	}
	return HealthUnknown
}

// Of is the state of an endpoint of a trunk; HealthUnknown when never probed.
func (h Health) Of(id TrunkID, e Endpoint) HealthState {
	for i := range h[id] {
		if h[id][i].Endpoint == e {
			return h[id][i].State
		}
	}
	return HealthUnknown
}
