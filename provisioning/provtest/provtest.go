// Package provtest holds the fake parts that the tests of API and portal run
// against: a directory, and the records of a few calls with hostile text.
package provtest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/provisioning"
)

// Hostile is text that must stay text in HTML, CSV, SQL and headers.
const Hostile = "=1+1\"><script>alert('x')</script>\r\nX-Evil: 1'); DROP TABLE cdr;--"

// Now is the clock of the fakes.
func Now() time.Time { return time.Date(2026, 11, 24, 15, 0, 0, 0, time.UTC) }

// Tenant is the tenant of the sample directory.
func Tenant() tandem.TenantID { return uuid.MustParse("3fa85f64-5717-4562-b3fc-2c963f66afa6") }

// Store is a provisioning.Store in memory.
type Store struct {
	mu  sync.Mutex
	dir *tandem.Directory
}

// NewStore holds dir.
func NewStore(dir tandem.Directory) *Store { return &Store{dir: &dir} }

// Directory implements provisioning.Store.
func (s *Store) Directory(context.Context) (*tandem.Directory, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dir, nil
}

// Update implements provisioning.Store.
func (s *Store) Update(_ context.Context, next func(*tandem.Directory) (*tandem.Directory, error)) (*tandem.Directory, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := next(s.dir)
	if err != nil {
		return nil, err
	}
	s.dir = d
	return d, nil
}

// Balances implements provisioning.Store.
func (s *Store) Balances(context.Context) ([]provisioning.Balance, error) {
	return []provisioning.Balance{{Account: "contoso", Currency: "USD", Amount: -1_234_500}}, nil
}

// Directory is a small directory that every rule accepts.
func Directory() tandem.Directory {
	teams := []tandem.Endpoint{{Host: "sip.pstnhub.microsoft.com", Port: 5061}, {Host: "sip2.pstnhub.microsoft.com", Port: 5061}}
	rows := []tandem.DeckRow{{ID: 1, Rate: 85_000_000, InitialInc: 60, NextInc: 60}}
	response, answer := tandem.Duration(2*time.Second), tandem.Duration(2*time.Minute)
	return tandem.Directory{
		Version: 7,
		Trunks: []tandem.Trunk{
			{ID: "carrier-east", Kind: tandem.TrunkCarrier, Network: "East Carrier", Transport: tandem.UDP, SRTP: tandem.SRTPOff, ResponseTimeout: response, AnswerTimeout: answer,
				Endpoints: []tandem.Endpoint{{Host: "sip.east.example.net", Port: 5060}}, Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
			{ID: "teams", Kind: tandem.TrunkTeams, Network: "Operator Connect", Transport: tandem.TLS, SRTP: tandem.SRTPRequired, ResponseTimeout: response, AnswerTimeout: answer, FQDN: "sbc.example.net",
				Endpoints: teams, Sources: []netip.Prefix{netip.MustParsePrefix("52.112.0.0/14")}},
		},
		Decks: []tandem.Deck{{ID: "us-in", Direction: tandem.Inbound, Currency: "USD", Version: 1, Rows: rows}, {ID: "us-out", Direction: tandem.Outbound, Currency: "USD", Version: 3, Rows: rows}},
		Accounts: []tandem.Account{{ID: "contoso", Name: "Contoso <Ltd> & Sons", Currency: "USD", TimeZone: "America/New_York", RetailOut: "us-out", RetailIn: "us-in",
			FreeMinutes: 4000, FreeClasses: []tandem.NumberClass{tandem.ClassUS}}},
		Tenants:   []tandem.Tenant{{ID: Tenant(), Account: "contoso", Name: "Contoso"}},
		Addresses: []tandem.ServiceAddress{{ID: "hq", Account: "contoso", Street: "1 Microsoft Way", City: "Redmond", State: "WA", PostalCode: "98052", Country: "US"}},
		Numbers: []tandem.Number{
			{DID: "+14255550100", Account: "contoso", Tenant: Tenant(), ServiceAddress: "hq", UserType: tandem.StandardUser, Plan: tandem.Unlimited, Failsafe: "+12065550199", Status: tandem.StatusAssigned},
			{DID: "+14255550101", Account: "contoso", Tenant: Tenant(), ServiceAddress: "hq", UserType: tandem.AutoAttendant, Plan: tandem.Metered, Status: tandem.StatusUnassigned},
		},
	}
}

// Health is the health of the sample trunks.
func Health() tandem.Health {
	d := Directory()
	return tandem.Health{
		"teams": {
			{Trunk: "teams", Endpoint: d.Trunks[1].Endpoints[0], State: tandem.HealthUp, Since: Now().Add(-3 * time.Hour), LastProbe: Now().Add(-20 * time.Second), LastOK: Now().Add(-20 * time.Second), Reason: "200 to OPTIONS"},
			{Trunk: "teams", Endpoint: d.Trunks[1].Endpoints[1], State: tandem.HealthDown, Since: Now().Add(-5 * time.Minute), LastProbe: Now().Add(-20 * time.Second), Reason: "TLS handshake <timed out>"},
		},
		"carrier-east": {{Trunk: "carrier-east", Endpoint: d.Trunks[0].Endpoints[0], State: tandem.HealthUp, Since: Now().Add(-72 * time.Hour), LastOK: Now(), Reason: "200 to OPTIONS"}},
	}
}

// Live is one call in progress.
func Live() []tandem.LiveCall {
	return []tandem.LiveCall{{Correlation: correlation(900), State: "answered", Since: Now().Add(-90 * time.Second), Direction: tandem.Inbound, Account: "contoso",
		From: "+12065550123", To: "+14255550100", TrunkA: "carrier-east", TrunkB: "teams"}}
}

func correlation(i int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("0d9e3c52-6f0e-4c0e-9d3a-%012d", i))
}

