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
	"tandem/provisioning/api"
)

// LedgerCmd groups what is done to accounts' books.
type LedgerCmd struct {
	Statement LedgerStatementCmd `cmd:"" help:"An account's postings of a period, with the balance before and after."`
	Topup     LedgerTopUpCmd     `cmd:"" help:"Add a payment to an account's balance."`
	Refund    LedgerRefundCmd    `cmd:"" help:"Give a charge or fee back to an account."`
	Correct   LedgerCorrectCmd   `cmd:"" help:"Move a balance either way: mistakes are mended by a posting, nothing is edited."`
}

// LedgerStatementCmd is `tandem ledger statement`.
type LedgerStatementCmd struct {
	APIFlag
	Account string `arg:"" help:"Name of the account."`
	From    string `help:"First date, or instant (RFC 3339); without it the first of the month (UTC)."`
	To      string `help:"Last date, or exclusive instant; without it now."`
	Limit   int    `default:"100" help:"How many postings to show, 1 to 10000."`
	Offset  int    `help:"How many postings to skip."`
	JSON    bool   `name:"json" help:"Print the answer as JSON."`
}

// Run prints the statement.
func (c LedgerStatementCmd) Run(env *environment) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	query := url.Values{"limit": {strconv.Itoa(c.Limit)}, "offset": {strconv.Itoa(c.Offset)}}
	for key, value := range map[string]string{"from": c.From, "to": c.To} {
		if value != "" {
			query.Set(key, value)
		}
	}
	var s provisioning.Statement
	if err := node.Get(env.ctx, accountPath(c.Account, "statement"), query, &s); err != nil {
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(env.stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(s)
	}
	printStatement(env.stdout, s, c.Offset == 0)
	if more := s.Total - c.Offset - len(s.Items); more > 0 {
		fmt.Fprintf(env.stdout, "%d more; go on with --offset %d\n", more, c.Offset+len(s.Items))
	}
	return nil
}

// printStatement prints the lines; the balance after each is known only when they begin with the first.
func printStatement(w io.Writer, s provisioning.Statement, whole bool) {
	rows := [][]string{{s.From.Format(time.RFC3339), "balance before", "", "", "", s.Opening.String()}}
	balance := s.Opening
	for _, p := range s.Items {
		balance += p.Amount
		after := ""
		if whole {
			after = balance.String()
		}
		rows = append(rows, []string{p.At.Format(time.RFC3339), string(p.Kind), string(p.DID), p.Note, p.Amount.String(), after})
	}
	for _, sum := range s.Sums {
		rows = append(rows, []string{"", "sum of " + string(sum.Kind), count(sum.Count, "posting"), "", sum.Amount.String(), ""})
	}
	rows = append(rows, []string{s.To.Format(time.RFC3339), "balance after", "", "", "", s.Closing.String()})
	printTable(w, []string{"Time", "Posting", "Number", "Note", "Amount", "Balance " + string(s.Currency)}, rows)
}

func accountPath(account, operation string) string {
	return "/api/v1/accounts/" + url.PathEscape(account) + "/" + operation
}

// PostingFlags are what every posting takes.
type PostingFlags struct {
	APIFlag
	Account string `arg:"" help:"Name of the account."`
	Amount  string `arg:"" help:"In the account's currency, as in 50.00; a negative correction follows --: tandem ledger correct contoso -- -1.50."`
	Note    string `help:"For the statement: invoice, payment, reason."`
	ID      string `name:"id" help:"UUID of the posting: the same one again changes nothing. Without it a new one."`
	DID     string `name:"did" help:"The number that it is about."`
	Leg     string `help:"The leg (row id) that it is about."`
}

func (c PostingFlags) post(env *environment, kind tandem.PostingKind) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	in := api.NewPosting{ID: c.ID, DID: c.DID, Leg: c.Leg, Note: c.Note}
	if in.Amount, err = tandem.ParseAmount(c.Amount); err != nil {
		return err
	}
	var out provisioning.Posted
	if err := node.Post(env.ctx, accountPath(c.Account, "postings/"+string(kind)), in, &out); err != nil {
		return needsToken(err)
	}
	again := ""
	if out.Again {
		again = " was stored before; nothing changed"
	}
	p := out.Posting
	fmt.Fprintf(env.stdout, "%s %s of %s %s for %s%s; balance %s\n", p.Kind, p.ID, p.Amount, p.Currency, tandem.Clip(p.Account, 63), again, out.Balance)
	return nil
}

// LedgerTopUpCmd is `tandem ledger topup`.
type LedgerTopUpCmd struct{ PostingFlags }

// Run posts it.
func (c LedgerTopUpCmd) Run(env *environment) error { return c.post(env, tandem.PostTopUp) }

// LedgerRefundCmd is `tandem ledger refund`.
type LedgerRefundCmd struct{ PostingFlags }

// Run posts it.
func (c LedgerRefundCmd) Run(env *environment) error { return c.post(env, tandem.PostRefund) }

// LedgerCorrectCmd is `tandem ledger correct`.
type LedgerCorrectCmd struct{ PostingFlags }

// Run posts it.
func (c LedgerCorrectCmd) Run(env *environment) error { return c.post(env, tandem.PostCorrection) }
