package provisioning

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"tandem"
)

// checker applies the rules that concern whole objects and what they refer to.
type checker struct {
	dir   *tandem.Directory
	found []fault

	accounts  map[string]*tandem.Account
	tenants   map[tandem.TenantID]*tandem.Tenant
	addresses map[string]*tandem.ServiceAddress
	decks     map[string]*tandem.Deck
}

// fault is a broken rule at a field of an object.
type fault struct {
	at  place
	err *tandem.Error
}

func (c *checker) bad(at place, value, rule, mend string) {
	field := fmt.Sprintf("%s[%s]", at.section, tandem.Clip(at.key, 63))
	if at.field != "" {
		field += "." + tandem.Clip(at.field, 63)
	}
	c.found = append(c.found, fault{at, refuse(field, value, rule, mend)})
}

// check reports every rule that the directory breaks.
func check(dir *tandem.Directory) []fault {
	c := &checker{dir: dir,
		accounts: map[string]*tandem.Account{}, tenants: map[tandem.TenantID]*tandem.Tenant{},
		addresses: map[string]*tandem.ServiceAddress{}, decks: map[string]*tandem.Deck{}}
	for i := range dir.Decks {
		c.decks[dir.Decks[i].ID] = &dir.Decks[i]
	}
	for i := range dir.Accounts {
		c.accounts[dir.Accounts[i].ID] = &dir.Accounts[i]
	}
	for i := range dir.Tenants {
		c.tenants[dir.Tenants[i].ID] = &dir.Tenants[i]
	}
	for i := range dir.Addresses {
		c.addresses[dir.Addresses[i].ID] = &dir.Addresses[i]
	}
	c.checkTrunks()
	for i := range dir.Decks {
		c.checkCurrency(place{Decks, dir.Decks[i].ID, "currency"}, dir.Decks[i].Currency)
		c.checkDeck(&dir.Decks[i])
	}
	for i := range dir.Accounts {
		c.checkAccount(&dir.Accounts[i])
	}
	c.checkTenants()
	for i := range dir.Addresses {
		c.checkAddress(&dir.Addresses[i])
	}
	for i := range dir.Numbers {
		c.checkNumber(&dir.Numbers[i])
	}
	return c.found
}

// Validate reports every rule that the directory breaks, joined.
func Validate(dir *tandem.Directory) error {
	var problems Problems
	for _, f := range check(dir) {
		problems = append(problems, Problem{File: "directory", Err: f.err})
	}
	return problems.err()
}

func (c *checker) checkTrunks() {
	prefixes := map[netip.Prefix]*tandem.Trunk{}
	ids := map[tandem.TrunkID]bool{}
	for i := range c.dir.Trunks {
		t := &c.dir.Trunks[i]
		s := trunkSection(t.Kind)
		at := func(field string) place { return place{s, string(t.ID), field} }
		if ids[t.ID] {
			c.bad(at("id"), string(t.ID), "names both a trunk and a carrier", "name one of them differently")
		}
		ids[t.ID] = true
		if t.Kind == tandem.TrunkTeams {
			c.checkTeams(t, at)
		}
		if len(t.Endpoints) == 0 {
			c.bad(at("endpoints"), string(t.ID), "has no endpoint", "list at least one host:port")
		}
		if len(t.Sources) == 0 {
			c.bad(at("sources"), string(t.ID), "has no source network", "list the networks that the peer's requests come from")
		}
		for _, p := range t.Sources {
			if p.Bits() < 8 && !t.Lab {
				c.bad(at("sources"), p.String(), "takes in most of the Internet", "list the peer's own networks, /8 or longer")
			}
			// Microsoft's trunks share its networks and are told apart by tenant
			// or name; two carriers behind one network can't be.
			if other := prefixes[p]; other != nil && (t.Kind != tandem.TrunkTeams || other.Kind != tandem.TrunkTeams) && len(t.TLSNames) == 0 {
				c.bad(at("sources"), p.String(), "belongs to trunk "+string(other.ID)+" already", "a request from there could be either's: give each trunk its own networks")
			}
			prefixes[p] = t
		}
		for _, p := range t.MediaSources {
			if p.Bits() < 8 && !t.Lab {
				c.bad(at("media_sources"), p.String(), "takes in most of the Internet", "list the peer's own networks, /8 or longer")
			}
		}
		if t.FQDN != "" && !isHost(t.FQDN) {
			c.bad(at("fqdn"), t.FQDN, "is not a host name", "write our own name towards this trunk, as in sbc.example.net")
		}
		for _, n := range t.TLSNames {
			if !isHost(strings.TrimPrefix(n, "*.")) {
				c.bad(at("tls_names"), n, "is not a certificate name", "write a DNS name, as in sip.example.net")
			}
		}
		if t.Certificate != "" && !nameRule.MatchString(t.Certificate) {
			c.bad(at("certificate"), t.Certificate, "is not a name", "use a name under sip.certificates of tandem.yaml")
		}
		if deck := c.decks[t.CostDeck]; t.CostDeck != "" && (deck == nil || deck.Direction != tandem.Outbound) {
			c.bad(at("cost_deck"), t.CostDeck, "is not a deck for outbound calls", "name a deck of what the carrier charges for calls that it takes, or leave it out")
		}
		if t.CostDeck != "" && t.Kind != tandem.TrunkCarrier {
			c.bad(at("cost_deck"), t.CostDeck, "stands on a trunk that is no carrier's", "only carriers have a cost deck")
		}
		c.between(at("options_interval"), t.OptionsInterval, 5*time.Second, time.Hour, true)
		c.between(at("response_timeout"), t.ResponseTimeout, 100*time.Millisecond, 32*time.Second, false)
		c.between(at("answer_timeout"), t.AnswerTimeout, 5*time.Second, 10*time.Minute, false)
		c.between(at("session_expires"), t.SessionExpires, 90*time.Second, 24*time.Hour, true) // RFC 4028 4: at least 90 s
		if t.ResponseTimeout > t.AnswerTimeout {
			c.bad(at("response_timeout"), t.ResponseTimeout.D().String(), "is longer than answer_timeout", "a call is answered after it is first responded to")
		}
	}
}

