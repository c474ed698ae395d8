// Package portal shows reports, trunks and single calls in a browser:
// server-rendered HTML without scripts or outside resources.
//
// It has no rule of its own: each page shows what one or two operations of
// provisioning.Service answer, the same that the API offers. Access is guarded
// by the API's handler, which the portal is mounted in.
package portal

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"os"

	"tandem"
	"tandem/provisioning"
)

//go:embed templates/*.html static/*
var embedded embed.FS

// Operations is what the pages are made of; *provisioning.Service implements it.
type Operations interface {
	CDRs(ctx context.Context, f tandem.CDRFilter) ([]tandem.CDR, error)
	Call(ctx context.Context, id string) (provisioning.CallView, error)
	Live() ([]tandem.LiveCall, error)
	Trunks(ctx context.Context) ([]provisioning.TrunkState, error)
	Directory(ctx context.Context) (*tandem.Directory, error)
	Status(ctx context.Context) (provisioning.Status, error)
}

// Config is how the portal is served.
type Config struct {
	// Dev, when set, is this package's folder: templates and styles are read
	// from it at each request while they are being designed.
	Dev    string
	Logger *slog.Logger // nil: discard
}

// Portal is an http.Handler.
type Portal struct {
	ops   Operations
	cfg   Config
	files fs.FS
	pages *template.Template
	mux   *http.ServeMux
}

// New makes the portal. The error is a template that does not parse.
func New(ops Operations, cfg Config) (*Portal, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Portal{ops: ops, cfg: cfg, files: embedded, mux: http.NewServeMux()}
	if cfg.Dev != "" {
		p.files = os.DirFS(cfg.Dev)
	}
	var err error
	if p.pages, err = p.parse(); err != nil {
		return nil, err
	}
	p.mux.HandleFunc("GET /{$}", p.overview)
	p.mux.HandleFunc("GET /log", p.log)
	p.mux.HandleFunc("GET /calls/{correlation_id}", p.call)
	p.mux.HandleFunc("GET /static/{file}", p.static)
	p.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		p.fail(w, r, &tandem.Error{Kind: tandem.KindNotFound, Message: "there is no page " + tandem.Clip(r.URL.Path, 100), Mend: "begin at the overview"})
	})
	return p, nil
}

// ServeHTTP implements http.Handler.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

func (p *Portal) parse() (*template.Template, error) {
	return template.New("").Funcs(functions()).ParseFS(p.files, "templates/*.html")
}

func (p *Portal) static(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeFileFS(w, r, p.files, "static/"+r.PathValue("file"))
}

// page is what every template gets.
type page struct {
	Title  string
	Here   string // path of the menu entry that is current
	Status provisioning.Status
	Data   any
}

// render writes a page; it is complete before the first byte goes out.
func (p *Portal) render(w http.ResponseWriter, r *http.Request, status int, name string, data page) {
	pages := p.pages
	if p.cfg.Dev != "" {
		var err error
		if pages, err = p.parse(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	if s, err := p.ops.Status(r.Context()); err == nil {
		data.Status = s
	}
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		p.cfg.Logger.Error("page failed", "page", name, "err", err)
		http.Error(w, "the page could not be made; look into the node's log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the peer may be gone
}

// notice is an error as a page shows it.
type notice struct {
	Title  string
	Lines  []string
	Mend   string
	Status int
}

// noticeOf hides the text of internal errors.
func (p *Portal) noticeOf(err error) *notice {
	var e *tandem.Error
	kind := tandem.KindOf(err)
	n := &notice{Status: kind.HTTPStatus()}
	if !errors.As(err, &e) || kind == tandem.KindInternal {
		p.cfg.Logger.Error("page failed", "err", err)
		n.Title, n.Mend = "The node could not do this", "Look into its log."
		return n
	}
	switch kind {
	case tandem.KindUnavailable:
		n.Title = "Not available now"
	case tandem.KindNotFound:
		n.Title = "Not found"
	case tandem.KindInvalid:
		n.Title = "Please check the filter"
	default:
		n.Title = "Refused"
	}
	for _, one := range flatten(err) {
		if errors.As(one, &e) {
			n.Lines = append(n.Lines, e.Message)
			n.Mend = e.Mend
		}
	}
	return n
}

func flatten(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}

func (p *Portal) fail(w http.ResponseWriter, r *http.Request, err error) {
	n := p.noticeOf(err)
	p.render(w, r, n.Status, "error.html", page{Title: n.Title, Data: n})
}
