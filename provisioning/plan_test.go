package provisioning_test

import (
	"context"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"tandem"
	"tandem/provisioning"
	"tandem/provisioning/store"
)

func plan(t *testing.T, current *tandem.Directory, text string) (provisioning.Change, error) {
	t.Helper()
	doc, err := provisioning.Parse("x.yaml", []byte(text), source())
	if err != nil {
		t.Fatal(err)
	}
	return provisioning.Plan(current, doc)
}

func sample(t *testing.T) *tandem.Directory {
	t.Helper()
	doc, err := load(t, "testdata/complete.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	change, err := provisioning.Plan(&tandem.Directory{}, doc)
	if err != nil {
		t.Fatal(err)
	}
	return change.Next
}

// TestDifference: each case is a document, and the lines that dry-run prints
// for it against the complete example.
func TestDifference(t *testing.T) {
	const tenant = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
	number := "did: +14255550100, account: contoso, tenant: " + tenant + ", service_address: hq, plan: Unlimited, first_name: Ada, last_name: Lovelace"
	second := ", {did: +14255550101, account: contoso, tenant: " + tenant + ", service_address: hq, user_type: Auto-attendant, service_name: Front desk}"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"Unchanged":     {"addresses: [{id: hq, account: contoso, street: 1 Microsoft Way, city: Redmond, state: WA, postal_code: 98052}]", nil},
		"FieldChanges":  {"numbers: [{" + number + "}" + second + "]", []string{"~ number +14255550100: failsafe +12065550100 -> none"}},
		"ObjectRemoved": {"numbers: [{" + number + ", failsafe: +12065550100}]", []string{"- number +14255550101"}},
		"ObjectAdded": {"tenants: [{id: " + tenant + ", account: contoso, name: Contoso, fqdn: contoso.customers.example.net}, {id: 3fa85f64-5717-4562-b3fc-2c963f66afa7, account: contoso, name: Lab}]",
			[]string{"+ tenant 3fa85f64-5717-4562-b3fc-2c963f66afa7: contoso, Lab"}},
		"TrunkChanges": {"trunks: [{id: teams, fqdn: sbc.customers.example.net, answer_timeout: 90s}]",
			[]string{"~ trunk teams: answer_timeout 2m0s -> 1m30s", "- trunk teams-lab"}},
		"DeckVersionCountsUp": {"decks: [{id: us-in, direction: inbound, currency: USD, file: us-in.csv}, {id: us-out, currency: USD, rows: [{prefix: 1, rate: 0.0085, destination: North America}, {prefix: 44, rate: 0.02}]}]",
			[]string{"~ deck us-out: version 1 -> 2, rows: 1 added, 0 changed, 3 removed"}},
		"DeckRowOrderIsNoChange": {`decks: [{id: us-in, direction: inbound, currency: USD, file: us-in.csv}, {id: us-out, currency: USD, rows: [
			{prefix: "", destination: anywhere else, reject: true}, {prefix: 1907, destination: Alaska, rate: 0.07, effective_from: 2026-12-01},
			{prefix: 1907, destination: Alaska, rate: 0.0612345678, connect_fee: 0.01, effective_to: 2026-12-01T00:00:00Z}, {prefix: 1, destination: North America, rate: 0.0085}]}]`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			current := sample(t)
			before := *current
			change, err := plan(t, current, c.text)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range change.Lines {
				got = append(got, l.String())
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("lines %q\nwant  %q", got, c.want)
			}
			if change.Empty() != (change.Next == current) || change.Next.Version != current.Version+uint64(min(1, len(got))) {
				t.Errorf("version %d after %d", change.Next.Version, current.Version)
			}
			if !reflect.DeepEqual(*current, before) {
				t.Error("the current directory was changed")
			}
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	assigned := sample(t)
	assigned.Numbers[0].Status = tandem.StatusAssigned
	for name, c := range map[string]struct {
		text, want string
		kind       tandem.Kind
	}{
		"RemovalOfAssignedNumber": {"numbers: []", "x.yaml:1:10: numbers[+14255550100]: +14255550100 has status Assigned and can't be removed: only Unassigned numbers", tandem.KindConflict},
		"RemovalOfUsedAddress":    {"addresses: []", `numbers[+14255550100].service_address: "hq" is not a service address`, tandem.KindInvalid},
		"RemovalOfUsedTenant":     {"tenants: []", "is not a registered tenant", tandem.KindInvalid},
		"RemovalOfUsedDeck":       {"decks: []", `accounts[contoso].retail_out: "us-out" is not a deck`, tandem.KindInvalid},
	} {
		_, err := plan(t, assigned, c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) || tandem.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStatusIsNotTheDocuments: an edit keeps what Microsoft said.
func TestStatusIsNotTheDocuments(t *testing.T) {
	current := sample(t)
	current.Numbers[0].Status = tandem.StatusError
	doc, err := load(t, "testdata/complete.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc.Objects.Numbers[0].FirstName = "Grace"
	change, err := provisioning.Plan(current, doc)
	if err != nil || change.Next.Numbers[0].Status != tandem.StatusError || change.Next.Numbers[1].Status != tandem.StatusUnassigned {
		t.Errorf("%+v, %v", change.Next, err)
	}
}

// TestApplyThroughTheStore: applying twice changes nothing, also after the
// store was closed; a dry run stores nothing.
func TestApplyThroughTheStore(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "tandem.db")
	for round := range 2 {
		s, err := store.Open(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		svc := provisioning.NewService(provisioning.Deps{Store: s})
		for _, dry := range []bool{true, false, false} {
			text := `decks: [{id: in, direction: inbound, currency: USD, rows: [{prefix: "", rate: 0.01, effective_from: 2026-01-01}]}]
carriers: [{id: east, endpoints: [192.0.2.1], sources: [192.0.2.1], tls_names: [], next_on: []}]`
			change, err := svc.Apply(ctx, "x.yaml", []byte(text), provisioning.Source{}, dry)
			if err != nil {
				t.Fatal(err)
			}
			d, _ := s.Directory(ctx)
			if fresh := round == 0 && d.Version == 0; fresh != dry && round == 0 {
				t.Errorf("dry %v: version %d", dry, d.Version)
			}
			if round == 1 && !change.Empty() {
				t.Errorf("a second apply changes %v", change.Lines)
			}
		}
		if d, _ := s.Directory(ctx); d.Version != 1 {
			t.Errorf("version %d after round %d", d.Version, round)
		}
		if _, err := svc.Apply(ctx, "x.yaml", []byte("accounts: [{}]"), provisioning.Source{}, false); err == nil {
			t.Error("a broken document was applied")
		}
		s.Close()
	}
}
