package core_test

import (
	"strings"
	"testing"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip/core"
	"tandem/sip/sim"
)

// net is the usual network: a carrier that calls in over UDP, Microsoft with
// three addresses over TLS, and a carrier for failsafe and outbound calls.
type net struct {
	*sim.World
	carrier  *sim.Peer
	teams    [3]*sim.Peer
	failover *sim.Peer
	plan     tandem.Plan
	trunks   []core.TrunkView
}

func outcomes(words ...string) tandem.OutcomeSet {
	s, err := tandem.ParseOutcomeSet(words)
	if err != nil {
		panic(err)
	}
	return s
}

var (
	nextOn     = outcomes("408", "503", "504", "silence", "connection")
	failsafeOn = nextOn
)

func newNet(t *testing.T, cfg sim.Config) *net {
	t.Helper()
	n := &net{World: sim.New(cfg)}
	n.trunks = append(n.trunks, core.TrunkView{Trunk: tandem.Trunk{ID: "carrier", Kind: tandem.TrunkCarrier, Network: "Carrier East", Transport: tandem.UDP,
		FQDN: "sbc.example.com", SendPAI: true, SendDiversion: true, SendHistoryInfo: true, Relay183: true}, ViaHost: "192.0.2.1", ViaPort: 5060})
	n.AddTrunk(n.trunks[0])
	n.carrier = n.AddPeer("carrier", "192.0.2.10:5060", tandem.UDP)
	n.failover = n.AddPeer("carrier", "192.0.2.30:5060", tandem.UDP)
	tv := core.TrunkView{Trunk: tandem.Trunk{ID: "teams", Kind: tandem.TrunkTeams, Network: "Operator Connect", Transport: tandem.TLS,
		FQDN: "sbc1.customers.example", SRTP: tandem.SRTPRequired}, ViaHost: "sbc1.customers.example", ViaPort: 5061}
	for i, addr := range []string{"192.0.2.20:5061", "192.0.2.21:5061", "192.0.2.22:5061"} {
		n.teams[i] = n.AddPeer("teams", addr, tandem.TLS)
		tv.Endpoints = append(tv.Endpoints, tandem.Endpoint{Host: []string{"sip", "sip2", "sip3"}[i] + ".pstnhub.test", Port: 5061, Address: n.teams[i].Addr.Addr()})
	}
	n.AddTrunk(tv)
	n.trunks = append(n.trunks, tv)
	n.plan = tandem.Plan{
		Direction: tandem.Inbound, Account: "acme", DID: "+14255550100", PlanKind: tandem.Metered, From: "+12065550111", To: "+14255550100",
		FailsafeOn: failsafeOn, FailsafeNumber: "+14255559999", SilenceBound: 4 * time.Second,
	}
	for i, ep := range tv.Endpoints {
		_ = i
		n.plan.Attempts = append(n.plan.Attempts, tandem.Attempt{
			Trunk: "teams", Endpoint: ep, Technology: tandem.OperatorConnect, Network: "Operator Connect",
			To: "+14255550100", From: "+12065550111", LocalHost: "sbc1.customers.example",
			ResponseTimeout: 3 * time.Second, AnswerTimeout: 60 * time.Second, NextOn: nextOn,
		})
	}
	n.plan.Failsafe = []tandem.Attempt{{
		Trunk: "carrier", Endpoint: n.failover.Endpoint(), Technology: tandem.Phone, Network: "Carrier East", To: "+14255559999", From: "+12065550111",
		LocalHost: "sbc.example.com", Failsafe: true, Diverting: "+14255550100", ResponseTimeout: 4 * time.Second, AnswerTimeout: 60 * time.Second, NextOn: nextOn,
	}}
	n.Plan = func(*tandem.RouteRequest) tandem.Plan {
		p := n.plan
		p.Attempts = append([]tandem.Attempt(nil), p.Attempts...)
		p.Failsafe = append([]tandem.Attempt(nil), p.Failsafe...)
		return p
	}
	n.Logging = true
	return n
}

// done runs to the end and states the invariants.
func (n *net) done(t *testing.T) {
	t.Helper()
	n.RunIdle(2 * time.Hour)
	problems := n.Check()
	for _, p := range problems {
		t.Error(p)
	}
	if t.Failed() {
		t.Logf("ladder:\n%s", strings.Join(n.Ladder, "\n"))
	}
}

// rang is how many INVITEs outside a dialog a peer got.
func rang(p *sim.Peer) int { return count(p, gosip.INVITE, false) }

func count(p *sim.Peer, method gosip.RequestMethod, inDialog bool) int {
	n := 0
	for _, r := range p.Got {
		_, tagged := r.To().Params.Get("tag")
		if r.Method == method && tagged == inDialog {
			n++
		}
	}
	return n
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func script(s sim.Script) func(*sim.Incoming) sim.Script {
	return func(*sim.Incoming) sim.Script { return s }
}
