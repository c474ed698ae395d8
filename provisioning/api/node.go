package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"tandem"
	"tandem/provisioning"
)

type statusOutput struct{ Body provisioning.Status }

type healthOutput struct {
	Body struct {
		Status string `json:"status" enum:"ok"`
	}
}

func (a *API) registerNode() {
	huma.Register(a.huma, listing("list-live-calls", "/api/v1/live", "node", "Calls in progress: state, age, next timer"),
		func(ctx context.Context, in *struct{}) (*list[tandem.LiveCall], error) {
			calls, err := a.svc.Live()
			if err != nil {
				return nil, problemOf(err)
			}
			return page(calls, len(calls), 0), nil
		})
	huma.Register(a.huma, huma.Operation{OperationID: "status", Method: http.MethodGet, Path: "/api/v1/status", Tags: []string{"node"},
		Summary: "Version, uptime and the state of journal, pipeline and engine", Errors: []int{401}},
		func(ctx context.Context, in *struct{}) (*statusOutput, error) {
			s, err := a.svc.Status(ctx)
			if err != nil {
				return nil, problemOf(err)
			}
			return &statusOutput{s}, nil
		})
	huma.Register(a.huma, huma.Operation{OperationID: "health", Method: http.MethodGet, Path: "/healthz", Tags: []string{"node"},
		Summary: "Whether the process answers; needs no token and tells nothing else"},
		func(ctx context.Context, in *struct{}) (*healthOutput, error) {
			out := &healthOutput{}
			out.Body.Status = "ok"
			return out, nil
		})
}
