package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"tandem/provisioning"
)

type whatIfInput struct{ Body provisioning.WhatIf }

type rerateInput struct{ Body provisioning.Rerate }

type reratedOutput struct{ Body provisioning.Rerated }

type differencesOutput struct{ Body provisioning.Differences }

func (a *API) registerWhatIf() {
	huma.Register(a.huma, huma.Operation{OperationID: "what-if", Method: http.MethodPost, Path: "/api/v1/rate/whatif", Tags: []string{"explain"},
		Summary: "What the calls of a period would have cost by other decks or plans; nothing is touched", Security: []map[string][]string{{"token": {}}}, Errors: []int{401, 404, 422, 503}},
		func(ctx context.Context, in *whatIfInput) (*differencesOutput, error) {
			out, err := a.svc.WhatIf(ctx, in.Body)
			if err != nil {
				return nil, problemOf(err)
			}
			return &differencesOutput{out}, nil
		})
	huma.Register(a.huma, huma.Operation{OperationID: "rerate", Method: http.MethodPost, Path: "/api/v1/rate/again", Tags: []string{"ledger"},
		Summary:     "Rate the calls of a period again by the decks in force",
		Description: "Without apply only the difference is told. With it corrections are posted and new versions of the rows stored; nothing is overwritten, and the same again changes nothing.",
		Security:    []map[string][]string{{"token": {}}}, Errors: []int{401, 409, 422, 503}},
		func(ctx context.Context, in *rerateInput) (*reratedOutput, error) {
			out, err := a.svc.Rerate(ctx, in.Body)
			if err != nil {
				return nil, problemOf(err)
			}
			return &reratedOutput{out}, nil
		})
}
