package main

import (
	"bytes"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"tandem"
	"tandem/provisioning"
	"tandem/provisioning/api/client"
)

// DeckCmd groups what is done to rate decks.
type DeckCmd struct {
	Import   DeckImportCmd   `cmd:"" help:"Read a rate sheet (CSV), report every problem or the difference, and stage it. It rates nothing yet."`
	Preview  DeckPreviewCmd  `cmd:"" help:"How a staged version differs from the deck in force."`
	Activate DeckActivateCmd `cmd:"" help:"Bring a version into force, at once and as a whole."`
	Rollback DeckRollbackCmd `cmd:"" help:"Bring back the version that the one in force replaced."`
	Export   DeckExportCmd   `cmd:"" help:"Write a version as CSV: the file that it came as, byte for byte."`
	List     DeckListCmd     `cmd:"" help:"List decks and their versions: staged, in force, former."`
}

// DeckImportCmd is `tandem deck import`.
type DeckImportCmd struct {
	APIFlag
	Deck      string            `arg:"" help:"Name of the deck."`
	File      string            `arg:"" help:"CSV file; - reads standard input."`
	Template  string            `default:"plain" help:"Form of the sheet: plain, or us-wholesale (lrn_prefix, interstate, intrastate, effective_date, expiration_date, min_inc, add_inc)."`
	Map       map[string]string `help:"What the sheet calls a column, as in --map rate=Price. Repeat it; it goes over the template."`
	Zone      string            `help:"IANA zone in which the sheet's dates begin; without it UTC."`
	Direction string            `enum:"inbound,outbound," default:"" help:"inbound or outbound; without it that of the deck in force, outbound for a new one."`
	Currency  string            `help:"ISO 4217 code; a new deck needs one."`
	DryRun    bool              `name:"dry-run" help:"Only read it and report the difference."`
	Activate  bool              `help:"Bring it into force as well."`
}

// Run sends the sheet to the node.
func (c DeckImportCmd) Run(env *environment) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	file, err := readSheet(c.File)
	if err != nil {
		return err
	}
	query := url.Values{"template": {c.Template}, "name": {filepath.Base(c.File)}}
	for key, value := range map[string]string{"zone": c.Zone, "direction": c.Direction, "currency": c.Currency} {
		if value != "" {
			query.Set(key, value)
		}
	}
	for ours, theirs := range c.Map {
		query.Add("map", ours+"="+theirs)
	}
	if c.DryRun {
		query.Set("dry_run", "true")
	}
	var change provisioning.DeckChange
	if err := node.PostFile(env.ctx, deckPath(c.Deck, "import"), query, "text/csv", bytes.NewReader(file), &change); err != nil {
		return needsToken(err)
	}
	printDeckChange(env.stdout, change)
	switch {
	case c.DryRun:
		fmt.Fprintln(env.stdout, "nothing was stored (dry run)")
		return nil
	case c.Activate:
		return activateDeck(env, node, c.Deck, change.Version.Version)
	}
	fmt.Fprintf(env.stdout, "staged as version %d of %s; bring it into force with tandem deck activate %s\n", change.Version.Version, c.Deck, c.Deck)
	return nil
}

func readSheet(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(os.Stdin)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, &tandem.Error{Kind: tandem.KindNotFound, Message: "the rate sheet " + path + " can't be read", Mend: "give the path of a CSV file", Err: err}
	}
	return file, nil
}

func deckPath(deck, operation string) string {
	return "/api/v1/decks/" + url.PathEscape(deck) + "/" + operation
}

// needsToken says where the token of a change comes from.
func needsToken(err error) error {
	if tandem.KindOf(err) != tandem.KindUnauthorized {
		return err
	}
	return &tandem.Error{Kind: tandem.KindUnauthorized, Field: "--token", Message: "the node does not take this API token, and changes need one",
		Mend: "give --config with the node's tandem.yaml, so that the file " + tokenFile + " in its data folder is read, or --token"}
}

// printDeckChange prints the difference, as people read it.
func printDeckChange(w io.Writer, c provisioning.DeckChange) {
	for _, line := range c.Diff.Lines {
		fmt.Fprintln(w, line)
	}
	if more := c.Diff.Added + c.Diff.Changed + c.Diff.Removed - len(c.Diff.Lines); more > 0 {
		fmt.Fprintf(w, "and %d more differences\n", more)
	}
	for _, warning := range c.Warnings {
		fmt.Fprintln(w, "note:", warning)
	}
	against := "a new deck"
	if c.InForce != 0 {
		against = fmt.Sprintf("against version %d in force", c.InForce)
	}
	fmt.Fprintf(w, "%s, %s: %d added, %d changed (%d dearer, %d cheaper), %d removed, %d the same\n", count(c.Version.Rows, "row"), against,
		c.Diff.Added, c.Diff.Changed, c.Diff.Dearer, c.Diff.Cheaper, c.Diff.Removed, c.Diff.Same)
}

