package main

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"tandem/provisioning"
)

// TestBooksOnACommandLine takes an account through top-up, refund and
// correction on a running node; the statement shows them and nothing is posted twice.
func TestBooksOnACommandLine(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	s := newStage(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	config := s.settings(t)
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"Empty", []string{"ledger", "statement", "contoso"}, 0, []string{"balance before", "0.000000", "balance after", "0.000000"}},
		{"TopUp", []string{"ledger", "topup", "contoso", "50.00", "--note", "wire 7", "--id", "3fa85f64-5717-4562-b3fc-2c963f66afa6"}, 0, []string{"topup 3fa85f64-5717-4562-b3fc-2c963f66afa6 of 50.000000 USD for contoso; balance 50.000000"}},
		{"TopUpAgain", []string{"ledger", "topup", "contoso", "50", "--note", "wire 7", "--id", "3fa85f64-5717-4562-b3fc-2c963f66afa6"}, 0, []string{"was stored before; nothing changed; balance 50.000000"}},
		{"ErrSameIDOtherAmount", []string{"ledger", "topup", "contoso", "51", "--note", "wire 7", "--id", "3fa85f64-5717-4562-b3fc-2c963f66afa6"}, 1, []string{"says something else"}},
		{"Correct", []string{"ledger", "correct", "contoso", "--note", "typed wrong", "--", "-1.5"}, 0, []string{"correction", "of -1.500000 USD", "balance 48.500000"}},
		{"Refund", []string{"ledger", "refund", "contoso", "0.25", "--did", "+14255550101"}, 0, []string{"balance 48.750000"}},
		{"ErrNegativeTopUp", []string{"ledger", "topup", "contoso", "--", "-3"}, 1, []string{"wrong sign"}},
		{"ErrUnknownAccount", []string{"ledger", "topup", "nobody", "3"}, 1, []string{"there is no account nobody"}},
		{"ErrElevenDecimals", []string{"ledger", "topup", "contoso", "3.00000000001"}, 1, []string{"more than 6 decimals"}},
		{"ErrNoToken", []string{"ledger", "topup", "contoso", "3", "--token", "wrong"}, 1, []string{"API token"}},
		{"Statement", []string{"ledger", "statement", "contoso"}, 0, []string{"topup", "wire 7", "50.000000", "correction", "typed wrong", "-1.500000", "48.500000", "refund", "+14255550101", "sum of topup", "1 posting", "balance after", "48.750000"}},
		{"StatementOfAnotherTime", []string{"ledger", "statement", "contoso", "--from", "2020-01-01", "--to", "2020-01-31"}, 0, []string{"2020-02-01T00:00:00Z", "balance after", "0.000000"}},
		{"Usage", []string{"usage", "--account", "contoso", "-c", config}, 0, []string{"+14255550101", "Unlimited", "0:00", "4000:00", "Corrections", "1.250000"}},
		{"UsageOfANumber", []string{"usage", "--did", "+14255550101", "--at", "2026-02-10", "-c", config}, 0, []string{"2026-02-01"}},
		{"ErrUsageOfNobody", []string{"usage", "--account", "nobody", "-c", config}, 1, []string{"there is no account nobody"}},
		{"ErrUsageOfAnotherNumber", []string{"usage", "--did", "+14255559999", "-c", config}, 1, []string{"not a number here"}},
		{"Page", []string{"ledger", "statement", "contoso", "--limit", "1"}, 0, []string{"2 more; go on with --offset 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := c.args
			if args[0] == "ledger" {
				args = append([]string{args[0], args[1], "-c", config}, args[2:]...)
			}
			check(t, command(ctx, args...), c.code, c.want)
		})
	}
	var statement provisioning.Statement
	said := command(ctx, "ledger", "statement", "contoso", "--json", "-c", config)
	if err := json.Unmarshal([]byte(said.out), &statement); err != nil || statement.Total != 3 || statement.Closing != 48_750_000 {
		t.Errorf("%+v, %v", statement, err)
	}
}
