package api

import (
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"tandem/provisioning"
)

// Config says who may ask.
type Config struct {
	// Loopback is true when the listener is bound to a loopback address.
	Loopback bool
	// Hosts are names besides localhost and loopback addresses that a Host
	// header may carry on a loopback listener (behind a reverse proxy, say).
	Hosts []string
	// Token is the bearer token; without one changes are refused.
	Token string
	// Portal serves everything that is not the API; nil: nothing does.
	Portal http.Handler
	Logger *slog.Logger // nil: discard
}

// API is the HTTP interface. It is an http.Handler.
type API struct {
	svc    *provisioning.Service
	mux    *recordingMux
	huma   huma.API
	handle http.Handler
}

// recordingMux remembers its patterns, so that a test can compare them with
// the OpenAPI description.
type recordingMux struct {
	http.ServeMux
	patterns []string
}

func (m *recordingMux) HandleFunc(pattern string, f func(http.ResponseWriter, *http.Request)) {
	m.patterns = append(m.patterns, pattern)
	m.ServeMux.HandleFunc(pattern, f)
}

// New makes the API over the operations.
func New(svc *provisioning.Service, cfg Config) *API {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	a := &API{svc: svc, mux: &recordingMux{}}
	c := huma.DefaultConfig("Tandem", "1")
	c.Info.Description = "Joins Microsoft Teams trunks to PSTN carriers and accounts for every call. Money is a decimal string; times are UTC (RFC 3339)."
	c.CreateHooks = nil // no $schema members in answers
	c.DocsPath, c.SchemasPath = "", ""
	c.RejectUnknownQueryParameters = true // a mistyped filter must not widen a report
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "The node's API token (file api-token in the data folder)."},
	}
	a.huma = humago.New(a.mux, c)
	a.registerApply()
	a.registerDirectory()
	a.registerReports()
	a.registerExplain()
	a.registerDecks()
	a.registerLedger()
	a.registerUsage()
	a.registerWhatIf()
	a.registerNode()
	a.mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problemOf(notFound(r)))
	})
	if cfg.Portal != nil {
		a.mux.HandleFunc("/", cfg.Portal.ServeHTTP)
	}
	a.handle = guard(a.mux, cfg)
	return a
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handle.ServeHTTP(w, r) }

// Patterns lists the routes that are served.
func (a *API) Patterns() []string { return slices.Clone(a.mux.patterns) }

// OpenAPI is the description of the operations, as JSON.
func (a *API) OpenAPI() ([]byte, error) { return a.huma.OpenAPI().MarshalJSON() }

// NewServer makes a server with the limits that this API needs against slow
// and oversize requests. The caller listens and shuts it down.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       2 * time.Minute, // a deck of 300,000 rows over a slow line
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
	}
}