// DeckPreviewCmd is `tandem deck preview`.
type DeckPreviewCmd struct {
	APIFlag
	Deck    string `arg:"" help:"Name of the deck."`
	Version int    `help:"Version; without it the newest staged one."`
}

// Run prints the difference.
func (c DeckPreviewCmd) Run(env *environment) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	var change provisioning.DeckChange
	if err := node.Get(env.ctx, deckPath(c.Deck, "preview"), versionQuery(c.Version), &change); err != nil {
		return err
	}
	printDeckChange(env.stdout, change)
	return nil
}

func versionQuery(version int) url.Values {
	if version == 0 {
		return nil
	}
	return url.Values{"version": {strconv.Itoa(version)}}
}

// DeckActivateCmd is `tandem deck activate`.
type DeckActivateCmd struct {
	APIFlag
	Deck    string `arg:"" help:"Name of the deck."`
	Version int    `help:"Version; without it the newest staged one."`
}

// Run brings the version into force.
func (c DeckActivateCmd) Run(env *environment) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	return activateDeck(env, node, c.Deck, c.Version)
}

func activateDeck(env *environment, node *client.Client, deck string, version int) error {
	return changeDeck(env, node, deckPath(deck, "activate"), versionQuery(version))
}

// changeDeck runs an operation that brings a version into force.
func changeDeck(env *environment, node *client.Client, path string, query url.Values) error {
	var change provisioning.DeckChange
	if err := node.PostFile(env.ctx, path, query, "", nil, &change); err != nil {
		return needsToken(err)
	}
	v := change.Version
	switch change.InForce {
	case v.Version:
		fmt.Fprintf(env.stdout, "version %d of %s is in force already\n", v.Version, v.Deck)
	case 0:
		fmt.Fprintf(env.stdout, "version %d of %s is in force\n", v.Version, v.Deck)
	default:
		fmt.Fprintf(env.stdout, "version %d of %s is in force instead of version %d; tandem deck rollback %s brings that back\n", v.Version, v.Deck, change.InForce, v.Deck)
	}
	return nil
}

// DeckRollbackCmd is `tandem deck rollback`.
type DeckRollbackCmd struct {
	APIFlag
	Deck string `arg:"" help:"Name of the deck."`
}

// Run goes one version back.
func (c DeckRollbackCmd) Run(env *environment) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	return changeDeck(env, node, deckPath(c.Deck, "rollback"), nil)
}

// DeckExportCmd is `tandem deck export`.
type DeckExportCmd struct {
	APIFlag
	Deck    string `arg:"" help:"Name of the deck."`
	Version int    `help:"Version; without it the one in force."`
	Output  string `short:"o" help:"File to write; without it standard output."`
}

// Run writes the file.
func (c DeckExportCmd) Run(env *environment) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	var file bytes.Buffer
	if err := node.GetCSV(env.ctx, deckPath(c.Deck, "export"), versionQuery(c.Version), &file); err != nil {
		return err
	}
	if c.Output == "" {
		_, err := env.stdout.Write(file.Bytes())
		return err
	}
	if err := os.WriteFile(c.Output, file.Bytes(), 0o644); err != nil {
		return &tandem.Error{Kind: tandem.KindUnavailable, Field: "--output", Message: c.Output + " can't be written", Mend: "choose another place", Err: err}
	}
	return nil
}

// DeckListCmd is `tandem deck list`.
type DeckListCmd struct {
	APIFlag
	Deck string `arg:"" optional:"" help:"Name of a deck; without it all."`
}

// Run prints the versions, newest first.
func (c DeckListCmd) Run(env *environment) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	path := "/api/v1/deck-versions"
	if c.Deck != "" {
		path = deckPath(c.Deck, "versions")
	}
	var versions items[provisioning.DeckVersion]
	if err := node.Get(env.ctx, path, nil, &versions); err != nil {
		return err
	}
	var table [][]string
	for _, v := range versions.Items {
		table = append(table, []string{v.Deck, strconv.Itoa(v.Version), string(v.State), string(v.Direction), string(v.Currency), strconv.Itoa(v.Rows),
			clock(v.StoredAt), clock(v.ActiveAt), v.Name})
	}
	printTable(env.stdout, []string{"Deck", "Version", "State", "Direction", "Currency", "Rows", "Stored (UTC)", "In force since or last (UTC)", "File"}, table)
	return nil
}
