package emulate

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"tandem"
	"tandem/media/player"
	"tandem/sip/ua"
)

// Carrier is the carrier emulator: a SIP peer over UDP and TCP with numbers behind it.
type Carrier struct {
	*station
	cfg CarrierConfig
	sbc netip.AddrPort
}

// NewCarrier checks the configuration; Start opens the sockets.
func NewCarrier(cfg CarrierConfig, log *slog.Logger) (*Carrier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Carrier{station: newStation(log, cfg.KeepCalls), cfg: cfg, sbc: cfg.SBC}
	c.station.shape = carrierShape{c}
	return c, nil
}

// Start listens over UDP and over TCP on the same port.
func (c *Carrier) Start() error {
	c.ep = ua.New(ua.Config{T1: c.cfg.T1.D(), Handler: c.handle, KeepText: c.cfg.KeepText, Logger: c.log,
		Filter:   func(m *ua.Message) bool { return !c.deaf(m) },
		Outgoing: func(*ua.Message) bool { return !c.lose() }})
	c.startPlayer(c.cfg.Media, c.cfg.Address.Addr())
	if err := c.listen(); err != nil {
		c.close()
		return err
	}
	if c.cfg.Control.IsValid() {
		var err error
		if c.control, err = startControl(c.cfg.Control, c); err != nil {
			c.close()
			return err
		}
	}
	return nil
}

// listen tries a few free ports when the port is 0: UDP and TCP must share it.
func (c *Carrier) listen() error {
	var err error
	for range 20 {
		var udp, tcp *ua.Listener
		if udp, err = c.ep.Listen(ua.ListenConfig{Name: "udp", Transport: tandem.UDP, Address: c.cfg.Address}); err != nil {
			return err
		}
		tcp, err = c.ep.Listen(ua.ListenConfig{Name: "tcp", Transport: tandem.TCP, Address: udp.Addr(), Gate: c.gate("tcp")})
		if err == nil {
			c.mu.Lock()
			c.listeners["udp"], c.listeners["tcp"] = udp, tcp
			c.order = []string{"udp", "tcp"}
			c.mu.Unlock()
			return nil
		}
		udp.Shut(false)
		if c.cfg.Address.Port() != 0 {
			return err
		}
	}
	return err
}

// Close ends every call without BYE and frees all ports.
func (c *Carrier) Close() { c.close() }

// Addr is where it listens, over UDP and TCP.
func (c *Carrier) Addr() netip.AddrPort { return c.pick("udp")[0].Addr() }

// ControlAddr is where the control API listens; invalid when there is none.
func (c *Carrier) ControlAddr() netip.AddrPort {
	if c.control == nil {
		return netip.AddrPort{}
	}
	return c.control.addr
}

// SetSBC tells where calls go from now on.
func (c *Carrier) SetSBC(addr netip.AddrPort) {
	c.mu.Lock()
	c.sbc = addr
	c.mu.Unlock()
}

func (c *Carrier) handle(tx *ua.ServerTx) {
	switch tx.Req.Method {
	case "OPTIONS":
		c.options(tx)
	case "INVITE":
		c.called(tx, c.judge)
	default:
		tx.Reply(405, "", ua.Header{Name: "Allow", Value: carrierAllow})
	}
}

func (c *Carrier) options(tx *ua.ServerTx) {
	if f, ok := c.faults.request(c.listenerOf(tx.Req.Conn), "OPTIONS", ""); ok {
		if f.Kind == FaultStatus {
			tx.Reply(f.Status, "", retryAfter(f)...)
		} else {
			tx.Abandon()
		}
		return
	}
	tx.Reply(200, "", ua.Header{Name: "Allow", Value: carrierAllow})
}

const carrierAllow = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO"

// judge finds the dialled number's behaviour and looks at a forwarded call's
// history: a redirection without its reason or with a broken address would be
// refused or billed wrongly by real carriers.
func (c *Carrier) judge(listener string, m *ua.Message) verdict {
	uri, ok := ua.ParseURI(m.URI)
	if !ok {
		return verdict{status: 400}
	}
	for _, v := range m.Values("Diversion") { // RFC 5806
		if u, ok := ua.AddressOf(v); !ok || u.User == "" || ua.Param(v, "reason") == "" {
			c.violate("diversion", "Diversion without a number or reason: "+v, listener, m)
		}
	}
	for _, v := range m.Values("History-Info") { // RFC 7044
		if u, ok := ua.AddressOf(v); !ok || u.User == "" || ua.Param(v, "index") == "" {
			c.violate("history_info", "History-Info without a number or index: "+v, listener, m)
		}
	}
	if v := m.Get("P-Asserted-Identity"); v != "" {
		if u, ok := ua.AddressOf(v); !ok || u.User == "" {
			c.violate("asserted_identity", "P-Asserted-Identity without a number: "+v, listener, m)
		}
	}
	if len(m.Body) > 0 {
		if d, err := player.ParseSDP(m.Body); err != nil || d.Secure() != c.cfg.SRTP && d.Secure() {
			return verdict{status: 488}
		}
	}
	b, n := match(c.cfg.Rules, uri.User)
	if n < 0 {
		b = c.cfg.Behaviour
	}
	return verdict{b: orDefault(b, c.cfg.Behaviour)}
}

