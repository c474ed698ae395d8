package main

import (
	"fmt"
	"time"

	"tandem"
	"tandem/provisioning"
)

// items is how the API answers with a list.
type items[T any] struct {
	Items []T  `json:"items"`
	Total int  `json:"total"`
	Next  *int `json:"next_offset"`
}

// CallsCmd is `tandem calls`.
type CallsCmd struct {
	APIFlag
}

// Run lists the calls in progress, oldest first.
func (c CallsCmd) Run(env *environment) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	var live items[tandem.LiveCall]
	if err := api.Get(env.ctx, "/api/v1/live", nil, &live); err != nil {
		return err
	}
	if len(live.Items) == 0 {
		fmt.Fprintln(env.stdout, "no call in progress")
		return nil
	}
	now := time.Now()
	var rows [][]string
	for _, l := range live.Items {
		timer := ""
		if !l.NextTimer.IsZero() {
			timer = l.TimerName + " in " + l.NextTimer.Sub(now).Round(time.Second).String()
		}
		rows = append(rows, []string{l.Correlation.String(), l.State, now.Sub(l.Since).Round(time.Second).String(), string(l.Direction), l.Account,
			l.From, l.To, string(l.TrunkA) + " > " + string(l.TrunkB), timer})
	}
	printTable(env.stdout, []string{"Correlation ID", "State", "Age", "Direction", "Account", "From", "To", "Trunks", "Timer"}, rows)
	fmt.Fprintln(env.stdout, count(live.Total, "call"))
	return nil
}

// TrunksCmd is `tandem trunks`.
type TrunksCmd struct {
	APIFlag
}

// Run lists the health of every address of every trunk.
func (c TrunksCmd) Run(env *environment) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	var trunks items[provisioning.TrunkState]
	if err := api.Get(env.ctx, "/api/v1/trunks", nil, &trunks); err != nil {
		return err
	}
	if len(trunks.Items) == 0 {
		fmt.Fprintln(env.stdout, "no trunk yet: describe them in a file and run tandem apply -f FILE")
		return nil
	}
	var rows [][]string
	for _, t := range trunks.Items {
		for _, h := range t.Health {
			why := h.Reason
			if h.Alarm != "" {
				why = "ALARM: " + h.Alarm + "; " + why
			}
			rows = append(rows, []string{string(t.Trunk.ID), t.Trunk.Network, fmt.Sprintf("%s:%d", h.Endpoint.Host, h.Endpoint.Port), string(t.Trunk.Transport),
				string(h.State), clock(h.Since), clock(h.LastOK), why})
		}
	}
	printTable(env.stdout, []string{"Trunk", "Network", "Address", "Transport", "State", "Since", "Last answer", "Why"}, rows)
	return nil
}

// clock prints an instant for people, "-" for none.
func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}
