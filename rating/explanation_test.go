package rating

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem"
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

// TestExplanationIsTheJSONOfItsFields: what is written by hand is what
// encoding/json would write, hostile text included.
func TestExplanationIsTheJSONOfItsFields(t *testing.T) {
	for kind, fields := range map[reflect.Type]int{reflect.TypeFor[Explanation](): 17, reflect.TypeFor[ExplainedRow](): 19, reflect.TypeFor[ExplainedBucket](): 8} {
		if kind.NumField() != fields {
			t.Errorf("%s has another number of fields: write them in explanation_json.go, fill them here", kind)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := func(name string) string {
			return rapid.OneOf(rapid.StringMatching(`[a-z0-9+-]{0,12}`), rapid.String(), rapid.SampledFrom([]string{"a\"b", "<&>", "\u2028", "\xff", "\r\n\x00", `\`})).Draw(t, name)
		}
		number := func(name string) int64 { return rapid.Int64().Draw(t, name) }
		at := func(name string) time.Time {
			if rapid.Bool().Draw(t, name+" is zero") {
				return time.Time{}
			}
			return time.Unix(rapid.Int64Range(-62_000_000_000, 253_402_300_799).Draw(t, name), rapid.Int64Range(0, 999_999_999).Draw(t, name+" ns")).In(time.FixedZone("", 60*rapid.IntRange(-900, 900).Draw(t, name+" zone")))
		}
		e := Explanation{Form: 1, Rule: Rule(text("rule")), Leg: LegKind(text("leg")), Number: text("number"), Class: tandem.NumberClass(text("class")), AnswerTime: at("answer"),
			DurationMs: rapid.Uint32().Draw(t, "duration"), BilledS: number("billed"), FreeS: number("free"), ChargedS: number("charged"), Fee: tandem.Amount(number("fee")),
			Rounding: rapid.SampledFrom([]tandem.Rounding{{}, {Mode: 2, Drop: 4}}).Draw(t, "rounding"), Amount: tandem.Amount(number("amount")), Error: text("error")}
		if rapid.Bool().Draw(t, "deck") {
			e.Deck = &ExplainedRow{ID: text("id"), Version: int(number("version")), Currency: tandem.Currency(text("currency")), Row: number("row"), Prefix: text("prefix"), Destination: text("destination"),
				Rate: tandem.Rate(number("rate")), ConnectFee: tandem.Amount(number("connect fee")), InitialInc: number("initial"), NextInc: number("next"), EffectiveFrom: at("from"), EffectiveTo: at("to"),
				Jurisdiction: Jurisdiction(text("jurisdiction")), Times: text("times")}
			if rapid.Bool().Draw(t, "more") {
				e.Deck.Grace, e.Deck.MinCharge = number("grace"), tandem.Amount(number("minimum"))
			}
			switch rapid.IntRange(0, 5).Draw(t, "rare") {
			case 1:
				e.Deck.Timed = []ExplainedTimes{{Row: 1, Times: text("times")}}
			case 2:
				e.Deck.Base.Given = true
			case 3:
				e.Deck.RateInitial.Given = true
			case 4:
				e.Changes = []RateChange{{}}
			}
		}
		if rapid.Bool().Draw(t, "allowance") {
			e.Allowance = &ExplainedBucket{Account: text("account"), DID: tandem.E164(text("did")), Cycle: at("cycle"), CycleEnd: at("cycle end"), LimitS: number("limit"), BeforeS: number("before"), AfterS: number("after")}
			if rapid.Bool().Draw(t, "split") {
				e.Allowance.Next = &ExplainedNext{FromS: number("from")}
			}
		}
		want, err := json.Marshal(e)
		if err != nil {
			want = []byte(unwritable)
		}
		if got := e.String(); got != string(want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	})
}
