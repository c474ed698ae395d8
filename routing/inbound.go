package routing

import (
	"strconv"
	"time"

	"tandem"
)

// inbound routes PSTN -> DID -> Teams, with the failsafe number behind it.
func (d *decision) inbound() {
	if d.source.Disabled {
		d.reject("source", 503, tandem.CauseNetworkOutOfOrder, "the trunk is disabled")
		return
	}
	called := normalise(d.req.RequestUser)
	d.from(caller(d.req.PAIUser))
	if d.Private {
		d.From = anonymous // also on record: the called party reads the records
	}
	if called.number == "" {
		d.reject("number", called.status, called.cause, called.refused)
		return
	}
	d.To = called.number
	number := d.t.numbers[tandem.E164(called.number)]
	if number == nil {
		d.reject("did", 404, tandem.CauseUnallocated, "the number called is not a DID of this node")
		return
	}
	d.owned(number)
	d.say("did", d.To+" belongs to account "+number.Account+", "+string(number.UserType)+", "+string(number.Plan))

	list := choices(d.t.teams, d.health)
	loop := d.planFailsafe(number)
	d.Attempts = attempts(list, d.To, d.shownFrom(), rankFirst, rankLast)
	d.Skipped = skipped(list, d.now)
	switch {
	case len(d.Attempts) > 0:
		d.say("teams", strconv.Itoa(len(d.Attempts))+" of "+strconv.Itoa(len(list))+" Microsoft endpoints are tried in order, first "+endpointName(d.Attempts[0].Endpoint))
		if len(d.Skipped) > 0 {
			d.say("health", strconv.Itoa(len(d.Skipped))+" Microsoft endpoints are known to be down and skipped")
		}
	case len(d.Failsafe) > 0:
		d.say("health", "no Microsoft endpoint can be reached: the failsafe number is called at once")
	case loop:
		// Trying a dead trunk would only keep the circle of forwards turning.
		d.reject("loop", 482, causeRoutingError, "the call has come back to its own number")
		return
	case len(list) > 0:
		d.Attempts, d.Skipped = attempts(list, d.To, d.shownFrom(), rankDown), nil
		d.say("health", "all Microsoft endpoints are known to be down, and nothing else can be called: they are tried as a last resort")
	default:
		d.reject("teams", 480, tandem.CauseNetworkOutOfOrder, "no Microsoft trunk is enabled")
		return
	}
	d.towardsTenant()
	if len(d.Attempts) > 0 {
		d.RingingBound = d.t.cfg.RingingBound
	}
	if len(d.Failsafe) > 0 {
		d.FailsafeOn = d.t.cfg.FailsafeOn
		if len(d.Attempts) > 0 {
			d.SilenceBound, d.TryingBound = d.t.cfg.FailsafeBound, d.t.cfg.TryingBound
			bound(d.Attempts, d.SilenceBound)
			d.say("failsafe", "if Microsoft can't be reached, "+string(d.FailsafeNumber)+" is called over "+d.Failsafe[0].Network+"; silence counts after "+d.SilenceBound.String()+" at the latest, 100 Trying alone after "+d.TryingBound.String())
		}
	}
}

// causeRoutingError is Q.850 cause 25, exchange routing error: what 482 means to a switch.
const causeRoutingError tandem.Cause = 25

// towardsTenant gives the attempts the tenant's own name: it alone tells
// Microsoft which tenant is called (microsoft-teams-trunk.md 3.1).
func (d *decision) towardsTenant() {
	tenant := d.t.tenants[d.Tenant]
	if tenant.FQDN == "" || len(d.Attempts) == 0 {
		return
	}
	for i := range d.Attempts {
		d.Attempts[i].LocalHost = tenant.FQDN
	}
	d.say("tenant", "Microsoft finds the tenant by our name "+tenant.FQDN)
}

// bound shortens response timeouts so that all endpoints together can be silent
// for no longer than the limit. The first gets half of it and the others equal
// shares of the rest: an answer of the first that is only late, because a packet
// was lost, then seldom finds the second ringing already. An endpoint that needs
// less leaves the rest to those after it.
func bound(list []tandem.Attempt, limit time.Duration) {
	left := limit
	for i := range list {
		share := left / time.Duration(len(list)-i)
		if i == 0 && len(list) > 1 {
			share = left / 2
		}
		list[i].ResponseTimeout = min(list[i].ResponseTimeout, share.Truncate(time.Millisecond))
		left -= list[i].ResponseTimeout
	}
}

func endpointName(e tandem.Endpoint) string { return e.Host + ":" + strconv.Itoa(int(e.Port)) }
