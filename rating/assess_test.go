package rating

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem"
	"tandem/rating/checker"
)

func deckRow(id int64, prefix, rate string) tandem.DeckRow {
	r, err := tandem.ParseRate(rate)
	if err != nil {
		panic(err)
	}
	return tandem.DeckRow{ID: id, Prefix: prefix, Destination: "prefix " + prefix, Rate: r, InitialInc: 60, NextInc: 60}
}

func directory() *tandem.Directory {
	fee := deckRow(5, "49", "0.0345")
	fee.ConnectFee, fee.InitialInc, fee.NextInc = 10_000, 1, 1
	in := deckRow(1, "1", "0.0045")
	in.InitialInc, in.NextInc = 6, 6
	free := []tandem.NumberClass{tandem.ClassUS, tandem.ClassUSTerritory}
	return &tandem.Directory{
		Decks: []tandem.Deck{
			{ID: "out", Direction: tandem.Outbound, Currency: "USD", Version: 7, Rows: []tandem.DeckRow{deckRow(1, "1", "0.0125"), deckRow(2, "1907", "0.0310"),
				deckRow(3, "44", "0.0290"), {ID: 4, Prefix: "53", InitialInc: 60, NextInc: 60, Reject: true}, fee, deckRow(6, "1411", "1.99"), deckRow(7, "41", "0.05")}},
			{ID: "in", Direction: tandem.Inbound, Currency: "USD", Version: 2, Rows: []tandem.DeckRow{in}},
			{ID: "euro", Direction: tandem.Outbound, Currency: "EUR", Version: 1, Rows: []tandem.DeckRow{deckRow(1, "1", "0.01")}},
		},
		Accounts: []tandem.Account{
			{ID: "contoso", Currency: "USD", TimeZone: "America/New_York", RetailOut: "out", RetailIn: "in", FreeMinutes: 4000, FreeClasses: free},
			{ID: "nodeck", Currency: "USD", TimeZone: "UTC", RetailOut: "gone", RetailIn: "gone", FreeMinutes: 4000, FreeClasses: free},
			{ID: "mixed", Currency: "USD", TimeZone: "UTC", RetailOut: "euro", RetailIn: "in", FreeMinutes: 4000, FreeClasses: free},
			{ID: "generous", Currency: "USD", TimeZone: "UTC", RetailOut: "out", RetailIn: "in", FreeMinutes: 10,
				FreeClasses: []tandem.NumberClass{tandem.ClassInternational, tandem.ClassTollFree, tandem.ClassDirectory, tandem.ClassEmergency, tandem.ClassInvalid}},
		},
		Numbers: []tandem.Number{{DID: "+14255550101", Account: "contoso", Plan: tandem.Metered, UserType: tandem.StandardUser}},
	}
}

