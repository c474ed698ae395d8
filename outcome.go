package tandem

import (
	"fmt"
	"strconv"
	"strings"
)

// OutcomeKind is how an attempt on one endpoint ended, apart from a SIP status.
type OutcomeKind string

// The outcome kinds.
const (
	OutcomeAnswered   OutcomeKind = "answered"
	OutcomeStatus     OutcomeKind = "status"     // a final response, see Outcome.Status
	OutcomeSilence    OutcomeKind = "silence"    // no response within the attempt's ResponseTimeout
	OutcomeConnection OutcomeKind = "connection" // DNS, connect, TLS or a connection that died with the INVITE pending
	OutcomeNoAnswer   OutcomeKind = "no_answer"  // AnswerTimeout ran out after a provisional response
	OutcomeCancelled  OutcomeKind = "cancelled"  // the caller gave up
	OutcomeSkipped    OutcomeKind = "skipped"    // not tried: the endpoint is known to be down
	OutcomeMedia      OutcomeKind = "media"      // answered with media that cannot be carried
	// OutcomeMisconfigured is a 403 that is about our trunk and not about the user:
	// Microsoft does not know our name there, so that every call would fail.
	OutcomeMisconfigured OutcomeKind = "misconfigured"
)

// Outcome is how one attempt ended.
type Outcome struct {
	Kind   OutcomeKind
	Status SIPStatus // the final response, when Kind is OutcomeStatus or OutcomeMisconfigured
	// Alerted is true when an 18x had come before: the user may have been rung.
	Alerted bool
	// RetryAfter in seconds, from a 503; 0 = none.
	RetryAfter int
	// LocalHost is the name that we gave ourselves; Text is what a refusal of
	// OutcomeMisconfigured said.
	LocalHost, Text string
}

// OutcomeSet is a set of outcomes, written as "408", "503", "silence", "connection", "no_answer"...
type OutcomeSet struct {
	Statuses []SIPStatus
	Kinds    []OutcomeKind
}

// Has reports whether the outcome is in the set.
func (s OutcomeSet) Has(o Outcome) bool {
	if o.Kind == OutcomeStatus {
		for _, st := range s.Statuses {
			if st == o.Status {
				return true
			}
		}
		return false
	}
	for _, k := range s.Kinds {
		if k == o.Kind {
			return true
		}
	}
	return false
}

// Empty reports whether the set has no member.
func (s OutcomeSet) Empty() bool { return len(s.Statuses)+len(s.Kinds) == 0 }

// Words lists the members as they are written.
func (s OutcomeSet) Words() []string {
	var words []string
	for _, st := range s.Statuses {
		words = append(words, strconv.Itoa(int(st)))
	}
	for _, k := range s.Kinds {
		words = append(words, string(k))
	}
	return words
}

// ParseOutcomeSet reads words such as "408", "503", "silence", "connection".
func ParseOutcomeSet(words []string) (OutcomeSet, error) {
	var s OutcomeSet
	for _, w := range words {
		if n, err := strconv.Atoi(w); err == nil {
			if n < 300 || n > 699 {
				return s, &Error{Kind: KindInvalid, Message: fmt.Sprintf("%d is not a SIP failure status", n), Mend: "use 300 to 699"}
			}
			s.Statuses = append(s.Statuses, SIPStatus(n))
			continue
		}
		switch k := OutcomeKind(w); k {
		case OutcomeSilence, OutcomeConnection, OutcomeNoAnswer, OutcomeMedia, OutcomeSkipped, OutcomeMisconfigured:
			s.Kinds = append(s.Kinds, k)
		default:
			return s, &Error{Kind: KindInvalid, Message: fmt.Sprintf("outcome %q is unknown", Clip(w, 40)),
				Mend: "use a SIP status, silence, connection, no_answer, media, misconfigured or skipped"}
		}
	}
	return s, nil
}

// MarshalText writes the words separated by commas.
func (s OutcomeSet) MarshalText() ([]byte, error) { return []byte(strings.Join(s.Words(), ",")), nil }

// UnmarshalText reads what MarshalText writes.
func (s *OutcomeSet) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*s = OutcomeSet{}
		return nil
	}
	*s, err = ParseOutcomeSet(strings.Split(string(b), ","))
	return err
}
