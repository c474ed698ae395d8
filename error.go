package tandem

import "errors"

// Kind is the closed set of reasons why something is refused; borders map it
// to HTTP and SIP (see Kind.HTTPStatus and Kind.SIPStatus).
type Kind string

// The kinds of Error.
const (
	KindInvalid      Kind = "invalid"      // a value breaks a rule: the caller must change it
	KindNotFound     Kind = "not_found"    // no such thing
	KindConflict     Kind = "conflict"     // state forbids it now
	KindUnauthorized Kind = "unauthorized" // who are you
	KindForbidden    Kind = "forbidden"    // not yours
	KindUnavailable  Kind = "unavailable"  // a part that is needed is away: retry later
	KindTooLarge     Kind = "too_large"    // over a stated limit
	KindInternal     Kind = "internal"     // ours; its text stays in the log
)

var kinds = map[Kind]struct {
	http int
	sip  SIPStatus
}{
	KindInvalid:      {422, 400},
	KindNotFound:     {404, 404},
	KindConflict:     {409, 491},
	KindUnauthorized: {401, 403},
	KindForbidden:    {403, 403},
	KindUnavailable:  {503, 503},
	KindTooLarge:     {413, 513},
	KindInternal:     {500, 500},
}

// HTTPStatus is the status code that a border answers with.
func (k Kind) HTTPStatus() int {
	if row, ok := kinds[k]; ok {
		return row.http
	}
	return 500
}

// SIPStatus is the final response that a border answers with.
func (k Kind) SIPStatus() SIPStatus {
	if row, ok := kinds[k]; ok {
		return row.sip
	}
	return 500
}

// Error is what crosses a border. Message is for the customer and names the
// field and value, Mend says what to do next, Err is for the log only.
type Error struct {
	Kind    Kind
	Field   string // path of the offending field, as in "numbers[3].service_address"; may be empty
	Message string
	Mend    string
	Err     error
}

func (e *Error) Error() string {
	s := e.Message
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Mend != "" {
		s += ": " + e.Mend
	}
	if e.Err != nil {
		s += " (" + e.Err.Error() + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of the first Error in err's tree, KindInternal for others.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}
