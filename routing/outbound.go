package routing

import (
	"slices"
	"strconv"

	"github.com/google/uuid"

	"tandem"
)

// outbound routes Teams user -> PSTN.
func (d *decision) outbound() {
	if code := shortCode(d.req.RequestUser); code != "" && slices.Contains(d.t.cfg.Emergency, code) {
		d.emergency(code)
		return
	}
	called := normalise(d.req.RequestUser)
	d.from(caller(d.req.PAIUser))
	if called.number != "" {
		d.To = called.number
	}
	if d.source.Disabled {
		d.reject("source", 503, tandem.CauseNetworkOutOfOrder, "the trunk is disabled")
		return
	}
	tenant, why := d.tenant()
	if tenant == nil {
		d.reject("tenant", 403, tandem.CauseRejected, why)
		return
	}
	d.Tenant, d.Account = tenant.ID, tenant.Account
	number, why := d.callerOf(tenant)
	if number == nil {
		d.reject("caller", 403, tandem.CauseRejected, why)
		return
	}
	d.owned(number)
	d.say("caller", string(number.DID)+" belongs to account "+number.Account+", "+string(number.UserType)+", "+string(number.Plan)+" ("+why+")")
	d.screen(tenant, number)
	if called.number == "" {
		d.reject("number", called.status, called.cause, called.refused)
		return
	}
	if own := d.t.numbers[tandem.E164(d.To)]; own != nil {
		d.say("number", d.To+" is a DID of ours; it is reached over the carrier as any other")
	}

	list := choices(d.t.carrierOrder(d.req.Seed), d.health)
	d.Attempts = attempts(list, d.To, d.shownFrom(), rankFirst, rankLast)
	d.Skipped = skipped(list, d.now)
	switch {
	case len(d.Attempts) > 0:
	case len(list) > 0:
		d.Attempts, d.Skipped = attempts(list, d.To, d.shownFrom(), rankDown), nil
		d.say("health", "all carriers are known to be down: they are tried all the same")
	default:
		d.reject("carriers", 503, tandem.CauseNoCircuit, "no carrier is enabled")
		return
	}
	if len(d.Skipped) > 0 {
		d.say("health", strconv.Itoa(len(d.Skipped))+" carrier endpoints are known to be down and skipped")
	}
	d.say("carrier order", "by priority, then by weight: "+networks(d.Attempts))
}

// tenant finds whose call it is: by X-MS-TenantID (Operator Connect), by the
// Request-URI's host (Direct Routing, microsoft-teams-trunk.md 9.1), or by the
// Contact's. Two that disagree are refused.
func (d *decision) tenant() (*tandem.Tenant, string) {
	var named *tandem.Tenant
	host := d.t.byFQDN[hostKey(d.req.RequestHost)]
	if host == nil {
		host = d.t.byFQDN[hostKey(d.req.ContactHost)]
	}
	if d.req.TenantHint != "" {
		id, err := uuid.Parse(d.req.TenantHint)
		if err == nil {
			named = d.t.tenants[id]
		}
		switch {
		case named == nil:
			return nil, "the tenant of X-MS-TenantID is not registered"
		case host != nil && host != named:
			return nil, "X-MS-TenantID and the name called belong to different tenants"
		}
		d.say("tenant", named.Name+" ("+named.ID.String()+") by X-MS-TenantID")
		return named, ""
	}
	if host != nil {
		d.say("tenant", host.Name+" ("+host.ID.String()+") by the name "+host.FQDN)
		return host, ""
	}
	// On a shared trunk without X-MS-TenantID the operator's own inventory is
	// what Microsoft goes by, so the caller's number may name the tenant; but
	// never a tenant that has a name of its own to be called by, except on a lab
	// trunk whose generator writes an address there.
	for _, user := range [...]string{d.req.PAIUser, d.req.FromUser} {
		n := d.t.numbers[caller(user)]
		if n == nil {
			continue
		}
		if owner := d.t.tenants[n.Tenant]; owner.FQDN == "" || d.source.Lab {
			d.say("tenant", owner.Name+" ("+owner.ID.String()+") by the caller's number")
			return owner, ""
		}
	}
	return nil, "neither X-MS-TenantID nor the name called belongs to a registered tenant"
}

