package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/cmd/tandem/emulate"
)

// TestDecksOnACommandLine takes the example decks through a running node: rate
// sheets are imported, activated and rolled back between calls, a carrier gets
// its cost deck, and what was stored is recomputed.
func TestDecksOnACommandLine(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	s := newStage(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	config := s.settings(t)
	sheet := func(name string) string { return filepath.Join(repository, "testdata", "decks", name) }
	tandemSays := func(code int, want []string, args ...string) said {
		t.Helper()
		got := command(ctx, append(args, "-c", config)...)
		check(t, got, code, want)
		return got
	}
	call := func(to string) (string, tandem.CDR) {
		t.Helper()
		result, err := s.teams.Call(ctx, emulate.CallSpec{From: "+14255550101", To: to, Hold: tandem.Duration(200 * time.Millisecond)})
		if err != nil || result.Status != 200 {
			t.Fatalf("status %d %s: %v", result.Status, result.Reason, err)
		}
		for _, row := range s.rowsOf(t, result) {
			if row.Technology == tandem.Phone && row.Connected {
				return row.Correlation.String(), row
			}
		}
		t.Fatal("no Phone row")
		return "", tandem.CDR{}
	}

	bad := filepath.Join(t.TempDir(), "bad.csv")
	if err := os.WriteFile(bad, []byte("prefix,rate\n+1,0.1\n44,-1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tandemSays(1, []string{`bad.csv:2:1: prefix: "+1" begins with +`, "bad.csv:3:4: rate: -1.0000000000 is out of range"}, "deck", "import", "retail-out", bad)
	tandemSays(0, []string{"~ 1 United States (invented prices): destination", "+ 1671 US, Guam: rate 0.0480000000", "against version 1 in force", "nothing was stored"},
		"deck", "import", "retail-out", sheet("us-retail.csv"), "--dry-run")
	tandemSays(0, []string{"staged as version 2 of retail-out"}, "deck", "import", "retail-out", sheet("us-retail.csv"))
	tandemSays(0, []string{"+ 1671", "against version 1"}, "deck", "preview", "retail-out")
	if _, row := call(outsideNumber); row.Charge.DeckVer != 1 {
		t.Errorf("a staged version rated a call: %+v", row.Charge)
	}
	tandemSays(0, []string{"version 2 of retail-out is in force instead of version 1"}, "deck", "activate", "retail-out")
	if _, row := call(outsideNumber); row.Charge.DeckVer != 2 || row.Cost != (tandem.Cost{}) {
		t.Errorf("rated by version %d, cost %+v", row.Charge.DeckVer, row.Cost)
	}
	exported := tandemSays(0, nil, "deck", "export", "retail-out")
	if want := read(t, sheet("us-retail.csv")); exported.out != want {
		t.Errorf("exported\n%s\nimported\n%s", exported.out, want)
	}
	tandemSays(0, []string{"retail-in", "retail-out", "2", "in force", "us-retail.csv", "1", "former"}, "deck", "list")

	tandemSays(0, []string{"note: the deck has no catch-all row", "version 1 of east-cost is in force\n"},
		"deck", "import", "east-cost", sheet("carrier-cost.csv"), "--template", "us-wholesale", "--zone", "America/New_York", "--currency", "USD", "--activate")
	before, after, _ := strings.Cut(read(t, customers(t, "network: Carrier East", "network: Carrier East\n    cost_deck: east-cost")), "\ndecks:")
	_, after, _ = strings.Cut(after, "\naccounts:")
	withCost := filepath.Join(t.TempDir(), "customers.yaml")
	if err := os.WriteFile(withCost, []byte(before+"\naccounts:"+after), 0o600); err != nil {
		t.Fatal(err)
	}
	tandemSays(0, []string{"~ carrier carrier-east: cost_deck none -> east-cost"}, "apply", "-f", withCost)
	tandemSays(0, []string{"version 1 of retail-out is in force instead of version 2"}, "deck", "rollback", "retail-out")
	id, row := call(outsideNumber)
	if row.Charge.DeckVer != 1 || row.Cost.Amount == 0 || row.Cost.Currency != "USD" {
		t.Errorf("rated by version %d, cost %+v", row.Charge.DeckVer, row.Cost)
	}

	var legs []struct {
		Leg         string
		Charge      tandem.Charge
		Explanation struct {
			Rule string
			Deck struct{ Version int }
		}
		Sentences []string
	}
	if err := json.Unmarshal([]byte(tandemSays(0, nil, "rate", "explain", "--json", id).out), &legs); err != nil || len(legs) != 2 ||
		legs[1].Explanation.Rule != "metered" || legs[1].Explanation.Deck.Version != 1 || len(legs[1].Sentences) == 0 {
		t.Errorf("%+v, %v", legs, err)
	}
	tandemSays(0, []string{"charge ", "cost ", "a call that the carrier took to " + outsideNumber, "of deck east-cost version 1"}, "rate", "explain", id)
	today := time.Now().UTC()
	tandemSays(0, []string{"6 rows checked, 0 differ"}, "rate", "check", "--from", today.AddDate(0, 0, -1).Format(time.DateOnly), "--to", today.Format(time.DateOnly))

	// The calls of the day by a deck that is dearer: what if, then in earnest, then again.
	period := []string{"--from", today.AddDate(0, 0, -1).Format(time.DateOnly), "--to", today.Format(time.DateOnly)}
	rate := func(want []string, args ...string) {
		t.Helper()
		tandemSays(0, want, append(append([]string{"rate"}, args...), period...)...)
	}
	dearer := filepath.Join(t.TempDir(), "dearer.csv")
	if err := os.WriteFile(dearer, []byte("prefix,destination,rate\n1,United States,0.5\n44,United Kingdom,0.6\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tandemSays(0, []string{"staged as version 3 of retail-out"}, "deck", "import", "retail-out", dearer)
	rate([]string{"contoso", "+14255550101", "1.500000"}, "whatif", "--deck", "retail-out")
	rate([]string{"nothing was changed (dry run)"}, "again")
	tandemSays(0, []string{"in force"}, "deck", "activate", "retail-out")
	rate([]string{"1.500000", "nothing was changed (dry run)"}, "again")
	rate([]string{"1.500000", "3 corrections posted, new versions of 3 rows stored"}, "again", "--apply")
	rate([]string{"0 corrections posted, new versions of 0 rows stored"}, "again", "--apply")
	rate([]string{"6 rows checked, 0 differ"}, "check")
	tandemSays(0, []string{"rated again by deck retail-out version 3", "sum of correction", "3 postings", "-1.500000"}, "ledger", "statement", "contoso")
	tandemSays(0, []string{"0.500000", "deck retail-out version 3"}, "rate", "explain", id)
	check(t, command(ctx, "rate", "classify", "+14255550100", "411"), 0, []string{`"+14255550100" is us: by its area code, in WA`, `"411" is directory`})
}
