package provisioning

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"tandem"
)

// Line is one difference: an object that is added (+), changed (~) or removed (-).
type Line struct {
	Op      string  `json:"op" enum:"+,~,-" doc:"+ added, ~ changed, - removed"`
	Section Section `json:"section"`
	Key     string  `json:"key" doc:"what names the object: its id, the number, the tenant ID"`
	Detail  string  `json:"detail" doc:"for people: the values, or old -> new of what changes"`
}

// String is the line as tandem apply --dry-run prints it.
func (l Line) String() string {
	s := l.Op + " " + l.Section.Singular() + " " + l.Key
	if l.Detail != "" {
		s += ": " + l.Detail
	}
	return s
}

// Change is what a document does to a directory.
type Change struct {
	Next  *tandem.Directory // the directory afterwards; the one before when nothing changes
	Lines []Line
}

// Empty reports that nothing changes.
func (c Change) Empty() bool { return len(c.Lines) == 0 }

// Plan is the pure function behind apply: the directory that the document asks
// for and the difference to the current one. Applying the same document twice
// gives no difference the second time. The error is of type Problems: a
// reference that leads nowhere, or the removal of something still needed.
func Plan(current *tandem.Directory, d *Document) (Change, error) {
	next := *current
	var lines []Line
	var faults []fault

	carriers := func(t tandem.Trunk) bool { return t.Kind == tandem.TrunkCarrier }
	nowTeams, nowCarriers := split(current.Trunks, carriers)
	wantTeams, wantCarriers := split(d.Objects.Trunks, carriers)
	trunkKey := func(t tandem.Trunk) string { return string(t.ID) }
	teams := merge(d, Trunks, trunkKey, nowTeams, wantTeams, &lines)
	carrier := merge(d, Carriers, trunkKey, nowCarriers, wantCarriers, &lines)
	next.Trunks = sorted(trunkKey, append(teams, carrier...))

	next.Decks = merge(d, Decks, func(x tandem.Deck) string { return x.ID }, current.Decks, deckVersions(current.Decks, d.Objects.Decks), &lines)
	next.Accounts = merge(d, Accounts, func(a tandem.Account) string { return a.ID }, current.Accounts, d.Objects.Accounts, &lines)
	next.Tenants = merge(d, Tenants, func(t tandem.Tenant) string { return t.ID.String() }, current.Tenants, d.Objects.Tenants, &lines)
	next.Addresses = merge(d, Addresses, func(a tandem.ServiceAddress) string { return a.ID }, current.Addresses, d.Objects.Addresses, &lines)
	next.Numbers = merge(d, Numbers, func(n tandem.Number) string { return string(n.DID) }, current.Numbers, keepStatus(current.Numbers, d.Objects.Numbers), &lines)
	if d.Has[Numbers] {
		faults = checkRemovals(current.Numbers, next.Numbers)
	}

	faults = append(faults, check(&next)...)
	if len(faults) == 0 && d.validateDeck != nil {
		faults = checkChanged(current.Decks, next.Decks, d.validateDeck)
	}
	var problems Problems
	for _, f := range faults {
		problems = append(problems, Problem{File: d.File, Position: d.locate(f.at), Err: f.err})
	}
	if err := problems.err(); err != nil {
		return Change{}, err
	}
	if len(lines) == 0 {
		return Change{Next: current}, nil
	}
	next.Version = current.Version + 1
	return Change{Next: &next, Lines: lines}, nil
}

func split[T any](list []T, second func(T) bool) (a, b []T) {
	for _, x := range list {
		if second(x) {
			b = append(b, x)
		} else {
			a = append(a, x)
		}
	}
	return a, b
}

