package main

import (
	"fmt"

	"tandem"
)

// ApplyCmd is `tandem apply`.
type ApplyCmd struct {
	APIFlag
	File   string `short:"f" required:"" type:"existingfile" help:"YAML file with any of the sections trunks, carriers, decks, accounts, tenants, addresses, numbers. A section that is written is complete: what it leaves out is removed."`
	DryRun bool   `name:"dry-run" help:"Print the difference and change nothing."`
}

// Run sends the document to the node; applying it twice changes nothing the second time.
func (c ApplyCmd) Run(env *environment) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	applied, err := api.Apply(env.ctx, c.File, c.DryRun)
	switch {
	case err != nil && tandem.KindOf(err) == tandem.KindUnauthorized:
		return &tandem.Error{Kind: tandem.KindUnauthorized, Field: "--token", Message: "the node does not take this API token, and changes need one",
			Mend: "give --config with the node's tandem.yaml, so that the file " + tokenFile + " in its data folder is read, or --token"}
	case err != nil:
		return err
	}
	for _, line := range applied.Lines {
		fmt.Fprintln(env.stdout, line)
	}
	switch {
	case len(applied.Lines) == 0:
		fmt.Fprintln(env.stdout, "nothing to change")
	case applied.DryRun:
		fmt.Fprintf(env.stdout, "%s; nothing was changed (dry run)\n", count(len(applied.Lines), "difference"))
	default:
		fmt.Fprintf(env.stdout, "%s applied, directory version %d\n", count(len(applied.Lines), "change"), applied.Version)
	}
	return nil
}
