package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"tandem"
	"tandem/provisioning"
)

// PeriodFlags name a period of calls.
type PeriodFlags struct {
	From    string `required:"" help:"First day or instant (by INVITE time, UTC), as in 2026-11-01."`
	To      string `required:"" help:"Last day, or exclusive instant."`
	Account string `help:"Only of this account."`
}

func (p PeriodFlags) period() (from, to time.Time, err error) {
	f, err := provisioning.ParseFilter(func(key string) string { return map[string]string{"from": p.From, "to": p.To}[key] })
	return f.From, f.To, err
}

// RateWhatIfCmd is `tandem rate whatif`.
type RateWhatIfCmd struct {
	APIFlag
	PeriodFlags
	Deck        []string `placeholder:"DECK[=OTHER][@VERSION]" help:"us-out: its newest staged version; us-out@3: that version; us-out=intl: another deck in its place. May be given several times."`
	Plan        []string `placeholder:"[NUMBER=]PLAN" help:"Unlimited or Metered: for all numbers but auto-attendants, or for one: +14255550101=Unlimited."`
	FreeMinutes *int     `name:"free-minutes" help:"Minutes of the Unlimited plan, of every account."`
	JSON        bool     `name:"json" help:"Print the answer as JSON."`
}

// Run asks and prints the differences.
func (c RateWhatIfCmd) Run(env *environment) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	q := provisioning.WhatIf{Account: c.Account, FreeMinutes: c.FreeMinutes}
	if q.From, q.To, err = c.period(); err != nil {
		return err
	}
	for _, text := range c.Deck {
		swap, err := parseDeckSwap(text)
		if err != nil {
			return err
		}
		q.Decks = append(q.Decks, swap)
	}
	for _, text := range c.Plan {
		swap, err := parsePlanSwap(text)
		if err != nil {
			return err
		}
		q.Plans = append(q.Plans, swap)
	}
	var out provisioning.Differences
	if err := node.Post(env.ctx, "/api/v1/rate/whatif", q, &out); err != nil {
		return needsToken(err)
	}
	if c.JSON {
		return printJSON(env.stdout, out)
	}
	printDifferences(env.stdout, out)
	return nil
}

// parseDeckSwap reads DECK[=OTHER][@VERSION].
func parseDeckSwap(text string) (swap provisioning.DeckSwap, err error) {
	name, version, hasVersion := strings.Cut(text, "@")
	if hasVersion {
		if swap.Version, err = strconv.Atoi(version); err != nil || swap.Version < 1 {
			return swap, &tandem.Error{Kind: tandem.KindInvalid, Field: "--deck", Message: tandem.Clip(version, 20) + " is not a version", Mend: "write us-out@3"}
		}
	}
	swap.Deck, swap.With, _ = strings.Cut(name, "=")
	return swap, nil
}

// parsePlanSwap reads [NUMBER=]PLAN.
func parsePlanSwap(text string) (swap provisioning.PlanSwap, err error) {
	plan := text
	if number, of, one := strings.Cut(text, "="); one {
		plan = of
		if swap.DID, err = tandem.ParseE164(number); err != nil {
			return swap, err
		}
	}
	for _, known := range []tandem.PlanKind{tandem.Metered, tandem.Unlimited} {
		if strings.EqualFold(plan, string(known)) {
			swap.Plan = known
			return swap, nil
		}
	}
	return swap, &tandem.Error{Kind: tandem.KindInvalid, Field: "--plan", Message: tandem.Clip(plan, 40) + " is not a plan", Mend: "write Metered or Unlimited"}
}

func printDifferences(w io.Writer, d provisioning.Differences) {
	row := func(x provisioning.Difference, number string) []string {
		return []string{x.Account, number, strconv.Itoa(x.Legs), strconv.Itoa(x.Changed), x.Before.String(), x.After.String(), x.Difference.String() + " " + string(x.Currency), minutesOf(x.FreeBefore), minutesOf(x.FreeAfter)}
	}
	var rows [][]string
	unrated := 0
	for _, a := range d.Accounts {
		rows = append(rows, row(a, "all"))
		unrated += a.Unrated
		for _, n := range d.Numbers {
			if n.Account == a.Account {
				rows = append(rows, row(n, string(n.DID)))
			}
		}
	}
	printTable(w, []string{"Account", "Number", "Legs", "Changed", "Cost", "Would cost", "Difference", "Free min", "Would be free"}, rows)
	for _, c := range d.Costs {
		fmt.Fprintf(w, "carriers: %s, would be %s %s\n", c.Before, c.After, c.Currency)
	}
	if unrated > 0 {
		fmt.Fprintf(w, "%s would have no price\n", count(unrated, "leg"))
	}
}

// Help implements kong.HelpProvider.
func (RateWhatIfCmd) Help() string {
	return `  tandem rate whatif --from 2026-11-01 --to 2026-11-30 --deck us-out
  tandem rate whatif --from 2026-11-01 --to 2026-11-30 --deck us-out@3 --deck us-in=flat --account contoso
  tandem rate whatif --from 2026-11-01 --to 2026-11-30 --plan +14255550101=Unlimited --free-minutes 2000

The calls on record are priced again, in the order in which they were booked; nothing is touched. Minutes that were drawn outside of the period stay drawn. Numbers without a difference are left out.`
}

// RateAgainCmd is `tandem rate again`.
type RateAgainCmd struct {
	APIFlag
	PeriodFlags
	Apply bool `help:"Post the corrections and store new versions of the rows. Without it only the difference is told."`
	JSON  bool `name:"json" help:"Print the answer as JSON."`
}

// Run asks and prints the differences, and what was done about them.
func (c RateAgainCmd) Run(env *environment) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	q := provisioning.Rerate{Account: c.Account, Apply: c.Apply}
	if q.From, q.To, err = c.period(); err != nil {
		return err
	}
	var out provisioning.Rerated
	if err := node.Post(env.ctx, "/api/v1/rate/again", q, &out); err != nil {
		return needsToken(err)
	}
	if c.JSON {
		return printJSON(env.stdout, out)
	}
	printDifferences(env.stdout, out.Differences)
	if !out.Applied {
		fmt.Fprintln(env.stdout, "nothing was changed (dry run); --apply corrects it")
		return nil
	}
	fmt.Fprintf(env.stdout, "%s posted, new versions of %s stored\n", count(out.Postings, "correction"), count(out.Rows, "row"))
	if out.NotBooked > 0 {
		fmt.Fprintf(env.stdout, "%s not in the books left as they are\n", count(out.NotBooked, "leg"))
	}
	return nil
}

// Help implements kong.HelpProvider.
func (RateAgainCmd) Help() string {
	return `  tandem rate again --from 2026-11-01 --to 2026-11-30 --account contoso
  tandem rate again --from 2026-11-01 --to 2026-11-30 --account contoso --apply

Activate the mended deck first: calls are rated by the decks in force, in the order in which they were booked. Nothing is overwritten: entries stay, correction postings make up the difference, and rows get a new version. The same command again changes nothing.`
}