// Reports holds rows and answers filters as ClickHouse would.
type Reports struct{ Rows []tandem.CDR }

// CDRs implements provisioning.Reports.
func (r *Reports) CDRs(_ context.Context, f tandem.CDRFilter) ([]tandem.CDR, error) {
	var out []tandem.CDR
	for _, c := range r.Rows {
		if (f.Account != "" && c.Account != f.Account) || (f.Connected && !c.Connected) || (f.Correlation != uuid.Nil && c.Correlation != f.Correlation) ||
			(f.Technology != "" && c.Technology != f.Technology) || (!f.From.IsZero() && c.InviteTime.Before(f.From)) || (!f.To.IsZero() && !c.InviteTime.Before(f.To)) ||
			(f.Number != "" && !contains(c.From, f.Number) && !contains(c.To, f.Number)) {
			continue
		}
		out = append(out, c)
	}
	out = out[min(len(out), f.Offset):]
	return slices.Clone(out[:min(len(out), f.Limit)]), nil
}

func contains(number, digits string) bool {
	for i := 0; i+len(digits) <= len(number); i++ {
		if number[i:i+len(digits)] == digits {
			return true
		}
	}
	return false
}

// Calls are the rows of a failsafe call (3), a busy one (1), one with hostile
// text (2) and n connected ones (2 each), newest first.
func Calls(n int) []tandem.CDR {
	rows := append(append(failsafe(), busy()), hostile()...)
	for i := range n {
		rows = append(rows, connected(i)...)
	}
	return rows
}

func leg(i, attempt int, technology tandem.Technology) tandem.CDR {
	c := tandem.CDR{ID: tandem.LegID(correlation(i), attempt), Correlation: correlation(i), Node: "node1", Attempt: attempt, Last: true, Technology: technology,
		Network: "East Carrier", Trunk: "carrier-east", Endpoint: "192.0.2.7:5060", Direction: tandem.Outbound, Account: "contoso", Tenant: Tenant(), DID: "+14255550100",
		UserType: tandem.StandardUser, Plan: tandem.Unlimited, From: "+14255550100", To: fmt.Sprintf("+1206555%04d", i%10000), SIPCallID: fmt.Sprintf("s0-%d-%d", i, attempt),
		InviteTime: Now().Add(-time.Duration(i+1) * 7 * time.Minute), SIPCode: 200, Q850: 16, Disposition: tandem.Answered, ReleasedBy: tandem.ReleasedByCaller,
		RouteTrace: `[{"rule":"tenant","detail":"Contoso owns +14255550100"},{"rule":"carrier order","detail":"carrier-east first: priority 1"}]`,
		Codec:      "PCMU", Charge: tandem.Charge{Currency: "USD"}}
	if technology == tandem.OperatorConnect {
		c.Network, c.Trunk, c.Endpoint, c.SRTP = "Operator Connect", "teams", "52.112.4.9:5061", true
	}
	if i >= 500 { // the special calls are the newest
		c.InviteTime = Now().Add(-time.Duration(i-499) * time.Minute)
	}
	c.EndTime = c.InviteTime.Add(2 * time.Second)
	return c
}

