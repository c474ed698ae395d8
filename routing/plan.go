package routing

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tandem"
)

// decision is one Plan in the making.
type decision struct {
	tandem.Plan
	t      *Table
	req    *tandem.RouteRequest
	source *trunk
	health tandem.Health
	now    time.Time
}

// Plan decides where a call goes: who pays, which endpoints to try in which
// order, what comes after them, and why. It is pure: the same arguments give the
// same plan. The request's texts are hostile; nothing of them reaches a
// Rejection's reason, and the trace clips them.
func (t *Table) Plan(req *tandem.RouteRequest, health tandem.Health, now time.Time) tandem.Plan {
	d := decision{t: t, req: req, health: health, now: now, source: t.trunks[req.Trunk]}
	d.Trace = make([]tandem.TraceStep, 0, 8)
	switch {
	case d.source == nil:
		d.reject("source", 403, tandem.CauseRejected, "the request comes from no trunk of the directory")
	case d.source.Kind == tandem.TrunkTeams:
		d.Direction = tandem.Outbound
		d.outbound()
	default:
		d.Direction = tandem.Inbound
		d.inbound()
	}
	return d.Plan
}

// say adds a step to the trace.
func (d *decision) say(rule, detail string) {
	d.Trace = append(d.Trace, tandem.TraceStep{Rule: rule, Detail: detail})
}

// reject ends the decision: nothing is tried.
func (d *decision) reject(rule string, status tandem.SIPStatus, cause tandem.Cause, reason string) {
	d.Attempts, d.Failsafe, d.Skipped = nil, nil, nil
	d.Reject = &tandem.Rejection{Status: status, Reason: reason, Cause: cause}
	d.say(rule, "refused: "+reason)
}

// from fills in who calls, as it is shown onward; identity is the number that
// the network vouches for, "" when there is none.
func (d *decision) from(identity tandem.E164) {
	d.Private = d.req.Privacy || withheld(d.req.FromUser)
	d.FromName = displayName(d.req.FromName)
	switch shown := caller(d.req.FromUser); {
	case shown != "":
		d.From = string(shown)
	case identity != "":
		d.From = string(identity)
	default:
		d.From, d.Private = anonymous, true
	}
	if d.Private {
		d.FromName = ""
	}
}

// shownFrom is the user part of the From header onward.
func (d *decision) shownFrom() string {
	if d.Private {
		return anonymous
	}
	return d.From
}

// owned fills in whose number the call is about.
func (d *decision) owned(n *tandem.Number) {
	d.DID, d.Account, d.Tenant, d.UserType, d.PlanKind = n.DID, n.Account, n.Tenant, n.UserType, n.Plan
}

// withheld reports whether a From user part says that the caller wants no number shown.
func withheld(user string) bool {
	switch strings.ToLower(user) {
	case "", anonymous, "restricted", "private", "unavailable", "unknown":
		return true
	}
	return false
}

// maxDisplayName in bytes; phones show some 30 characters.
const maxDisplayName = 80

// displayName makes a display name fit for a header of ours: valid UTF-8 on one
// line, no control or direction-changing characters. Quoting is the printer's.
func displayName(s string) string {
	if tidy(s) {
		return s
	}
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return -1
		}
		return r
	}, s)
	if len(s) > maxDisplayName {
		cut := maxDisplayName
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	return strings.TrimSpace(s)
}

func tidy(s string) bool {
	if len(s) > maxDisplayName {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s == "" || (s[0] != ' ' && s[len(s)-1] != ' ')
}
