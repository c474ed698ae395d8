package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tandem"
	"tandem/provisioning"
)

type statementInput struct {
	Account string `path:"account" maxLength:"63" doc:"name of the account"`
	From    string `query:"from" maxLength:"40" doc:"Date or instant (RFC 3339) of the first posting; absent: the first of the month (UTC)."`
	To      string `query:"to" maxLength:"40" doc:"Exclusive instant, or a date, which is included; absent: now."`
	Limit   int    `query:"limit" default:"100" minimum:"1" maximum:"10000"`
	Offset  int    `query:"offset" default:"0" minimum:"0" maximum:"100000000"`
}

type statementOutput struct{ Body provisioning.Statement }

// NewPosting is a posting to be made.
type NewPosting struct {
	ID     string        `json:"id,omitempty" format:"uuid" doc:"Idempotence key: the same posting again under it changes nothing. Absent: a new one."`
	Amount tandem.Amount `json:"amount" doc:"In the account's currency; positive adds to the balance."`
	At     time.Time     `json:"at,omitzero" doc:"When it counts; absent: now."`
	DID    string        `json:"did,omitempty" maxLength:"20" doc:"The number that it is about."`
	Leg    string        `json:"leg,omitempty" format:"uuid" doc:"The leg (row id) that it is about."`
	Note   string        `json:"note,omitempty" maxLength:"500" doc:"For the statement: invoice, payment, reason."`
}

type postingInput struct {
	Account string `path:"account" maxLength:"63" doc:"name of the account"`
	Kind    string `path:"kind" enum:"topup,refund,correction,fee" doc:"topup and refund add, fee takes, correction does either."`
	Body    NewPosting
}

type postingOutput struct{ Body provisioning.Posted }

func (a *API) registerLedger() {
	huma.Register(a.huma, huma.Operation{OperationID: "get-statement", Method: http.MethodGet, Path: "/api/v1/accounts/{account}/statement", Tags: []string{"ledger"},
		Summary: "An account's postings of a period, with the balance before and after", Errors: []int{401, 404, 422, 503}},
		func(ctx context.Context, in *statementInput) (*statementOutput, error) {
			f, err := provisioning.ParseFilter(func(key string) string { return map[string]string{"from": in.From, "to": in.To}[key] })
			if err != nil {
				return nil, problemOf(err)
			}
			out, err := a.svc.Statement(ctx, provisioning.StatementQuery{Account: in.Account, From: f.From, To: f.To, Limit: in.Limit, Offset: in.Offset})
			if err != nil {
				return nil, problemOf(err)
			}
			return &statementOutput{out}, nil
		})
	huma.Register(a.huma, huma.Operation{OperationID: "create-posting", Method: http.MethodPost, Path: "/api/v1/accounts/{account}/postings/{kind}", Tags: []string{"ledger"},
		Summary: "Top up, refund, correct or charge a fee: one posting, never edited", Security: []map[string][]string{{"token": {}}}, Errors: []int{401, 404, 409, 422, 503}},
		func(ctx context.Context, in *postingInput) (*postingOutput, error) {
			p, err := in.posting()
			if err != nil {
				return nil, problemOf(err)
			}
			out, err := a.svc.Post(ctx, p)
			if err != nil {
				return nil, problemOf(err)
			}
			return &postingOutput{out}, nil
		})
}

func (in *postingInput) posting() (p tandem.Posting, err error) {
	p = tandem.Posting{At: in.Body.At, Account: in.Account, Kind: tandem.PostingKind(in.Kind), Amount: in.Body.Amount, Note: in.Body.Note}
	for field, id := range map[string]*uuid.UUID{"id": &p.ID, "leg": &p.Leg} {
		text := in.Body.ID
		if field == "leg" {
			text = in.Body.Leg
		}
		if text == "" {
			continue
		}
		if *id, err = uuid.Parse(text); err != nil {
			return p, &tandem.Error{Kind: tandem.KindInvalid, Field: field, Message: tandem.Clip(text, 40) + " is no UUID", Mend: "write it as in 3fa85f64-5717-4562-b3fc-2c963f66afa6"}
		}
	}
	if in.Body.DID != "" {
		p.DID, err = tandem.ParseE164(in.Body.DID)
	}
	return p, err
}
