package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"tandem"
	"tandem/provisioning"
)

type deckID struct {
	Deck string `path:"deck" maxLength:"63" doc:"name of the deck"`
}

type deckVersionInput struct {
	Deck    string `path:"deck" maxLength:"63" doc:"name of the deck"`
	Version int    `query:"version" minimum:"0" doc:"0 or absent: see the operation."`
}

type deckImportInput struct {
	Deck      string   `path:"deck" maxLength:"63" doc:"name of the deck"`
	Direction string   `query:"direction" enum:"inbound,outbound," doc:"Absent: that of the deck in force; outbound for a new one."`
	Currency  string   `query:"currency" maxLength:"3" doc:"Absent: that of the deck in force; a new deck needs one."`
	Template  string   `query:"template" maxLength:"40" doc:"plain (default) or us-wholesale."`
	Map       []string `query:"map,explode" maxItems:"40" doc:"What the sheet calls a column: rate=Price per minute. Over the template's."`
	Zone      string   `query:"zone" maxLength:"40" doc:"IANA zone in which dates begin; absent: UTC."`
	Name      string   `query:"name" maxLength:"200" doc:"Name of the file, for messages and lists."`
	DryRun    bool     `query:"dry_run" doc:"Only read it and report the difference."`
	RawBody   []byte   `contentType:"text/csv"`
}

type deckChangeOutput struct{ Body provisioning.DeckChange }

func (a *API) registerDecks() {
	change := func(id, method, path, summary, text string) huma.Operation {
		op := huma.Operation{OperationID: id, Method: method, Path: path, Tags: []string{"decks"}, Summary: summary, Description: text, Errors: []int{401, 404, 409, 413, 422, 503}}
		if method == http.MethodPost {
			op.Security = []map[string][]string{{"token": {}}}
		}
		return op
	}
	answer := func(c provisioning.DeckChange, err error) (*deckChangeOutput, error) {
		if err != nil {
			return nil, problemOf(err)
		}
		if c.Diff.Lines == nil {
			c.Diff.Lines = []provisioning.DeckDiffLine{}
		}
		return &deckChangeOutput{c}, nil
	}
	op := change("import-deck", http.MethodPost, "/api/v1/decks/{deck}/import", "Stage a rate sheet as the next version of a deck",
		"The body is the CSV file. Every problem is reported at once with line, column, value and rule; nothing is stored then. A staged version rates nothing until it is activated.")
	op.MaxBodyBytes, op.BodyReadTimeout = maxApplyBody, importTimeout
	huma.Register(a.huma, op, func(ctx context.Context, in *deckImportInput) (*deckChangeOutput, error) {
		form := tandem.DeckForm{Template: in.Template, Zone: in.Zone}
		for _, pair := range in.Map {
			ours, theirs, ok := strings.Cut(pair, "=")
			if !ok {
				return nil, problemOf(&tandem.Error{Kind: tandem.KindInvalid, Field: "map", Message: "\"" + tandem.Clip(pair, 60) + "\" maps nothing", Mend: "write the deck's column, = and the sheet's, as in rate=Price"})
			}
			if form.Columns == nil {
				form.Columns = map[string]string{}
			}
			form.Columns[ours] = theirs
		}
		return answer(a.svc.ImportDeck(ctx, provisioning.DeckImport{Deck: in.Deck, Direction: tandem.Direction(in.Direction), Currency: tandem.Currency(in.Currency),
			Form: form, Name: in.Name, File: in.RawBody, DryRun: in.DryRun}))
	})
	huma.Register(a.huma, change("preview-deck", http.MethodGet, "/api/v1/decks/{deck}/preview", "How a version differs from the deck in force", "Without version: the newest staged one."),
		func(ctx context.Context, in *deckVersionInput) (*deckChangeOutput, error) {
			return answer(a.svc.PreviewDeck(ctx, in.Deck, in.Version))
		})
	huma.Register(a.huma, change("activate-deck", http.MethodPost, "/api/v1/decks/{deck}/activate", "Bring a version into force", "Without version: the newest staged one. Calls that end afterwards are rated by it; rows name the version that rated them."),
		func(ctx context.Context, in *deckVersionInput) (*deckChangeOutput, error) {
			return answer(a.svc.ActivateDeck(ctx, in.Deck, in.Version))
		})
	huma.Register(a.huma, change("rollback-deck", http.MethodPost, "/api/v1/decks/{deck}/rollback", "Bring back the version that the one in force replaced", ""),
		func(ctx context.Context, in *deckID) (*deckChangeOutput, error) {
			return answer(a.svc.RollbackDeck(ctx, in.Deck))
		})
	versions := func(ctx context.Context, deck string) (*list[provisioning.DeckVersion], error) {
		all, err := a.svc.DeckVersions(ctx, deck)
		if err != nil {
			return nil, problemOf(err)
		}
		return page(all, len(all), 0), nil
	}
	huma.Register(a.huma, change("list-deck-versions", http.MethodGet, "/api/v1/decks/{deck}/versions", "Versions of a deck, newest first", ""),
		func(ctx context.Context, in *deckID) (*list[provisioning.DeckVersion], error) {
			return versions(ctx, in.Deck)
		})
	huma.Register(a.huma, change("list-all-deck-versions", http.MethodGet, "/api/v1/deck-versions", "Versions of all decks", ""),
		func(ctx context.Context, _ *struct{}) (*list[provisioning.DeckVersion], error) {
			return versions(ctx, "")
		})
	export := change("export-deck", http.MethodGet, "/api/v1/decks/{deck}/export", "A version of a deck as CSV", "Without version: the one in force. A version that was imported comes back byte for byte as it came.")
	export.Responses = map[string]*huma.Response{"200": {Description: "The file.", Content: map[string]*huma.MediaType{"text/csv": {Schema: &huma.Schema{Type: "string"}}}}}
	huma.Register(a.huma, export, func(ctx context.Context, in *deckVersionInput) (*huma.StreamResponse, error) {
		_, file, err := a.svc.ExportDeck(ctx, in.Deck, in.Version)
		if err != nil {
			return nil, problemOf(err)
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			c.SetHeader("Content-Type", "text/csv; charset=utf-8; header=present")
			c.SetHeader("Content-Disposition", `attachment; filename="deck.csv"`)
			_, _ = c.BodyWriter().Write(file) // the peer may be gone
		}}, nil
	})
}