func sorted[T any](key func(T) string, list []T) []T {
	slices.SortFunc(list, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	return list
}

// merge gives a section's objects after the document, sorted by key, and adds
// the difference to lines.
func merge[T any](d *Document, s Section, key func(T) string, current, wanted []T, lines *[]Line) []T {
	if !d.Has[s] {
		return slices.Clone(current)
	}
	now := make(map[string]T, len(current))
	for _, x := range current {
		now[key(x)] = x
	}
	wanted = sorted(key, slices.Clone(wanted))
	for _, x := range wanted {
		k := key(x)
		old, known := now[k]
		delete(now, k)
		switch {
		case !known:
			*lines = append(*lines, Line{"+", s, k, summary(x)})
		case !reflect.DeepEqual(old, x):
			*lines = append(*lines, Line{"~", s, k, difference(old, x)})
		}
	}
	for _, k := range slices.Sorted(maps.Keys(now)) {
		*lines = append(*lines, Line{"-", s, k, ""})
	}
	return wanted
}

// deckVersions counts a deck's version up when its content differs.
func deckVersions(current, wanted []tandem.Deck) []tandem.Deck {
	out := slices.Clone(wanted)
	for i := range out {
		out[i].Version = 1
		for j := range current {
			if current[j].ID != out[i].ID {
				continue
			}
			out[i].Version = current[j].Version
			if sameDeck(&current[j], &out[i]) {
				out[i] = current[j]
			} else {
				out[i].Version++
			}
		}
	}
	return out
}

func sameDeck(a, b *tandem.Deck) bool {
	return a.Direction == b.Direction && a.Currency == b.Currency && slices.EqualFunc(a.Rows, b.Rows, sameRow)
}

// sameRow compares with time.Time.Equal: what came from the store and what
// came from a file may differ in how the instant is held.
func sameRow(a, b tandem.DeckRow) bool {
	from, to := a.EffectiveFrom.Equal(b.EffectiveFrom), a.EffectiveTo.Equal(b.EffectiveTo)
	a.EffectiveFrom, a.EffectiveTo = b.EffectiveFrom, b.EffectiveTo
	return from && to && a == b
}

// keepStatus gives wanted numbers the status that they have: it is
// Microsoft's, not the document's. New numbers begin as Unassigned.
func keepStatus(current, wanted []tandem.Number) []tandem.Number {
	status := make(map[tandem.E164]tandem.NumberStatus, len(current))
	for _, n := range current {
		status[n.DID] = n.Status
	}
	out := slices.Clone(wanted)
	for i := range out {
		out[i].Status = tandem.StatusUnassigned
		if s, known := status[out[i].DID]; known {
			out[i].Status = s
		}
	}
	return out
}

// checkRemovals refuses to remove numbers that somebody uses: only Unassigned
// numbers can be deleted.
func checkRemovals(current, next []tandem.Number) []fault {
	stays := make(map[tandem.E164]bool, len(next))
	for _, n := range next {
		stays[n.DID] = true
	}
	var faults []fault
	for _, n := range current {
		if !stays[n.DID] && n.Status != tandem.StatusUnassigned {
			faults = append(faults, fault{place{Numbers, string(n.DID), ""}, &tandem.Error{Kind: tandem.KindConflict,
				Field: "numbers[" + string(n.DID) + "]", Message: fmt.Sprintf("%s has status %s and can't be removed", n.DID, n.Status),
				Mend: "only Unassigned numbers can be removed: take the user off it in Teams first, or keep it in the document"}})
		}
	}
	return faults
}

// summary says what a new object is.
func summary(x any) string {
	switch x := x.(type) {
	case tandem.Deck:
		return fmt.Sprintf("%s, %s, version %d, %d rows", x.Direction, x.Currency, x.Version, len(x.Rows))
	case tandem.Trunk:
		var hosts []string
		for _, e := range x.Endpoints {
			hosts = append(hosts, fmt.Sprintf("%s:%d", e.Host, e.Port))
		}
		return fmt.Sprintf("%s, %s, %s", x.Kind, x.Transport, strings.Join(hosts, " "))
	case tandem.Account:
		return fmt.Sprintf("%s, %s, %s", x.Name, x.Currency, x.TimeZone)
	case tandem.Tenant:
		return strings.TrimSuffix(x.Account+", "+x.Name, ", ")
	case tandem.ServiceAddress:
		return fmt.Sprintf("%s, %s, %s, %s %s", x.Account, x.Street, x.City, x.State, x.PostalCode)
	case tandem.Number:
		s := fmt.Sprintf("%s, %s, %s", x.Account, x.UserType, x.Plan)
		if x.Failsafe != "" {
			s += ", failsafe " + string(x.Failsafe)
		}
		return s
	}
	return ""
}

// difference says what changes in an object, as "field old -> new" in the
// words of the document.
func difference(old, now any) string {
	if a, ok := old.(tandem.Deck); ok {
		return deckDifference(a, now.(tandem.Deck))
	}
	a, b := asFields(old), asFields(now)
	keys := slices.Sorted(maps.Keys(b))
	for k := range a {
		if _, both := b[k]; !both {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	var parts []string
	for _, k := range keys {
		if a[k] != b[k] {
			parts = append(parts, fmt.Sprintf("%s %s -> %s", k, or(a[k], "none"), or(b[k], "none")))
		}
	}
	return strings.Join(parts, ", ")
}

func asFields(x any) map[string]string {
	text, err := json.Marshal(x)
	if err != nil {
		return nil // cannot happen: the root types marshal
	}
	var raw map[string]json.RawMessage
	if json.Unmarshal(text, &raw) != nil {
		return nil
	}
	out := make(map[string]string, len(raw))
	for k, v := range raw {
		var s string
		if json.Unmarshal(v, &s) != nil {
			s = string(v)
		}
		out[k] = tandem.Clip(s, 200)
	}
	return out
}

func deckDifference(a, b tandem.Deck) string {
	type span struct {
		prefix string
		from   int64
	}
	old := make(map[span]tandem.DeckRow, len(a.Rows))
	for _, r := range a.Rows {
		old[span{r.Prefix, r.EffectiveFrom.Unix()}] = r
	}
	added, changed := 0, 0
	for _, r := range b.Rows {
		k := span{r.Prefix, r.EffectiveFrom.Unix()}
		was, known := old[k]
		delete(old, k)
		was.ID = r.ID // rows are renumbered when one is added before them
		switch {
		case !known:
			added++
		case !sameRow(was, r):
			changed++
		}
	}
	s := fmt.Sprintf("version %d -> %d, rows: %d added, %d changed, %d removed", a.Version, b.Version, added, changed, len(old))
	if a.Direction != b.Direction {
		s += fmt.Sprintf(", direction %s -> %s", a.Direction, b.Direction)
	}
	if a.Currency != b.Currency {
		s += fmt.Sprintf(", currency %s -> %s", a.Currency, b.Currency)
	}
	return s
}
