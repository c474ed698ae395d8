package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"tandem"
	"tandem/provisioning"
)

// list is the answer of an operation that lists things.
type list[T any] struct {
	Body struct {
		Items []T `json:"items"`
		Total int `json:"total" doc:"how many there are in all"`
	}
}

// page cuts a page out of all and answers it.
func page[T any](all []T, limit, offset int) *list[T] {
	out := &list[T]{}
	out.Body.Total = len(all)
	out.Body.Items = []T{}
	if offset < len(all) {
		out.Body.Items = append(out.Body.Items, all[offset:min(len(all), offset+limit)]...)
	}
	return out
}

type listInput struct {
	Account string `query:"account" maxLength:"63" doc:"Only of this account."`
	Limit   int    `query:"limit" default:"1000" minimum:"1" maximum:"10000"`
	Offset  int    `query:"offset" default:"0" minimum:"0" maximum:"100000000"`
}

// Account is an account with its balance.
type Account struct {
	tandem.Account
	Balance tandem.Amount        `json:"balance" doc:"sum of all postings; negative: charged and not yet paid"`
	Credit  *provisioning.Credit `json:"credit,omitempty" doc:"of an account with limited credit: what it can spend now"`
}

// Deck is a deck without its rows.
type Deck struct {
	ID        string           `json:"id"`
	Direction tandem.Direction `json:"direction"`
	Currency  tandem.Currency  `json:"currency"`
	Version   int              `json:"version"`
	Rows      int              `json:"rows" doc:"how many rows the version in force has"`
}

func listing(id, path, tag, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Tags: []string{tag}, Summary: summary, Errors: []int{401, 422}}
}

func (a *API) registerDirectory() {
	huma.Register(a.huma, listing("list-accounts", "/api/v1/accounts", "provisioning", "Accounts with their balances"),
		func(ctx context.Context, in *listInput) (*list[Account], error) {
			dir, err := a.svc.Directory(ctx)
			if err != nil {
				return nil, problemOf(err)
			}
			balances, err := a.svc.Balances(ctx)
			if err != nil {
				return nil, problemOf(err)
			}
			var out []Account
			for _, x := range dir.Accounts {
				if in.Account == "" || in.Account == x.ID {
					out = append(out, Account{x, balances[x.ID].Amount, a.svc.Credit(x.ID)})
				}
			}
			return page(out, in.Limit, in.Offset), nil
		})
	huma.Register(a.huma, listing("list-decks", "/api/v1/decks", "provisioning", "Decks in force, without their rows"),
		func(ctx context.Context, in *struct{}) (*list[Deck], error) {
			dir, err := a.svc.Directory(ctx)
			if err != nil {
				return nil, problemOf(err)
			}
			var out []Deck
			for _, d := range dir.Decks {
				out = append(out, Deck{d.ID, d.Direction, d.Currency, d.Version, len(d.Rows)})
			}
			return page(out, len(out), 0), nil
		})
	listOf(a, listing("list-tenants", "/api/v1/tenants", "provisioning", "Microsoft 365 tenants"),
		func(d *tandem.Directory) []tandem.Tenant { return d.Tenants }, func(t tandem.Tenant) string { return t.Account })
	listOf(a, listing("list-addresses", "/api/v1/addresses", "provisioning", "Service addresses"),
		func(d *tandem.Directory) []tandem.ServiceAddress { return d.Addresses }, func(x tandem.ServiceAddress) string { return x.Account })
	listOf(a, listing("list-numbers", "/api/v1/numbers", "provisioning", "Numbers with their status"),
		func(d *tandem.Directory) []tandem.Number { return d.Numbers }, func(n tandem.Number) string { return n.Account })
	huma.Register(a.huma, listing("list-trunks", "/api/v1/trunks", "node", "Trunks with the health of each address and why"),
		func(ctx context.Context, in *struct{}) (*list[provisioning.TrunkState], error) {
			trunks, err := a.svc.Trunks(ctx)
			if err != nil {
				return nil, problemOf(err)
			}
			return page(trunks, len(trunks), 0), nil
		})
}

// listOf registers the listing of things that belong to accounts.
func listOf[T any](a *API, op huma.Operation, pick func(*tandem.Directory) []T, account func(T) string) {
	huma.Register(a.huma, op, func(ctx context.Context, in *listInput) (*list[T], error) {
		dir, err := a.svc.Directory(ctx)
		if err != nil {
			return nil, problemOf(err)
		}
		all := pick(dir)
		if in.Account != "" {
			var of []T
			for _, x := range all {
				if account(x) == in.Account {
					of = append(of, x)
				}
			}
			all = of
		}
		return page(all, in.Limit, in.Offset), nil
	})
}
