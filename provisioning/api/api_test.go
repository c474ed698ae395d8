package api_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem"
	"tandem/provisioning"
	"tandem/provisioning/api"
	"tandem/provisioning/api/client"
	"tandem/provisioning/provtest"
)

const token = "correct-horse"

func newAPI(change func(*provisioning.Deps), loopback bool) *api.API {
	return api.New(provtest.Service(change), api.Config{Loopback: loopback, Token: token,
		Portal: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "portal") })})
}

func ask(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(target string) *http.Request {
	return httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8080"+target, nil)
}

func post(target, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8080"+target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	return r
}

// TestEveryRouteIsDescribed: a route that the OpenAPI description lacks can't
// be found by those who build on it.
func TestEveryRouteIsDescribed(t *testing.T) {
	a := newAPI(nil, true)
	text, err := a.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct{ OperationID, Summary string }
	}
	if err := json.Unmarshal(text, &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Fatalf("OpenAPI %q: %v", doc.OpenAPI, err)
	}
	notOperations := map[string]string{ // pattern -> why it is no operation
		"/":                     "the portal",
		"/api/":                 "refuses unknown operations",
		"GET /openapi.json":     "the description itself",
		"GET /openapi.yaml":     "the description itself",
		"GET /openapi-3.0.json": "the description itself",
		"GET /openapi-3.0.yaml": "the description itself",
	}
	described := 0
	for _, p := range a.Patterns() {
		if notOperations[p] != "" {
			continue
		}
		method, path, _ := strings.Cut(p, " ")
		op, ok := doc.Paths[path][strings.ToLower(method)]
		if !ok || op.OperationID == "" || op.Summary == "" {
			t.Errorf("route %q is not described", p)
		}
		described++
	}
	if described < 14 {
		t.Errorf("only %d operations", described)
	}
}

func TestReading(t *testing.T) {
	a := newAPI(nil, true)
	for target, want := range map[string]string{
		"/healthz":                         `"status":"ok"`,
		"/openapi.json":                    `"openapi":"3.1.0"`,
		"/":                                "portal",
		"/log":                             "portal",
		"/api/v1/status":                   `"version":"1.2.3-test"`,
		"/api/v1/accounts":                 `"balance":"-1.234500"`,
		"/api/v1/tenants":                  `"id":"3fa85f64-5717-4562-b3fc-2c963f66afa6"`,
		"/api/v1/addresses":                `"street":"1 Microsoft Way"`,
		"/api/v1/numbers":                  `"status":"Assigned"`,
		"/api/v1/numbers?account=other":    `"items":[],"total":0`,
		"/api/v1/numbers?limit=1&offset=1": `"did":"+14255550101"`,
		"/api/v1/decks":                    `"version":3`,
		"/api/v1/accounts/contoso/statement?from=2026-11-01&to=2026-11-30": `"currency":"USD","from":"2026-11-01T00:00:00Z","to":"2026-12-01T00:00:00Z","opening":"0.000000"`,
		"/api/v1/trunks": `"reason":"TLS handshake <timed out>"`,
		"/api/v1/live":   `"state":"answered"`,
		"/api/v1/usage/minutes?account=contoso&limit=1":                `"did":"+14255550100","plan":"Unlimited","cycle":"2026-11-01T04:00:00Z"`,
		"/api/v1/usage/events?did=%2B14255550100":                      `"kind":"minutes_80"`,
		"/api/v1/accounts/contoso/spend":                               `"time_zone":"America/New_York","days":[{"day":"2026-11-03","calls":2`,
		"/api/v1/report":                                               `"technology":"Operator Connect"`,
		"/api/v1/report?limit=3":                                       `"next_offset":3`,
		"/api/v1/report?technology=Phone&limit=2":                      `"next_offset":2`,
		"/api/v1/report?number=%2B1+(206)+555-0199":                    `"failsafe":true`,
		"/api/v1/report?from=2026-11-24&to=2026-11-24&account=contoso": `"charge":{"amount":"0.008500"`,
		"/api/v1/report?from=2027-01-01":                               `{"items":[]}`,
		"/api/v1/log?limit=10000":                                      `"disposition":"busy"`,
		"/api/v1/calls/0d9e3c52-6f0e-4c0e-9d3a-000000000500":           `"sentences":["0 s billed`,
	} {
		w := ask(a, get(target))
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("GET %s: %d, lacks %q: %.600s", target, w.Code, want, w.Body)
		}
		for header, value := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store"} {
			if w.Header().Get(header) != value {
				t.Errorf("GET %s: %s is %q", target, header, w.Header().Get(header))
			}
		}
		if !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("GET %s: no policy", target)
		}
	}
}

