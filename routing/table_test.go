package routing

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"tandem"
)

// directory has one Microsoft trunk, three carriers, two tenants and some numbers.
func directory(numbers int) *tandem.Directory {
	contoso, fabrikam := uuid.UUID{1}, uuid.UUID{2}
	d := &tandem.Directory{
		Trunks: []tandem.Trunk{
			{ID: "teams", Kind: tandem.TrunkTeams, Network: "Operator Connect", FQDN: "sbc.example.net", ResponseTimeout: tandem.Duration(2 * time.Second),
				Endpoints: []tandem.Endpoint{{Host: "sip.test", Port: 5061}, {Host: "sip2.test", Port: 5061}, {Host: "sip3.test", Port: 5061}}},
			{ID: "east", Kind: tandem.TrunkCarrier, Network: "East", Priority: 1, Weight: 3, Endpoints: []tandem.Endpoint{{Host: "192.0.2.1", Port: 5060}}},
			{ID: "west", Kind: tandem.TrunkCarrier, Network: "West", Priority: 1, Weight: 1, Endpoints: []tandem.Endpoint{{Host: "192.0.2.2", Port: 5060}}},
			{ID: "far", Kind: tandem.TrunkCarrier, Network: "Far", Priority: 2, Endpoints: []tandem.Endpoint{{Host: "192.0.2.3", Port: 5060}, {Host: "192.0.2.4", Port: 5060}}},
		},
		Tenants: []tandem.Tenant{{ID: contoso, Account: "contoso", Name: "Contoso", FQDN: "contoso.example.net"}, {ID: fabrikam, Account: "fabrikam", Name: "Fabrikam"}},
	}
	for i := range numbers {
		n := tandem.Number{DID: tandem.E164(fmt.Sprintf("+1425%07d", 2_000_000+i)), Account: "contoso", Tenant: contoso, UserType: tandem.StandardUser, Plan: tandem.Metered}
		if i%2 == 1 {
			n.Account, n.Tenant = "fabrikam", fabrikam
		}
		if i%3 != 0 {
			n.Failsafe = "+12065550199"
		}
		d.Numbers = append(d.Numbers, n)
	}
	return d
}

