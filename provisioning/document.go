package provisioning

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/google/uuid"

	"tandem"
)

// Section is a list of a document. A section that the document holds is
// complete: what it leaves out is removed. A section that it does not hold
// stays as it is.
type Section string

// The sections, in the order in which they are read and shown.
const (
	Trunks    Section = "trunks"   // of kind teams
	Carriers  Section = "carriers" // trunks of kind carrier
	Decks     Section = "decks"
	Accounts  Section = "accounts"
	Tenants   Section = "tenants"
	Addresses Section = "addresses"
	Numbers   Section = "numbers"
)

var sections = []Section{Trunks, Carriers, Decks, Accounts, Tenants, Addresses, Numbers}

// Singular names one object of the section.
func (s Section) Singular() string {
	if s == Addresses {
		return "address"
	}
	return strings.TrimSuffix(string(s), "s")
}

// Document is a parsed apply document. It is syntactically right; whether its
// references hold is decided by Plan, against the directory.
type Document struct {
	File string
	// Has says which sections the document holds.
	Has map[Section]bool
	// Objects are the objects listed. Deck versions and number statuses are not
	// part of a document.
	Objects tandem.Directory

	places       map[place]Position
	validateDeck func(*tandem.Deck) error
}

// place names a field of an object; an empty field is the object itself, an
// empty key the section.
type place struct {
	section    Section
	key, field string
}

// Source gives Parse what a document refers to.
type Source struct {
	// Open opens a file that a deck names; nil when files can't be named.
	Open func(path string) (io.ReadCloser, error)
	// ParseDeckCSV reads a deck's rows from CSV; its error may join several.
	ParseDeckCSV func(io.Reader) ([]tandem.DeckRow, error)
	// ValidateDeck reports every rule of rating's that a deck breaks, joined; nil
	// leaves them to rating. Plan asks it of decks that change.
	ValidateDeck func(*tandem.Deck) error
}

// Parse reads an apply document (docs/formats/apply.md). The error is of type
// Problems and lists every mistake with its place.
func Parse(file string, text []byte, src Source) (*Document, error) {
	r := &reader{file: file}
	d := &Document{File: file, Has: map[Section]bool{}, places: map[place]Position{}, validateDeck: src.ValidateDeck}
	root := r.parse(text)
	if root == nil {
		return nil, r.problems.err()
	}
	var names []string
	for _, s := range sections {
		names = append(names, string(s))
	}
	top := value{r: r, node: root}.object(names...)
	for _, s := range sections {
		list, ok := top.fields[string(s)]
		if !ok {
			continue
		}
		d.Has[s] = true
		d.places[place{section: s}] = positionOf(list.node)
		if _, null := list.node.(*ast.NullNode); null {
			list.bad("is empty", "write [] to remove all of them, or leave the section out to keep them")
			continue
		}
		for _, item := range list.list() {
			d.read(s, item, src)
		}
	}
	if err := r.problems.err(); err != nil {
		return nil, err
	}
	return d, nil
}

// parse gives the root node, or nil with at least one problem reported.
func (r *reader) parse(text []byte) ast.Node {
	if len(text) > maxDocument {
		r.report(Position{}, &tandem.Error{Kind: tandem.KindTooLarge, Message: fmt.Sprintf("the document has %d bytes, over %d", len(text), maxDocument),
			Mend: "move deck rows to CSV files"})
		return nil
	}
	tokens := lexer.Tokenize(string(text))
	if at, deep := tooDeep(tokens); deep {
		r.report(at, &tandem.Error{Kind: tandem.KindInvalid, Message: "the document nests too deep", Mend: "see docs/formats/apply.md for its form"})
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at, message := Position{}, err.Error()
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			message = syntax.GetMessage()
			if t := syntax.GetToken(); t != nil && t.Position != nil {
				at = Position{Line: t.Position.Line, Column: t.Position.Column}
			}
		}
		r.report(at, &tandem.Error{Kind: tandem.KindInvalid, Message: "this is not YAML: " + tandem.Clip(message, 200), Mend: "check quotes, colons and indentation here"})
		return nil
	}
	var roots []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil {
			roots = append(roots, doc.Body)
		}
	}
	switch {
	case len(roots) == 0:
		r.report(Position{Line: 1, Column: 1}, &tandem.Error{Kind: tandem.KindInvalid, Message: "the document is empty", Mend: "write at least one section, such as numbers:"})
		return nil
	case len(roots) > 1:
		r.report(positionOf(roots[1]), &tandem.Error{Kind: tandem.KindInvalid, Message: "a second document begins here", Mend: "write one document per file"})
		return nil
	}
	return roots[0]
}

// read adds one object of a section.
func (d *Document) read(s Section, v value, src Source) {
	var key string
	var o object
	switch s {
	case Trunks, Carriers:
		var t tandem.Trunk
		t, o = readTrunk(s, v)
		key = string(t.ID)
		d.Objects.Trunks = append(d.Objects.Trunks, t)
	case Decks:
		var deck tandem.Deck
		deck, o = readDeck(v, src)
		key = deck.ID
		d.Objects.Decks = append(d.Objects.Decks, deck)
	case Accounts:
		var a tandem.Account
		a, o = readAccount(v)
		key = a.ID
		d.Objects.Accounts = append(d.Objects.Accounts, a)
	case Tenants:
		var t tandem.Tenant
		t, o = readTenant(v)
		if t.ID != uuid.Nil {
			key = t.ID.String()
		}
		d.Objects.Tenants = append(d.Objects.Tenants, t)
	case Addresses:
		var a tandem.ServiceAddress
		a, o = readAddress(v)
		key = a.ID
		d.Objects.Addresses = append(d.Objects.Addresses, a)
	case Numbers:
		var n tandem.Number
		n, o = readNumber(v)
		key = string(n.DID)
		d.Objects.Numbers = append(d.Objects.Numbers, n)
	}
	if key == "" {
		return // reported already
	}
	if first, twice := d.places[place{s, key, ""}]; twice {
		o.r.report(positionOf(v.node), refuse(v.path, key, fmt.Sprintf("is listed twice; first in line %d", first.Line), "keep one of the two"))
		return
	}
	d.places[place{s, key, ""}] = positionOf(v.node)
	for name, field := range o.fields {
		d.places[place{s, key, name}] = positionOf(field.node)
	}
}

// locate finds the place of a field, else of its object, else of its section.
func (d *Document) locate(p place) Position {
	for _, candidate := range []place{p, {p.section, p.key, ""}, {section: p.section}} {
		if at, ok := d.places[candidate]; ok {
			return at
		}
	}
	return Position{}
}

var (
	nameRule = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	nameMend = "use 1 to 63 letters, digits, dots, hyphens and underscores, starting with a letter or digit"
)

// name reads the identifying name of an object.
func (o object) name(key string) string {
	s := o.need(key, nameMend)
	if s != "" && !nameRule.MatchString(s) {
		o.fields[key].bad("is not a name", nameMend)
		return ""
	}
	return s
}

// label reads free text for people: one line, no control characters.
func (o object) label(key string) string {
	return parsed(o, key, "", func(s string) (string, error) {
		if err := checkLabel(s); err != nil {
			return "", err
		}
		return s, nil
	})
}