// TestReportPagesJoin: pages neither overlap nor leave a row out.
func TestReportPagesJoin(t *testing.T) {
	a := newAPI(nil, true)
	seen := map[string]bool{}
	for target := "/api/v1/log?limit=7"; target != ""; {
		var page api.ReportPage
		if err := json.Unmarshal(ask(a, get(target)).Body.Bytes(), &page); err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Items {
			if seen[c.ID.String()] {
				t.Errorf("row %s twice", c.ID)
			}
			seen[c.ID.String()] = true
		}
		target = ""
		if page.Next != nil {
			target = fmt.Sprintf("/api/v1/log?limit=7&offset=%d", *page.Next)
		}
	}
	if want := len(provtest.Calls(60)); len(seen) != want {
		t.Errorf("%d rows, want %d", len(seen), want)
	}
}

func TestRefusals(t *testing.T) {
	noEngine := func(d *provisioning.Deps) { d.Reports = nil }
	nothing := func(d *provisioning.Deps) {
		d.Reports = func() provisioning.Reports { return nil }
		d.Live, d.RouteExplain, d.RateExplain = nil, nil, nil
	}
	for name, c := range map[string]struct {
		change func(*provisioning.Deps)
		r      *http.Request
		status int
		want   string
	}{
		"NoEngineSaysHowToAddOne": {noEngine, get("/api/v1/report"), 503, "scripts/install-chdb.sh"},
		"NoEngineYet":             {nothing, get("/api/v1/log"), 503, "clickhouse.mode"},
		"NoCallsHere":             {nothing, get("/api/v1/live"), 503, "tandem serve"},
		"NoRouting":               {nothing, post("/api/v1/route/explain", `{"trunk":"t","request_user":"1"}`), 503, "routing"},
		"NoRating":                {nothing, post("/api/v1/rate/explain", `{"from":"1","to":"2","duration_s":1}`), 503, "rating"},
		"UnknownCall":             {nil, get("/api/v1/calls/0d9e3c52-6f0e-4c0e-9d3a-999999999999"), 404, "no call has Correlation ID"},
		"NotACorrelationID":       {nil, get("/api/v1/calls/nonsense"), 422, "is not a Correlation ID"},
		"UnknownOperation":        {nil, get("/api/v1/nothing"), 404, "/openapi.json"},
		"UnknownFilter":           {nil, get("/api/v1/report?acount=contoso"), 422, "acount"},
		"BadDate":                 {nil, get("/api/v1/report?from=yesterday"), 422, "is not a date"},
		"DatesSwapped":            {nil, get("/api/v1/report?from=2026-02-01&to=2026-01-01"), 422, "is not before to"},
		"ShortNumber":             {nil, get("/api/v1/report?number=12"), 422, "4 to 15 digits"},
		"HostileNumber":           {nil, get("/api/v1/report?number=" + url.QueryEscape("1' OR '1'='1")), 422, "can't be searched"},
		"TooManyRows":             {nil, get("/api/v1/report?limit=100000000"), 422, "is out of range"},
		"BadTechnology":           {nil, get("/api/v1/report?technology=fax"), 422, "is not a technology"},
		"ApplyBroken":             {nil, post("/api/v1/apply?name=x.yaml", "numbers:\n  - dod: 1\n"), 422, `"location":"x.yaml:2:5"`},
		"ApplyFileWithoutFile":    {nil, post("/api/v1/apply", "decks:\n  - {id: a, direction: inbound, currency: USD, file: /etc/passwd}\n"), 422, "send the file along"},
		"ApplyMultipartBroken":    {nil, multipartBroken(), 422, "multipart"},
		"ExplainBodyIsNotJSON":    {nil, post("/api/v1/rate/explain", `{`), 400, "title"},
		"RemoveAssignedNumber":    {nil, post("/api/v1/apply", "numbers: []\n"), 409, "only Unassigned numbers can be removed"},
		"StatementOfNobody":       {nil, get("/api/v1/accounts/nobody/statement"), 404, "there is no account nobody"},
		"StatementDatesSwapped":   {nil, get("/api/v1/accounts/contoso/statement?from=2026-02-01&to=2026-01-01"), 422, "is not before to"},
		"StatementWithoutBooks":   {func(d *provisioning.Deps) { d.Books = nil }, get("/api/v1/accounts/contoso/statement"), 503, "books are not open"},
		"PostingOfUnknownKind":    {nil, post("/api/v1/accounts/contoso/postings/charge", `{"amount":"1.00"}`), 422, "topup"},
		"PostingWithoutAmount":    {nil, post("/api/v1/accounts/contoso/postings/topup", `{}`), 422, "amount"},
		"PostingOfElevenDecimals": {nil, post("/api/v1/accounts/contoso/postings/topup", `{"amount":"0.00000000001"}`), 422, "decimals"},
		"PostingOfAFloat":         {nil, post("/api/v1/accounts/contoso/postings/topup", `{"amount":0.1}`), 422, "amount"},
		"PostingWithABadID":       {nil, post("/api/v1/accounts/contoso/postings/topup", `{"amount":"1.00","id":"7"}`), 422, "uuid"},
		"PostingNoteWithControls": {nil, post("/api/v1/accounts/contoso/postings/topup", `{"amount":"1.00","note":"a\u0000b"}`), 422, "note"},
		"PostingWithoutToken":     {nil, httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8080/api/v1/accounts/contoso/postings/topup", strings.NewReader(`{"amount":"1.00"}`)), 401, "token"},
		"ExplainBodyTooLarge":     {nil, post("/api/v1/route/explain", `{"trunk":"`+strings.Repeat("x", 2<<20)+`"}`), 413, "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(newAPI(c.change, true), c.r)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%d, want %d with %q: %s", w.Code, c.status, c.want, w.Body)
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("Content-Type %q", got)
			}
		})
	}
}

