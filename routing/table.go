package routing

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"tandem"
)

// Table is the immutable index of one directory; see New.
type Table struct {
	cfg Config
	// emergencyNextOn is shared by all attempts of emergency calls.
	emergencyNextOn tandem.OutcomeSet
	trunks          map[tandem.TrunkID]*trunk
	teams           []*trunk // enabled, in order
	carriers        []*trunk // enabled, by priority; equal priorities stand together
	tenants         map[tandem.TenantID]*tandem.Tenant
	byFQDN          map[string]*tandem.Tenant // lower case
	numbers         map[tandem.E164]*tandem.Number
}

// trunk is a trunk with one ready-made attempt per endpoint.
type trunk struct {
	*tandem.Trunk
	attempts []tandem.Attempt
}

// New indexes a directory, which must not change afterwards. Everything that
// routing could not work with is reported, joined: names used twice, references
// to nothing, trunks without endpoints.
func New(cfg Config, dir *tandem.Directory) (*Table, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	t := &Table{cfg: cfg, emergencyNextOn: emergencyNextOn(),
		trunks:  make(map[tandem.TrunkID]*trunk, len(dir.Trunks)),
		tenants: make(map[tandem.TenantID]*tandem.Tenant, len(dir.Tenants)), byFQDN: make(map[string]*tandem.Tenant, len(dir.Tenants)),
		numbers: make(map[tandem.E164]*tandem.Number, len(dir.Numbers)),
	}
	var problems []error
	bad := func(field, message, mend string) {
		problems = append(problems, &tandem.Error{Kind: tandem.KindInvalid, Field: field, Message: message, Mend: mend})
	}
	for i := range dir.Trunks {
		t.addTrunk(&dir.Trunks[i], bad)
	}
	byPriority := func(a, b *trunk) int { return cmp.Compare(a.Priority, b.Priority) }
	slices.SortStableFunc(t.teams, byPriority)
	slices.SortStableFunc(t.carriers, byPriority)
	for i := range dir.Tenants {
		n := &dir.Tenants[i]
		field := "tenants[" + n.ID.String() + "]"
		if t.tenants[n.ID] != nil || n.ID == uuid.Nil {
			bad(field, "is no tenant ID, or there twice", "give each tenant its GUID")
		}
		t.tenants[n.ID] = n
		if n.FQDN == "" {
			continue
		}
		name := hostKey(n.FQDN)
		if t.byFQDN[name] != nil {
			bad(field+".fqdn", tandem.Clip(n.FQDN, 63)+" belongs to another tenant already", "give each tenant its own name")
		}
		t.byFQDN[name] = n
	}
	for i := range dir.Numbers {
		n := &dir.Numbers[i]
		field := "numbers[" + tandem.Clip(string(n.DID), 20) + "]"
		if _, err := tandem.ParseE164(string(n.DID)); err != nil {
			bad(field, "is not an E.164 number", "write it as in +14255550100")
		}
		if t.numbers[n.DID] != nil {
			bad(field, "is there twice", "remove one")
		}
		if t.tenants[n.Tenant] == nil {
			bad(field+".tenant", n.Tenant.String()+" is not a registered tenant", "add it under tenants")
		}
		t.numbers[n.DID] = n
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return t, nil
}

// The defaults of a trunk whose fields are empty (microsoft-teams-trunk.md 4.2).
const (
	defaultResponseTimeout = 4 * time.Second
	defaultAnswerTimeout   = 3 * time.Minute
)

func defaultNextOn() tandem.OutcomeSet {
	return tandem.OutcomeSet{Statuses: []tandem.SIPStatus{408, 503, 504}, Kinds: []tandem.OutcomeKind{tandem.OutcomeSilence, tandem.OutcomeConnection}}
}

func (t *Table) addTrunk(d *tandem.Trunk, bad func(field, message, mend string)) {
	field := "trunks[" + tandem.Clip(string(d.ID), 40) + "]"
	if t.trunks[d.ID] != nil || d.ID == "" {
		bad(field, "is no name, or there twice", "name each trunk differently")
	}
	if len(d.Endpoints) == 0 {
		bad(field, "has no endpoint", "list at least one host and port")
	}
	k := &trunk{Trunk: d}
	technology := tandem.Phone
	switch d.Kind {
	case tandem.TrunkTeams:
		technology = tandem.OperatorConnect
		if !d.Disabled {
			t.teams = append(t.teams, k)
		}
	case tandem.TrunkCarrier:
		if !d.Disabled {
			t.carriers = append(t.carriers, k)
		}
	default:
		bad(field, fmt.Sprintf("%q is not a kind of trunk", tandem.Clip(string(d.Kind), 20)), "use teams or carrier")
	}
	for _, e := range d.Endpoints {
		a := tandem.Attempt{Trunk: d.ID, Endpoint: e, Technology: technology, Network: d.Network, LocalHost: d.FQDN,
			ResponseTimeout: cmp.Or(d.ResponseTimeout.D(), defaultResponseTimeout), AnswerTimeout: cmp.Or(d.AnswerTimeout.D(), defaultAnswerTimeout), NextOn: d.NextOn}
		if a.NextOn.Empty() {
			a.NextOn = defaultNextOn()
		}
		k.attempts = append(k.attempts, a)
	}
	t.trunks[d.ID] = k
}

// hostKey is how host names are compared: lower case, no port, no final dot.
func hostKey(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > 0 && digits(host[i+1:]) && !strings.Contains(host[:i], ":") {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// Number finds a DID of the table; nil = not ours.
func (t *Table) Number(did tandem.E164) *tandem.Number { return t.numbers[did] }
