package portal_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tandem"
	"tandem/provisioning"
	"tandem/provisioning/portal"
	"tandem/provisioning/provtest"
)

func newPortal(t *testing.T, change func(*provisioning.Deps)) http.Handler {
	t.Helper()
	p, err := portal.New(provtest.Service(change), portal.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func get(h http.Handler, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w
}

func TestPages(t *testing.T) {
	noEngine := func(d *provisioning.Deps) { d.Reports = nil }
	empty := func(d *provisioning.Deps) {
		d.Store = provtest.NewStore(tandem.Directory{})
		d.Reports = func() provisioning.Reports { return &provtest.Reports{} }
		d.Parts = nil
	}
	broken := func(d *provisioning.Deps) {
		d.Reports = func() provisioning.Reports { return failing{} }
	}
	for name, c := range map[string]struct {
		change func(*provisioning.Deps)
		target string
		status int
		want   []string
		lack   string
	}{
		"Overview":             {nil, "/", 200, []string{"Detailed report", "sip2.pstnhub.microsoft.com:5061", `state down`, `id="live-count">1<`, "Operator Connect", "0.008500 USD", "backlog</span> 0", "Answered (UTC)", `rel="next"`}, ">busy<"},
		"OverviewPage2":        {nil, "/?offset=20", 200, []string{`rel="prev"`, "Rows 21–"}, ""},
		"FilterKept":           {nil, "/?account=contoso&number=0199&from=2026-11-20", 200, []string{`value="contoso" selected`, `value="0199"`, `value="2026-11-20"`, "Failsafe", "Clear"}, ">Older<"},
		"FilterNothing":        {nil, "/log?number=99999999", 200, []string{"No leg matches the filter"}, "<table class=\"calls\""},
		"FilterWrong":          {nil, "/?from=2026-12-01&to=2026-11-01", 422, []string{"Please check the filter", "is not before to"}, ""},
		"FilterWrongNumber":    {nil, "/log?number=%22%3E%3Cscript%3Ealert(1)", 422, []string{"4 to 15 digits"}, "<script>alert"},
		"Log":                  {nil, "/log", 200, []string{"486 Busy Here", "17 user busy", "27 destination out of order", "connection", "busy"}, ""},
		"Call":                 {nil, "/calls/0d9e3c52-6f0e-4c0e-9d3a-000000000500", 200, []string{"Why this route", "carrier-east first: priority 1", "Why this price", "0 s billed", "B-leg, attempt 2", "Failsafe", "connection refused"}, ""},
		"CallUnknown":          {nil, "/calls/0d9e3c52-6f0e-4c0e-9d3a-999999999999", 404, []string{"Not found", "no call has Correlation ID"}, ""},
		"CallNonsense":         {nil, "/calls/%3Cscript%3E", 422, []string{"is not a Correlation ID"}, "<script>"},
		"NoEngineOverview":     {noEngine, "/", 200, []string{"Not available now", "scripts/install-chdb.sh", "sip.pstnhub.microsoft.com"}, ""},
		"NoEngineLog":          {noEngine, "/log", 503, []string{"clickhouse.mode"}, ""},
		"NoEngineCall":         {noEngine, "/calls/0d9e3c52-6f0e-4c0e-9d3a-000000000500", 503, []string{"no engine is running"}, ""},
		"Empty":                {empty, "/", 200, []string{"No trunks yet", "No connected call yet"}, ""},
		"EmptyLog":             {empty, "/log", 200, []string{"No call yet"}, ""},
		"InternalTellsNothing": {broken, "/log", 500, []string{"could not do this"}, "secret"},
		"UnknownPage":          {nil, "/nothing", 404, []string{"there is no page /nothing"}, ""},
		"Style":                {nil, "/static/style.css", 200, []string{"color-scheme"}, ""},
		"StaticOutside":        {nil, "/static/..%2ftemplates%2fcall.html", 400, nil, "Why this route"},
	} {
		t.Run(name, func(t *testing.T) {
			w := get(newPortal(t, c.change), c.target)
			if w.Code != c.status {
				t.Errorf("status %d, want %d: %.500s", w.Code, c.status, w.Body)
			}
			for _, want := range c.want {
				if !strings.Contains(w.Body.String(), want) {
					t.Errorf("page lacks %q", want)
				}
			}
			if c.lack != "" && strings.Contains(w.Body.String(), c.lack) {
				t.Errorf("page holds %q", c.lack)
			}
		})
	}
}

// TestHostileTextStaysText: numbers, networks, reasons and traces come from
// the wire.
func TestHostileTextStaysText(t *testing.T) {
	p := newPortal(t, nil)
	for _, target := range []string{"/", "/log", "/calls/0d9e3c52-6f0e-4c0e-9d3a-000000000502", "/?account=%22%3E%3Cscript%3E&technology=Phone"} {
		body := get(p, target).Body.String()
		for _, live := range []string{"<script", "<img src=x", "<b>rule"} {
			if strings.Contains(body, live) {
				t.Errorf("%s holds %q", target, live)
			}
		}
	}
	if body := get(p, "/calls/0d9e3c52-6f0e-4c0e-9d3a-000000000502").Body.String(); !strings.Contains(body, "&lt;script&gt;") {
		t.Error("the hostile text is not shown")
	}
}

// TestNothingFromOutside: the portal works on a closed network, and its policy
// allows no inline style or script.
func TestNothingFromOutside(t *testing.T) {
	files, _ := filepath.Glob("templates/*.html")
	styles, _ := filepath.Glob("static/*")
	outside := regexp.MustCompile(`(?i)(src|href|action)="(https?:)?//|url\(|@import|<script|style="|<style|\son[a-z]+="`)
	for _, f := range append(files, styles...) {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if m := outside.Find(text); m != nil {
			t.Errorf("%s holds %q", f, m)
		}
	}
}

// TestDevReadsFromDisk: while designing, a changed template shows at once.
func TestDevReadsFromDisk(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	p, err := portal.New(provtest.Service(nil), portal.Config{Dev: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "templates", "log.html"), []byte(`changed {{.Title}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if body := get(p, "/log").Body.String(); body != "changed Log" {
		t.Errorf("page %q", body)
	}
}

// TestPairing: the legs of a call stand together, also when another call's
// lie between them, and in the order of their attempts.
func TestPairing(t *testing.T) {
	rows := provtest.Calls(2)[6:]
	rows[0], rows[1], rows[2] = rows[1], rows[2], rows[0]
	p := newPortal(t, func(d *provisioning.Deps) {
		d.Reports = func() provisioning.Reports { return &provtest.Reports{Rows: rows[:4]} }
	})
	body := get(p, "/").Body.String()
	if n := strings.Count(body, `scope="rowgroup" rowspan="2"><a href="/calls/`); n != 2 {
		t.Errorf("%d pairs, want 2", n)
	}
	for i := range 2 {
		at := strings.Index(body, fmt.Sprintf(`href="/calls/0d9e3c52-6f0e-4c0e-9d3a-%012d"`, i))
		if at < 0 || strings.Index(body[at:], "tag oc") > strings.Index(body[at:], "tag phone") {
			t.Errorf("call %d: the A-leg does not come first", i)
		}
	}
}