func multipartBroken() *http.Request {
	r := post("/api/v1/apply", "no boundary here")
	r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	return r
}

func TestWhoMayAsk(t *testing.T) {
	with := func(r *http.Request, header, value string) *http.Request { r.Header.Set(header, value); return r }
	host := func(r *http.Request, h string) *http.Request { r.Host = h; return r }
	apply := func() *http.Request {
		r := post("/api/v1/apply?dry_run=true", "tenants:\n  - {id: 3fa85f64-5717-4562-b3fc-2c963f66afa6, account: contoso, name: Contoso}\n")
		r.Header.Del("Authorization")
		return r
	}
	for name, c := range map[string]struct {
		loopback bool
		r        *http.Request
		status   int
	}{
		"LoopbackReadsFreely":          {true, get("/api/v1/status"), 200},
		"LoopbackByName":               {true, host(get("/api/v1/status"), "localhost:8080"), 200},
		"LoopbackByIPv6":               {true, host(get("/api/v1/status"), "[::1]:8080"), 200},
		"LoopbackRebinding":            {true, host(get("/api/v1/status"), "evil.example:8080"), 403},
		"LoopbackRebindingPortal":      {true, host(get("/"), "evil.example"), 403},
		"LoopbackNoHost":               {true, host(get("/"), ""), 403},
		"LoopbackChangeNeedsToken":     {true, apply(), 401},
		"WrongToken":                   {true, with(apply(), "Authorization", "Bearer wrong"), 401},
		"EmptyToken":                   {true, with(apply(), "Authorization", "Bearer "), 401},
		"RightToken":                   {true, with(apply(), "Authorization", "Bearer "+token), 200},
		"ForeignPageWithToken":         {true, with(with(apply(), "Authorization", "Bearer "+token), "Sec-Fetch-Site", "cross-site"), 403},
		"ForeignOriginWithToken":       {true, with(with(apply(), "Authorization", "Bearer "+token), "Origin", "https://evil.example"), 403},
		"OpenNeedsTokenToRead":         {false, get("/api/v1/status"), 401},
		"OpenNeedsTokenForPortal":      {false, get("/"), 401},
		"OpenNeedsTokenForDescription": {false, get("/openapi.json"), 401},
		"OpenNeedsTokenToExplain": {false, func() *http.Request {
			r := post("/api/v1/route/explain", "{}")
			r.Header.Del("Authorization")
			return r
		}(), 401},
		"OpenHealth":       {false, get("/healthz"), 200},
		"OpenWithToken":    {false, with(get("/api/v1/status"), "Authorization", "Bearer "+token), 200},
		"OpenAnyHost":      {false, host(with(get("/"), "Authorization", "Bearer "+token), "sbc.example.net"), 200},
		"OpenBrowser":      {false, func() *http.Request { r := get("/"); r.SetBasicAuth("me", token); return r }(), 200},
		"OpenBrowserWrong": {false, func() *http.Request { r := get("/"); r.SetBasicAuth(token, "x"); return r }(), 401},
	} {
		if w := ask(newAPI(nil, c.loopback), c.r); w.Code != c.status {
			t.Errorf("%s: %d, want %d: %s", name, w.Code, c.status, w.Body)
		}
	}
	none := api.New(provtest.Service(nil), api.Config{Loopback: true})
	if w := ask(none, with(apply(), "Authorization", "Bearer ")); w.Code != 401 {
		t.Errorf("a node without a token let an empty one in: %d", w.Code)
	}
}

