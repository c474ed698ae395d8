package provisioning

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"tandem"
)

// maxReplayRows bounds what one replay holds in memory, at about 2 kB a row.
const maxReplayRows = 200_000

// WhatIf is a question: what would the calls of a period have cost otherwise?
type WhatIf struct {
	From    time.Time  `json:"from" doc:"by INVITE time"`
	To      time.Time  `json:"to" doc:"exclusive"`
	Account string     `json:"account,omitempty" maxLength:"63" doc:"Only of this account."`
	Decks   []DeckSwap `json:"decks,omitempty" maxItems:"100" doc:"Other versions, or other decks."`
	Plans   []PlanSwap `json:"plans,omitempty" maxItems:"10000" doc:"Other plans."`
	// FreeMinutes, when given, are those of every account.
	FreeMinutes *int `json:"free_minutes,omitempty" minimum:"0" maximum:"1000000"`
}

// DeckSwap puts a version of a deck where another deck, or version, is now.
type DeckSwap struct {
	Deck    string `json:"deck" maxLength:"63"`
	With    string `json:"with,omitempty" maxLength:"63" doc:"Absent: the same deck."`
	Version int    `json:"version,omitempty" minimum:"0" doc:"0: of another deck the one in force, of the same the newest staged one."`
}

// PlanSwap puts a number on another plan.
type PlanSwap struct {
	DID  tandem.E164     `json:"did,omitempty" doc:"Absent: all numbers but auto-attendants."`
	Plan tandem.PlanKind `json:"plan" enum:"Metered,Unlimited"`
}

// Difference is what calls cost and what they would have cost.
type Difference struct {
	Account    string          `json:"account"`
	DID        tandem.E164     `json:"did,omitempty"`
	Currency   tandem.Currency `json:"currency"`
	Legs       int             `json:"legs"`
	Changed    int             `json:"changed" doc:"legs whose charge differs"`
	Unrated    int             `json:"unrated" doc:"legs for which there would be no price"`
	Before     tandem.Amount   `json:"before"`
	After      tandem.Amount   `json:"after"`
	Difference tandem.Amount   `json:"difference"`
	FreeBefore int64           `json:"free_before_s"`
	FreeAfter  int64           `json:"free_after_s"`
}

// CostDifference is the same of what carriers charge us.
type CostDifference struct {
	Currency tandem.Currency `json:"currency"`
	Before   tandem.Amount   `json:"before"`
	After    tandem.Amount   `json:"after"`
}

// Differences answer a WhatIf.
type Differences struct {
	Legs     int              `json:"legs" doc:"connected Phone legs of the period"`
	Accounts []Difference     `json:"accounts"`
	Numbers  []Difference     `json:"numbers" doc:"numbers with a difference"`
	Costs    []CostDifference `json:"costs"`
}

// WhatIf replays the stored calls of a period through other decks or plans; nothing is
// touched. Minutes drawn outside of the period stay drawn.
func (s *Service) WhatIf(ctx context.Context, q WhatIf) (Differences, error) {
	dir, err := s.imagined(ctx, q)
	if err != nil {
		return Differences{}, err
	}
	rows, err := s.connectedRows(ctx, q.Account, q.From, q.To, false)
	if err != nil {
		return Differences{}, err
	}
	return s.replay(ctx, dir, rows, q.Plans, nil)
}

// imagined is the directory in force with what the question changes.
func (s *Service) imagined(ctx context.Context, q WhatIf) (*tandem.Directory, error) {
	current, err := s.d.Store.Directory(ctx)
	if err != nil {
		return nil, err
	}
	dir := *current
	dir.Decks, dir.Accounts, dir.Trunks = slices.Clone(dir.Decks), slices.Clone(dir.Accounts), slices.Clone(dir.Trunks)
	for _, swap := range q.Decks {
		if err := s.swapDeck(ctx, &dir, swap); err != nil {
			return nil, err
		}
	}
	for i := range dir.Accounts {
		if q.FreeMinutes != nil {
			dir.Accounts[i].FreeMinutes = *q.FreeMinutes
		}
	}
	return &dir, nil
}

