package main

import (
	"fmt"
	"time"

	"tandem"
	"tandem/provisioning"
	"tandem/provisioning/api"
)

// RouteCmd groups the questions to routing.
type RouteCmd struct {
	Explain RouteExplainCmd `cmd:"" help:"Where would this call go, and why? Nothing is dialled."`
}

// RouteExplainCmd is `tandem route explain`.
type RouteExplainCmd struct {
	APIFlag
	Trunk   string `required:"" help:"Trunk that the INVITE comes from: a carrier's for inbound, Microsoft's for outbound calls."`
	To      string `required:"" help:"Called number, as in the Request-URI."`
	From    string `help:"Calling number, as in From."`
	PAI     string `name:"pai" help:"Number in P-Asserted-Identity."`
	Host    string `help:"Host of the Request-URI: on Direct Routing the tenant's FQDN."`
	Tenant  string `help:"X-MS-TenantID, on Operator Connect."`
	Privacy bool   `help:"The caller withholds the number."`
}

// Run asks and prints the plan with its trace.
func (c RouteExplainCmd) Run(env *environment) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	question := api.RouteQuestion{RequestUser: c.To, RequestHost: c.Host, FromUser: c.From, PAIUser: c.PAI, Privacy: c.Privacy, TenantHint: c.Tenant}
	question.Trunk = tandem.TrunkID(c.Trunk)
	var plan api.RouteAnswer
	if err := node.Post(env.ctx, "/api/v1/route/explain", question, &plan); err != nil {
		return err
	}
	printPlan(env, plan)
	return nil
}

func printPlan(env *environment, plan api.RouteAnswer) {
	w := env.stdout
	if plan.Rejected != "" {
		fmt.Fprintf(w, "Rejected: %s\n", plan.Rejected)
	} else {
		fmt.Fprintf(w, "%s call of %s: %s -> %s\n", plan.Direction, plan.Account, plan.From, plan.To)
	}
	for i, a := range plan.Attempts {
		fmt.Fprintf(w, "%d. %s %s: %s, response within %s, answer within %s\n", i+1, a.Network, a.Endpoint, a.To, a.ResponseTimeout, a.AnswerTimeout)
	}
	for _, s := range plan.Skipped {
		fmt.Fprintf(w, "   skipped: %s\n", s)
	}
	for _, a := range plan.Failsafe {
		fmt.Fprintf(w, "failsafe: %s %s: %s\n", a.Network, a.Endpoint, a.To)
	}
	fmt.Fprintln(w, "Why:")
	printTrace(w, plan.Trace)
}

// RateCmd groups the questions to rating.
type RateCmd struct {
	Explain RateExplainCmd `cmd:"" help:"What would this call cost, or what did it cost, and why? Nothing is charged."`
}

// RateExplainCmd is `tandem rate explain`.
type RateExplainCmd struct {
	APIFlag
	Call     string        `arg:"" optional:"" help:"Correlation ID of a call that was rated."`
	From     string        `help:"Calling number."`
	To       string        `help:"Called number."`
	Duration time.Duration `help:"Time from answer to release, as in 95s or 1h2m."`
	At       string        `help:"Answer instant, RFC 3339 UTC; without it now."`
}

// Run prints the charge and its reasons.
func (c RateExplainCmd) Run(env *environment) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	if c.Call != "" {
		return CDRCmd{APIFlag: c.APIFlag, Call: c.Call}.Run(env)
	}
	if c.From == "" || c.To == "" {
		return &tandem.Error{Kind: tandem.KindInvalid, Message: "there is nothing to price", Mend: "give --from, --to and --duration, one of the numbers a DID of ours, or the Correlation ID of a call"}
	}
	question := provisioning.RateQuestion{From: c.From, To: c.To, DurationS: int64((c.Duration + time.Second - 1) / time.Second)}
	if c.At != "" {
		if question.At, err = provisioning.ParseMoment(c.At); err != nil {
			return err
		}
	}
	var answer provisioning.RateAnswer
	if err := node.Post(env.ctx, "/api/v1/rate/explain", question, &answer); err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "%s %s\n", answer.Charge.Amount, answer.Charge.Currency)
	for _, s := range answer.Sentences {
		fmt.Fprintln(env.stdout, "  "+s)
	}
	return nil
}
