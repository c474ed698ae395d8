package deck

import (
	"cmp"
	"math"
	"slices"
	"time"

	"tandem"
)

// maxPrefix is the longest prefix: a whole E.164 number.
const maxPrefix = 15

// Table is the lookup of one version of a deck. Any number of goroutines may
// use it.
type Table struct {
	deck  *tandem.Deck
	nodes []node
	spans []span
	times []*Times // that rows count in, see span.times
}

// node is one digit position of the trie. Children are indexes into nodes, 0 =
// none (the root is nobody's child). rows is 0 for none, 1 + the index of its
// first span, or, for the one row of a prefix that counts always, -1 - its
// index in the deck: most decks hold nothing else, and it saves a memory access.
//
// A node fills a cache line: in a deck of 300,000 prefixes nearly each step of
// a lookup comes from memory, and one that crosses lines would come twice.
type node struct {
	child [10]int32
	rows  int32
	_     [5]int32
}

// span is one row at a node: in force from <= t < to, in microseconds of Unix
// time. Spans of a node stand together, those without times before those with,
// latest first; last ends them.
type span struct {
	from, to int64
	row      int32
	times    int16 // 1 + index into Table.times, 0 = at all times
	last     bool
}

// New indexes a deck, which must not change afterwards. All rules that the
// deck breaks are reported at once, joined (see Validate).
func New(d *tandem.Deck) (*Table, error) {
	order := sorted(d.Rows)
	known := clocks{}
	if err := validate(d, order, known); err != nil {
		return nil, err
	}
	index := map[string]int16{"": 0}
	t := &Table{deck: d, nodes: make([]node, 1, 1+2*len(d.Rows))}
	for i := 0; i < len(order); {
		prefix := d.Rows[order[i]].Prefix
		n := t.insert(prefix)
		if r := &d.Rows[order[i]]; (i+1 == len(order) || d.Rows[order[i+1]].Prefix != prefix) && r.EffectiveFrom.IsZero() && r.EffectiveTo.IsZero() {
			t.nodes[n].rows = -1 - order[i]
			i++
			continue
		}
		t.nodes[n].rows = int32(len(t.spans)) + 1
		for ; i < len(order) && d.Rows[order[i]].Prefix == prefix; i++ {
			r := &d.Rows[order[i]]
			if _, seen := index[r.Times]; !seen {
				t.times = append(t.times, known[r.Times])
				index[r.Times] = int16(len(t.times))
			}
			t.spans = append(t.spans, span{from: begin(r), to: end(r), row: order[i], times: index[r.Times]})
		}
		t.spans[len(t.spans)-1].last = true
	}
	return t, nil
}

// sorted lists the rows by prefix and times, the latest period of each first.
func sorted(rows []tandem.DeckRow) []int32 {
	order := make([]int32, len(rows))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		x, y := &rows[a], &rows[b]
		return cmp.Or(cmp.Compare(x.Prefix, y.Prefix), cmp.Compare(x.Times, y.Times), cmp.Compare(begin(y), begin(x)), cmp.Compare(a, b))
	})
	return order
}

func begin(r *tandem.DeckRow) int64 {
	if r.EffectiveFrom.IsZero() {
		return math.MinInt64
	}
	return r.EffectiveFrom.UnixMicro()
}

func end(r *tandem.DeckRow) int64 {
	if r.EffectiveTo.IsZero() {
		return math.MaxInt64
	}
	return r.EffectiveTo.UnixMicro()
}

func (t *Table) insert(prefix string) int32 {
	var at int32
	for i := 0; i < len(prefix); i++ {
		d := prefix[i] - '0'
		next := t.nodes[at].child[d]
		if next == 0 {
			next = int32(len(t.nodes))
			t.nodes = append(t.nodes, node{})
			t.nodes[at].child[d] = next
		}
		at = next
	}
	return at
}

// Match is what prices a number: the row that was found and, when the prefix
// has rows for certain times, what the price changes to.
type Match struct {
	Row   *tandem.DeckRow // nil = none
	base  *tandem.DeckRow // of the prefix, outside all times
	at    int64           // the instant asked for, in microseconds
	timed int32           // first span with times, -1 = none
	table *Table
}

// Lookup finds the row of the longest prefix of digits (no '+') that is in
// force at an instant, see Find. The row is shared and must not be changed; nil = none.
func (t *Table) Lookup(digits string, at time.Time) *tandem.DeckRow { return t.Find(digits, at).Row }

// Find finds the row of the longest prefix of digits (no '+') that is in force
// at an instant. A longer prefix whose row is not in force does not hide a
// shorter one that is. It does not allocate.
func (t *Table) Find(digits string, at time.Time) Match {
	var path [maxPrefix + 1]int32 // rows of the nodes passed
	deep, n := 0, int32(0)
	for i := 0; ; i++ {
		if rows := t.nodes[n].rows; rows != 0 {
			path[deep] = rows
			deep++
		}
		if i == len(digits) || i == maxPrefix {
			break
		}
		d := digits[i] - '0'
		if d > 9 {
			break
		}
		if n = t.nodes[n].child[d]; n == 0 {
			break
		}
	}
	var now int64
	for deep--; deep >= 0; deep-- {
		if path[deep] < 0 {
			row := &t.deck.Rows[-1-path[deep]]
			return Match{Row: row, base: row, timed: -1}
		}
		if now == 0 {
			now = at.UnixMicro()
		}
		m := Match{at: now, timed: -1, table: t}
		for i := path[deep] - 1; ; i++ {
			s := &t.spans[i]
			if s.times != 0 {
				m.timed = i
				break
			}
			if s.from <= now && now < s.to {
				m.base = &t.deck.Rows[s.row]
			}
			if s.last {
				break
			}
		}
		if m.base == nil {
			continue
		}
		m.Row = m.base
		if m.timed >= 0 {
			m.Row = m.RowAt(at)
		}
		return m
	}
	return Match{timed: -1}
}

// Timed reports whether the price depends on the time of the week.
func (m Match) Timed() bool { return m.timed >= 0 }

// Rows are the prefix's row outside all times, and those in force for certain times.
func (m Match) Rows() (base *tandem.DeckRow, timed []*tandem.DeckRow) {
	for i := m.timed; i >= 0; i++ {
		s := &m.table.spans[i]
		if s.from <= m.at && m.at < s.to {
			timed = append(timed, &m.table.deck.Rows[s.row])
		}
		if s.last {
			break
		}
	}
	return m.base, timed
}

// RowAt is the row that prices an instant of the call. Validity dates are those
// of the instant that was asked for: a call keeps the deck it was answered under.
func (m Match) RowAt(at time.Time) *tandem.DeckRow {
	row, _ := m.timedAt(at)
	return row
}

// Next is the first instant after at at which RowAt may change; only for Timed matches.
func (m Match) Next(at time.Time) time.Time {
	_, next := m.timedAt(at)
	return next
}

func (m Match) timedAt(at time.Time) (row *tandem.DeckRow, next time.Time) {
	row = m.base
	for i := m.timed; i >= 0; i++ {
		s := &m.table.spans[i]
		if s.from <= m.at && m.at < s.to {
			times := m.table.times[s.times-1]
			if times.Contain(at) {
				row = &m.table.deck.Rows[s.row]
			}
			if change := times.Next(at); next.IsZero() || change.Before(next) {
				next = change
			}
		}
		if s.last {
			break
		}
	}
	return row, next
}

// Deck is the deck that the table was made of.
func (t *Table) Deck() *tandem.Deck { return t.deck }
