package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"tandem"
	"tandem/provisioning"
	"tandem/provisioning/api/client"
	"tandem/provisioning/provtest"
	"tandem/provisioning/store"
	"tandem/rating/deck"
)

// deckNode is a node over a real store with the sample directory.
func deckNode(t *testing.T) (*client.Client, *httptest.Server) {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	dir := provtest.Directory()
	for i := range dir.Decks {
		dir.Decks[i].Version = 1
	}
	if _, err := s.Update(t.Context(), func(*tandem.Directory) (*tandem.Directory, error) { return &dir, nil }); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(newAPI(func(d *provisioning.Deps) {
		d.Store, d.Decks, d.ParseSheet, d.ValidateDeck, d.WriteDeckCSV = s, s, deck.ParseSheet, deck.Validate, deck.WriteCSV
	}, true))
	t.Cleanup(server.Close)
	return client.New(server.URL, token, server.Client()), server
}

const novemberSheet = "\xef\xbb\xbfprefix,destination,rate,connect_fee\r\n44,\"United Kingdom, all\",0.0190,\r\n,Others,0.0085,\r\n\r\n"

// TestDeckFromSheetToForceAndBack takes a sheet through import, preview,
// activation, rollback and export.
func TestDeckFromSheetToForceAndBack(t *testing.T) {
	node, _ := deckNode(t)
	ctx := t.Context()
	var change provisioning.DeckChange
	load := func(query url.Values, sheet string) error {
		change = provisioning.DeckChange{}
		return node.PostFile(ctx, "/api/v1/decks/us-out/import", query, "text/csv", strings.NewReader(sheet), &change)
	}
	if err := load(url.Values{"dry_run": {"true"}, "name": {"nov.csv"}}, novemberSheet); err != nil {
		t.Fatal(err)
	}
	want := []string{"~ (all others) Others: destination none -> Others", "+ 44 United Kingdom, all: rate 0.0190000000, increments 60/60"}
	var lines []string
	for _, l := range change.Diff.Lines {
		lines = append(lines, l.String())
	}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") || change.InForce != 1 || change.Diff.Added != 1 || change.Diff.Changed != 1 || change.Version.Version != 0 {
		t.Errorf("%+v", change)
	}
	var versions struct{ Items []provisioning.DeckVersion }
	list := func() map[int]provisioning.DeckState {
		t.Helper()
		if err := node.Get(ctx, "/api/v1/decks/us-out/versions", nil, &versions); err != nil {
			t.Fatal(err)
		}
		out := map[int]provisioning.DeckState{}
		for _, v := range versions.Items {
			out[v.Version] = v.State
		}
		return out
	}
	if got := list(); len(got) != 1 || got[1] != provisioning.DeckInForce {
		t.Errorf("after a dry run: %v", got)
	}
	if err := load(url.Values{"name": {"nov.csv"}}, novemberSheet); err != nil || change.Version.Version != 2 {
		t.Fatalf("%+v, %v", change, err)
	}
	if err := node.Get(ctx, "/api/v1/decks/us-out/preview", nil, &change); err != nil || change.Diff.Added != 1 || change.Version.Name != "nov.csv" {
		t.Errorf("%+v, %v", change, err)
	}
	act := func(path string, query url.Values) error {
		change = provisioning.DeckChange{}
		return node.PostFile(ctx, "/api/v1/decks/us-out/"+path, query, "", nil, &change)
	}
	if err := act("activate", nil); err != nil || change.Version.Version != 2 || change.InForce != 1 {
		t.Fatalf("%+v, %v", change, err)
	}
	export := func(query url.Values) string {
		t.Helper()
		var out bytes.Buffer
		if err := node.GetCSV(ctx, "/api/v1/decks/us-out/export", query, &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got := export(nil); got != novemberSheet {
		t.Errorf("exported %q", got)
	}
	if got := export(url.Values{"version": {"1"}}); got != "prefix,destination,rate,connect_fee,initial_inc,next_inc,effective_from,effective_to,reject\n,,0.0085000000,0.000000,60,60,,,\n" {
		t.Errorf("version 1 exports as %q", got)
	}
	if err := act("rollback", nil); err != nil || change.Version.Version != 1 || change.InForce != 2 {
		t.Errorf("%+v, %v", change, err)
	}
	if got := list(); got[1] != provisioning.DeckInForce || got[2] != provisioning.DeckFormer {
		t.Errorf("after rolling back: %v", got)
	}
	if err := act("rollback", nil); tandem.KindOf(err) != tandem.KindConflict {
		t.Errorf("a second step back: %v", err)
	}
	if err := act("activate", nil); tandem.KindOf(err) != tandem.KindNotFound {
		t.Errorf("nothing is staged: %v", err)
	}
	if err := act("activate", url.Values{"version": {"2"}}); err != nil || change.Version.Version != 2 {
		t.Errorf("forth again: %+v, %v", change, err)
	}
}

// TestDeckImportRefuses: every problem of a sheet at once, with file, line and
// column; nothing is stored.
func TestDeckImportRefuses(t *testing.T) {
	node, server := deckNode(t)
	for name, c := range map[string]struct {
		deck, query, sheet, want string
		kind                     tandem.Kind
	}{
		"ErrRows":        {"us-out", "name=bad.csv", "prefix,rate,initial_inc\n+1,0.1,60\n44,-1,0\n44,0.00000000001,60\n", "bad.csv:2:1: prefix: \"+1\" begins with +|bad.csv:3:4: rate: -1.0000000000 is out of range|bad.csv:3:7: initial_inc: 0 is out of range|bad.csv:4:4: rate: \"0.00000000001\"", tandem.KindInvalid},
		"ErrCatchAll":    {"us-out", "", "prefix,rate\n,0\n", "the catch-all would give every destination away", tandem.KindInvalid},
		"ErrName":        {"us%20out", "", "prefix,rate\n1,1\n", "is not a name", tandem.KindInvalid},
		"ErrNoCurrency":  {"new", "", "prefix,rate\n1,1\n", "the deck is new: name its currency", tandem.KindInvalid},
		"ErrCurrency":    {"new", "currency=usd", "prefix,rate\n1,1\n", "is not a currency", tandem.KindInvalid},
		"ErrDirection":   {"new", "currency=USD&direction=both", "prefix,rate\n1,1\n", "direction", tandem.KindInvalid},
		"ErrTemplate":    {"us-out", "template=eu", "prefix,rate\n1,1\n", "is not a template", tandem.KindInvalid},
		"ErrMap":         {"us-out", "map=rate", "prefix,rate\n1,1\n", "maps nothing", tandem.KindInvalid},
		"ErrUnknownZone": {"us-out", "zone=Mars", "prefix,rate\n1,1\n", "is not a time zone", tandem.KindInvalid},
		"ErrEmpty":       {"us-out", "", "", "body is required", tandem.KindInvalid},
	} {
		query, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		err = node.PostFile(t.Context(), "/api/v1/decks/"+c.deck+"/import", query, "text/csv", strings.NewReader(c.sheet), nil)
		if tandem.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for want := range strings.SplitSeq(c.want, "|") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: no %q in\n%v", name, want, err)
			}
		}
	}
	var versions struct{ Total int }
	if err := node.Get(t.Context(), "/api/v1/deck-versions", nil, &versions); err != nil || versions.Total != 2 {
		t.Errorf("%d versions, %v: a refused sheet was stored", versions.Total, err)
	}
	// Activation keeps the rules of the directory: accounts need their decks as they are.
	query := url.Values{"direction": {"inbound"}}
	if err := node.PostFile(t.Context(), "/api/v1/decks/us-out/import", query, "text/csv", strings.NewReader("prefix,rate\n1,1\n"), nil); err != nil {
		t.Fatal(err)
	}
	err := node.PostFile(t.Context(), "/api/v1/decks/us-out/activate", nil, "", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "retail_out") {
		t.Errorf("an outbound deck became inbound: %v", err)
	}
	anonymous := client.New(server.URL, "", server.Client())
	if err := anonymous.PostFile(t.Context(), "/api/v1/decks/us-out/rollback", nil, "", nil, nil); tandem.KindOf(err) != tandem.KindUnauthorized {
		t.Errorf("without a token: %v", err)
	}
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8080/api/v1/decks/us-out/versions", nil)
	w := ask(newAPI(nil, true), r)
	var problem struct{ Kind string }
	if json.Unmarshal(w.Body.Bytes(), &problem) != nil || problem.Kind != string(tandem.KindUnavailable) {
		t.Errorf("a node that keeps no versions answers %s", w.Body)
	}
}
