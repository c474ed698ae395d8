package api

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"tandem"
	"tandem/provisioning"
)

type reportInput struct {
	Account    string `query:"account" maxLength:"63" doc:"Only of this account."`
	From       string `query:"from" doc:"First day or instant (by INVITE time, UTC)."`
	To         string `query:"to" doc:"Last day, or the first instant that no longer counts."`
	Number     string `query:"number" doc:"4 to 15 digits contained in the calling or called number."`
	Technology string `query:"technology" doc:"Operator Connect or Phone."`
	Limit      string `query:"limit" doc:"Rows to return: 100 unless told, 10000 for CSV and at most."`
	Offset     string `query:"offset" doc:"Rows to skip."`
	Format     string `query:"format" enum:"json,csv," doc:"csv answers text/csv, as Accept: text/csv does."`
	Accept     string `header:"Accept"`
}

func (in *reportInput) get(key string) string {
	switch key {
	case "account":
		return in.Account
	case "from":
		return in.From
	case "to":
		return in.To
	case "number":
		return in.Number
	case "technology":
		return in.Technology
	case "limit":
		return in.Limit
	case "offset":
		return in.Offset
	}
	return ""
}

func (in *reportInput) csv() bool {
	return in.Format == "csv" || (in.Format == "" && strings.Contains(in.Accept, "text/csv"))
}

// ReportPage is the JSON answer of report and log.
type ReportPage struct {
	Items []tandem.CDR `json:"items"`
	Next  *int         `json:"next_offset,omitempty" doc:"offset of the next page; absent on the last"`
}

type callInput struct {
	ID string `path:"correlation_id" doc:"as reports show it"`
}

type callOutput struct{ Body provisioning.CallView }

func (a *API) registerReports() {
	a.registerReport("report", "/api/v1/report", true, "Detailed report: connected legs, two per call, with duration and charge")
	a.registerReport("log", "/api/v1/log", false, "Log: every leg and attempt, with network, causes and who hung up")
	huma.Register(a.huma, huma.Operation{OperationID: "call", Method: http.MethodGet, Path: "/api/v1/calls/{correlation_id}", Tags: []string{"records"},
		Summary: "One call: its legs and attempts, why it went there, why it costs that", Errors: []int{401, 404, 422, 503}},
		func(ctx context.Context, in *callInput) (*callOutput, error) {
			view, err := a.svc.Call(ctx, in.ID)
			if err != nil {
				return nil, problemOf(err)
			}
			return &callOutput{view}, nil
		})
}

func (a *API) registerReport(id, path string, connected bool, summary string) {
	registry := a.huma.OpenAPI().Components.Schemas
	op := huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Tags: []string{"records"}, Summary: summary,
		Description: "CSV columns: " + strings.Join(csvColumns(), ", ") + ". Text that a spreadsheet would run as a formula gets a leading apostrophe.",
		Errors:      []int{401, 422, 503},
		Responses: map[string]*huma.Response{"200": {Description: "The rows, newest first.", Content: map[string]*huma.MediaType{
			"application/json": {Schema: registry.Schema(reflect.TypeFor[ReportPage](), true, "ReportPage")},
			"text/csv":         {Schema: &huma.Schema{Type: "string"}},
		}}}}
	huma.Register(a.huma, op, func(ctx context.Context, in *reportInput) (*huma.StreamResponse, error) {
		f, err := provisioning.ParseFilter(in.get)
		if err != nil {
			return nil, problemOf(err)
		}
		f.Connected = connected
		if f.Limit == 0 {
			f.Limit = provisioning.DefaultRows
			if in.csv() {
				f.Limit = provisioning.MaxRows
			}
		}
		limit := f.Limit
		f.Limit++ // one more tells whether there is another page
		rows, err := a.svc.CDRs(ctx, f)
		if err != nil {
			return nil, problemOf(err)
		}
		more := len(rows) > limit
		rows = rows[:min(len(rows), limit)]
		return &huma.StreamResponse{Body: func(c huma.Context) {
			c.SetHeader("Vary", "Accept")
			if more {
				c.SetHeader("Tandem-Next-Offset", strconv.Itoa(f.Offset+limit))
			}
			if in.csv() {
				c.SetHeader("Content-Type", "text/csv; charset=utf-8; header=present")
				c.SetHeader("Content-Disposition", `attachment; filename="tandem-`+id+`.csv"`)
				_ = WriteCSV(c.BodyWriter(), rows) // the peer may be gone
				return
			}
			answer := ReportPage{Items: append([]tandem.CDR{}, rows...)}
			if more {
				next := f.Offset + limit
				answer.Next = &next
			}
			c.SetHeader("Content-Type", "application/json")
			_ = json.NewEncoder(c.BodyWriter()).Encode(answer) // the peer may be gone
		}}, nil
	})
}