// checkTeams holds the rules of Microsoft's trunk (microsoft-teams-trunk.md 1,
// 4.2, 7). lab: true lifts those that only load tests break.
func (c *checker) checkTeams(t *tandem.Trunk, at func(string) place) {
	switch {
	case t.FQDN == "":
		c.bad(at("fqdn"), t.FQDN, "is missing", "write our name that Microsoft knows this trunk by; it must be in our certificate")
	case len(t.FQDN) > 63:
		c.bad(at("fqdn"), t.FQDN, "is longer than 63 characters", "Microsoft takes no longer trunk name")
	case strings.HasSuffix(strings.ToLower(t.FQDN), ".onmicrosoft.com"):
		c.bad(at("fqdn"), t.FQDN, "is a name of Microsoft's", "use a name in a domain of your own")
	}
	if t.Lab {
		return
	}
	if t.Transport != tandem.TLS {
		c.bad(at("transport"), string(t.Transport), "is not what Microsoft speaks", "use tls, or add lab: true for a load test")
	}
	if t.SRTP != tandem.SRTPRequired {
		c.bad(at("srtp"), string(t.SRTP), "would send calls in the clear", "use required, or add lab: true for a load test")
	}
	for _, w := range t.NextOn.Words() {
		if !slices.Contains([]string{"408", "503", "504", "silence", "connection"}, w) {
			c.bad(at("next_on"), w, "does not mean that Microsoft can't be reached", "use only 408, 503, 504, silence and connection: anything else rings the user again, or ignores the answer")
		}
	}
}

func trunkSection(k tandem.TrunkKind) Section {
	if k == tandem.TrunkCarrier {
		return Carriers
	}
	return Trunks
}

func (c *checker) between(at place, d tandem.Duration, low, high time.Duration, zero bool) {
	if (zero && d == 0) || (d.D() >= low && d.D() <= high) {
		return
	}
	mend := fmt.Sprintf("use %s to %s", low, high)
	if zero {
		mend += ", or 0s for never"
	}
	c.bad(at, d.D().String(), "is out of range", mend)
}

func (c *checker) checkCurrency(at place, code tandem.Currency) {
	if len(code) != 3 || strings.Trim(string(code), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		c.bad(at, string(code), "is not a currency", "write an ISO 4217 code such as USD")
	}
}

func (c *checker) checkAccount(a *tandem.Account) {
	at := func(field string) place { return place{Accounts, a.ID, field} }
	c.checkCurrency(at("currency"), a.Currency)
	if zone, err := time.LoadLocation(a.TimeZone); err != nil || zone.String() == "Local" || a.TimeZone == "" {
		c.bad(at("time_zone"), a.TimeZone, "is not a time zone", "write an IANA zone such as America/New_York")
	}
	for _, want := range []struct {
		field, id string
		direction tandem.Direction
	}{{"retail_out", a.RetailOut, tandem.Outbound}, {"retail_in", a.RetailIn, tandem.Inbound}} {
		switch deck := c.decks[want.id]; {
		case deck == nil:
			c.bad(at(want.field), want.id, "is not a deck", "add it under decks, or name one that is there")
		case deck.Direction != want.direction:
			c.bad(at(want.field), want.id, "is a deck for "+string(deck.Direction)+" calls", "name a deck of direction "+string(want.direction))
		case deck.Currency != a.Currency:
			c.bad(at(want.field), want.id, "is priced in "+tandem.Clip(string(deck.Currency), 3), "name a deck in the account's currency, "+tandem.Clip(string(a.Currency), 3))
		}
	}
	known := []tandem.NumberClass{tandem.ClassUS, tandem.ClassUSTerritory, tandem.ClassCanada, tandem.ClassNANPOther, tandem.ClassPersonal,
		tandem.ClassNonGeographic, tandem.ClassInternational, tandem.ClassPremium, tandem.ClassService}
	for _, class := range a.FreeClasses {
		if !slices.Contains(known, class) {
			c.bad(at("free_classes"), string(class), "is not a class that can draw free minutes", "use us, us_territory, canada, nanp_other, personal, nongeographic, premium, service or international")
		}
	}
}

