package provisioning

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"tandem"
)

// Position is a place in a document; lines and columns count from 1, 0 = not known.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// Problem is one mistake in a document, at its place.
type Problem struct {
	File string
	Position
	Err *tandem.Error
}

func (p Problem) Error() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %v", p.File, p.Err)
	}
	return fmt.Sprintf("%s:%d:%d: %v", p.File, p.Line, p.Column, p.Err)
}

// Unwrap gives the problem's *tandem.Error.
func (p Problem) Unwrap() error { return p.Err }

// Problems is every mistake of a document, in the order of their places.
type Problems []Problem

// maxPrinted bounds the text of an error: a wrong column in a long file would
// otherwise print one line per row.
const maxPrinted = 100

func (p Problems) Error() string {
	var b strings.Builder
	for i, problem := range p {
		if i == maxPrinted {
			fmt.Fprintf(&b, "\nand %d more problems", len(p)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(problem.Error())
	}
	return b.String()
}

// Unwrap gives every problem, so that errors.As finds the first *tandem.Error.
func (p Problems) Unwrap() []error {
	all := make([]error, len(p))
	for i := range p {
		all[i] = p[i]
	}
	return all
}

// err is the problems as an error: nil when there are none.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return p
}

// refuse builds the error of a value that breaks a rule.
func refuse(field, value, rule, mend string) *tandem.Error {
	return &tandem.Error{Kind: tandem.KindInvalid, Field: field, Message: fmt.Sprintf("%q %s", tandem.Clip(value, 60), rule), Mend: mend}
}