func mustTariff(t testing.TB, dir *tandem.Directory) *Tariff {
	t.Helper()
	tariff, err := NewTariff(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tariff
}

// outbound is a connected 90 s call of an Unlimited user on 2026-11-01 00:30 in New York.
func outbound(to string) tandem.CDR {
	at := time.Date(2026, 11, 1, 4, 30, 0, 0, time.UTC)
	return tandem.CDR{Connected: true, Technology: tandem.Phone, Direction: tandem.Outbound, Attempt: 1, Account: "contoso", DID: "+14255550101",
		UserType: tandem.StandardUser, Plan: tandem.Unlimited, From: "+14255550101", To: to, DurationMs: 90_000, AnswerTime: &at, EndTime: at.Add(90 * time.Second)}
}

func TestWhichRuleApplies(t *testing.T) {
	type change = func(*tandem.CDR)
	with := func(to string, changes ...change) tandem.CDR {
		r := outbound(to)
		for _, c := range changes {
			c(&r)
		}
		return r
	}
	metered := func(r *tandem.CDR) { r.Plan = tandem.Metered }
	inbound := func(r *tandem.CDR) {
		r.Direction, r.Attempt, r.From, r.To = tandem.Inbound, 0, "+12065550123", "+14255550101"
	}
	failsafe := func(r *tandem.CDR) { inbound(r); r.Attempt, r.Failsafe, r.To = 3, true, "+12065550199" }
	account := func(id string) change { return func(r *tandem.CDR) { r.Account = id } }
	for name, c := range map[string]struct {
		row    tandem.CDR
		rule   Rule
		amount string
		class  tandem.NumberClass
		deck   int64 // row
		free   int64
		error  string
	}{
		"metered US":                          {with("+12065550123", metered), RuleMetered, "0.025", tandem.ClassUS, 1, 0, ""},
		"unlimited US draws":                  {with("+12065550123"), RuleAllowance, "0", tandem.ClassUS, 1, 120, ""},
		"alaska has its own price, and draws": {with("+19075550123"), RuleAllowance, "0", tandem.ClassUS, 2, 120, ""},
		"territory draws":                     {with("+17875550123"), RuleAllowance, "0", tandem.ClassUSTerritory, 1, 120, ""},
		"canada does not draw":                {with("+14165550123"), RuleMetered, "0.025", tandem.ClassCanada, 1, 0, ""},
		"jamaica does not draw":               {with("+18765550123"), RuleMetered, "0.025", tandem.ClassNANPOther, 1, 0, ""},
		"international does not draw":         {with("+442071838750"), RuleMetered, "0.058", tandem.ClassInternational, 3, 0, ""},
		"connect fee, per second":             {with("+493012345678"), RuleMetered, "0.06175", tandem.ClassInternational, 5, 0, ""},
		"premium does not draw":               {with("+19005550123"), RuleMetered, "0.025", tandem.ClassPremium, 1, 0, ""},
		"976 does not draw":                   {with("+12069765555"), RuleMetered, "0.025", tandem.ClassPremium, 1, 0, ""},
		"directory is not Switzerland":        {with("411"), RuleMetered, "3.98", tandem.ClassDirectory, 6, 0, ""},
		"311 is a US service":                 {with("311"), RuleMetered, "0.025", tandem.ClassService, 1, 0, ""},
		"toll-free":                           {with("+18005550123"), RuleTollFree, "0", tandem.ClassTollFree, 0, 0, ""},
		"emergency":                           {with("911"), RuleEmergency, "0", tandem.ClassEmergency, 0, 0, ""},
		"933":                                 {with("933"), RuleEmergency, "0", tandem.ClassEmergency, 0, 0, ""},
		"988":                                 {with("988"), RuleEmergency, "0", tandem.ClassEmergency, 0, 0, ""},
		"emergency by routing's word":         {with("999", func(r *tandem.CDR) { r.Emergency = true }), RuleEmergency, "0", tandem.ClassInvalid, 0, 0, ""},
		"emergency of nobody we know":         {with("911", account("")), RuleEmergency, "0", tandem.ClassEmergency, 0, 0, ""},
		"auto-attendant never draws":          {with("+12065550123", func(r *tandem.CDR) { r.UserType = tandem.AutoAttendant }), RuleMetered, "0.025", tandem.ClassUS, 1, 0, ""},
		"shared line draws":                   {with("+12065550123", func(r *tandem.CDR) { r.UserType = tandem.SharedLine }), RuleAllowance, "0", tandem.ClassUS, 1, 120, ""},
		"inbound by the DID":                  {with("", inbound), RuleMetered, "0.00675", tandem.ClassUS, 1, 0, ""},
		"inbound from a toll-free number":     {with("", inbound, func(r *tandem.CDR) { r.From = "+18005550123" }), RuleMetered, "0.00675", tandem.ClassTollFree, 1, 0, ""},
		"inbound, number withheld":            {with("", inbound, func(r *tandem.CDR) { r.From = "anonymous" }), RuleMetered, "0.00675", "", 1, 0, ""},
		"failsafe is metered, never drawn":    {with("", failsafe), RuleMetered, "0.025", tandem.ClassUS, 1, 0, ""},
		"microsoft side":                      {with("+12065550123", func(r *tandem.CDR) { r.Technology = tandem.OperatorConnect }), RuleOperatorConnect, "0", tandem.ClassUS, 0, 0, ""},
		"not connected":                       {with("+12065550123", func(r *tandem.CDR) { r.Connected = false }), RuleNotConnected, "0", tandem.ClassUS, 0, 0, ""},
		"no duration, no fee":                 {with("+493012345678", func(r *tandem.CDR) { r.DurationMs = 0 }), RuleNoDuration, "0", tandem.ClassInternational, 0, 0, ""},
		"a millisecond is a minute":           {with("+12065550123", metered, func(r *tandem.CDR) { r.DurationMs = 1 }), RuleMetered, "0.0125", tandem.ClassUS, 1, 0, ""},
		"area code newer than our data":       {with("+12225550123", metered), RuleMetered, "0.025", tandem.ClassInvalid, 1, 0, ""},
		"ErrNoAccount":                        {with("+12065550123", account("nobody")), RuleUnrated, "0", tandem.ClassUS, 0, 0, "account is not known"},
		"ErrNoDeck":                           {with("+12065550123", account("nodeck")), RuleUnrated, "0", tandem.ClassUS, 0, 0, "outbound deck gone does not exist"},
		"ErrNoInboundDeck":                    {with("", inbound, account("nodeck")), RuleUnrated, "0", tandem.ClassUS, 0, 0, "inbound deck gone does not exist"},
		"ErrNoRow":                            {with("+81312345678"), RuleUnrated, "0", tandem.ClassInternational, 0, 0, "no row of the deck"},
		"ErrRowRejects":                       {with("+5371234567"), RuleUnrated, "0", tandem.ClassInternational, 4, 0, "rejects the destination"},
		"ErrCurrency":                         {with("+12065550123", account("mixed")), RuleUnrated, "0", tandem.ClassUS, 1, 0, "another currency"},
		"ErrNotANumber":                       {with("reception"), RuleUnrated, "0", tandem.ClassInvalid, 0, 0, "not a number"},
		"configured classes draw":             {with("+442071838750", account("generous")), RuleAllowance, "0", tandem.ClassInternational, 3, 120, ""},
		"directory never draws":               {with("411", account("generous")), RuleMetered, "3.98", tandem.ClassDirectory, 6, 0, ""},
		"toll-free never draws":               {with("+18005550123", account("generous")), RuleTollFree, "0", tandem.ClassTollFree, 0, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := mustTariff(t, directory()).Assess(&c.row)
			ch := a.Charge(0)
			if a.Rule != c.rule || ch.Amount != amount(t, c.amount) || ch.Class != c.class || ch.DeckRow != c.deck || ch.FreeS != c.free {
				t.Errorf("rule %s, %+v", a.Rule, ch)
			}
			if c.error != "" && !strings.Contains(ch.Explanation, c.error) || c.error == "" && a.Error != "" {
				t.Errorf("explanation %s, want %q", ch.Explanation, c.error)
			}
			e, err := ParseExplanation(ch.Explanation)
			if err != nil || e.Rule != c.rule || len(e.Sentences()) == 0 {
				t.Fatalf("%+v, %v", e, err)
			}
			if p, err := e.Recompute(); err != nil || p.Amount != ch.Amount || p.BilledS != ch.BilledS || p.FreeS != ch.FreeS {
				t.Errorf("recomputed %+v, %v; charged %+v", p, err, ch)
			}
		})
	}
}

