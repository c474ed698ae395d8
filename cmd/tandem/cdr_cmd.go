package main

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"tandem"
	"tandem/provisioning"
)

// CDRCmd is `tandem cdr`.
type CDRCmd struct {
	APIFlag
	Call       string `arg:"" optional:"" help:"Correlation ID of one call: its legs, why that route, why that price."`
	Log        bool   `help:"The log: every leg and attempt. Without it the detailed report: connected legs, two rows per call."`
	Account    string `help:"Only of this account."`
	From       string `help:"First day or instant, UTC, as in 2026-11-01."`
	To         string `help:"Last day or instant, UTC."`
	Number     string `help:"Digits (4 or more) contained in the calling or called number."`
	Technology string `help:"Operator Connect or Phone."`
	Limit      int    `default:"100" help:"How many rows."`
	CSV        bool   `name:"csv" help:"All columns as CSV."`
}

// Run prints rows, newest first.
func (c CDRCmd) Run(env *environment) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	if c.Call != "" {
		var view provisioning.CallView
		if err := api.Get(env.ctx, "/api/v1/calls/"+url.PathEscape(c.Call), nil, &view); err != nil {
			return err
		}
		printCall(env.stdout, view)
		return nil
	}
	path := "/api/v1/report"
	if c.Log {
		path = "/api/v1/log"
	}
	query := url.Values{}
	for key, value := range map[string]string{"account": c.Account, "from": c.From, "to": c.To, "number": c.Number, "technology": c.Technology, "limit": strconv.Itoa(c.Limit)} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if c.CSV {
		return api.GetCSV(env.ctx, path, query, env.stdout)
	}
	var rows items[tandem.CDR]
	if err := api.Get(env.ctx, path, query, &rows); err != nil {
		return err
	}
	switch {
	case len(rows.Items) == 0:
		fmt.Fprintln(env.stdout, "no row matches; rows of a call appear a few seconds after its end")
	case c.Log:
		printLog(env.stdout, rows.Items)
	default:
		printReport(env.stdout, rows.Items)
	}
	if rows.Next != nil {
		fmt.Fprintf(env.stdout, "there are older rows: ask for more with --limit, or up to a day with --to\n")
	}
	return nil
}

// printReport is the detailed report: connected legs.
func printReport(w io.Writer, rows []tandem.CDR) {
	var table [][]string
	for _, r := range byCallInOrder(rows) {
		table = append(table, []string{string(r.Technology), r.Correlation.String(), string(r.Direction), r.From, r.To, clock(r.InviteTime),
			seconds(r.DurationMs), strconv.FormatInt(r.Charge.BilledS, 10), strconv.FormatInt(r.Charge.FreeS, 10),
			r.Charge.Amount.String() + " " + string(r.Charge.Currency), string(r.Plan)})
	}
	printTable(w, []string{"Technology", "Correlation ID", "Direction", "From", "To", "Set up (UTC)", "Duration s", "Billed s", "Free s", "Charge", "Plan"}, table)
}

// printLog is the log: every leg and attempt.
func printLog(w io.Writer, rows []tandem.CDR) {
	var table [][]string
	for _, r := range byCallInOrder(rows) {
		table = append(table, []string{clock(r.InviteTime), legName(r), r.Correlation.String(), r.Network, r.Endpoint, r.From, r.To, string(r.Disposition),
			status(r), strconv.Itoa(int(r.Q850)), string(r.ReleasedBy), seconds(r.DurationMs), r.Charge.Amount.String(), r.Reason})
	}
	printTable(w, []string{"Set up (UTC)", "Leg", "Correlation ID", "Network", "Address", "From", "To", "Disposition", "SIP", "Q.850", "Released by", "Duration s", "Charge", "Reason"}, table)
}

// printCall is one call with its reasons.
func printCall(w io.Writer, view provisioning.CallView) {
	fmt.Fprintf(w, "Call %s\n", view.Correlation)
	for _, leg := range view.Legs {
		r := leg.CDR
		note := ""
		if r.Failsafe {
			note = ", failsafe"
		}
		fmt.Fprintf(w, "\n%s, %s%s, %s (%s): %s -> %s\n", legName(r), r.Technology, note, r.Network, r.Endpoint, r.From, r.To)
		fmt.Fprintf(w, "  set up %s, %s, SIP %s, Q.850 %d, released by %s, %s s\n", clock(r.InviteTime), r.Disposition, status(r), r.Q850, r.ReleasedBy, seconds(r.DurationMs))
		if r.Reason != "" {
			fmt.Fprintf(w, "  reason: %s\n", tandem.Clip(r.Reason, 200))
		}
		fmt.Fprintf(w, "  charge %s %s\n", r.Charge.Amount, r.Charge.Currency)
		for _, s := range leg.Sentences {
			fmt.Fprintf(w, "    %s\n", s)
		}
		if r.Cost.Currency != "" {
			fmt.Fprintf(w, "  cost %s %s\n", r.Cost.Amount, r.Cost.Currency)
			for _, s := range sentences(tandem.Charge{Explanation: r.Cost.Explanation}) {
				fmt.Fprintf(w, "    %s\n", s)
			}
		}
	}
	fmt.Fprintln(w, "\nWhy this route:")
	printTrace(w, view.Trace)
}

func printTrace(w io.Writer, trace []tandem.TraceStep) {
	for _, step := range trace {
		fmt.Fprintf(w, "  %-14s %s\n", step.Rule, tandem.Clip(step.Detail, 300))
	}
}

// legName is A for the caller's leg and B1, B2... for the attempts.
func legName(r tandem.CDR) string {
	if r.Attempt == 0 {
		return "A"
	}
	return "B" + strconv.Itoa(r.Attempt)
}

func status(r tandem.CDR) string {
	if r.SIPCode == 0 {
		return "-"
	}
	return strconv.Itoa(int(r.SIPCode))
}

func seconds(ms uint32) string {
	return strconv.FormatFloat((time.Duration(ms) * time.Millisecond).Seconds(), 'f', 3, 64)
}
