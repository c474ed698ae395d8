package provisioning

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"tandem"
)

// The document is read from the syntax tree rather than into structs: that
// way every mistake is reported in one go with its place, and numbers keep
// their written form ("0.0085" and "+14255550100" never become floats).

// reader collects the problems of one document.
type reader struct {
	file     string
	problems Problems
}

func (r *reader) report(at Position, err *tandem.Error) {
	r.problems = append(r.problems, Problem{File: r.file, Position: at, Err: err})
}

// value is one YAML value with its path in the document.
type value struct {
	r    *reader
	path string
	node ast.Node
}

func positionOf(n ast.Node) Position {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return Position{}
	}
	p := n.GetToken().Position
	return Position{Line: p.Line, Column: p.Column}
}

// bad reports that the value breaks a rule.
func (v value) bad(rule, mend string) {
	v.r.report(positionOf(v.node), refuse(v.path, shown(v.node), rule, mend))
}

// shown is a value as error messages quote it.
func shown(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "{...}"
	case *ast.SequenceNode:
		return "[...]"
	}
	s, _ := scalar(n)
	return s
}

// scalar is the text of a scalar as written, without quotes.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		if n.Value != nil {
			return n.Value.Value, true
		}
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	case *ast.NullNode:
		return "", false
	}
	if n != nil && n.GetToken() != nil {
		return n.GetToken().Value, false
	}
	return "", false
}

// text is a scalar's text; anything else is reported and gives "".
func (v value) text() string {
	s, ok := scalar(v.node)
	if !ok {
		v.bad("is not a plain value", plainMend(v.node))
	}
	return s
}

func plainMend(n ast.Node) string {
	switch n.(type) {
	case *ast.AliasNode, *ast.AnchorNode, *ast.TagNode, *ast.MergeKeyNode:
		return "anchors, aliases and tags are not taken: write the value out"
	case *ast.NullNode:
		return "write a value, or leave the key out"
	}
	return "write a single value here"
}

// list gives the items of a sequence; anything else is reported.
func (v value) list() []value {
	seq, ok := v.node.(*ast.SequenceNode)
	if !ok {
		v.bad("is not a list", "write items with leading hyphens, or [] for none")
		return nil
	}
	items := make([]value, len(seq.Values))
	for i, n := range seq.Values {
		items[i] = value{v.r, fmt.Sprintf("%s[%d]", v.path, i), n}
	}
	return items
}

// object is a mapping whose keys have been checked against those that exist.
type object struct {
	value
	fields map[string]value
}

// object reads a mapping; unknown and repeated keys are reported.
func (v value) object(known ...string) object {
	o := object{value: v, fields: map[string]value{}}
	var pairs []*ast.MappingValueNode
	switch n := v.node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		v.bad("is not a set of keys and values", "write keys such as "+known[0]+": ...")
		return o
	}
	for _, pair := range pairs {
		key, _ := scalar(pair.Key)
		at := positionOf(pair.Key)
		path := key
		if v.path != "" {
			path = v.path + "." + key
		}
		_, repeated := o.fields[key]
		switch {
		case !slices.Contains(known, key):
			v.r.report(at, refuse(tandem.Clip(v.path, 60), key, "is not a key here", keyMend(key, known)))
		case repeated:
			v.r.report(at, refuse(v.path, key, "is given twice", "keep one of the two"))
		default:
			o.fields[key] = value{v.r, path, pair.Value}
		}
	}
	return o
}

// keyMend names the key that was probably meant, or all of them.
func keyMend(key string, known []string) string {
	fold := func(s string) string {
		return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(s))
	}
	for _, k := range known {
		if a, b := fold(k), fold(key); a == b || a+"s" == b || a == b+"s" {
			return "write " + k
		}
	}
	return "use one of " + strings.Join(known, ", ")
}

func (o object) has(key string) bool { _, ok := o.fields[key]; return ok }

// text is the scalar under key, "" when the key is absent.
func (o object) text(key string) string {
	if v, ok := o.fields[key]; ok {
		return v.text()
	}
	return ""
}

