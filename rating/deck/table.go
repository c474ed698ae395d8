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
}

// node is one digit position of the trie. Children are indexes into nodes, 0 =
// none (the root is nobody's child); rows is 1 + the index of its first span.
type node struct {
	child [10]int32
	rows  int32
}

// span is one row at a node: in force from <= t < to, in microseconds of Unix
// time. Spans of a node stand together, latest first; last ends them.
type span struct {
	from, to int64
	row      int32
	last     bool
}

// New indexes a deck, which must not change afterwards. All rules that the
// deck breaks are reported at once, joined (see Validate).
func New(d *tandem.Deck) (*Table, error) {
	order := sorted(d.Rows)
	if err := validate(d, order); err != nil {
		return nil, err
	}
	t := &Table{deck: d, nodes: make([]node, 1, 1+2*len(d.Rows)), spans: make([]span, 0, len(d.Rows))}
	for i := 0; i < len(order); {
		prefix := d.Rows[order[i]].Prefix
		n := t.insert(prefix)
		t.nodes[n].rows = int32(len(t.spans)) + 1
		for ; i < len(order) && d.Rows[order[i]].Prefix == prefix; i++ {
			r := &d.Rows[order[i]]
			t.spans = append(t.spans, span{from: begin(r), to: end(r), row: order[i]})
		}
		t.spans[len(t.spans)-1].last = true
	}
	return t, nil
}

// sorted lists the rows by prefix, the latest period of each first.
func sorted(rows []tandem.DeckRow) []int32 {
	order := make([]int32, len(rows))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		x, y := &rows[a], &rows[b]
		return cmp.Or(cmp.Compare(x.Prefix, y.Prefix), cmp.Compare(begin(y), begin(x)), cmp.Compare(a, b))
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

// Lookup finds the row of the longest prefix of digits (no '+') that is in
// force at t. A longer prefix whose row is not in force does not hide a
// shorter one that is. The row is shared and must not be changed; nil = none.
func (t *Table) Lookup(digits string, at time.Time) *tandem.DeckRow {
	var path [maxPrefix + 1]int32 // first spans of the nodes passed
	deep, n := 0, int32(0)
	for i := 0; ; i++ {
		if rows := t.nodes[n].rows; rows != 0 {
			path[deep] = rows - 1
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
	if deep == 0 {
		return nil
	}
	now := at.UnixMicro()
	for deep--; deep >= 0; deep-- {
		for i := path[deep]; ; i++ {
			s := &t.spans[i]
			if s.from <= now && now < s.to {
				return &t.deck.Rows[s.row]
			}
			if s.last {
				break
			}
		}
	}
	return nil
}

// Deck is the deck that the table was made of.
func (t *Table) Deck() *tandem.Deck { return t.deck }