// callerOf finds the tenant's number that calls: the asserted identity, else
// From, else the number that forwarded the call (a forwarding user's call keeps
// the original caller in From). A tenant's administrator can assign any number
// to a user, so a number of someone else is refused.
func (d *decision) callerOf(tenant *tandem.Tenant) (number *tandem.Number, why string) {
	own := func(user string) *tandem.Number {
		if n := d.t.numbers[caller(user)]; n != nil && n.Tenant == tenant.ID {
			return n
		}
		return nil
	}
	if n := own(d.req.PAIUser); n != nil {
		return n, "by P-Asserted-Identity"
	}
	if n := own(d.req.FromUser); n != nil {
		return n, "by From"
	}
	for _, user := range d.req.Diverters {
		if n := own(user); n != nil {
			return n, "it forwarded the call"
		}
	}
	switch {
	case caller(d.req.PAIUser) == "" && caller(d.req.FromUser) == "":
		return nil, "the caller's number is withheld and no P-Asserted-Identity gives it"
	case d.t.numbers[caller(d.req.PAIUser)] != nil || d.t.numbers[caller(d.req.FromUser)] != nil:
		return nil, "the caller's number belongs to another tenant"
	}
	return nil, "the caller's number is not a number of the tenant"
}

// screen keeps a number in From that is not the tenant's from being shown as
// the caller: only a call that the tenant's own number forwarded may keep its
// original caller.
func (d *decision) screen(tenant *tandem.Tenant, number *tandem.Number) {
	shown := caller(d.req.FromUser)
	if shown == "" || shown == number.DID {
		d.From = string(number.DID) // known to us; shown only if not private
		return
	}
	if own := d.t.numbers[shown]; own != nil && own.Tenant == tenant.ID {
		return
	}
	for _, user := range d.req.Diverters {
		if n := d.t.numbers[caller(user)]; n != nil && n.Tenant == tenant.ID {
			d.say("caller", "From keeps the original caller: "+string(n.DID)+" forwarded the call")
			return
		}
	}
	d.From = string(number.DID)
	d.say("caller", "the number in From is not the tenant's: "+d.From+" is shown instead")
}

// emergency routes a short code that must get through: before any check of
// tenant, caller or plan, over every carrier there is, those that seem down at
// the end. Who calls is found out if possible and never asked for.
func (d *decision) emergency(code string) {
	d.Emergency, d.To = true, code
	identity := caller(d.req.PAIUser)
	number := d.t.numbers[identity]
	if number == nil {
		number = d.t.numbers[caller(d.req.FromUser)]
	}
	if number != nil {
		d.owned(number)
		identity = number.DID
	}
	d.from(identity)
	d.Private = false // the answering point must see and call back the number
	if d.From == anonymous && identity != "" {
		d.From = string(identity)
	}
	who := "a caller who can't be identified"
	if d.DID != "" {
		who = string(d.DID)
	}
	d.say("emergency", code+" from "+who+": no other rule applies")

	list := choices(d.t.carrierOrder(d.req.Seed), d.health)
	d.Attempts = attempts(list, code, d.From, rankFirst, rankLast, rankDown)
	if len(d.Attempts) == 0 {
		d.reject("carriers", 503, tandem.CauseNoCircuit, "no carrier is enabled")
		return
	}
	for i := range d.Attempts {
		d.Attempts[i].NextOn = d.t.emergencyNextOn
	}
	d.say("carrier order", "by priority, then by weight, those that seem down last; the next on any failure but busy: "+networks(d.Attempts))
}

// emergencyNextOn lets the next carrier try after every failure that is not the
// answering point's own: any refusal but busy, decline and cancel.
func emergencyNextOn() tandem.OutcomeSet {
	return tandem.OutcomeSet{
		Statuses: []tandem.SIPStatus{400, 401, 402, 403, 404, 405, 406, 407, 408, 410, 413, 414, 415, 416, 420, 421, 422, 423, 480, 481, 482, 483, 484, 485,
			488, 491, 493, 500, 501, 502, 503, 504, 505, 513, 580, 604, 606},
		Kinds: []tandem.OutcomeKind{tandem.OutcomeSilence, tandem.OutcomeConnection, tandem.OutcomeNoAnswer, tandem.OutcomeMedia},
	}
}

// networks names the networks of attempts, each once in a row.
func networks(list []tandem.Attempt) string {
	var b []byte
	for i := range list {
		if i > 0 && list[i].Trunk == list[i-1].Trunk {
			continue
		}
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, list[i].Network...)
	}
	return string(b)
}