func mustTable(t testing.TB, dir *tandem.Directory) *Table {
	t.Helper()
	table, err := New(DefaultConfig(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestRulesOfADirectory(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*tandem.Directory)
		want   string
	}{
		"ErrTrunkTwice":      {func(d *tandem.Directory) { d.Trunks = append(d.Trunks, d.Trunks[0]) }, "trunks[teams]"},
		"ErrNoEndpoint":      {func(d *tandem.Directory) { d.Trunks[1].Endpoints = nil }, "trunks[east]: has no endpoint"},
		"ErrKind":            {func(d *tandem.Directory) { d.Trunks[1].Kind = "friend" }, "is not a kind of trunk"},
		"ErrTenantTwice":     {func(d *tandem.Directory) { d.Tenants[1].ID = d.Tenants[0].ID }, "is no tenant ID, or there twice"},
		"ErrFQDNTwice":       {func(d *tandem.Directory) { d.Tenants[1].FQDN = "CONTOSO.example.net." }, "belongs to another tenant"},
		"ErrNumberTwice":     {func(d *tandem.Directory) { d.Numbers[1].DID = d.Numbers[0].DID }, "is there twice"},
		"ErrNumber":          {func(d *tandem.Directory) { d.Numbers[1].DID = "14255550101" }, "is not an E.164 number"},
		"ErrTenantOfANumber": {func(d *tandem.Directory) { d.Numbers[1].Tenant = uuid.UUID{9} }, "is not a registered tenant"},
	} {
		t.Run(name, func(t *testing.T) {
			d := directory(4)
			c.change(d)
			if _, err := New(DefaultConfig(), d); err == nil || !strings.Contains(err.Error(), c.want) || tandem.KindOf(err) != tandem.KindInvalid {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestRulesOfTheConfig(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"ErrNoBound":           func(c *Config) { c.FailsafeBound = 0 },
		"ErrTryingBeforeBound": func(c *Config) { c.TryingBound = c.FailsafeBound - 1 },
		"ErrNoRinging":         func(c *Config) { c.RingingBound = 0 },
		"ErrLongRinging":       func(c *Config) { c.RingingBound = time.Hour },
		"ErrLongTrying":        func(c *Config) { c.TryingBound = time.Hour },
		"ErrLongBound":         func(c *Config) { c.FailsafeBound = time.Minute },
		"ErrForwardsOnBusy":    func(c *Config) { c.FailsafeOn.Statuses = []tandem.SIPStatus{486} },
		"ErrForwardsOnReject":  func(c *Config) { c.FailsafeOn.Statuses = []tandem.SIPStatus{603} },
		"ErrForwardsOn404":     func(c *Config) { c.FailsafeOn.Statuses = []tandem.SIPStatus{404} },
		"ErrNoAnswer":          func(c *Config) { c.FailsafeOn.Kinds = []tandem.OutcomeKind{tandem.OutcomeNoAnswer} },
		"ErrEmergency":         func(c *Config) { c.Emergency = []string{"+911"} },
	} {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			change(&c)
			if tandem.KindOf(c.Validate()) != tandem.KindInvalid {
				t.Errorf("accepted, or %v", c.Validate())
			}
			if _, err := New(c, directory(1)); err == nil {
				t.Error("New takes it")
			}
		})
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

// TestUsersOutcomesNeverForward: the failsafe step is for outages only.
func TestUsersOutcomesNeverForward(t *testing.T) {
	plan := mustTable(t, directory(2)).Plan(&tandem.RouteRequest{Trunk: "east", RequestUser: "+14252000001", FromUser: "+12065550123"}, nil, time.Now())
	if len(plan.Failsafe) == 0 {
		t.Fatal("no failsafe step")
	}
	for _, s := range []tandem.SIPStatus{403, 404, 480, 484, 486, 487, 488, 500, 600, 603} {
		if o := (tandem.Outcome{Kind: tandem.OutcomeStatus, Status: s}); plan.FailsafeOn.Has(o) || plan.Attempts[0].NextOn.Has(o) {
			t.Errorf("%d leads on", s)
		}
	}
	for _, k := range []tandem.OutcomeKind{tandem.OutcomeNoAnswer, tandem.OutcomeCancelled, tandem.OutcomeMedia} {
		if plan.FailsafeOn.Has(tandem.Outcome{Kind: k}) {
			t.Errorf("%s forwards", k)
		}
	}
	for _, k := range []tandem.OutcomeKind{tandem.OutcomeSilence, tandem.OutcomeConnection} {
		if o := (tandem.Outcome{Kind: k}); !plan.FailsafeOn.Has(o) || !plan.Attempts[0].NextOn.Has(o) {
			t.Errorf("%s does not lead on", k)
		}
	}
}

// TestWeightsShareTheCalls: 3:1 within two per cent over 20,000 calls.
func TestWeightsShareTheCalls(t *testing.T) {
	table := mustTable(t, directory(2))
	first := map[tandem.TrunkID]int{}
	const calls = 20_000
	for seed := range uint64(calls) {
		plan := table.Plan(&tandem.RouteRequest{Trunk: "teams", RequestUser: "+12065550123", FromUser: "+14252000001", Seed: seed}, nil, time.Time{})
		first[plan.Attempts[0].Trunk]++
		if plan.Attempts[2].Trunk != "far" {
			t.Fatalf("seed %d: priority 2 is not last", seed)
		}
	}
	if n := first["east"]; n < calls*73/100 || n > calls*77/100 {
		t.Errorf("east is first in %d of %d calls, want three quarters", n, calls)
	}
}

// TestChainOfOwnFailsafeNumbers: up to five DIDs of ours in a row are followed.
func TestChainOfOwnFailsafeNumbers(t *testing.T) {
	for length, want := range map[int]tandem.E164{1: "+12065550199", 5: "+12065550199", 6: "", 20: ""} {
		d := directory(length + 1)
		for i := range length {
			d.Numbers[i].Failsafe = d.Numbers[i+1].DID
		}
		d.Numbers[length].Failsafe = "+12065550199"
		plan := mustTable(t, d).Plan(&tandem.RouteRequest{Trunk: "east", RequestUser: string(d.Numbers[0].DID)}, nil, time.Time{})
		if plan.FailsafeNumber != want {
			t.Errorf("%d in a row: failsafe %q, want %q", length, plan.FailsafeNumber, want)
		}
	}
}

func TestDisplayName(t *testing.T) {
	for in, want := range map[string]string{
		"Ann Example": "Ann Example", "": "", " Ann ": "Ann", "Zoë": "Zoë",
		"Ann\r\nEvil: 1": "AnnEvil: 1", "a\x00b\x7f": "ab", "\u202etxt": "txt", "\xff\xfe": "",
		strings.Repeat("é", 60): strings.Repeat("é", 40),
	} {
		if got := displayName(in); got != want {
			t.Errorf("displayName(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestPlanProperties: rules that hold for every request and every health.
func TestPlanProperties(t *testing.T) {
	dir := directory(12)
	dir.Numbers[1].Failsafe, dir.Numbers[2].Failsafe, dir.Numbers[4].Failsafe = dir.Numbers[2].DID, dir.Numbers[1].DID, dir.Numbers[5].DID
	table := mustTable(t, dir)
	users := rapid.OneOf(rapid.SampledFrom([]string{"+14252000000", "+14252000001", "4252000002", "+14252000004", "+14252000005", "911", "+1911", "411", "anonymous", "", "+12065550123", "+12065550199"}),
		rapid.StringMatching(`\+?[0-9]{0,16}`), rapid.String())
	states := rapid.SampledFrom([]tandem.HealthState{tandem.HealthUnknown, tandem.HealthUp, tandem.HealthDemoted, tandem.HealthDown, tandem.HealthMisconfigured})
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		req := tandem.RouteRequest{Trunk: rapid.SampledFrom([]tandem.TrunkID{"teams", "east", "west", "nobody"}).Draw(t, "trunk"),
			RequestUser: users.Draw(t, "to"), FromUser: users.Draw(t, "from"), PAIUser: users.Draw(t, "pai"), FromName: rapid.String().Draw(t, "name"),
			RequestHost: rapid.SampledFrom([]string{"contoso.example.net", "sbc.example.net", ""}).Draw(t, "host"),
			TenantHint:  rapid.SampledFrom([]string{"", uuid.UUID{2}.String(), "x"}).Draw(t, "tenant"),
			Privacy:     rapid.Bool().Draw(t, "privacy"), Forwarded: rapid.Bool().Draw(t, "forwarded"),
			Diverters: rapid.SliceOfN(users, 0, 2).Draw(t, "diverters"), Seed: rapid.Uint64().Draw(t, "seed")}
		health := tandem.Health{}
		for _, k := range dir.Trunks {
			for _, e := range k.Endpoints {
				health[k.ID] = append(health[k.ID], tandem.EndpointHealth{Trunk: k.ID, Endpoint: e, State: states.Draw(t, "state")})
			}
		}
		p := table.Plan(&req, health, now)
		if !reflect.DeepEqual(p, table.Plan(&req, health, now)) {
			t.Fatal("the same question has two answers")
		}
		if len(p.Trace) == 0 {
			t.Fatal("no trace")
		}
		if (p.Reject != nil) == (len(p.Attempts)+len(p.Failsafe) > 0) {
			t.Fatalf("a plan is refused or has something to try: %+v", p)
		}
		if code := shortCode(req.RequestUser); req.Trunk == "teams" && code == "911" && (!p.Emergency || len(p.Attempts) != 4) {
			t.Fatalf("an emergency call is not sent everywhere: %+v", p)
		}
		if strings.ContainsAny(p.FromName+p.From+p.To, "\r\n\x00") {
			t.Fatalf("control characters in %q %q %q", p.FromName, p.From, p.To)
		}
		var silence time.Duration
		tried := map[string]bool{}
		for i, list := range [][]tandem.Attempt{p.Attempts, p.Failsafe} {
			for _, a := range list {
				key := fmt.Sprint(i, a.Trunk, a.Endpoint)
				if tried[key] {
					t.Fatalf("%s is tried twice", key)
				}
				tried[key] = true
				if i == 0 {
					silence += a.ResponseTimeout
				}
				if a.Failsafe != (i == 1) || (i == 1 && (a.Technology != tandem.Phone || a.Diverting != p.DID)) {
					t.Fatalf("failsafe step is marked wrong: %+v", a)
				}
				if p.Direction == tandem.Inbound && i == 0 && (a.Technology != tandem.OperatorConnect || a.To != string(p.DID)) {
					t.Fatalf("inbound goes elsewhere: %+v", a)
				}
				if p.Direction == tandem.Outbound && a.Technology != tandem.Phone {
					t.Fatalf("outbound goes back to Microsoft: %+v", a)
				}
				if p.Private && a.From != "anonymous" {
					t.Fatalf("a withheld number is shown: %+v", a)
				}
			}
		}
		if p.SilenceBound > 0 && silence > p.SilenceBound {
			t.Fatalf("silence may last %s, bound is %s", silence, p.SilenceBound)
		}
		if table.Number(p.FailsafeNumber) != nil {
			t.Fatalf("the failsafe number %s is behind Microsoft", p.FailsafeNumber)
		}
		if p.Direction == tandem.Outbound && p.Reject == nil && !p.Emergency {
			if n := table.Number(p.DID); n == nil || n.Tenant != p.Tenant || n.Account != p.Account {
				t.Fatalf("nobody pays: %+v", p)
			}
		}
	})
}

func TestPlanIsSafeToShare(t *testing.T) {
	table := mustTable(t, directory(2))
	a := table.Plan(&tandem.RouteRequest{Trunk: "east", RequestUser: "+14252000000", FromUser: "+12065550123"}, nil, time.Time{})
	a.Attempts[0].LocalHost, a.Attempts[0].To = "changed", "changed"
	b := table.Plan(&tandem.RouteRequest{Trunk: "east", RequestUser: "+14252000000", FromUser: "+12065550123"}, nil, time.Time{})
	if b.Attempts[0].LocalHost == "changed" || b.Attempts[0].To == "changed" {
		t.Error("plans share attempts")
	}
}

// TestAllocationsPerPlan keeps the budget of 12 objects: attempts, trace and
// texts of one plan, however many numbers there are.
func TestAllocationsPerPlan(t *testing.T) {
	dir := directory(1000)
	table, now := mustTable(t, dir), time.Now()
	for name, req := range map[string]tandem.RouteRequest{
		"inbound":  {Trunk: "east", FromUser: "+12065550123", RequestUser: string(dir.Numbers[2].DID)},
		"outbound": {Trunk: "teams", RequestUser: "+12065550123", RequestHost: "contoso.example.net", FromUser: string(dir.Numbers[2].DID)},
	} {
		if n := testing.AllocsPerRun(100, func() { table.Plan(&req, nil, now) }); n > 12 {
			t.Errorf("%s: %v objects", name, n)
		}
	}
}

func BenchmarkPlan(b *testing.B) {
	dir := directory(100_000)
	table := mustTable(b, dir)
	now := time.Now()
	down := tandem.Health{}
	for _, e := range dir.Trunks[0].Endpoints {
		down["teams"] = append(down["teams"], tandem.EndpointHealth{Endpoint: e, State: tandem.HealthDown})
	}
	for name, c := range map[string]struct {
		req    tandem.RouteRequest
		health tandem.Health
	}{
		"inbound":       {tandem.RouteRequest{Trunk: "east", FromUser: "+12065550123"}, nil},
		"inbound, down": {tandem.RouteRequest{Trunk: "east", FromUser: "+12065550123"}, down},
		"outbound":      {tandem.RouteRequest{Trunk: "teams", RequestUser: "+12065550123", RequestHost: "contoso.example.net"}, nil},
		"emergency":     {tandem.RouteRequest{Trunk: "teams", RequestUser: "911", FromUser: "+14252000000"}, nil},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i, req := 0, c.req
			for b.Loop() {
				n := &dir.Numbers[i*7919%len(dir.Numbers)&^1]
				if req.Trunk == "east" {
					req.RequestUser = string(n.DID)
				} else {
					req.FromUser = string(n.DID)
				}
				req.Seed = uint64(i)
				if p := table.Plan(&req, c.health, now); p.Reject != nil {
					b.Fatal(p.Reject.Reason)
				}
				i++
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	dir := directory(100_000)
	b.ReportAllocs()
	for b.Loop() {
		mustTable(b, dir)
	}
}
