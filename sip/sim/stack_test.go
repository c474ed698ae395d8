package sim_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/cdr"
	"tandem/rating"
	"tandem/rating/ledger"
	"tandem/routing"
	"tandem/sip/core"
	"tandem/sip/sim"
)

// stack is the product from the INVITE to the books: the call core with the
// real routing table, the real tariff and the real journal around it.
type stack struct {
	*sim.Random
	dir     *tandem.Directory
	table   *routing.Table
	tariff  *rating.Tariff
	journal *realJournal
	health  tandem.Health
	credit  *ledger.Credit // nil: no account is limited
}

func newStack(t testing.TB, seed uint64, weather sim.Weather) *stack {
	t.Helper()
	s := &stack{dir: directory(), health: tandem.Health{}}
	var err error
	if s.table, err = routing.New(routing.DefaultConfig(), s.dir); err != nil {
		t.Fatal(err)
	}
	if s.tariff, err = rating.NewTariff(s.dir, nil); err != nil {
		t.Fatal(err)
	}
	var views []core.TrunkView
	for _, trunk := range s.dir.Trunks {
		v := core.TrunkView{Trunk: trunk, ViaHost: "192.0.2.1", ViaPort: 5060}
		if trunk.Transport == tandem.TLS {
			v.ViaHost, v.ViaPort = trunk.FQDN, 5061
		}
		views = append(views, v)
		for _, e := range trunk.Endpoints {
			s.health[trunk.ID] = append(s.health[trunk.ID], tandem.EndpointHealth{Trunk: trunk.ID, Endpoint: e, State: tandem.HealthUnknown})
		}
	}
	cfg := core.DefaultConfig()
	cfg.MaxCalls = weather.MaxCalls
	s.Random = sim.NewRandom(sim.Config{Seed: seed, Core: &cfg, Lean: true, Credit: s}, weather, views)
	s.journal = newJournal(t, s.Pick)
	s.World.Journal = s.journal
	s.World.Plan = s.plan
	s.World.OnOutcome = s.learn
	s.Dial = s.dial
	return s
}

// plan is what cmd/tandem does: routing decides, then rating may refuse.
func (s *stack) plan(req *tandem.RouteRequest) tandem.Plan {
	plan := s.table.Plan(req, s.health, s.Now)
	if plan.Reject != nil || plan.Emergency {
		return plan
	}
	if refused := s.tariff.Authorize(&plan, s.Now); refused != nil {
		plan.Reject = refused
		plan.Trace = append(plan.Trace, tandem.TraceStep{Rule: "rating", Detail: "refused: " + refused.Reason})
	} else if s.credit != nil {
		plan.Reject = s.credit.Reserve(req.Correlation, &plan, s.Now)
	}
	return plan
}

// learn is a health as moody as the real one: an endpoint is down for some
// seconds after its connection failed, demoted after a refusal, up after an answer.
func (s *stack) learn(r sim.Reported) {
	states := s.health[r.Trunk]
	for i := range states {
		h := &states[i]
		if h.Endpoint != r.Endpoint {
			continue
		}
		switch r.Outcome.Kind {
		case tandem.OutcomeConnection, tandem.OutcomeSilence:
			h.State, h.Since, h.Reason = tandem.HealthDown, s.Now, string(r.Outcome.Kind)
			s.After(s.Between(time.Second, 8*time.Second), func() { h.State = tandem.HealthUnknown })
		case tandem.OutcomeStatus:
			if r.Outcome.Status == 503 && h.State != tandem.HealthDown {
				h.State = tandem.HealthDemoted
			}
		case tandem.OutcomeAnswered:
			h.State = tandem.HealthUp
		}
	}
}

