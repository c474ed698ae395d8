package main

import (
	"fmt"

	"tandem"
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
