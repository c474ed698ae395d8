package provisioning

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem"
)

// DeckStore keeps every version of every deck. provisioning/store implements it.
type DeckStore interface {
	// StageDeck stores a deck under the next free version without bringing it
	// into force; file is the rate sheet as it came.
	StageDeck(ctx context.Context, v DeckVersion, rows []tandem.DeckRow, file []byte) (DeckVersion, error)
	// DeckVersions lists the versions of a deck, newest first; of all decks with "".
	DeckVersions(ctx context.Context, deck string) ([]DeckVersion, error)
	// DeckOf is one version with its rows; KindNotFound when there is none.
	DeckOf(ctx context.Context, deck string, version int) (tandem.Deck, error)
	// DeckFile is the rate sheet of a version as it came; nil when it did not come as one.
	DeckFile(ctx context.Context, deck string, version int) ([]byte, error)
	// DeckBefore is the version that the given one replaced when it came into force; 0 = none.
	DeckBefore(ctx context.Context, deck string, version int) (int, error)
}

// DeckState is where a version of a deck stands.
type DeckState string

// The states of a version.
const (
	DeckStaged  DeckState = "staged"   // imported, never in force
	DeckInForce DeckState = "in force" // calls that end now are rated by it
	DeckFormer  DeckState = "former"   // in force once: rows name it
)

// DeckVersion is one version of a deck, without its rows.
type DeckVersion struct {
	Deck      string           `json:"deck"`
	Version   int              `json:"version"`
	State     DeckState        `json:"state"`
	Direction tandem.Direction `json:"direction"`
	Currency  tandem.Currency  `json:"currency"`
	Rows      int              `json:"rows"`
	Name      string           `json:"name,omitempty" doc:"of the rate sheet that it came as"`
	Form      tandem.DeckForm  `json:"form,omitzero" doc:"how the sheet was read"`
	StoredAt  time.Time        `json:"stored_at,omitzero"`
	// ActiveAt is when it came into force last.
	ActiveAt time.Time `json:"active_at,omitzero"`
}

// DeckImport is a rate sheet to be staged as a version of a deck.
type DeckImport struct {
	Deck      string
	Direction tandem.Direction // "" = that of the deck in force
	Currency  tandem.Currency  // "" = that of the deck in force
	Form      tandem.DeckForm
	Name      string // of the file, in error messages and lists
	File      []byte
	DryRun    bool // only report what would change
}

// DeckChange is what a version is, and how it differs from the one in force.
type DeckChange struct {
	Version  DeckVersion `json:"version"`
	InForce  int         `json:"in_force" doc:"version in force that it was compared with; 0 = the deck is new"`
	Diff     DeckDiff    `json:"diff"`
	Warnings []string    `json:"warnings"`
}

func (s *Service) decks() (DeckStore, error) {
	if s.d.Decks == nil || s.d.ParseSheet == nil || s.d.ValidateDeck == nil || s.d.WriteDeckCSV == nil {
		return nil, absent("versions of decks are not kept here", "ask a node that runs tandem serve")
	}
	return s.d.Decks, nil
}

// deckInForce is the deck that calls are rated by now; nil when there is none.
func (s *Service) deckInForce(ctx context.Context, id string) (*tandem.Deck, error) {
	dir, err := s.d.Store.Directory(ctx)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(dir.Decks, func(d tandem.Deck) bool { return d.ID == id }); i >= 0 {
		return &dir.Decks[i], nil
	}
	return nil, nil
}

// ImportDeck reads a rate sheet, compares it with the deck in force and, unless
// it is a dry run, stages it. Every problem of the sheet is reported at once, as
// Problems with line and column.
func (s *Service) ImportDeck(ctx context.Context, in DeckImport) (DeckChange, error) {
	store, err := s.decks()
	if err != nil {
		return DeckChange{}, err
	}
	if !nameRule.MatchString(in.Deck) {
		return DeckChange{}, refuse("deck", in.Deck, "is not a name", nameMend)
	}
	current, err := s.deckInForce(ctx, in.Deck)
	if err != nil {
		return DeckChange{}, err
	}
	next := tandem.Deck{ID: in.Deck, Direction: in.Direction, Currency: in.Currency}
	if err := inherit(&next, current); err != nil {
		return DeckChange{}, err
	}
	sheet, err := s.d.ParseSheet(bytes.NewReader(in.File), in.Form)
	if err == nil {
		next.Rows = sheet.Rows
		err = s.d.ValidateDeck(&next)
	}
	if err != nil {
		return DeckChange{}, sheetProblems(in.Name, err)
	}
	v := DeckVersion{Deck: in.Deck, State: DeckStaged, Direction: next.Direction, Currency: next.Currency, Rows: len(next.Rows), Name: tandem.Clip(in.Name, 200),
		Form: in.Form, StoredAt: s.d.Clock().UTC().Truncate(time.Microsecond)}
	out := DeckChange{Version: v, Diff: diffDecks(current, &next), Warnings: append([]string{}, sheet.Warnings...)}
	if current != nil {
		out.InForce = current.Version
	}
	if !in.DryRun {
		if out.Version, err = store.StageDeck(ctx, v, next.Rows, in.File); err != nil {
			return DeckChange{}, err
		}
		s.d.Logger.Info("deck staged", "deck", v.Deck, "version", out.Version.Version, "rows", v.Rows)
	}
	return out, nil
}

