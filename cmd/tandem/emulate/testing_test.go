package emulate

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"tandem"
	"tandem/media/player"
	"tandem/sip/ua"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	user    = "+14255550100" // of tenant 1
	pstn    = "+12065550100"
	trunk   = "sbc.customers.test"
	tenant1 = "tenant1.customers.test"
)

func ms(n int) tandem.Duration { return tandem.Duration(time.Duration(n) * time.Millisecond) }

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func loop(last string) netip.AddrPort { return netip.MustParseAddrPort("127.0.0." + last + ":0") }

// newTeams starts the Microsoft emulator on free ports; change edits its configuration.
func newTeams(t *testing.T, change func(*TeamsConfig)) *Teams {
	t.Helper()
	cfg := DefaultTeamsConfig()
	for i := range cfg.Listeners {
		cfg.Listeners[i].Address = netip.AddrPortFrom(cfg.Listeners[i].Address.Addr(), 0)
	}
	cfg.CADir = t.TempDir()
	cfg.Control = netip.AddrPort{}
	cfg.SBC = netip.MustParseAddrPort("127.0.0.1:1")
	cfg.Behaviour = Behaviour{Ring: ms(30), Media: MediaTone, ToneHz: 1000}
	cfg.Tenants = []TeamsTenant{{ID: uuid.MustParse(DefaultTenant), FQDN: tenant1, Users: []Rule{
		{Number: "+1425555*"},
		{Number: "+14255550486", Behaviour: Behaviour{Status: 486, Ring: ms(10)}},
		{Number: "+14255550603", Behaviour: Behaviour{Status: 603}},
		{Number: "+14255550408", Behaviour: Behaviour{NoAnswer: true}},
		{Number: "+14255550010", Behaviour: Behaviour{Hold: ms(50), HangUpBy: HangUpCallee}},
		{Number: "+14255550005", Behaviour: Behaviour{Ring: ms(10), Forks: 3}},
		{Number: "+14255550183", Behaviour: Behaviour{Ring: ms(50), Early: true}},
		{Number: "+14255550020", Behaviour: Behaviour{RefreshAfter: ms(60), RefreshNewKey: true}},
		{Number: "+14255550021", Behaviour: Behaviour{HoldAfter: ms(60), HoldFor: ms(60)}},
	}}}
	if change != nil {
		change(&cfg)
	}
	teams, err := NewTeams(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := teams.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(teams.Close)
	return teams
}

func newCarrier(t *testing.T, last string, change func(*CarrierConfig)) *Carrier {
	t.Helper()
	cfg := DefaultCarrierConfig()
	cfg.Address, cfg.Control, cfg.SBC = loop(last), netip.AddrPort{}, loop(last)
	cfg.Behaviour.Ring = ms(30)
	if change != nil {
		change(&cfg)
	}
	c, err := NewCarrier(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// border is the operator's side in these tests: a bare user agent with the
// operator's certificate, which speaks to Teams as microsoft-teams-trunk.md asks.
type border struct {
	t     *testing.T
	teams *Teams
	ep    *ua.Endpoint
	play  *player.Player
	ln    *ua.Listener
	cert  tls.Certificate
	seen  chan *ua.Message // OPTIONS from Microsoft
	calls chan *ua.Call    // INVITEs from Microsoft
}

func newBorder(t *testing.T, teams *Teams) *border {
	t.Helper()
	b := &border{t: t, teams: teams, seen: make(chan *ua.Message, 20), calls: make(chan *ua.Call, 20)}
	dir := teams.CA().Dir
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "sbc.pem"), filepath.Join(dir, "sbc.key"))
	if err != nil {
		t.Fatal(err)
	}
	b.cert = cert
	b.ep = ua.New(ua.Config{
		KeepText: true,
		Handler: func(tx *ua.ServerTx) {
			switch tx.Req.Method {
			case "OPTIONS":
				tx.Reply(200, "", ua.Header{Name: "Allow", Value: "INVITE,ACK,BYE,CANCEL,OPTIONS"}, ua.Header{Name: "Contact", Value: "<sip:" + trunk + ">"})
				select {
				case b.seen <- tx.Req:
				default: // nobody looks
				}
			case "INVITE":
				b.calls <- b.ep.Accept(tx)
			}
		},
		NextHop: func(_ *ua.Call, uri ua.URI) (ua.Target, bool) { return b.target(uri.Host), true },
	})
	b.ln, err = b.ep.Listen(ua.ListenConfig{Name: "sbc", Transport: tandem.TLS, Address: netip.MustParseAddrPort("127.0.0.1:0"),
		TLS: &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}})
	if err != nil {
		t.Fatal(err)
	}
	teams.SetSBC(b.ln.Addr())
	b.play = player.New(player.Config{})
	t.Cleanup(func() { b.ep.Close(); b.play.Close() })
	return b
}

// target is a proxy of Microsoft's by name.
func (b *border) target(name string) ua.Target {
	cert := b.cert
	return ua.Target{Transport: tandem.TLS, Addr: b.teams.Addr(name), ServerName: name,
		TLS: &tls.Config{RootCAs: b.teams.CA().Pool(), Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}}
}

const sip1 = "sip.pstnhub.test"

func (b *border) options(contact string) *ua.Message {
	m := &ua.Message{Method: "OPTIONS", URI: "sip:" + sip1 + ":5061"}
	m.Add("From", "<sip:"+trunk+">")
	m.Add("To", "<sip:"+sip1+">")
	if contact != "" {
		m.Add("Contact", contact)
	}
	return m
}

// invite is a correct INVITE to Teams, to be spoilt by a test.
func (b *border) invite(to string, offer []byte) *ua.Message {
	m := &ua.Message{Method: "INVITE", URI: "sip:" + to + "@" + sip1 + ";user=phone"}
	m.Add("From", "<sip:"+pstn+"@"+trunk+">")
	m.Add("To", "<sip:"+to+"@"+sip1+";user=phone>")
	m.Add("Contact", fmt.Sprintf("<sip:%s@%s:%d;transport=tls>", pstn, trunk, b.ln.Addr().Port()))
	m.Add("Content-Type", "application/sdp")
	m.Body = offer
	return m
}

func (b *border) stream() *player.Stream {
	b.t.Helper()
	s, err := b.play.Open(player.Options{Hz: 500, Secure: true})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *border) offer() []byte {
	s := b.stream()
	defer s.Close()
	return s.Offer(player.OfferOptions{})
}

// next is the next event of a call.
func next(t *testing.T, call *ua.Call) ua.Event {
	t.Helper()
	select {
	case ev := <-call.Events():
		return ev
	case <-time.After(15 * time.Second):
		t.Fatalf("nothing happened on the call:\n%s", call.Log())
		return ua.Event{}
	}
}

// final reads responses up to the final one and gives all statuses.
func final(t *testing.T, call *ua.Call) (*ua.Message, []int) {
	t.Helper()
	var statuses []int
	for {
		ev := next(t, call)
		if ev.Kind != ua.EventResponse {
			return nil, statuses
		}
		statuses = append(statuses, ev.Msg.Status)
		if ev.Msg.Status >= 200 {
			return ev.Msg, statuses
		}
	}
}

// hear waits until a stream hears a tone.
func hear(t *testing.T, s *player.Stream, hz int) {
	t.Helper()
	eventually(t, "a tone heard", func() bool { return s.Counters().HeardHz == hz })
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	end := time.After(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-end:
			t.Fatalf("not seen: %s", what)
		case <-tick.C:
		}
	}
}
