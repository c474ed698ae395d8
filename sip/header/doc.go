// Package header parses and prints the SIP headers that sipgo leaves raw:
// identity and redirection lists, Reason, Privacy, session timers, RAck, and
// multipart bodies. All parsers take hostile input: they never panic, keep no
// reference beyond their argument and bound what they return. Printers write
// nothing that could begin a new header line.
package header

import "fmt"

// maxEntries bounds every list: more entries than any real call carries.
const maxEntries = 32

// SyntaxError says which header did not parse and why.
type SyntaxError struct {
	Header string
	Rule   string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%s: %s", e.Header, e.Rule) }

func syntax(header, rule string) error { return &SyntaxError{Header: header, Rule: rule} }