// inherit takes direction and currency from the deck in force where they are
// left out; accounts rely on both, so they can't change under them.
func inherit(next, current *tandem.Deck) error {
	if current != nil {
		next.Direction, next.Currency = cmp.Or(next.Direction, current.Direction), cmp.Or(next.Currency, current.Currency)
	}
	next.Direction = cmp.Or(next.Direction, tandem.Outbound)
	switch {
	case next.Direction != tandem.Outbound && next.Direction != tandem.Inbound:
		return refuse("direction", string(next.Direction), "is not a direction", "use inbound or outbound")
	case next.Currency == "":
		return refuse("currency", "", "is missing", "the deck is new: name its currency, as in USD")
	case len(next.Currency) != 3 || strings.Trim(string(next.Currency), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "":
		return refuse("currency", string(next.Currency), "is not a currency", "write an ISO 4217 code such as USD")
	}
	return nil
}

// sheetProblems gives the problems of a rate sheet their places.
func sheetProblems(name string, err error) error {
	if name == "" {
		name = "sheet"
	}
	var problems Problems
	for _, one := range flatten(err) {
		e := &tandem.Error{Kind: tandem.KindInvalid, Message: one.Error()}
		if t, ok := one.(*tandem.Error); ok {
			e = t
		}
		p := Problem{File: tandem.Clip(name, 200), Err: &tandem.Error{Kind: e.Kind, Field: e.Field, Message: e.Message, Mend: e.Mend}}
		place, column, _ := strings.Cut(e.Field, " (")
		if n, _ := fmt.Sscanf(place, "line %d, column %d", &p.Line, &p.Column); n > 0 {
			p.Err.Field = strings.TrimSuffix(column, ")")
		}
		problems = append(problems, p)
	}
	return problems.err()
}

// PreviewDeck compares a version (0 = the newest staged one) with the one in force.
func (s *Service) PreviewDeck(ctx context.Context, id string, version int) (DeckChange, error) {
	v, next, err := s.version(ctx, id, version)
	if err != nil {
		return DeckChange{}, err
	}
	current, err := s.deckInForce(ctx, id)
	if err != nil {
		return DeckChange{}, err
	}
	out := DeckChange{Version: v, Diff: diffDecks(current, &next), Warnings: []string{}}
	if current != nil {
		out.InForce = current.Version
	}
	return out, nil
}

// version finds a version and its rows; 0 is the newest staged one.
func (s *Service) version(ctx context.Context, id string, version int) (DeckVersion, tandem.Deck, error) {
	store, err := s.decks()
	if err != nil {
		return DeckVersion{}, tandem.Deck{}, err
	}
	list, err := store.DeckVersions(ctx, id)
	if err != nil {
		return DeckVersion{}, tandem.Deck{}, err
	}
	i := slices.IndexFunc(list, func(v DeckVersion) bool { return v.Version == version || version == 0 && v.State == DeckStaged })
	switch {
	case id == "" || len(list) == 0:
		return DeckVersion{}, tandem.Deck{}, &tandem.Error{Kind: tandem.KindNotFound, Field: "deck", Message: fmt.Sprintf("there is no deck %q", tandem.Clip(id, 63)), Mend: "tandem deck list names them"}
	case i < 0 && version == 0:
		return DeckVersion{}, tandem.Deck{}, &tandem.Error{Kind: tandem.KindNotFound, Field: "version", Message: "deck " + id + " has no staged version", Mend: "stage one with tandem deck import, or name a version"}
	case i < 0:
		return DeckVersion{}, tandem.Deck{}, &tandem.Error{Kind: tandem.KindNotFound, Field: "version", Message: fmt.Sprintf("deck %s has no version %d", id, version), Mend: "tandem deck list " + id + " names them"}
	}
	deck, err := store.DeckOf(ctx, id, list[i].Version)
	return list[i], deck, err
}

// ActivateDeck brings a version (0 = the newest staged one) into force: calls
// rated after it are priced by it. It happens at once and as a whole, or not at all.
func (s *Service) ActivateDeck(ctx context.Context, id string, version int) (DeckChange, error) {
	v, next, err := s.version(ctx, id, version)
	if err != nil {
		return DeckChange{}, err
	}
	// A version from before a rule was known must pass it now.
	if err := s.d.ValidateDeck(&next); err != nil {
		return DeckChange{}, sheetProblems(fmt.Sprintf("deck %s version %d", id, v.Version), err)
	}
	out := DeckChange{Version: v, Warnings: []string{}}
	dir, err := s.d.Store.Update(ctx, func(current *tandem.Directory) (*tandem.Directory, error) {
		out.InForce = 0
		list := slices.Clone(current.Decks)
		i, found := slices.BinarySearchFunc(list, id, func(d tandem.Deck, id string) int { return strings.Compare(d.ID, id) })
		if found {
			if out.InForce = list[i].Version; out.InForce == v.Version {
				return current, nil
			}
			list[i] = next
		} else {
			list = slices.Insert(list, i, next)
		}
		after := *current
		after.Decks, after.Version = list, current.Version+1
		return &after, Validate(&after)
	})
	if err != nil {
		return DeckChange{}, err
	}
	out.Version.State, out.Version.ActiveAt = DeckInForce, s.d.Clock().UTC().Truncate(time.Microsecond)
	if i := slices.IndexFunc(dir.Decks, func(d tandem.Deck) bool { return d.ID == id }); i >= 0 {
		out.Version.Version = dir.Decks[i].Version // a version older than the digests came back under a new number
	}
	s.d.Logger.Info("deck in force", "deck", id, "version", out.Version.Version, "instead_of", out.InForce)
	return out, nil
}

// RollbackDeck brings back the version that the one in force replaced.
func (s *Service) RollbackDeck(ctx context.Context, id string) (DeckChange, error) {
	store, err := s.decks()
	if err != nil {
		return DeckChange{}, err
	}
	current, err := s.deckInForce(ctx, id)
	if err != nil {
		return DeckChange{}, err
	}
	if current == nil {
		return DeckChange{}, &tandem.Error{Kind: tandem.KindNotFound, Field: "deck", Message: fmt.Sprintf("no deck %q is in force", tandem.Clip(id, 63)), Mend: "tandem deck list names them"}
	}
	before, err := store.DeckBefore(ctx, id, current.Version)
	if err != nil {
		return DeckChange{}, err
	}
	if before == 0 {
		return DeckChange{}, &tandem.Error{Kind: tandem.KindConflict, Field: "deck", Message: fmt.Sprintf("version %d of deck %s is its first: there is none to go back to", current.Version, id), Mend: "import another version"}
	}
	return s.ActivateDeck(ctx, id, before)
}

// ExportDeck gives a version (0 = that in force) as CSV: the file that it came
// as, byte for byte, else the plain form.
func (s *Service) ExportDeck(ctx context.Context, id string, version int) (name string, file []byte, err error) {
	store, err := s.decks()
	if err != nil {
		return "", nil, err
	}
	if version == 0 {
		current, err := s.deckInForce(ctx, id)
		if err != nil {
			return "", nil, err
		}
		if current != nil {
			version = current.Version
		}
	}
	v, deck, err := s.version(ctx, id, version)
	if err != nil {
		return "", nil, err
	}
	if file, err = store.DeckFile(ctx, id, v.Version); err != nil || file != nil {
		return or(v.Name, id+".csv"), file, err
	}
	var out bytes.Buffer
	err = s.d.WriteDeckCSV(&out, deck.Rows)
	return id + ".csv", out.Bytes(), err
}

// DeckVersions lists the versions of a deck, newest first; of all decks with "".
func (s *Service) DeckVersions(ctx context.Context, id string) ([]DeckVersion, error) {
	store, err := s.decks()
	if err != nil {
		return nil, err
	}
	list, err := store.DeckVersions(ctx, id)
	if err == nil && id != "" && len(list) == 0 {
		err = &tandem.Error{Kind: tandem.KindNotFound, Field: "deck", Message: fmt.Sprintf("there is no deck %q", tandem.Clip(id, 63)), Mend: "tandem deck list names them"}
	}
	return list, err
}
