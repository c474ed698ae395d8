// Package client asks a running node over its HTTP API; the command line is
// built on it.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"tandem"
	"tandem/provisioning"
)

// Client asks one node. It may be used from any goroutine.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// New makes a client of the node at base ("http://127.0.0.1:8080"). The token
// may be empty for reading from a loopback node. httpClient nil: http.DefaultClient.
func New(base, token string, httpClient *http.Client) *Client {
	if httpClient == nil {
		httpClient = http.DefaultClient
	}
	return &Client{strings.TrimSuffix(base, "/"), token, httpClient}
}

// Get decodes the JSON answer of path into out.
func (c *Client) Get(ctx context.Context, path string, query url.Values, out any) error {
	body, err := c.do(ctx, http.MethodGet, path, query, "application/json", "", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	return decode(body, out)
}

// GetCSV copies the CSV answer of a report to w.
func (c *Client) GetCSV(ctx context.Context, path string, query url.Values, w io.Writer) error {
	body, err := c.do(ctx, http.MethodGet, path, query, "text/csv", "", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(w, body)
	return err
}

// Post sends in as JSON and decodes the JSON answer into out.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	text, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	body, err := c.do(ctx, http.MethodPost, path, nil, "application/json", "application/json", bytes.NewReader(text))
	if err != nil {
		return err
	}
	defer body.Close()
	return decode(body, out)
}

// PostFile sends a file as the body of an operation and decodes the JSON answer
// into out; a nil file sends none, a nil out drops the answer.
func (c *Client) PostFile(ctx context.Context, path string, query url.Values, contentType string, file io.Reader, out any) error {
	body, err := c.do(ctx, http.MethodPost, path, query, "application/json", contentType, file)
	if err != nil {
		return err
	}
	defer body.Close()
	if out == nil {
		return nil
	}
	return decode(body, out)
}

// Applied is the answer to Apply.
type Applied struct {
	DryRun  bool                `json:"dry_run"`
	Version uint64              `json:"version"`
	Lines   []provisioning.Line `json:"lines"`
}

// Apply sends the document at path and the deck files that it names (relative
// to it). A broken document gives provisioning.Problems.
func (c *Client) Apply(ctx context.Context, path string, dryRun bool) (Applied, error) {
	var out Applied
	text, err := os.ReadFile(path)
	if err != nil {
		return out, &tandem.Error{Kind: tandem.KindNotFound, Message: "the document " + path + " can't be read", Mend: "give the path of a YAML file", Err: err}
	}
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	if err := addPart(w, "document", text); err != nil {
		return out, err
	}
	for _, name := range provisioning.DeckFiles(text) {
		file := name
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(path), file)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			continue // the node reports it with line and column
		}
		if err := addPart(w, "file:"+name, content); err != nil {
			return out, err
		}
	}
	if err := w.Close(); err != nil {
		return out, err
	}
	query := url.Values{"name": {path}, "dry_run": {strconv.FormatBool(dryRun)}}
	if len(path) > 200 {
		query.Set("name", filepath.Base(path))
	}
	body, err := c.do(ctx, http.MethodPost, "/api/v1/apply", query, "application/json", w.FormDataContentType(), &form)
	if err != nil {
		return out, err
	}
	defer body.Close()
	return out, decode(body, &out)
}

func addPart(w *multipart.Writer, name string, content []byte) error {
	quoted := strings.NewReplacer("\\", "\\\\", `"`, "\\\"", "\r", "%0D", "\n", "%0A").Replace(name)
	part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="` + quoted + `"`}})
	if err != nil {
		return err
	}
	_, err = part.Write(content)
	return err
}

func (c *Client) do(ctx context.Context, method, path string, query url.Values, accept, contentType string, body io.Reader) (io.ReadCloser, error) {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, &tandem.Error{Kind: tandem.KindInvalid, Message: "the node's address " + tandem.Clip(c.base, 100) + " is not one", Mend: "write it as http://127.0.0.1:8080", Err: err}
	}
	req.Header.Set("Accept", accept)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &tandem.Error{Kind: tandem.KindUnavailable, Message: "no node answers at " + tandem.Clip(c.base, 100), Mend: "start it with tandem serve, or name another address", Err: err}
	}
	if resp.StatusCode < 300 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	return nil, decodeError(resp)
}

func decode(r io.Reader, out any) error {
	if err := json.NewDecoder(r).Decode(out); err != nil {
		return fmt.Errorf("read the node's answer: %w", err)
	}
	return nil
}

// problem is what the API answers when it refuses (RFC 9457).
type problem struct {
	Title  string      `json:"title"`
	Detail string      `json:"detail"`
	Kind   tandem.Kind `json:"kind"`
	Field  string      `json:"field"`
	Mend   string      `json:"mend"`
	Errors []struct {
		Message  string `json:"message"`
		Location string `json:"location"`
		File     string `json:"file"`
		Line     int    `json:"line"`
		Column   int    `json:"column"`
		Field    string `json:"field"`
		Mend     string `json:"mend"`
	} `json:"errors"`
}

// decodeError makes the error that the node had: Problems for a broken
// document, *tandem.Error otherwise.
func decodeError(resp *http.Response) error {
	var p problem
	if err := json.NewDecoder(io.LimitReader(resp.Body, 8<<20)).Decode(&p); err != nil || p.Title == "" {
		return &tandem.Error{Kind: kindOf(resp.StatusCode), Message: "the node answered " + resp.Status, Mend: "check that the address is a tandem's"}
	}
	if p.Kind == "" {
		p.Kind = kindOf(resp.StatusCode)
	}
	var problems provisioning.Problems
	var others []error
	for _, e := range p.Errors {
		one := &tandem.Error{Kind: p.Kind, Field: e.Field, Message: e.Message, Mend: e.Mend}
		if e.File != "" {
			problems = append(problems, provisioning.Problem{File: e.File, Position: provisioning.Position{Line: e.Line, Column: e.Column}, Err: one})
			continue
		}
		one.Field = e.Location
		others = append(others, one)
	}
	switch {
	case len(problems) > 0:
		return problems
	case len(others) > 0:
		return errors.Join(others...)
	}
	return &tandem.Error{Kind: p.Kind, Field: p.Field, Message: p.Detail, Mend: p.Mend}
}

func kindOf(status int) tandem.Kind {
	for _, k := range []tandem.Kind{tandem.KindInvalid, tandem.KindNotFound, tandem.KindConflict, tandem.KindUnauthorized, tandem.KindForbidden,
		tandem.KindUnavailable, tandem.KindTooLarge} {
		if k.HTTPStatus() == status {
			return k
		}
	}
	if status == http.StatusBadRequest {
		return tandem.KindInvalid
	}
	return tandem.KindInternal
}