func answer(c tandem.CDR, d time.Duration) tandem.CDR {
	ring, up := c.InviteTime.Add(900*time.Millisecond), c.InviteTime.Add(4*time.Second)
	c.RingTime, c.AnswerTime, c.Connected = &ring, &up, true
	c.EndTime, c.DurationMs, c.PDDMs, c.MOS = up.Add(d), uint32(d.Milliseconds()), 900, 4.4
	return c
}

func connected(i int) []tandem.CDR {
	d := time.Duration(35+13*i) * time.Second
	phone := answer(leg(i, 1, tandem.Phone), d)
	phone.Outcome = tandem.OutcomeAnswered
	billed := (int64(d/time.Second) + 59) / 60 * 60
	phone.Charge = tandem.Charge{Amount: tandem.Amount(billed / 60 * 8500), Currency: "USD", Rate: 85_000_000, BilledS: billed, ChargedS: billed, Class: tandem.ClassUS,
		DeckID: "us-out", DeckVer: 3, DeckRow: 12, Explanation: `{"deck":"us-out"}`}
	return []tandem.CDR{answer(leg(i, 0, tandem.OperatorConnect), d), phone}
}

func failsafe() []tandem.CDR {
	in, refused, out := leg(500, 0, tandem.Phone), leg(500, 1, tandem.OperatorConnect), leg(500, 2, tandem.Phone)
	in = answer(in, 61*time.Second)
	out = answer(out, 61*time.Second)
	out.Failsafe, out.To, out.Outcome = true, "+12065550199", tandem.OutcomeAnswered
	refused.Last, refused.SIPCode, refused.Q850, refused.Outcome, refused.Disposition = false, 0, 27, tandem.OutcomeConnection, tandem.FailedNetwork
	refused.Reason, refused.ReleasedBy = "connection refused", tandem.ReleasedByEngine
	for _, c := range []*tandem.CDR{&in, &refused, &out} {
		c.Direction, c.From = tandem.Inbound, "+13125550111"
		if !c.Failsafe {
			c.To = "+14255550100"
		}
	}
	return []tandem.CDR{in, refused, out}
}

func busy() tandem.CDR {
	c := leg(501, 1, tandem.Phone)
	c.SIPCode, c.Q850, c.Outcome, c.Disposition, c.ReleasedBy = 486, 17, tandem.OutcomeStatus, tandem.Busy, tandem.ReleasedByCallee
	return c
}

func hostile() []tandem.CDR {
	rows := connected(502)
	for i := range rows {
		rows[i].From, rows[i].Network, rows[i].Reason, rows[i].SIPCallID = Hostile, Hostile, Hostile, Hostile
		rows[i].RouteTrace = `[{"rule":"<b>rule</b>","detail":"<img src=x onerror=alert(1)>"}]`
	}
	return rows
}

// Service is the operations over the fakes; change may alter what they need.
func Service(change func(*provisioning.Deps)) *provisioning.Service {
	reports := &Reports{Rows: Calls(60)}
	d := provisioning.Deps{
		Store:   NewStore(Directory()),
		Reports: func() provisioning.Reports { return reports },
		Live:    Live,
		Health:  Health,
		RouteExplain: func(r tandem.RouteRequest) tandem.Plan {
			return tandem.Plan{Direction: tandem.Inbound, To: r.RequestUser, Trace: []tandem.TraceStep{{Rule: "did", Detail: "found"}},
				Attempts: []tandem.Attempt{{Trunk: "teams", Endpoint: tandem.Endpoint{Host: "sip.pstnhub.microsoft.com", Port: 5061}, ResponseTimeout: 2 * time.Second}}}
		},
		RateExplain: func(_ context.Context, q provisioning.RateQuestion) (provisioning.RateAnswer, error) {
			if q.At.IsZero() {
				return provisioning.RateAnswer{}, fmt.Errorf("no instant")
			}
			return provisioning.RateAnswer{Charge: tandem.Charge{Amount: 8500, Currency: "USD"}, Sentences: []string{"60 s at 0.0085 a minute."}}, nil
		},
		ExplainCharge: func(c tandem.CDR) []string {
			return []string{fmt.Sprintf("%d s billed at %s %s a minute.", c.Charge.BilledS, c.Charge.Rate, c.Charge.Currency)}
		},
		Parts: func() map[string]any {
			return map[string]any{"journal": map[string]any{"position": 1234, "synced": 1234}, "pipeline": map[string]any{"backlog": 0, "last_error": ""}, "engine": "up"}
		},
		Books: Books{}, Cycle: month,
		Version: "1.2.3-test", Node: "node1", Clock: Now,
	}
	if change != nil {
		change(&d)
	}
	return provisioning.NewService(d)
}
