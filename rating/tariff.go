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
	numbers  []tandem.Number // by DID
}

// account is a tandem.Account with its references resolved.
type account struct {
	*tandem.Account
	zone    *time.Location
	out, in *deck.Table // nil = no such deck
}

// NewTariff indexes a directory, which must not change afterwards. Decks that
// are the same as in previous (which may be nil) are taken over instead of being
// indexed again: a change to a number must not cost a deck of 300,000 rows.
// Every problem is reported, joined. A deck that an account names but that does
// not exist is no problem: its calls are booked as unrated, with the reason.
func NewTariff(dir *tandem.Directory, previous *Tariff) (*Tariff, error) {
	t := &Tariff{accounts: make(map[string]*account, len(dir.Accounts)), decks: make(map[string]*deck.Table, len(dir.Decks)), numbers: dir.Numbers}
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
		zone, err := time.LoadLocation(a.TimeZone)
		if err != nil || a.TimeZone == "" || a.TimeZone == "Local" {
			problems = append(problems, &tandem.Error{Kind: tandem.KindInvalid, Field: "accounts[" + tandem.Clip(a.ID, 63) + "].time_zone",
				Message: fmt.Sprintf("%q is not a time zone", tandem.Clip(a.TimeZone, 40)), Mend: "write an IANA zone such as America/New_York", Err: err})
			continue
		}
		a.zone, a.out, a.in = zone, t.decks[a.RetailOut], t.decks[a.RetailIn]
		t.accounts[a.ID] = a
	}
	if !slices.IsSortedFunc(t.numbers, byDID) {
		t.numbers = slices.SortedFunc(slices.Values(t.numbers), byDID)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return t, nil
}

func byDID(a, b tandem.Number) int { return strings.Compare(string(a.DID), string(b.DID)) }

// sameDeck compares everything, not only the version: a deck that was removed
// and added again counts from 1 again.
func sameDeck(a, b *tandem.Deck) bool {
	return a.ID == b.ID && a.Version == b.Version && a.Direction == b.Direction && a.Currency == b.Currency &&
		slices.EqualFunc(a.Rows, b.Rows, func(x, y tandem.DeckRow) bool {
			return x.EffectiveFrom.Equal(y.EffectiveFrom) && x.EffectiveTo.Equal(y.EffectiveTo) && x.ID == y.ID && x.Prefix == y.Prefix &&
				x.Destination == y.Destination && x.Rate == y.Rate && x.ConnectFee == y.ConnectFee &&
				x.InitialInc == y.InitialInc && x.NextInc == y.NextInc && x.Reject == y.Reject
		})
}

// Number finds a DID of the snapshot; nil = not ours.
func (t *Tariff) Number(did tandem.E164) *tandem.Number {
	i, found := slices.BinarySearchFunc(t.numbers, did, func(n tandem.Number, d tandem.E164) int { return strings.Compare(string(n.DID), string(d)) })
	if !found {
		return nil
	}
	return &t.numbers[i]
}

// lookup finds the row that prices a number at an instant, and its key length.
func lookup(table *deck.Table, number string, at time.Time) (row *tandem.DeckRow, isNumber bool) {
	var buffer [24]byte
	key, ok := numberplan.AppendKey(buffer[:0], number)
	if !ok {
		return nil, false
	}
	return table.Lookup(string(key), at), true
}

// Authorize refuses an outbound call to a destination whose deck row says
// reject; nil = go ahead. Emergency calls and destinations without price are
// never refused. It takes a fraction of a microsecond and may be asked by the
// call path.
func (t *Tariff) Authorize(p *tandem.Plan, at time.Time) *tandem.Rejection {
	if p.Direction != tandem.Outbound || p.Emergency || p.Reject != nil || exempt(p.To) {
		return nil
	}
	a := t.accounts[p.Account]
	if a == nil || a.out == nil {
		return nil
	}
	if row, _ := lookup(a.out, p.To, at); row == nil || !row.Reject {
		return nil
	}
	return &tandem.Rejection{Status: 403, Cause: tandem.CauseRejected, Reason: "the rate deck of the account takes no calls to this destination"}
}

// exempt numbers are free of charge whatever the deck says.
func exempt(number string) bool {
	class := numberplan.Classify(number)
	return class == tandem.ClassEmergency || class == tandem.ClassTollFree
}