func (c *checker) checkTenants() {
	names := map[string]tandem.TenantID{}
	for i := range c.dir.Tenants {
		t := &c.dir.Tenants[i]
		at := func(field string) place { return place{Tenants, t.ID.String(), field} }
		c.needAccount(at("account"), t.Account)
		if t.FQDN == "" {
			continue
		}
		fqdn := strings.ToLower(t.FQDN)
		if !isHost(fqdn) || len(fqdn) > 63 || !strings.Contains(fqdn, ".") {
			c.bad(at("fqdn"), t.FQDN, "is not a trunk name", "write the tenant's own name on the shared trunk, as in contoso.sbc.example.net, up to 63 characters")
		}
		if other, taken := names[fqdn]; taken {
			c.bad(at("fqdn"), t.FQDN, "belongs to tenant "+other.String()+" already", "give each tenant its own name")
		}
		names[fqdn] = t.ID
	}
}

func (c *checker) needAccount(at place, id string) {
	if c.accounts[id] == nil {
		c.bad(at, id, "is not an account", "add it under accounts, or name one that is there")
	}
}

var (
	zipRule   = regexp.MustCompile(`^\d{5}(-\d{4})?$`)
	stateRule = regexp.MustCompile(`^[A-Z]{2}$`)
)

func (c *checker) checkAddress(a *tandem.ServiceAddress) {
	at := func(field string) place { return place{Addresses, a.ID, field} }
	c.needAccount(at("account"), a.Account)
	if a.Country != "US" {
		c.bad(at("country"), a.Country, "is not served", "write US: numbers are US numbers and need a US address")
		return
	}
	if !stateRule.MatchString(a.State) {
		c.bad(at("state"), a.State, "is not a US state", "write its two letters, as in WA")
	}
	if !zipRule.MatchString(a.PostalCode) {
		c.bad(at("postal_code"), a.PostalCode, "is not a ZIP code", "write 98052 or 98052-6399, in quotes when it begins with 0")
	}
}

func (c *checker) checkNumber(n *tandem.Number) {
	at := func(field string) place { return place{Numbers, string(n.DID), field} }
	if !n.DID.IsNANP() {
		c.bad(at("did"), string(n.DID), "is not a US number", "write +1 and ten digits, as in +14255550100")
	}
	c.needAccount(at("account"), n.Account)
	switch t := c.tenants[n.Tenant]; {
	case n.Tenant == uuid.Nil || t == nil:
		c.bad(at("tenant"), n.Tenant.String(), "is not a registered tenant", "add it under tenants: a tenant is registered before its numbers")
	case t.Account != n.Account:
		c.bad(at("tenant"), n.Tenant.String(), "belongs to account "+tandem.Clip(t.Account, 63), "name a tenant of account "+tandem.Clip(n.Account, 63))
	}
	switch a := c.addresses[n.ServiceAddress]; {
	case a == nil:
		c.bad(at("service_address"), n.ServiceAddress, "is not a service address", "add it under addresses: every number has one")
	case a.Account != n.Account:
		c.bad(at("service_address"), n.ServiceAddress, "belongs to account "+tandem.Clip(a.Account, 63), "name an address of account "+tandem.Clip(n.Account, 63))
	}
	if n.UserType == tandem.AutoAttendant && n.Plan != tandem.Metered {
		c.bad(at("plan"), string(n.Plan), "is not for auto-attendants", "use Metered")
	}
	if n.Failsafe == n.DID {
		c.bad(at("failsafe"), string(n.Failsafe), "is the number itself", "name a number that is reached without Microsoft")
	}
}

// checkLabel holds the rule of free text: one line of printable characters.
func checkLabel(s string) error {
	switch {
	case len(s) > 200:
		return refuse("", s, "is longer than 200 bytes", "shorten it")
	case !utf8.ValidString(s):
		return refuse("", s, "is not UTF-8", "save the file as UTF-8")
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return refuse("", s, "holds a control character", "write it on one line, as plain text")
		}
	}
	return nil
}
