package rating

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem"
	"tandem/rating/deck"
	"tandem/rating/numberplan"
)

// Tariff is an immutable snapshot of accounts, numbers and decks. Any number of
// goroutines may use it.
type Tariff struct {
	accounts map[string]*account
	decks    map[string]*deck.Table
	numbers  []tandem.Number                // by DID
	costs    map[tandem.TrunkID]*deck.Table // of carriers that name a cost deck
	zones    map[zoneDay]*cycles
}

// account is a tandem.Account with its references resolved.
type account struct {
	*tandem.Account
	cycles  *cycles
	out, in *deck.Table // nil = no such deck
}

// NewTariff indexes a directory, which must not change afterwards. Decks that
// are the same as in previous (which may be nil) are taken over instead of being
// indexed again: a change to a number must not cost a deck of 300,000 rows.
// Every problem is reported, joined. A deck that an account names but that does
// not exist is no problem: its calls are booked as unrated, with the reason.
func NewTariff(dir *tandem.Directory, previous *Tariff) (*Tariff, error) {
	t := &Tariff{accounts: make(map[string]*account, len(dir.Accounts)), decks: make(map[string]*deck.Table, len(dir.Decks)), numbers: dir.Numbers,
		costs: map[tandem.TrunkID]*deck.Table{}, zones: map[zoneDay]*cycles{}}
	var problems []error
	for i := range dir.Decks {
		d := &dir.Decks[i]
		if previous != nil {
			if old := previous.decks[d.ID]; old != nil && sameDeck(old.Deck(), d) {
				t.decks[d.ID] = old
				continue
			}
		}
		table, err := deck.New(d)
		if err != nil {
			problems = append(problems, fmt.Errorf("deck %s: %w", tandem.Clip(d.ID, 63), err))
			continue
		}
		t.decks[d.ID] = table
	}
	for i := range dir.Accounts {
		a := &account{Account: &dir.Accounts[i]}
		months, err := t.zone(zoneDay{a.TimeZone, a.CycleDay}, previous)
		if err != nil {
			problems = append(problems, &tandem.Error{Kind: tandem.KindInvalid, Field: "accounts[" + tandem.Clip(a.ID, 63) + "].time_zone",
				Message: fmt.Sprintf("%q is not a time zone", tandem.Clip(a.TimeZone, 40)), Mend: "write an IANA zone such as America/New_York", Err: err})
			continue
		}
		a.cycles, a.out, a.in = months, t.decks[a.RetailOut], t.decks[a.RetailIn]
		t.accounts[a.ID] = a
	}
	for i := range dir.Trunks {
		if trunk := &dir.Trunks[i]; trunk.CostDeck != "" && t.decks[trunk.CostDeck] != nil {
			t.costs[trunk.ID] = t.decks[trunk.CostDeck]
		}
	}
	if !slices.IsSortedFunc(t.numbers, byDID) {
		t.numbers = slices.SortedFunc(slices.Values(t.numbers), byDID)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return t, nil
}

// zoneDay names a kind of cycle.
type zoneDay struct {
	zone string
	day  int
}

// zone is the table of a zone's cycles, that of the previous tariff if it has one.
func (t *Tariff) zone(key zoneDay, previous *Tariff) (*cycles, error) {
	if c := t.zones[key]; c != nil {
		return c, nil
	}
	if previous != nil && previous.zones[key] != nil {
		t.zones[key] = previous.zones[key]
		return t.zones[key], nil
	}
	if key.zone == "" || key.zone == "Local" { // both mean something to time.LoadLocation
		return nil, errors.New("no zone is named")
	}
	zone, err := time.LoadLocation(key.zone)
	if err == nil {
		t.zones[key] = newCycles(zone, key.day)
	}
	return t.zones[key], err
}

func byDID(a, b tandem.Number) int { return strings.Compare(string(a.DID), string(b.DID)) }

// sameDeck compares everything, not only the version: a deck that was removed
// and added again counts from 1 again.
func sameDeck(a, b *tandem.Deck) bool {
	return a.ID == b.ID && a.Version == b.Version && a.Direction == b.Direction && a.Currency == b.Currency &&
		(len(a.Rows) == len(b.Rows) && len(a.Rows) > 0 && &a.Rows[0] == &b.Rows[0] || slices.EqualFunc(a.Rows, b.Rows, sameRow))
}

// sameRow compares instants with time.Time.Equal: what came from the store and
// what came from a file may differ in how they are held.
func sameRow(a, b tandem.DeckRow) bool {
	from, to := a.EffectiveFrom.Equal(b.EffectiveFrom), a.EffectiveTo.Equal(b.EffectiveTo)
	a.EffectiveFrom, a.EffectiveTo = b.EffectiveFrom, b.EffectiveTo
	return from && to && a == b
}

// Account finds an account, and the start of its cycle at an instant; nil = not ours.
func (t *Tariff) Account(id string, at time.Time) (*tandem.Account, time.Time) {
	a := t.accounts[id]
	if a == nil {
		return nil, time.Time{}
	}
	start, _ := a.cycles.at(at)
	return a.Account, start
}

// Numbers lists the numbers of the snapshot by DID; they are read-only.
func (t *Tariff) Numbers() []tandem.Number { return t.numbers }

// Number finds a DID of the snapshot; nil = not ours.
func (t *Tariff) Number(did tandem.E164) *tandem.Number {
	i, found := slices.BinarySearchFunc(t.numbers, did, func(n tandem.Number, d tandem.E164) int { return strings.Compare(string(n.DID), string(d)) })
	if !found {
		return nil
	}
	return &t.numbers[i]
}

// Buckets are those of a number of an account in the cycle of an instant and in the one after it.
func (t *Tariff) Buckets(account string, did tandem.E164, at time.Time) (b, after tandem.Bucket) {
	a := t.accounts[account]
	if a == nil {
		return b, after
	}
	start, next := a.cycles.at(at)
	return tandem.Bucket{Account: account, DID: did, Cycle: start}, tandem.Bucket{Account: account, DID: did, Cycle: next}
}

// lookup finds what prices a number at an instant; isNumber is false for what
// no deck can price, as in "anonymous".
func lookup(table *deck.Table, number string, at time.Time) (m deck.Match, isNumber bool) {
	var buffer [24]byte
	key, ok := numberplan.AppendKey(buffer[:0], number)
	if !ok {
		return deck.Match{}, false
	}
	return table.Find(string(key), at), true
}

// Authorize refuses an outbound call to a destination that the payer's deck
// does not price: its row says reject, or it has none. nil = go ahead.
// Emergency and toll-free calls are never refused, nor is anything when the
// account has no deck at all. It takes a fraction of a microsecond and may be
// asked by the call path.
func (t *Tariff) Authorize(p *tandem.Plan, at time.Time) *tandem.Rejection {
	if p.Direction != tandem.Outbound || p.Emergency || p.Reject != nil || exempt(p.To) {
		return nil
	}
	a := t.accounts[p.Account]
	if a == nil || a.out == nil {
		return nil
	}
	m, isNumber := lookup(a.out, p.To, at)
	switch {
	case m.Row == nil && isNumber:
		return &tandem.Rejection{Status: 403, Cause: tandem.CauseRejected, Reason: "the rate deck of the account has no price for this destination"}
	case m.Row != nil && m.Row.Reject:
		return &tandem.Rejection{Status: 403, Cause: tandem.CauseRejected, Reason: "the rate deck of the account takes no calls to this destination"}
	}
	return nil
}

// exempt numbers are free of charge whatever the deck says.
func exempt(number string) bool {
	class := numberplan.Classify(number)
	return class == tandem.ClassEmergency || class == tandem.ClassTollFree
}
