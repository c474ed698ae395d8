package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"tandem"
	"tandem/provisioning"
)

// Problem is an error as it crosses the wire (RFC 9457), with extension
// members. It implements huma.StatusError.
type Problem struct {
	Title  string          `json:"title"`
	Status int             `json:"status"`
	Detail string          `json:"detail"`
	Kind   tandem.Kind     `json:"kind"`
	Field  string          `json:"field,omitempty"`
	Mend   string          `json:"mend,omitempty"`
	Errors []ProblemDetail `json:"errors,omitempty"`
}

// ProblemDetail is one of several mistakes.
type ProblemDetail struct {
	Message  string `json:"message"`
	Location string `json:"location,omitempty"` // field, or file:line:column
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
	Field    string `json:"field,omitempty"`
	Mend     string `json:"mend,omitempty"`
}

func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// maxDetails bounds the answer to a document with one mistake per row.
const maxDetails = 1000

// problemOf maps any error: what is not a *tandem.Error is internal and its
// text stays here.
func problemOf(err error) *Problem {
	kind := tandem.KindOf(err)
	p := &Problem{Kind: kind, Status: kind.HTTPStatus(), Title: http.StatusText(kind.HTTPStatus())}
	var many provisioning.Problems
	var one *tandem.Error
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return problemOf(tooLarge(tooBig.Limit))
	case errors.As(err, &many):
		p.Detail = fmt.Sprintf("the document has %d problems", len(many))
		if len(many) == 1 {
			p.Detail = "the document has a problem"
		}
		for i, each := range many {
			if i == maxDetails {
				break
			}
			d := ProblemDetail{Message: each.Err.Message, Mend: each.Err.Mend, Field: each.Err.Field, File: each.File, Line: each.Line, Column: each.Column, Location: each.File}
			if each.Line > 0 {
				d.Location = fmt.Sprintf("%s:%d:%d", each.File, each.Line, each.Column)
			}
			p.Errors = append(p.Errors, d)
		}
	case errors.As(err, &one) && kind != tandem.KindInternal:
		p.Detail, p.Field, p.Mend = one.Message, one.Field, one.Mend
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, each := range joined.Unwrap() {
				var e *tandem.Error
				if errors.As(each, &e) {
					p.Errors = append(p.Errors, ProblemDetail{Message: e.Message, Location: e.Field, Field: e.Field, Mend: e.Mend})
				}
			}
		}
	default:
		p.Detail, p.Mend = "the node could not do this", "look into its log"
	}
	return p
}

func tooLarge(limit int64) error {
	return &tandem.Error{Kind: tandem.KindTooLarge, Message: fmt.Sprintf("the request is larger than %d bytes", limit), Mend: "send less at once"}
}

func notFound(r *http.Request) error {
	return &tandem.Error{Kind: tandem.KindNotFound, Message: "there is no operation " + tandem.Clip(r.Method, 10) + " " + tandem.Clip(r.URL.Path, 100), Mend: "see /openapi.json for what there is"}
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the peer may be gone
}