// need is text, and reports a key that is absent or empty.
func (o object) need(key, mend string) string {
	v, ok := o.fields[key]
	if !ok {
		o.r.report(positionOf(o.node), &tandem.Error{Kind: tandem.KindInvalid, Field: o.path, Message: key + " is missing", Mend: mend})
		return ""
	}
	before := len(o.r.problems)
	s := v.text()
	if s == "" && len(o.r.problems) == before {
		v.bad("is empty", mend)
	}
	return s
}

// parsed hands the text under key to parse and reports its error at the key.
func parsed[T any](o object, key string, fallback T, parse func(string) (T, error)) T {
	v, ok := o.fields[key]
	if !ok {
		return fallback
	}
	s, ok := scalar(v.node)
	if !ok {
		v.text()
		return fallback
	}
	out, err := parse(s)
	if err != nil {
		v.report(err)
		return fallback
	}
	return out
}

// report adds an error about the value, with its path and place.
func (v value) report(err error) {
	var e *tandem.Error
	if !errors.As(err, &e) {
		v.bad("is not valid: "+err.Error(), "")
		return
	}
	located := *e
	located.Field = v.path
	v.r.report(positionOf(v.node), &located)
}

func (o object) boolean(key string, fallback bool) bool {
	return parsed(o, key, fallback, func(s string) (bool, error) {
		switch s {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return false, refuse("", s, "is neither true nor false", "write true or false")
	})
}

func (o object) integer(key string, fallback, low, high int) int {
	return parsed(o, key, fallback, func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < low || n > high {
			return 0, refuse("", s, "is out of range", fmt.Sprintf("write a whole number from %d to %d", low, high))
		}
		return n, nil
	})
}

func (o object) duration(key string, fallback time.Duration) tandem.Duration {
	return parsed(o, key, tandem.Duration(fallback), func(s string) (tandem.Duration, error) {
		var d tandem.Duration
		err := d.UnmarshalText([]byte(s))
		return d, err
	})
}

// moment reads a date or an instant, see ParseMoment.
func (o object) moment(key string) time.Time { return parsed(o, key, time.Time{}, ParseMoment) }

// ParseMoment reads a date or an RFC 3339 instant; a date is its first second
// in UTC. "" is the zero time.
func ParseMoment(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() >= 1970 && t.Year() <= 9998 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, refuse("", s, "is not a date", "write 2026-01-31 or 2026-01-31T00:00:00Z")
}

// word reads one of a closed set of words.
func word[T ~string](o object, key string, fallback T, words ...T) T {
	return parsed(o, key, fallback, func(s string) (T, error) {
		if slices.Contains(words, T(s)) {
			return T(s), nil
		}
		var list []string
		for _, w := range words {
			list = append(list, string(w))
		}
		return "", refuse("", s, "is not a "+strings.ReplaceAll(key, "_", " "), "use one of: "+strings.Join(list, ", "))
	})
}

// Limits against documents made to exhaust the parser, which recurses per
// level: real documents nest 4 levels deep.
const (
	maxNesting  = 64
	maxDeckFile = 64 << 20
	maxDocument = 32 << 20 // 100,000 numbers take about 20 MB
)

// tooDeep finds a token at which the document nests deeper than maxNesting.
// In a block, each level is a deeper column; in a flow, an open bracket.
func tooDeep(tokens token.Tokens) (Position, bool) {
	flow, dashes, line := 0, 0, 0
	var columns []int
	for _, t := range tokens {
		if t.Position == nil {
			continue
		}
		if t.Position.Line != line {
			line, dashes = t.Position.Line, 0
			for len(columns) > 0 && columns[len(columns)-1] >= t.Position.Column {
				columns = columns[:len(columns)-1]
			}
			columns = append(columns, t.Position.Column)
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow = max(flow-1, 0)
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType, token.MappingValueType:
			dashes++
		}
		if flow > maxNesting || dashes > maxNesting*8 || len(columns) > maxNesting {
			return Position{Line: t.Position.Line, Column: t.Position.Column}, true
		}
	}
	return Position{}, false
}
