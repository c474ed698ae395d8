package emulate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/media/player"
	"tandem/sip/ua"
)

// Teams is the Microsoft emulator: three SIP proxies and the users behind them.
type Teams struct {
	*station
	cfg TeamsConfig
	ca  *CA

	server *tls.Config // as listener
	client *tls.Config // when it dials the operator
	bad    map[FaultKind]*tls.Config

	peers sync.Mutex
	sbc   netip.AddrPort
	hosts map[string]netip.AddrPort
	seen  map[string]*PeerState // by Contact FQDN
}

// NewTeams checks the configuration and makes the certificates; Start opens the sockets.
func NewTeams(cfg TeamsConfig, log *slog.Logger) (*Teams, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	t := &Teams{station: newStation(log, cfg.KeepCalls), cfg: cfg, sbc: cfg.SBC, hosts: map[string]netip.AddrPort{}, seen: map[string]*PeerState{}}
	t.station.shape = teamsShape{t}
	for name, addr := range cfg.Hosts {
		t.hosts[strings.ToLower(name)] = addr
	}
	if cfg.Transport == tandem.TLS {
		if err := t.makeCertificates(); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// CA is the emulator's private certificate authority; nil in plain mode.
func (t *Teams) CA() *CA { return t.ca }

// Start opens the listeners and the control API.
func (t *Teams) Start() error {
	t.ep = ua.New(ua.Config{
		T1: t.cfg.T1.D(), Handler: t.handle, Filter: t.filter, UpperCase: true, KeepText: t.cfg.KeepText, Logger: t.log,
		Outgoing: func(*ua.Message) bool { return !t.lose() },
		NextHop:  t.nextHop, OwnRoute: t.ownRoute, SentBy: t.sentBy, HandshakeFailed: t.handshakeFailed,
	})
	t.startPlayer(t.cfg.Media, t.cfg.Listeners[0].Address.Addr())
	for _, l := range t.cfg.Listeners {
		ln, err := t.ep.Listen(ua.ListenConfig{Name: l.Name, Transport: t.cfg.Transport, Address: l.Address, TLS: t.serverFor(l.Name),
			Gate: t.gate(l.Name), Idle: t.cfg.Idle.D()})
		if err != nil {
			t.close()
			return err
		}
		t.mu.Lock()
		t.listeners[l.Name] = ln
		t.order = append(t.order, l.Name)
		t.mu.Unlock()
	}
	if t.cfg.Control.IsValid() {
		var err error
		if t.control, err = startControl(t.cfg.Control, t); err != nil {
			t.close()
			return err
		}
	}
	return nil
}

// Close ends every call without BYE, as a crash would, and frees all ports.
func (t *Teams) Close() { t.close() }

// Addr is where a listener really listens; "" = the first.
func (t *Teams) Addr(name string) netip.AddrPort {
	ls := t.pick(name)
	if len(ls) == 0 {
		return netip.AddrPort{}
	}
	return ls[0].Addr()
}

// ControlAddr is where the control API listens; invalid when there is none.
func (t *Teams) ControlAddr() netip.AddrPort {
	if t.control == nil {
		return netip.AddrPort{}
	}
	return t.control.addr
}

// SetSBC tells where the operator's names resolve to from now on.
func (t *Teams) SetSBC(addr netip.AddrPort) {
	t.peers.Lock()
	t.sbc = addr
	t.peers.Unlock()
}

// SetHost resolves one name; an invalid address makes it unknown again.
func (t *Teams) SetHost(name string, addr netip.AddrPort) {
	t.peers.Lock()
	defer t.peers.Unlock()
	if addr.IsValid() {
		t.hosts[strings.ToLower(name)] = addr
	} else {
		delete(t.hosts, strings.ToLower(name))
	}
}

// resolve is the emulator's DNS: one of its own proxies, a known host, or the operator.
func (t *Teams) resolve(name string, port int) (netip.AddrPort, bool) {
	for _, l := range t.pick(name) {
		if name != "" {
			return l.Addr(), true
		}
	}
	t.peers.Lock()
	defer t.peers.Unlock()
	addr, ok := t.hosts[strings.ToLower(name)]
	if !ok {
		addr = t.sbc
		if ip, err := netip.ParseAddr(name); err == nil {
			addr = netip.AddrPortFrom(ip, t.sbc.Port())
		}
	}
	if port != 0 {
		addr = netip.AddrPortFrom(addr.Addr(), uint16(port))
	}
	return addr, addr.IsValid()
}

// target is our own connection to a name of the operator, from a listener's address.
func (t *Teams) target(listener, host string, port int) (ua.Target, bool) {
	addr, ok := t.resolve(host, port)
	if !ok {
		return ua.Target{}, false
	}
	ls := t.pick(listener)
	if len(ls) == 0 {
		return ua.Target{}, false
	}
	return ua.Target{Transport: t.cfg.Transport, Addr: addr, ServerName: strings.ToLower(host), TLS: t.client, Local: ls[0].Addr().Addr(), Listener: ls[0]}, true
}

// nextHop sends in-dialog requests over a connection of ours, never the
// operator's (no RFC 5923 aliasing, microsoft-teams-trunk.md 1.4).
func (t *Teams) nextHop(c *ua.Call, uri ua.URI) (ua.Target, bool) {
	return t.target(t.listenerOf(c.Conn()), uri.Host, uri.Port)
}

// ownRoute: the Record-Route that our own proxy added.
func (t *Teams) ownRoute(uri ua.URI) bool {
	for _, l := range t.pick("") {
		if strings.EqualFold(uri.Host, l.Config.Name) || uri.Host == l.Addr().Addr().String() && uri.Port == int(l.Addr().Port()) {
			return true
		}
	}
	return false
}

func (t *Teams) sentBy(c *ua.Conn) string {
	if t.cfg.Transport == tandem.UDP {
		return "" // the lab's peers answer to the address
	}
	name := t.listenerOf(c)
	if name == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", name, t.Addr(name).Port())
}

// filter is the first to see a message: black holes, and requests on connections that are ours alone.
func (t *Teams) filter(m *ua.Message) bool {
	if t.deaf(m) {
		return false
	}
	if m.IsRequest() && m.Conn.Dialled {
		t.violate("connection_alias", m.Method+" came over a connection that Microsoft opened: ignored", t.listenerOf(m.Conn), m)
		return false
	}
	return true
}

// handle takes requests outside of dialogs.
func (t *Teams) handle(tx *ua.ServerTx) {
	switch tx.Req.Method {
	case "OPTIONS":
		t.options(tx)
	case "INVITE":
		t.called(tx, t.judge)
	default:
		tx.Reply(405, "", ua.Header{Name: "Allow", Value: allow})
	}
}

// Call places a call from a user of Teams and waits for its end.
func (t *Teams) Call(ctx context.Context, spec CallSpec) (CallResult, error) {
	rec, err := t.begin(spec)
	if err != nil {
		return CallResult{}, err
	}
	return rec.result(ctx)
}

func (t *Teams) begin(spec CallSpec) (*record, error) {
	if spec.Listener == "" {
		spec.Listener = t.cfg.Listeners[0].Name
	}
	if spec.Mode == "" {
		spec.Mode = t.cfg.Mode
	}
	if len(t.pick(spec.Listener)) == 0 {
		return nil, &tandem.Error{Kind: tandem.KindNotFound, Field: "listener", Message: "there is no listener of that name", Mend: "use a name that GET /state shows"}
	}
	tenant, user, ok := t.tenantOf(spec.From)
	if !ok && spec.Tenant == "" {
		return nil, &tandem.Error{Kind: tandem.KindInvalid, Field: "from", Message: fmt.Sprintf("no tenant has the number %q", tandem.Clip(spec.From, 40)),
			Mend: "use a number of a configured user, or name a tenant"}
	}
	host, id := t.cfg.TrunkFQDN, tenant.ID.String()
	switch {
	case spec.Mode == DirectRouting && spec.Tenant != "":
		host = spec.Tenant
	case spec.Mode == DirectRouting:
		host = tenant.FQDN
	case spec.Tenant != "":
		id = spec.Tenant
		if _, err := uuid.Parse(id); err != nil {
			return nil, &tandem.Error{Kind: tandem.KindInvalid, Field: "tenant", Message: "the tenant is not a GUID", Mend: "give the Microsoft tenant ID", Err: err}
		}
	}
	if !ua.Clean(host) || !ua.Clean(id) {
		return nil, errors.New("tenant holds control characters")
	}
	if spec.Media == "" {
		spec.Media = user.Media
	}
	if spec.ToneHz == 0 {
		spec.ToneHz = user.ToneHz
	}
	to, ok := t.target(spec.Listener, host, 0)
	if !ok {
		return nil, &tandem.Error{Kind: tandem.KindUnavailable, Message: "the address of " + host + " is not known", Mend: "set sbc or hosts"}
	}
	return t.start(spec, spec.Listener, to, func(offer []byte) *ua.Message { return t.invite(spec, host, id, to, offer) })
}

// tenantOf finds the tenant and behaviour of a number; the longest rule wins.
func (t *Teams) tenantOf(number string) (TeamsTenant, Behaviour, bool) {
	best, found := -1, -1
	var b Behaviour
	for i, tenant := range t.cfg.Tenants {
		if rule, n := match(tenant.Users, number); n > best {
			best, found, b = n, i, rule
		}
	}
	if found < 0 {
		return TeamsTenant{}, t.cfg.Behaviour, false
	}
	return t.cfg.Tenants[found], t.merge(b), true
}

func (t *Teams) merge(b Behaviour) Behaviour { return orDefault(b, t.cfg.Behaviour) }

// orDefault takes the default behaviour where a rule says nothing at all, and the media where it says none.
func orDefault(b, d Behaviour) Behaviour {
	if b == (Behaviour{}) {
		return d
	}
	if b.Media == "" {
		b.Media = d.Media
	}
	if b.ToneHz == 0 {
		b.ToneHz = d.ToneHz
	}
	return b
}

// match finds the longest rule for a number and its length; -1 = none.
func match(rules []Rule, number string) (Behaviour, int) {
	best := -1
	var b Behaviour
	for _, r := range rules {
		n := len(r.Number)
		prefix, wild := strings.CutSuffix(r.Number, "*")
		switch {
		case wild && strings.HasPrefix(number, prefix):
			n--
		case r.Number == number:
			n++ // exact beats a prefix of the same length
		default:
			continue
		}
		if n > best {
			best, b = n, r.Behaviour
		}
	}
	return b, best
}

// PeerState is what the emulator knows about a trunk name of the operator.
type PeerState struct {
	FQDN string `json:"fqdn"`
	// Active: our own OPTIONS to it was answered 200, after a good one from it.
	Active bool `json:"active"`
	// Options counts good OPTIONS per listener; Last is when the latest came there.
	Options map[string]int       `json:"options"`
	Last    map[string]time.Time `json:"last"`
	// LongestGap is the longest time between two good OPTIONS at one listener.
	LongestGap time.Duration `json:"longest_gap_ns"`
	Refused    int           `json:"refused"`
	// DialBack is what our OPTIONS got: a status, or an error.
	DialBack      int       `json:"dial_back"`
	DialBackError string    `json:"dial_back_error,omitempty"`
	DialBackAt    time.Time `json:"dial_back_at,omitzero"`
	Allow         string    `json:"allow,omitempty"`
	Contact       string    `json:"contact,omitempty"`

	dialling bool
}

// Peers lists the trunk names that have sent OPTIONS.
func (t *Teams) Peers() []PeerState {
	t.peers.Lock()
	defer t.peers.Unlock()
	var out []PeerState
	for _, p := range t.seen {
		c := *p
		c.Options, c.Last = map[string]int{}, map[string]time.Time{}
		for k, v := range p.Options {
			c.Options[k] = v
		}
		for k, v := range p.Last {
			c.Last[k] = v
		}
		out = append(out, c)
	}
	return out
}

// WaitActive waits until a trunk name is active: good OPTIONS both ways.
func (t *Teams) WaitActive(ctx context.Context, fqdn string) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, p := range t.Peers() {
			if p.FQDN == fqdn && p.Active {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("trunk %s did not become active: %w", fqdn, ctx.Err())
		case <-tick.C:
		}
	}
}

func (t *Teams) secure() bool { return t.cfg.Transport == tandem.TLS }

var _ shape = teamsShape{}

// teamsShape is the shape of Microsoft's messages (microsoft-teams-trunk.md 2, 3.2).
type teamsShape struct{ t *Teams }

const server = "Microsoft.PSTNHub.SIPProxy v.2026.11.1.1 i.EUNO.7"

func (s teamsShape) contact(call *ua.Call, listener string) string {
	user := "api-du-a-" + firstLabel(listener) + "." + afterLabel(listener)
	if s.t.cfg.Transport == tandem.UDP { // a lab's peer may have no way to know our names
		return "<sip:" + s.t.Addr(listener).String() + ">"
	}
	id := call.Invite.CallID()
	return "<sip:" + user + ":443;x-i=" + uuid.NewSHA1(uuid.NameSpaceURL, []byte(id)).String() + ";x-c=" + xc(id) + "/d/8/0a1b2c3d>"
}

// xc keeps what a URI parameter may hold.
func xc(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' || r == '.' {
			return r
		}
		return -1
	}, id)
}