// TestHostileTextInCSV: one row stays one line, nothing runs in a spreadsheet,
// numbers stay numbers.
func TestHostileTextInCSV(t *testing.T) {
	r := get("/api/v1/log")
	r.Header.Set("Accept", "text/csv")
	w := ask(newAPI(nil, true), r)
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/csv") || w.Header().Get("X-Evil") != "" {
		t.Errorf("headers %v", w.Header())
	}
	rows, err := csv.NewReader(bytes.NewReader(w.Body.Bytes())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if want := len(provtest.Calls(60)) + 1; len(rows) != want || strings.Count(w.Body.String(), "\n") != want {
		t.Errorf("%d rows on %d lines, want %d", len(rows), strings.Count(w.Body.String(), "\n"), want)
	}
	hostile, plus := 0, 0
	for _, row := range rows {
		for _, cell := range row {
			if strings.Contains(cell, "<script>") {
				hostile++
			}
			if strings.HasPrefix(cell, "+1") {
				plus++
			}
			if cell != "" && strings.ContainsAny(cell[:1], "=@\t\r") {
				t.Errorf("cell %q would run", cell)
			}
		}
	}
	if hostile == 0 || plus == 0 {
		t.Errorf("%d hostile cells, %d numbers", hostile, plus)
	}
}

