package main

import (
	"fmt"
	"net/url"
	"strconv"
	"time"

	"tandem"
	"tandem/provisioning"
)

// UsageCmd is `tandem usage`.
type UsageCmd struct {
	APIFlag
	Account string `help:"Only of this account; also shows what it spent, day by day."`
	DID     string `name:"did" help:"Only of this number."`
	At      string `help:"Date or instant in the billing cycle to show; without it the present one."`
	Limit   int    `default:"1000" help:"How many numbers, 1 to 10000."`
	JSON    bool   `name:"json" help:"Print the answers as JSON."`
}

// usageAnswer is what --json prints.
type usageAnswer struct {
	Minutes []provisioning.NumberUsage `json:"minutes"`
	Spend   *provisioning.Spend        `json:"spend,omitempty"`
	Events  []tandem.UsageEvent        `json:"events"`
}

// Run prints minutes, spend and events of a cycle.
func (c UsageCmd) Run(env *environment) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	query := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	for key, value := range map[string]string{"account": c.Account, "did": c.DID, "at": c.At} {
		if value != "" {
			query.Set(key, value)
		}
	}
	var minutes items[provisioning.NumberUsage]
	if err := node.Get(env.ctx, "/api/v1/usage/minutes", query, &minutes); err != nil {
		return err
	}
	query.Del("at")
	query.Set("limit", "100")
	if len(minutes.Items) > 0 {
		query.Set("from", minutes.Items[0].Cycle.Format(time.RFC3339))
		query.Set("to", minutes.Items[0].CycleEnd.Format(time.RFC3339))
	}
	var events items[tandem.UsageEvent]
	if err := node.Get(env.ctx, "/api/v1/usage/events", query, &events); err != nil {
		return err
	}
	answer := usageAnswer{Minutes: minutes.Items, Events: events.Items}
	if c.Account != "" && c.DID == "" {
		answer.Spend = &provisioning.Spend{}
		days := url.Values{}
		if len(minutes.Items) > 0 && c.At != "" {
			days.Set("from", minutes.Items[0].Cycle.Add(12*time.Hour).Format(time.DateOnly))
			days.Set("to", minutes.Items[0].CycleEnd.Add(-12*time.Hour).Format(time.DateOnly))
		}
		if err := node.Get(env.ctx, accountPath(c.Account, "spend"), days, answer.Spend); err != nil {
			return err
		}
	}
	if c.JSON {
		return printJSON(env.stdout, answer)
	}
	answer.print(env)
	return nil
}

func (a usageAnswer) print(env *environment) {
	var rows [][]string
	for _, u := range a.Minutes {
		runsOut := ""
		if u.RunsOut != nil {
			runsOut = u.RunsOut.Format(time.RFC3339)
		}
		rows = append(rows, []string{u.Account, string(u.DID), string(u.Plan), u.Cycle.Format(time.DateOnly), minutesOf(u.UsedS), minutesOf(u.LimitS), minutesOf(u.LeftS), minutesOf(u.ForecastS), runsOut, minutesOf(u.ChargedS)})
	}
	printTable(env.stdout, []string{"Account", "Number", "Plan", "Cycle from", "Used min", "of", "Left", "Forecast", "Runs out", "Charged min"}, rows)
	if s := a.Spend; s != nil {
		rows = nil
		for _, d := range append(s.Days, s.Sum) {
			if d.Day == "" {
				d.Day = "sum"
			}
			rows = append(rows, []string{d.Day, strconv.Itoa(d.Calls), d.Charges.String(), d.Fees.String(), d.Corrections.String(), d.Spent.String()})
		}
		fmt.Fprintln(env.stdout)
		printTable(env.stdout, []string{"Day " + s.TimeZone, "Calls", "Charges", "Fees", "Corrections", "Spent " + string(s.Currency)}, rows)
	}
	if len(a.Events) == 0 {
		return
	}
	rows = nil
	for _, e := range a.Events {
		what := fmt.Sprintf("%s of %s min drawn", minutesOf(e.UsedS), minutesOf(e.LimitS))
		if e.Kind == tandem.UsageLowBalance {
			what = fmt.Sprintf("balance %s below %s %s", e.Balance, e.Threshold, e.Currency)
		}
		rows = append(rows, []string{e.At.Format(time.RFC3339), string(e.Kind), e.Account, string(e.DID), what})
	}
	fmt.Fprintln(env.stdout)
	printTable(env.stdout, []string{"Time", "Event", "Account", "Number", "What"}, rows)
}

// minutesOf writes seconds as minutes, as in 12:30.
func minutesOf(s int64) string { return fmt.Sprintf("%d:%02d", s/60, s%60) }
