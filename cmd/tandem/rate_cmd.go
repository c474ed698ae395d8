package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"tandem"
	"tandem/provisioning"
	"tandem/provisioning/api/client"
	"tandem/rating/checker"
	"tandem/rating/numberplan"
)

// RateCmd groups the questions to rating.
type RateCmd struct {
	Explain  RateExplainCmd  `cmd:"" help:"What would this call cost, or what did it cost, and why? Nothing is charged."`
	Classify RateClassifyCmd `cmd:"" help:"What is this number to the numbering plan, and why?"`
	Check    RateCheckCmd    `cmd:"" help:"Recompute stored rows with the independent checker and report what differs."`
	Whatif   RateWhatIfCmd   `cmd:"" name:"whatif" help:"What would the calls of a period have cost by another deck version or plan? Nothing is touched."`
	Again    RateAgainCmd    `cmd:"" help:"Rate the calls of a period again by the decks in force: the difference, and with --apply corrections and new row versions."`
}

// RateExplainCmd is `tandem rate explain`.
type RateExplainCmd struct {
	APIFlag
	Call     string        `arg:"" optional:"" help:"Correlation ID of a call that was rated."`
	From     string        `help:"Calling number."`
	To       string        `help:"Called number."`
	Duration time.Duration `help:"Time from answer to release, as in 95s or 1h2m."`
	At       string        `help:"Answer instant, RFC 3339 UTC; without it now."`
	JSON     bool          `name:"json" help:"Print the charges with their explanations as JSON."`
}

// explained is one charge as --json prints it.
type explained struct {
	Leg         string          `json:"leg,omitempty"`
	Technology  string          `json:"technology,omitempty"`
	Charge      tandem.Charge   `json:"charge"`
	Explanation json.RawMessage `json:"explanation"`
	Sentences   []string        `json:"sentences"`
	Cost        *explainedCost  `json:"cost,omitempty"`
}

// explainedCost is what the carrier charges us for the leg.
type explainedCost struct {
	Amount      tandem.Amount   `json:"amount"`
	Currency    tandem.Currency `json:"currency"`
	Explanation json.RawMessage `json:"explanation"`
	Sentences   []string        `json:"sentences"`
}

// Run prints the charge and its reasons.
func (c RateExplainCmd) Run(env *environment) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	if c.Call != "" {
		return c.explainCall(env, node)
	}
	if c.From == "" || c.To == "" {
		return &tandem.Error{Kind: tandem.KindInvalid, Message: "there is nothing to price", Mend: "give --from, --to and --duration, one of the numbers a DID of ours, or the Correlation ID of a call"}
	}
	question := provisioning.RateQuestion{From: c.From, To: c.To, DurationS: int64((c.Duration + time.Second - 1) / time.Second)}
	if c.At != "" {
		if question.At, err = provisioning.ParseMoment(c.At); err != nil {
			return err
		}
	}
	var answer provisioning.RateAnswer
	if err := node.Post(env.ctx, "/api/v1/rate/explain", question, &answer); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.stdout, explained{Charge: answer.Charge, Explanation: rawExplanation(answer.Charge), Sentences: answer.Sentences})
	}
	fmt.Fprintf(env.stdout, "%s %s\n", answer.Charge.Amount, answer.Charge.Currency)
	for _, s := range answer.Sentences {
		fmt.Fprintln(env.stdout, "  "+s)
	}
	return nil
}

// explainCall tells what each leg of a call cost.
func (c RateExplainCmd) explainCall(env *environment, node *client.Client) error {
	if !c.JSON {
		return CDRCmd{APIFlag: c.APIFlag, Call: c.Call}.Run(env)
	}
	var view provisioning.CallView
	if err := node.Get(env.ctx, "/api/v1/calls/"+url.PathEscape(c.Call), nil, &view); err != nil {
		return err
	}
	var all []explained
	for _, leg := range view.Legs {
		one := explained{Leg: legName(leg.CDR), Technology: string(leg.CDR.Technology), Charge: leg.CDR.Charge, Explanation: rawExplanation(leg.CDR.Charge), Sentences: leg.Sentences}
		if cost := leg.CDR.Cost; cost.Currency != "" {
			c := tandem.Charge{Explanation: cost.Explanation}
			one.Cost = &explainedCost{cost.Amount, cost.Currency, rawExplanation(c), sentences(c)}
		}
		all = append(all, one)
	}
	return printJSON(env.stdout, all)
}