// dial draws who calls whom.
func (s *stack) dial() (*sim.Peer, sim.CallSpec) {
	numbers := s.dir.Numbers
	number := numbers[s.Pick(len(numbers))]
	callers := []string{"+12065550111", "+442079460000", "anonymous", "0012065550112", "+12125550199", string(numbers[0].DID)}
	switch p := s.Pick(20); {
	case p < 9:
		carrier := s.Trunks[[]tandem.TrunkID{"east", "east", "west"}[s.Pick(3)]]
		spec := sim.CallSpec{To: string(number.DID), From: callers[s.Pick(len(callers))]}
		switch s.Pick(16) {
		case 0:
			spec.To = []string{"+14255559876", "12345", "+0123", "banana"}[s.Pick(4)] // no DID of ours
		case 1:
			spec.Extra = "Diversion: <sip:" + string(number.DID) + "@192.0.2.1>;reason=unavailable\r\n" // our own forward has come back
		case 2:
			spec.Extra = "Privacy: id\r\nP-Asserted-Identity: <sip:+12065550111@east.example>\r\n"
		}
		return carrier[s.Pick(len(carrier))], spec
	case p < 18:
		to := []string{"+12065550177", "+12065550178", "2065550179", "+442079460123", "+5352123456", "+18005550123", "+14165550123", "+19005550123", "411", "+1", string(numbers[1].DID)}
		return s.teams(), s.outbound(&number, to[s.Pick(len(to))])
	}
	return s.teams(), s.outbound(&number, []string{"911", "933", "112", "+911"}[s.Pick(4)])
}

func (s *stack) teams() *sim.Peer { return s.Trunks["teams"][s.Pick(3)] }

func (s *stack) outbound(n *tandem.Number, to string) sim.CallSpec {
	spec := sim.CallSpec{To: to, From: string(n.DID), Extra: "X-MS-TenantID: " + n.Tenant.String() + "\r\nP-Asserted-Identity: <sip:" + string(n.DID) + "@teams.example>\r\n"}
	if s.Chance(0.03) {
		spec.Extra = "X-MS-TenantID: " + uuid.Nil.String() + "\r\n"
	}
	return spec
}

// rows makes the rows of everything on the journal, and holds the journal to
// its own promise: one end per call, and nothing that was not recorded.
func (s *stack) rows() (rows []tandem.CDR, problems []string) {
	facts := s.journal.read(1)
	if len(facts) != s.journal.facts {
		problems = append(problems, fmt.Sprintf("journal: %d facts recorded, %d read back", s.journal.facts, len(facts)))
	}
	ends := map[tandem.CorrelationID]bool{}
	legs := map[uuid.UUID]bool{}
	for i, f := range facts {
		if f.Pos != tandem.JournalPos(i+1) {
			problems = append(problems, fmt.Sprintf("journal: fact %d stands at %d", i+1, f.Pos))
		}
		made := cdr.Assembler{}.Rows(f)
		if f.Kind != tandem.FactEnd {
			continue
		}
		if ends[f.Call.Correlation] || len(made) != len(f.Call.Legs) {
			problems = append(problems, fmt.Sprintf("call %s: %d rows of %d legs, ended before: %v", f.Call.Correlation, len(made), len(f.Call.Legs), ends[f.Call.Correlation]))
		}
		ends[f.Call.Correlation] = true
		for i := range made {
			if r := &made[i]; legs[r.ID] || r.EndTime.Before(r.InviteTime) || r.AnswerTime != nil && (r.AnswerTime.Before(r.InviteTime) || r.EndTime.Before(*r.AnswerTime)) {
				problems = append(problems, fmt.Sprintf("call %s leg %d: row twice, or its times out of order: %+v", r.Correlation, i, r))
			}
			legs[made[i].ID] = true
		}
		rows = append(rows, made...)
	}
	return rows, problems
}