func TestBucketOfTheAnswerInstant(t *testing.T) {
	tariff := mustTariff(t, directory())
	november := outbound("+12065550123")
	october := outbound("+12065550123")
	before := november.AnswerTime.Add(-time.Hour) // 2026-10-31 23:30 in New York, but November in UTC
	october.AnswerTime = &before
	a, b := tariff.Assess(&november), tariff.Assess(&october)
	if a.Bucket.Cycle != time.Date(2026, 11, 1, 4, 0, 0, 0, time.UTC) || b.Bucket.Cycle != time.Date(2026, 10, 1, 4, 0, 0, 0, time.UTC) {
		t.Errorf("cycles %s and %s", a.Bucket.Cycle, b.Bucket.Cycle)
	}
	if a.LimitS != 240_000 || a.Bucket.Account != "contoso" || a.Bucket.DID != "+14255550101" {
		t.Errorf("%+v", a)
	}
	if c := a.Charge(240_000 - 30); c.FreeS != 30 || c.ChargedS != 90 || c.Amount != 18_750 || c.Rate != 125_000_000 {
		t.Errorf("the call that crosses the last free second: %+v", c)
	}
	if c := a.Charge(240_000); c.FreeS != 0 || c.Amount != 25_000 {
		t.Errorf("after the last free second: %+v", c)
	}
}

func TestTariffProblems(t *testing.T) {
	d := directory()
	d.Accounts[0].TimeZone, d.Accounts[1].TimeZone, d.Decks[0].Rows[0].NextInc = "America/New_Yrok", "", 0
	_, err := NewTariff(d, nil)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"accounts[contoso].time_zone", "accounts[nodeck].time_zone", "deck out: rows[1].next_inc"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%v", want, err)
		}
	}
}