func (s *Service) swapDeck(ctx context.Context, dir *tandem.Directory, swap DeckSwap) error {
	find := func(id string) int {
		return slices.IndexFunc(dir.Decks, func(d tandem.Deck) bool { return d.ID == id })
	}
	at := find(swap.Deck)
	if at < 0 {
		return &tandem.Error{Kind: tandem.KindNotFound, Field: "decks.deck", Message: fmt.Sprintf("deck %q is not in force", tandem.Clip(swap.Deck, 63)), Mend: "tandem deck list names the decks in force"}
	}
	with := cmp.Or(swap.With, swap.Deck)
	var deck tandem.Deck
	if i := find(with); with != swap.Deck && swap.Version == 0 && i >= 0 {
		deck = dir.Decks[i]
	} else {
		var err error
		if _, deck, err = s.version(ctx, with, swap.Version); err != nil {
			return err
		}
	}
	if deck.Direction != dir.Decks[at].Direction {
		return refuse("decks.with", with, "is a deck for "+string(deck.Direction)+" calls", "name a deck of direction "+string(dir.Decks[at].Direction))
	}
	if i := find(with); i >= 0 {
		dir.Decks[i] = deck
	} else {
		dir.Decks = append(dir.Decks, deck)
	}
	rename := func(id *string) {
		if *id == swap.Deck {
			*id = with
		}
	}
	for i := range dir.Accounts {
		rename(&dir.Accounts[i].RetailOut)
		rename(&dir.Accounts[i].RetailIn)
	}
	for i := range dir.Trunks {
		rename(&dir.Trunks[i].CostDeck)
	}
	return nil
}

// connectedRows reads the legs of a period that can cost something, in the
// order in which the books took them; whole with their routing traces.
func (s *Service) connectedRows(ctx context.Context, account string, from, to time.Time, whole bool) ([]tandem.CDR, error) {
	if s.d.Replay == nil || s.d.Books == nil {
		return nil, absent("rating is not running here", "ask a node that runs tandem serve")
	}
	switch {
	case from.IsZero() || to.IsZero():
		return nil, refuse("from", "", "is missing", "give the first and the last day of the period")
	case !from.Before(to):
		return nil, refuse("from", from.Format(time.RFC3339), "is not before to", "swap them")
	}
	// Rows that come while pages are read move the others to later pages: some are seen twice, none is missed.
	var rows []tandem.CDR
	seen := map[[16]byte]bool{}
	for offset := 0; ; offset += MaxRows {
		page, err := s.CDRs(ctx, tandem.CDRFilter{Account: account, From: from, To: to, Technology: tandem.Phone, Connected: true, Limit: MaxRows, Offset: offset})
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			if !seen[r.ID] {
				if seen[r.ID] = true; !whole {
					r.RouteTrace = "" // as long as all the rest
				}
				rows = append(rows, r)
			}
		}
		if len(page) < MaxRows {
			break
		}
		if len(rows) > maxReplayRows {
			return nil, refuse("to", to.Format(time.RFC3339), "leaves more than "+fmt.Sprint(maxReplayRows)+" legs in the period", "name an account, or take a shorter period")
		}
	}
	oneNode := !slices.ContainsFunc(rows, func(r tandem.CDR) bool { return r.Node != rows[0].Node })
	slices.SortStableFunc(rows, func(a, b tandem.CDR) int {
		if oneNode {
			return cmp.Or(cmp.Compare(a.NodeSeq, b.NodeSeq), cmp.Compare(a.Attempt, b.Attempt))
		}
		return cmp.Or(a.EndTime.Compare(b.EndTime), cmp.Compare(a.Node, b.Node), cmp.Compare(a.NodeSeq, b.NodeSeq), cmp.Compare(a.Attempt, b.Attempt))
	})
	return rows, nil
}

// replay prices the rows by a directory and sums up the differences; each, when
// not nil, sees every leg.
func (s *Service) replay(ctx context.Context, dir *tandem.Directory, rows []tandem.CDR, plans []PlanSwap, each func(row *tandem.CDR, c tandem.Charge, cost tandem.Cost)) (Differences, error) {
	outside, err := s.drawnOutside(ctx, rows)
	if err != nil {
		return Differences{}, err
	}
	stored := rows
	if len(plans) > 0 {
		rows = slices.Clone(rows)
		for i := range rows {
			rows[i].Plan = planOf(&rows[i], plans)
		}
	}
	sums := sums{accounts: map[string]*Difference{}, numbers: map[numberKey]*Difference{}, costs: map[tandem.Currency]*CostDifference{}}
	err = s.d.Replay(dir, rows, outside.before, func(i int, c tandem.Charge, cost tandem.Cost) {
		sums.add(&stored[i], c, cost)
		if each != nil {
			each(&stored[i], c, cost)
		}
	})
	if err == nil {
		err = outside.err
	}
	return sums.list(len(rows)), err
}

// planOf is the plan that a row would have had: the last swap that fits.
func planOf(row *tandem.CDR, plans []PlanSwap) tandem.PlanKind {
	for _, p := range slices.Backward(plans) {
		if p.DID == row.DID || p.DID == "" && row.UserType != tandem.AutoAttendant {
			return p.Plan
		}
	}
	return row.Plan
}