// Call places a call from the PSTN and waits for its end.
func (c *Carrier) Call(ctx context.Context, spec CallSpec) (CallResult, error) {
	rec, err := c.begin(spec)
	if err != nil {
		return CallResult{}, err
	}
	return rec.result(ctx)
}

func (c *Carrier) begin(spec CallSpec) (*record, error) {
	c.mu.Lock()
	sbc := c.sbc
	c.mu.Unlock()
	transport, listener := c.cfg.Transport, strings.ToLower(string(c.cfg.Transport))
	if spec.Listener != "" {
		listener, transport = strings.ToLower(spec.Listener), tandem.Transport(strings.ToUpper(spec.Listener))
	}
	ls := c.pick(listener)
	if len(ls) == 0 {
		return nil, &tandem.Error{Kind: tandem.KindNotFound, Field: "listener", Message: "there is no listener of that name", Mend: "use udp or tcp"}
	}
	if spec.Media == "" {
		spec.Media = c.cfg.Behaviour.Media
	}
	if spec.ToneHz == 0 {
		spec.ToneHz = c.cfg.Behaviour.ToneHz
	}
	to := ua.Target{Transport: transport, Addr: sbc, Local: ls[0].Addr().Addr(), Listener: ls[0]}
	return c.start(spec, listener, to, func(offer []byte) *ua.Message { return c.invite(spec, sbc, listener, offer) })
}

func (c *Carrier) invite(spec CallSpec, sbc netip.AddrPort, listener string, offer []byte) *ua.Message {
	own := c.Addr()
	m := &ua.Message{Method: "INVITE", URI: fmt.Sprintf("sip:%s@%s;user=phone", spec.To, sbc)}
	if listener == "tcp" {
		m.URI += ";transport=tcp"
	}
	from := fmt.Sprintf("<sip:%s@%s;user=phone>", spec.From, own)
	if spec.Anonymous {
		from = `"Anonymous" <sip:anonymous@anonymous.invalid>`
	}
	m.Add("From", from+";tag="+ua.NewTag())
	m.Add("To", fmt.Sprintf("<sip:%s@%s;user=phone>", spec.To, sbc))
	m.AddAll(carrierShape{c}.request(nil, listener))
	if c.cfg.SendPAI || spec.Anonymous {
		m.Add("P-Asserted-Identity", fmt.Sprintf("<sip:%s@%s;user=phone>", spec.From, own))
	}
	if spec.Anonymous {
		m.Add("Privacy", "id")
	}
	m.Add("Supported", "timer")
	if offer != nil {
		m.Add("Content-Type", "application/sdp")
		m.Body = offer
	}
	return m
}

// carrierShape is the plain shape of a session border controller's messages.
type carrierShape struct{ c *Carrier }

var _ shape = carrierShape{}

func (s carrierShape) contact(listener string) ua.Header {
	value := "<sip:" + s.c.Addr().String()
	if listener == "tcp" {
		value += ";transport=tcp"
	}
	return ua.Header{Name: "Contact", Value: value + ">"}
}

func (s carrierShape) answer(_ *ua.Call, listener string, status int) []ua.Header {
	if status <= 100 || status >= 300 {
		return nil
	}
	return []ua.Header{s.contact(listener), {Name: "Allow", Value: carrierAllow}}
}

func (s carrierShape) request(_ *ua.Call, listener string) []ua.Header {
	return []ua.Header{s.contact(listener), {Name: "Allow", Value: carrierAllow}, {Name: "User-Agent", Value: "Emulated carrier " + s.c.cfg.Name}}
}

func (s carrierShape) media() player.Options { return player.Options{Secure: s.c.cfg.SRTP} }

// inspect: a carrier takes any re-INVITE that can be read.
func (s carrierShape) inspect(*ua.Message, string) int { return 0 }
