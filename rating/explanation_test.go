package rating

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestExampleInTheDocument: the example of docs/formats/explanation.md is what
// the rater writes, and recomputes to its own amount.
func TestExampleInTheDocument(t *testing.T) {
	text, err := os.ReadFile("../docs/formats/explanation.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "```json\n")
	example, _, _ = strings.Cut(example, "```")
	e, err := ParseExplanation(example)
	if err != nil {
		t.Fatal(err)
	}
	var written bytes.Buffer
	if err := json.Compact(&written, []byte(example)); err != nil {
		t.Fatal(err)
	}
	if e.String() != written.String() {
		t.Errorf("the rater writes\n%s\nthe document has\n%s", e, written.String())
	}
	if p, err := e.Recompute(); err != nil || p.Amount != e.Amount || p.FreeS != e.FreeS || p.BilledS != e.BilledS {
		t.Errorf("recomputed %+v, %v", p, err)
	}
	d := directory()
	d.Decks[0].ID, d.Accounts[0].RetailOut = "retail-out", "retail-out"
	d.Decks[0].Rows[0].Destination, d.Decks[0].Rows[0].ConnectFee = "United States", 10_000
	row := outbound("+12065550123")
	row.DID, row.DurationMs, row.AnswerTime = "+14255550102", 90_400, &e.AnswerTime
	a := mustTariff(t, d).Assess(&row)
	if got := a.Charge(239_970).Explanation; got != written.String() {
		t.Errorf("a charge explains itself as\n%s\nthe document has\n%s", got, written.String())
	}
}
