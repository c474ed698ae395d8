package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"tandem"
	"tandem/provisioning"
)

type minutesInput struct {
	Account string `query:"account" maxLength:"63" doc:"Only of this account."`
	Limit   int    `query:"limit" default:"1000" minimum:"1" maximum:"10000"`
	Offset  int    `query:"offset" default:"0" minimum:"0" maximum:"100000000"`
	DID     string `query:"did" maxLength:"20" doc:"Only of this number."`
	At      string `query:"at" maxLength:"40" doc:"Date or instant (RFC 3339) in the cycle asked for; absent: now."`
}

type spendInput struct {
	Account string `path:"account" maxLength:"63" doc:"name of the account"`
	From    string `query:"from" maxLength:"10" doc:"First date, in the account's zone; absent: the first of the month."`
	To      string `query:"to" maxLength:"10" doc:"Last date; absent: today."`
}

type spendOutput struct{ Body provisioning.Spend }

type eventsInput struct {
	Account string `query:"account" maxLength:"63" doc:"Only of this account."`
	Limit   int    `query:"limit" default:"1000" minimum:"1" maximum:"10000"`
	Offset  int    `query:"offset" default:"0" minimum:"0" maximum:"100000000"`
	DID     string `query:"did" maxLength:"20" doc:"Only of this number."`
	From    string `query:"from" maxLength:"40" doc:"Date or instant of the first event."`
	To      string `query:"to" maxLength:"40" doc:"Exclusive instant, or a date, which is included."`
}

func (a *API) registerUsage() {
	list503 := func(id, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Tags: []string{"usage"}, Summary: summary, Errors: []int{401, 404, 422, 503}}
	}
	huma.Register(a.huma, list503("list-minutes", "/api/v1/usage/minutes", "Free minutes of each number in a cycle: drawn, left, forecast"),
		func(ctx context.Context, in *minutesInput) (*list[provisioning.NumberUsage], error) {
			q := provisioning.UsageQuery{Account: in.Account}
			var err error
			if q.DID, err = optionalDID(in.DID); err != nil {
				return nil, problemOf(err)
			}
			f, err := provisioning.ParseFilter(func(key string) string { return map[string]string{"from": in.At}[key] })
			if err != nil {
				return nil, problemOf(err)
			}
			q.At = f.From
			all, err := a.svc.Minutes(ctx, q)
			if err != nil {
				return nil, problemOf(err)
			}
			return page(all, in.Limit, in.Offset), nil
		})
	huma.Register(a.huma, list503("get-spend", "/api/v1/accounts/{account}/spend", "What an account spent, day by day in its zone"),
		func(ctx context.Context, in *spendInput) (*spendOutput, error) {
			out, err := a.svc.Spend(ctx, in.Account, in.From, in.To)
			if err != nil {
				return nil, problemOf(err)
			}
			return &spendOutput{out}, nil
		})
	huma.Register(a.huma, list503("list-usage-events", "/api/v1/usage/events", "Minutes at 80 and 100 percent, balances below low_balance: each once in a cycle, the newest first"),
		func(ctx context.Context, in *eventsInput) (*list[tandem.UsageEvent], error) {
			f, err := provisioning.ParseFilter(func(key string) string { return map[string]string{"from": in.From, "to": in.To}[key] })
			if err != nil {
				return nil, problemOf(err)
			}
			did, err := optionalDID(in.DID)
			if err != nil {
				return nil, problemOf(err)
			}
			events, total, err := a.svc.UsageEvents(ctx, provisioning.EventQuery{Account: in.Account, DID: did, From: f.From, To: f.To, Limit: in.Limit, Offset: in.Offset})
			if err != nil {
				return nil, problemOf(err)
			}
			out := &list[tandem.UsageEvent]{}
			out.Body.Items, out.Body.Total = append([]tandem.UsageEvent{}, events...), total
			return out, nil
		})
}

func optionalDID(s string) (tandem.E164, error) {
	if s == "" {
		return "", nil
	}
	did, err := tandem.ParseE164(s)
	if err != nil {
		return "", &tandem.Error{Kind: tandem.KindInvalid, Field: "did", Message: tandem.Clip(s, 20) + " is not a number", Mend: "write it as in +14255550100", Err: err}
	}
	return did, nil
}