// rawExplanation is the explanation as JSON instead of text that holds JSON.
func rawExplanation(c tandem.Charge) json.RawMessage {
	if !json.Valid([]byte(c.Explanation)) {
		return json.RawMessage("null")
	}
	return json.RawMessage(c.Explanation)
}

func printJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(v)
}

// RateClassifyCmd is `tandem rate classify`. It needs no node.
type RateClassifyCmd struct {
	Numbers []string `arg:"" name:"number" help:"Numbers as they may stand in a call: +14255550100, 4255550100, 911, 011442071838750."`
	JSON    bool     `name:"json" help:"Print JSON."`
}

// Run prints class and reason of each number.
func (c RateClassifyCmd) Run(env *environment) error {
	type answer struct {
		Number string             `json:"number"`
		Class  tandem.NumberClass `json:"class"`
		State  string             `json:"state,omitempty"`
		Reason string             `json:"reason"`
		Date   string             `json:"numbering_plan"`
	}
	var all []answer
	for _, n := range c.Numbers {
		a := answer{tandem.Clip(n, 40), numberplan.Classify(n), numberplan.State(n), numberplan.Explain(n), numberplan.Date()}
		if !c.JSON {
			fmt.Fprintln(env.stdout, a.Reason)
		}
		all = append(all, a)
	}
	if c.JSON {
		return printJSON(env.stdout, all)
	}
	return nil
}

// RateCheckCmd is `tandem rate check`.
type RateCheckCmd struct {
	APIFlag
	From    string `required:"" help:"First day or instant, UTC, as in 2026-11-01."`
	To      string `required:"" help:"Last day or instant, UTC."`
	Account string `help:"Only of this account."`
}

// checkPage is how many rows are asked for at once.
const checkPage = 5000

// Run reads every row of the range, attempts included, and recomputes its charge
// and cost from the row alone.
func (c RateCheckCmd) Run(env *environment) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	checked, wrong, zones := 0, 0, cachedZones()
	for offset := 0; ; {
		query := url.Values{"from": {c.From}, "to": {c.To}, "limit": {strconv.Itoa(checkPage)}, "offset": {strconv.Itoa(offset)}}
		if c.Account != "" {
			query.Set("account", c.Account)
		}
		var rows items[checkedRow]
		if err := node.Get(env.ctx, "/api/v1/log", query, &rows); err != nil {
			return err
		}
		for i := range rows.Items {
			checked++
			if problems := rows.Items[i].check(zones); len(problems) > 0 {
				wrong++
				for _, p := range problems {
					fmt.Fprintf(env.stdout, "row %s of call %s: %s\n", rows.Items[i].ID, rows.Items[i].Call, p)
				}
			}
		}
		if rows.Next == nil || len(rows.Items) == 0 {
			break
		}
		offset = *rows.Next
	}
	fmt.Fprintf(env.stdout, "%s checked, %d differ\n", count(checked, "row"), wrong)
	if wrong > 0 {
		return errReported
	}
	return nil
}

// checkedRow is what the checker needs of a row of the log.
type checkedRow struct {
	ID         string         `json:"cdr_id"`
	Call       string         `json:"correlation_id"`
	DurationMs int64          `json:"duration_ms"`
	Charge     checker.Charge `json:"charge"`
	Cost       checker.Charge `json:"cost"`
}

func (r *checkedRow) check(zones checker.Zones) (problems []string) {
	compare := func(what string, c checker.Charge, seconds bool) {
		must, ok, err := checker.Check(c, r.DurationMs, zones)
		if !seconds { // a cost is stored without them
			ok = err == nil && must.Amount == c.Amount
		}
		switch {
		case err != nil:
			problems = append(problems, what+": "+err.Error())
		case !ok:
			problems = append(problems, fmt.Sprintf("%s is %s for %d s billed, %d free, %d charged; must be %s for %d, %d, %d, and the row lasted %d ms", what,
				c.Amount, c.BilledS, c.FreeS, c.ChargedS, must.Amount, must.BilledS, must.FreeS, must.ChargedS, r.DurationMs))
		}
	}
	compare("charge", r.Charge, true)
	if r.Cost.Explanation != "" {
		compare("cost", r.Cost, false)
	}
	return problems
}

// cachedZones is time.LoadLocation that remembers.
func cachedZones() checker.Zones {
	known := map[string]*time.Location{}
	return func(name string) (*time.Location, error) {
		if z := known[name]; z != nil {
			return z, nil
		}
		z, err := time.LoadLocation(name)
		known[name] = z
		return z, err
	}
}
