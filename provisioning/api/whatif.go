package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"tandem/provisioning"
)

type whatIfInput struct{ Body provisioning.WhatIf }

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
}
