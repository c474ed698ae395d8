package core

import (
	"strings"

	"tandem"
)

// reply is a final response for the caller.
type reply struct {
	status tandem.SIPStatus
	cause  tandem.Cause
	text   string
	rank   int
}

// callerStatus is what the caller hears when an attempt ended with a status.
// Two rules: what is about the called user goes through; what is about our own
// message, our credentials or the far network does not, because the caller's
// network would judge itself or us by it (a 503 of Microsoft relayed to a
// carrier makes it avoid us: microsoft-teams-trunk.md 4.2). The peer's Q.850
// cause goes along in the Reason header in every case.
//
//	301 302 305 380               480  we follow no redirection
//	402 403 404 410 480 484 485   as they are
//	486 488 600 603 604 606 607   as they are
//	408 487                       480  the far side timed out or gave up on its own
//	483                           483
//	503 504 and other 5xx         480 for 503 and 504, else 500
//	everything else               500  our request did not suit the peer
func callerStatus(s tandem.SIPStatus) tandem.SIPStatus {
	switch s {
	case 402, 403, 404, 410, 480, 483, 484, 485, 486, 488, 600, 603, 604, 606, 607, 608:
		return s
	case 408, 487, 503, 504:
		return 480
	}
	if s >= 300 && s < 400 {
		return 480
	}
	return 500
}

// userRank tells answers of the called user (2), of the network about the
// number (1), and mere failures (0) apart: when several attempts failed the
// caller hears the most telling, and of equals the last.
func userRank(s tandem.SIPStatus) int {
	switch {
	case s >= 600, s == 486, s == 480:
		return 2
	case s == 404, s == 484, s == 410, s == 403, s == 488:
		return 1
	}
	return 0
}

// replyFor is the caller's final response for the outcome of an attempt.
func replyFor(o tandem.Outcome, cause tandem.Cause, text string) reply {
	switch o.Kind {
	case tandem.OutcomeStatus:
		if cause == 0 {
			cause = tandem.CauseOf(o.Status)
		}
		return reply{status: callerStatus(o.Status), cause: cause, text: text, rank: userRank(o.Status)}
	case tandem.OutcomeNoAnswer:
		return reply{status: 480, cause: tandem.CauseNoAnswer, text: "no answer", rank: 2}
	case tandem.OutcomeSilence:
		return reply{status: 480, cause: tandem.CauseTimerExpiry, text: "no response from the destination network"}
	case tandem.OutcomeMedia:
		return reply{status: 488, cause: tandem.CauseIncompatible, text: "media that cannot be carried", rank: 1}
	}
	return reply{status: 480, cause: tandem.CauseNetworkOutOfOrder, text: "destination network not reachable"}
}

// causeOfOutcome is the Q.850 cause that goes on the record of the attempt itself.
func causeOfOutcome(o tandem.Outcome) (tandem.Cause, string) {
	switch o.Kind {
	case tandem.OutcomeStatus:
		return tandem.CauseOf(o.Status), ""
	case tandem.OutcomeNoAnswer:
		return tandem.CauseNoAnswer, "no answer in time"
	case tandem.OutcomeSilence:
		return tandem.CauseTimerExpiry, "no response in time"
	case tandem.OutcomeConnection:
		return tandem.CauseNetworkOutOfOrder, "connection failed"
	case tandem.OutcomeMedia:
		return tandem.CauseIncompatible, "media that cannot be carried"
	}
	return 0, ""
}

// aboutOurTrunk reports whether the text of a 403's Reason says that Microsoft
// does not know our trunk, as against "not this user". The text is a GUID and
// Microsoft's code or its meaning (microsoft-teams-trunk.md 4.3). A code
// decides alone: 510532 is no trunk configuration for our name in the tenant,
// all others are about the user, his policy or his location (510546 speaks of
// trunks, too).
func aboutOurTrunk(text string) bool {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
	}) {
		if n := len(word); (n == 5 || n == 6) && strings.Trim(word, "0123456789") == "" {
			return word == "510532"
		}
	}
	text = strings.ToLower(text)
	if strings.Contains(text, "lbr") {
		return false
	}
	return strings.Contains(text, "trunk config") || strings.Contains(text, "fqdn")
}