func directory() *tandem.Directory {
	endpoint := func(addr string, port uint16) tandem.Endpoint {
		return tandem.Endpoint{Host: addr, Port: port, Address: netip.MustParseAddr(addr)}
	}
	d := &tandem.Directory{
		Version: 1,
		Trunks: []tandem.Trunk{
			{ID: "east", Kind: tandem.TrunkCarrier, Network: "Carrier East", Transport: tandem.UDP, FQDN: "sbc.example.com", Priority: 1, Weight: 3, Relay183: true,
				SendPAI: true, SendDiversion: true, SendHistoryInfo: true, SessionExpires: tandem.Duration(30 * time.Minute),
				AnswerTimeout: tandem.Duration(70 * time.Second), Endpoints: []tandem.Endpoint{endpoint("192.0.2.10", 5060), endpoint("192.0.2.11", 5060)}},
			{ID: "west", Kind: tandem.TrunkCarrier, Network: "Carrier West", Transport: tandem.TCP, FQDN: "sbc.example.com", Priority: 1, Weight: 1,
				Endpoints: []tandem.Endpoint{endpoint("192.0.2.30", 5060)}},
			{ID: "teams", Kind: tandem.TrunkTeams, Network: "Operator Connect", Transport: tandem.TLS, FQDN: "sbc.example", SRTP: tandem.SRTPRequired,
				ResponseTimeout: tandem.Duration(3 * time.Second), AnswerTimeout: tandem.Duration(45 * time.Second),
				Endpoints: []tandem.Endpoint{endpoint("192.0.2.20", 5061), endpoint("192.0.2.21", 5061), endpoint("192.0.2.22", 5061)}},
		},
	}
	free := []tandem.NumberClass{tandem.ClassUS, tandem.ClassUSTerritory}
	for i, name := range []string{"contoso", "fabrikam"} {
		tenant := uuid.NewSHA1(uuid.NameSpaceDNS, []byte(name))
		d.Accounts = append(d.Accounts, tandem.Account{ID: name, Name: name, Currency: "USD", TimeZone: "America/New_York", RetailOut: "out", RetailIn: "in", FreeMinutes: 5 + 20*i, FreeClasses: free})
		d.Tenants = append(d.Tenants, tandem.Tenant{ID: tenant, Account: name, Name: name})
		d.Addresses = append(d.Addresses, tandem.ServiceAddress{ID: name, Account: name, Country: "US"})
		for k := range 8 {
			n := tandem.Number{DID: tandem.E164(fmt.Sprintf("+1425555%d1%02d", i, k)), Account: name, Tenant: tenant, ServiceAddress: name,
				UserType: []tandem.UserType{tandem.StandardUser, tandem.SharedLine}[k%2], Plan: []tandem.PlanKind{tandem.Unlimited, tandem.Metered}[k%3%2], Status: tandem.StatusAssigned}
			switch k % 4 {
			case 1, 2:
				n.Failsafe = tandem.E164(fmt.Sprintf("+1206555%04d", k))
			case 3: // a DID of ours whose own failsafe number stands in
				n.Failsafe = tandem.E164(fmt.Sprintf("+1425555%d1%02d", i, k-1))
			}
			d.Numbers = append(d.Numbers, n)
		}
	}
	row := func(id int64, prefix, rate string, initial, next int) tandem.DeckRow {
		r, err := tandem.ParseRate(rate)
		if err != nil {
			panic(err)
		}
		return tandem.DeckRow{ID: id, Prefix: prefix, Destination: "prefix " + prefix, Rate: r, InitialInc: initial, NextInc: next}
	}
	fee := row(3, "44", "0.0345", 1, 1)
	fee.ConnectFee = 10_000
	d.Decks = []tandem.Deck{
		{ID: "out", Direction: tandem.Outbound, Currency: "USD", Version: 1, Rows: []tandem.DeckRow{row(1, "1", "0.0125", 60, 60), row(2, "1416", "0.0091", 6, 6), fee,
			{ID: 4, Prefix: "53", InitialInc: 60, NextInc: 60, Reject: true}, {ID: 5, Prefix: "1900", InitialInc: 60, NextInc: 60, Reject: true}}},
		{ID: "in", Direction: tandem.Inbound, Currency: "USD", Version: 1, Rows: []tandem.DeckRow{row(1, "1", "0.0045", 6, 6)}},
	}
	return d
}