func TestUnchangedDecksAreTakenOver(t *testing.T) {
	first := mustTariff(t, directory())
	d := directory()
	d.Decks[1].Rows[0].Rate++ // same version, another price: not the same deck
	second, err := NewTariff(d, first)
	if err != nil {
		t.Fatal(err)
	}
	if second.decks["out"] != first.decks["out"] || second.decks["in"] == first.decks["in"] {
		t.Error("deck out is the same, deck in is not")
	}
}

func TestAuthorize(t *testing.T) {
	tariff := mustTariff(t, directory())
	for name, c := range map[string]struct {
		plan    tandem.Plan
		refused bool
	}{
		"priced":               {tandem.Plan{Direction: tandem.Outbound, Account: "contoso", To: "+12065550123"}, false},
		"row rejects":          {tandem.Plan{Direction: tandem.Outbound, Account: "contoso", To: "+5371234567"}, true},
		"no row":               {tandem.Plan{Direction: tandem.Outbound, Account: "contoso", To: "+81312345678"}, true},
		"no row, toll-free":    {tandem.Plan{Direction: tandem.Outbound, Account: "contoso", To: "+18005550123"}, false},
		"not a number":         {tandem.Plan{Direction: tandem.Outbound, Account: "contoso", To: "reception"}, false},
		"no deck":              {tandem.Plan{Direction: tandem.Outbound, Account: "nodeck", To: "+5371234567"}, false},
		"inbound":              {tandem.Plan{Direction: tandem.Inbound, Account: "contoso", To: "+5371234567"}, false},
		"emergency":            {tandem.Plan{Direction: tandem.Outbound, Account: "contoso", To: "911", Emergency: true}, false},
		"emergency short code": {tandem.Plan{Direction: tandem.Outbound, Account: "contoso", To: "988"}, false},
	} {
		if r := tariff.Authorize(&c.plan, time.Now()); (r != nil) != c.refused || (r != nil && (r.Status != 403 || r.Cause != 21)) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestExplanationSuffices: whatever the call, the charge follows from its
// explanation and nothing else, also after a trip through JSON.
func TestExplanationSuffices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := directory()
		d.Decks[0].Rows[0] = drawRow(rapidDrawer(t))
		tariff, err := NewTariff(d, nil)
		if err != nil {
			t.Fatal(err)
		}
		row := outbound("+12065550123")
		row.DurationMs = rapid.Uint32Min(1).Draw(t, "ms")
		if rapid.Bool().Draw(t, "metered") {
			row.Plan = tandem.Metered
		}
		used := rapid.Int64Range(0, 250_000).Draw(t, "used")
		a := tariff.Assess(&row)
		c := a.Charge(used)
		e, err := ParseExplanation(c.Explanation)
		if err != nil {
			t.Fatal(err)
		}
		p, err := e.Recompute()
		if err != nil || p.Amount != c.Amount || p.BilledS != c.BilledS || p.FreeS != c.FreeS || p.ChargedS != c.ChargedS || e.Amount != c.Amount {
			t.Fatalf("%+v, %v\n%+v", p, err, c)
		}
		if e.Allowance != nil {
			if e.Allowance.AfterS-e.Allowance.BeforeS != c.FreeS {
				t.Fatalf("the bucket moves by something else: %+v", e.Allowance)
			}
		}
		if must, ok, err := checker.Check(asStored(c), int64(row.DurationMs), time.LoadLocation); !ok || err != nil {
			t.Fatalf("the checker has %+v, %v", must, err)
		}
	})
}

func FuzzParseExplanation(f *testing.F) {
	a := Assessment{}
	f.Add(a.Charge(0).Explanation)
	f.Add(`{"form":1,"rule":"metered","duration_ms":1,"deck":{"rate":"1","initial_inc":0,"next_inc":-1}}`)
	f.Add(`{"form":3}`)
	f.Add(`{"form":1,"rule":"allowance","allowance":{"limit_s":9223372036854775807,"before_s":-9223372036854775808},"deck":{}}`)
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ParseExplanation(s)
		if err != nil {
			return
		}
		e.Sentences()
		if p, err := e.Recompute(); err == nil && (p.FreeS+p.ChargedS != p.BilledS || p.Amount < 0) {
			t.Fatalf("%+v of %s", p, s)
		}
	})
}

func TestAssessDoesNotAllocate(t *testing.T) {
	tariff, row := mustTariff(t, directory()), outbound("+12065550123")
	if n := testing.AllocsPerRun(100, func() {
		a := tariff.Assess(&row)
		a.Price(0)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
