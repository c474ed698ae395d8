package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"tandem"
	"tandem/provisioning"
)

// RouteQuestion is an imagined INVITE, in the words of tandem.RouteRequest.
type RouteQuestion struct {
	Trunk       tandem.TrunkID `json:"trunk" doc:"trunk that the INVITE comes from"`
	RequestUser string         `json:"request_user" doc:"user part of the Request-URI, as in +14255550100"`
	RequestHost string         `json:"request_host,omitempty"`
	FromUser    string         `json:"from_user,omitempty"`
	FromName    string         `json:"from_name,omitempty"`
	PAIUser     string         `json:"pai_user,omitempty"`
	Privacy     bool           `json:"privacy,omitempty"`
	TenantHint  string         `json:"tenant,omitempty" doc:"X-MS-TenantID of the INVITE"`
	ContactHost string         `json:"contact_host,omitempty"`
	Forwarded   bool           `json:"forwarded,omitempty"`
	Seed        uint64         `json:"seed,omitempty" doc:"of the weighted choice among carriers"`
}

// RouteAnswer is a routing plan for people and programs.
type RouteAnswer struct {
	Direction      tandem.Direction   `json:"direction"`
	Account        string             `json:"account"`
	Tenant         string             `json:"tenant_id"`
	DID            tandem.E164        `json:"did"`
	From           string             `json:"from"`
	To             string             `json:"to"`
	Emergency      bool               `json:"emergency"`
	Attempts       []RouteAttempt     `json:"attempts"`
	Failsafe       []RouteAttempt     `json:"failsafe" doc:"tried when Microsoft can't be reached"`
	FailsafeOn     []string           `json:"failsafe_on" doc:"outcomes that start the failsafe"`
	FailsafeNumber tandem.E164        `json:"failsafe_number"`
	SilenceBound   string             `json:"silence_bound" doc:"of Microsoft until the failsafe starts"`
	TryingBound    string             `json:"trying_bound" doc:"of Microsoft saying 100 Trying and nothing else until the failsafe starts"`
	RingingBound   string             `json:"ringing_bound" doc:"from the silent death of a Microsoft address to the end of what rings there"`
	Skipped        []string           `json:"skipped" doc:"endpoints not tried, and why"`
	Rejected       string             `json:"rejected" doc:"status and reason; empty when the call is routed"`
	Trace          []tandem.TraceStep `json:"trace"`
}

// RouteAttempt is one INVITE of the plan.
type RouteAttempt struct {
	Trunk           tandem.TrunkID    `json:"trunk"`
	Endpoint        string            `json:"endpoint"`
	Technology      tandem.Technology `json:"technology"`
	Network         string            `json:"network"`
	From            string            `json:"from"`
	To              string            `json:"to"`
	ResponseTimeout string            `json:"response_timeout"`
	AnswerTimeout   string            `json:"answer_timeout"`
	NextOn          []string          `json:"next_on"`
}

type routeInput struct{ Body RouteQuestion }
type routeOutput struct{ Body RouteAnswer }
type rateInput struct{ Body provisioning.RateQuestion }
type rateOutput struct{ Body provisioning.RateAnswer }

func (a *API) registerExplain() {
	huma.Register(a.huma, huma.Operation{OperationID: "explain-route", Method: http.MethodPost, Path: "/api/v1/route/explain", Tags: []string{"explain"},
		Summary: "Where a call would go and why; nothing is called", Errors: []int{401, 422, 503}},
		func(ctx context.Context, in *routeInput) (*routeOutput, error) {
			q := in.Body
			plan, err := a.svc.RouteExplain(tandem.RouteRequest{Trunk: q.Trunk, RequestUser: q.RequestUser, RequestHost: q.RequestHost, FromUser: q.FromUser,
				FromName: q.FromName, PAIUser: q.PAIUser, Privacy: q.Privacy, TenantHint: q.TenantHint, ContactHost: q.ContactHost, Forwarded: q.Forwarded, Seed: q.Seed})
			if err != nil {
				return nil, problemOf(err)
			}
			return &routeOutput{routeAnswer(plan)}, nil
		})
	huma.Register(a.huma, huma.Operation{OperationID: "explain-rate", Method: http.MethodPost, Path: "/api/v1/rate/explain", Tags: []string{"explain"},
		Summary: "What a call would cost and why; nothing is booked", Errors: []int{401, 422, 503}},
		func(ctx context.Context, in *rateInput) (*rateOutput, error) {
			answer, err := a.svc.RateExplain(ctx, in.Body)
			if err != nil {
				return nil, problemOf(err)
			}
			if answer.Sentences == nil {
				answer.Sentences = []string{}
			}
			return &rateOutput{answer}, nil
		})
}

func routeAnswer(p tandem.Plan) RouteAnswer {
	out := RouteAnswer{Direction: p.Direction, Account: p.Account, Tenant: p.Tenant.String(), DID: p.DID, From: p.From, To: p.To, Emergency: p.Emergency,
		Attempts: routeAttempts(p.Attempts), Failsafe: routeAttempts(p.Failsafe), FailsafeOn: append([]string{}, p.FailsafeOn.Words()...), FailsafeNumber: p.FailsafeNumber,
		SilenceBound: p.SilenceBound.Round(time.Millisecond).String(), TryingBound: p.TryingBound.Round(time.Millisecond).String(), RingingBound: p.RingingBound.Round(time.Millisecond).String(), Skipped: []string{}, Trace: append([]tandem.TraceStep{}, p.Trace...)}
	for _, s := range p.Skipped {
		out.Skipped = append(out.Skipped, fmt.Sprintf("%s %s:%d: %s", s.Trunk, s.Endpoint.Host, s.Endpoint.Port, s.Reason))
	}
	if p.Reject != nil {
		out.Rejected = fmt.Sprintf("%d %s", p.Reject.Status, p.Reject.Reason)
	}
	return out
}

func routeAttempts(list []tandem.Attempt) []RouteAttempt {
	out := []RouteAttempt{}
	for _, t := range list {
		out = append(out, RouteAttempt{t.Trunk, fmt.Sprintf("%s:%d", t.Endpoint.Host, t.Endpoint.Port), t.Technology, t.Network, t.From, t.To,
			t.ResponseTimeout.String(), t.AnswerTimeout.String(), append([]string{}, t.NextOn.Words()...)})
	}
	return out
}