func firstLabel(name string) string { l, _, _ := strings.Cut(name, "."); return l }
func afterLabel(name string) string { _, r, _ := strings.Cut(name, "."); return r }

// recordRoute names the listener where in-dialog requests must arrive.
func (s teamsShape) recordRoute(listener string) string {
	if s.t.cfg.RecordRouteNext {
		for i, name := range s.t.order {
			if name == listener {
				listener = s.t.order[(i+1)%len(s.t.order)]
				break
			}
		}
	}
	a := s.t.Addr(listener)
	if s.t.cfg.Transport == tandem.UDP {
		return "<sip:" + a.String() + ";lr>"
	}
	return fmt.Sprintf("<sip:%s:%d;transport=%s;lr>", listener, a.Port(), strings.ToLower(string(s.t.cfg.Transport)))
}

func (s teamsShape) answer(call *ua.Call, listener string, status int) []ua.Header {
	h := []ua.Header{{Name: "Server", Value: server}}
	if status > 100 && status < 300 {
		h = append(h, ua.Header{Name: "Contact", Value: s.contact(call, listener)}, ua.Header{Name: "Allow", Value: allow})
		if call.Tx != nil {
			h = append(h, ua.Header{Name: "Record-Route", Value: s.recordRoute(listener)})
		}
		if status >= 200 && call.Invite.Has("Session-Expires") && call.Tx != nil {
			h = append(h, ua.Header{Name: "Session-Expires", Value: strings.Split(call.Invite.Get("Session-Expires"), ";")[0] + ";refresher=uac"},
				ua.Header{Name: "Supported", Value: "timer"})
		}
	}
	return h
}

func (s teamsShape) request(call *ua.Call, listener string) []ua.Header {
	return []ua.Header{{Name: "Contact", Value: s.contact(call, listener)}, {Name: "User-Agent", Value: server}, {Name: "Allow", Value: allow},
		{Name: "Supported", Value: "timer"}, {Name: "Min-SE", Value: "300"}, {Name: "Session-Expires", Value: "3600;refresher=uac"}}
}

func (s teamsShape) media() player.Options {
	return player.Options{Secure: s.t.secure(), Teams: true}
}
