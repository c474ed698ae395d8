package header

import "strings"

// PrivacyValue is what a Privacy header asks for (RFC 3323 4.2, RFC 3325 9.3).
type PrivacyValue struct {
	ID, User, Header, Session, Critical, None bool
}

// ParsePrivacy reads a Privacy header; unknown words are ignored (RFC 3323 4.2).
// Semicolons and, as seen in the field, commas separate the words.
func ParsePrivacy(value string) PrivacyValue {
	var p PrivacyValue
	for _, w := range strings.FieldsFunc(value, func(r rune) bool { return r == ';' || r == ',' || r == ' ' || r == '\t' }) {
		switch strings.ToLower(w) {
		case "id":
			p.ID = true
		case "user", "full": // "full" is what older draft peers write
			p.User = true
		case "header":
			p.Header = true
		case "session":
			p.Session = true
		case "critical":
			p.Critical = true
		case "none":
			p.None = true
		}
	}
	return p
}

// Withheld reports whether the caller's identity must not be shown to the callee.
func (p PrivacyValue) Withheld() bool { return (p.ID || p.User || p.Header) && !p.None }