func TestClientAppliesFilesAndReportsPlaces(t *testing.T) {
	parse := func(r io.Reader) ([]tandem.DeckRow, error) {
		text, err := io.ReadAll(r)
		if strings.Contains(string(text), "bad") {
			return nil, errors.Join(&tandem.Error{Kind: tandem.KindInvalid, Field: "line 2", Message: `"bad" is not a rate`, Mend: "write 0.01"}, &tandem.Error{Kind: tandem.KindInvalid, Field: "line 3", Message: "too"})
		}
		return []tandem.DeckRow{{Prefix: "1", Rate: 1, InitialInc: 60, NextInc: 60}}, err
	}
	a := api.New(provtest.Service(func(d *provisioning.Deps) { d.ParseDeckCSV = parse; d.Store = provtest.NewStore(tandem.Directory{}) }), api.Config{Loopback: true, Token: token})
	server := httptest.NewServer(a)
	defer server.Close()
	dir := t.TempDir()
	path := filepath.Join(dir, "apply.yaml")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("apply.yaml", "decks:\n  - id: out\n    direction: outbound\n    currency: USD\n    file: \"sub \\\"dir;x.csv\"\n")
	write("sub \"dir;x.csv", "good")
	c := client.New(server.URL, token, nil)
	dry, err := c.Apply(context.Background(), path, true)
	if err != nil || !dry.DryRun || len(dry.Lines) != 1 || dry.Lines[0].String() != "+ deck out: outbound, USD, version 1, 1 rows" {
		t.Fatalf("dry run: %+v, %v", dry, err)
	}
	if done, err := c.Apply(context.Background(), path, false); err != nil || done.Version != 1 {
		t.Fatalf("apply: %+v, %v", done, err)
	}
	if again, err := c.Apply(context.Background(), path, false); err != nil || len(again.Lines) != 0 || again.Version != 1 {
		t.Fatalf("apply again: %+v, %v", again, err)
	}
	write("sub \"dir;x.csv", "bad")
	_, err = c.Apply(context.Background(), path, false)
	if want := path + `:5:11: sub "dir;x.csv: line 2: "bad" is not a rate: write 0.01`; err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("error %v\nwant %s", err, want)
	}

	var answer provisioning.RateAnswer
	if err := c.Post(context.Background(), "/api/v1/rate/explain", provisioning.RateQuestion{From: "1", To: "2", DurationS: 60}, &answer); err != nil || answer.Charge.Amount != 8500 {
		t.Errorf("rate explain: %+v, %v", answer, err)
	}
	var route api.RouteAnswer
	if err := c.Post(context.Background(), "/api/v1/route/explain", api.RouteQuestion{Trunk: "east", RequestUser: "+14255550100"}, &route); err != nil || len(route.Trace) != 1 {
		t.Errorf("route explain: %+v, %v", route, err)
	}
	var page api.ReportPage
	if err := c.Get(context.Background(), "/api/v1/report", url.Values{"limit": {"2"}}, &page); err != nil || len(page.Items) != 2 {
		t.Errorf("report: %v", err)
	}
	var text bytes.Buffer
	if err := c.GetCSV(context.Background(), "/api/v1/report", nil, &text); err != nil || !strings.HasPrefix(text.String(), "correlation_id,") {
		t.Errorf("csv: %v", err)
	}
	if err := c.Get(context.Background(), "/api/v1/calls/x", nil, nil); tandem.KindOf(err) != tandem.KindInvalid || !strings.Contains(err.Error(), "as in 3fa8") {
		t.Errorf("refusal: %v", err)
	}
	if _, err := client.New(server.URL, "", nil).Apply(context.Background(), path, true); tandem.KindOf(err) != tandem.KindUnauthorized {
		t.Errorf("without token: %v", err)
	}
	server.Close()
	if err := c.Get(context.Background(), "/api/v1/status", nil, nil); tandem.KindOf(err) != tandem.KindUnavailable {
		t.Errorf("no node: %v", err)
	}
}

// TestPanicIsInternal: a fault in one request tells nothing and ends that
// request alone.
func TestPanicIsInternal(t *testing.T) {
	a := newAPI(func(d *provisioning.Deps) { d.Live = func() []tandem.LiveCall { panic("secret") } }, true)
	if w := ask(a, get("/api/v1/live")); w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	failing := newAPI(func(d *provisioning.Deps) { d.Reports = func() provisioning.Reports { return broken{} } }, true)
	if w := ask(failing, get("/api/v1/report")); w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

type broken struct{}

func (broken) CDRs(context.Context, tandem.CDRFilter) ([]tandem.CDR, error) {
	return nil, errors.New("secret")
}
