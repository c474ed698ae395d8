package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"tandem"
	"tandem/provisioning"
)

const applyPath = "/api/v1/apply"

// FilePart is the prefix of the names of multipart parts that carry a deck's
// file: "file:" and the path as the document writes it.
const FilePart = "file:"

type applyInput struct {
	DryRun      bool   `query:"dry_run" doc:"Only report the difference."`
	Name        string `query:"name" maxLength:"200" doc:"Name of the document in error messages."`
	ContentType string `header:"Content-Type"`
	RawBody     []byte `contentType:"application/yaml"`
}

type applyOutput struct {
	Body struct {
		DryRun  bool                `json:"dry_run"`
		Version uint64              `json:"version" doc:"of the directory afterwards"`
		Lines   []provisioning.Line `json:"lines" doc:"the difference; empty when nothing changes"`
	}
}

func (a *API) registerApply() {
	huma.Register(a.huma, huma.Operation{
		OperationID: "apply", Method: http.MethodPost, Path: applyPath, Tags: []string{"provisioning"},
		Summary: "Bring trunks, carriers, decks, accounts, tenants, addresses and numbers to what a document says",
		Description: "The body is the YAML document (docs/formats/apply.md), or multipart/form-data with the part `document` and, for each deck file it names, a part `file:` + path. " +
			"A section in the document is complete: what it leaves out is removed. Applying a document twice changes nothing the second time.",
		MaxBodyBytes: maxApplyBody, BodyReadTimeout: time.Minute, Security: []map[string][]string{{"token": {}}}, Errors: []int{401, 403, 409, 413, 422},
	}, func(ctx context.Context, in *applyInput) (*applyOutput, error) {
		name, text, src, err := readApply(in)
		if err != nil {
			return nil, problemOf(err)
		}
		change, err := a.svc.Apply(ctx, name, text, src, in.DryRun)
		if err != nil {
			return nil, problemOf(err)
		}
		out := &applyOutput{}
		out.Body.DryRun, out.Body.Version, out.Body.Lines = in.DryRun, change.Next.Version, change.Lines
		if out.Body.Lines == nil {
			out.Body.Lines = []provisioning.Line{}
		}
		return out, nil
	})
}

// readApply takes the document and its files out of the body. Files come from
// the request only: a document never makes the node open one.
func readApply(in *applyInput) (name string, text []byte, src provisioning.Source, err error) {
	name = tandem.Clip(in.Name, 200)
	if name == "" {
		name = "document"
	}
	kind, params, err := mime.ParseMediaType(in.ContentType)
	if err != nil || kind != "multipart/form-data" {
		return name, in.RawBody, src, nil
	}
	broken := func(err error) error {
		return &tandem.Error{Kind: tandem.KindInvalid, Message: "the multipart body is not readable", Mend: "send the part document and one part file:PATH per deck file", Err: err}
	}
	files := map[string][]byte{}
	found := false
	r := multipart.NewReader(bytes.NewReader(in.RawBody), params["boundary"])
	for {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return name, nil, src, broken(err)
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return name, nil, src, broken(err)
		}
		if part.FormName() == "document" {
			text, found = content, true
			continue
		}
		files[part.FormName()] = content
	}
	if !found {
		return name, nil, src, broken(fmt.Errorf("no part document"))
	}
	src.Open = func(path string) (io.ReadCloser, error) {
		if content, ok := files[FilePart+path]; ok {
			return io.NopCloser(bytes.NewReader(content)), nil
		}
		return nil, fs.ErrNotExist
	}
	return name, text, src, nil
}
