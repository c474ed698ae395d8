package tandem

// SIPStatus is the status code of a SIP response (RFC 3261 21); 0 means none.
type SIPStatus uint16

// Cause is a Q.850 cause value; 0 means none is known.
type Cause uint8

// The Q.850 causes that the engine itself gives.
const (
	CauseUnallocated       Cause = 1
	CauseNormalClearing    Cause = 16
	CauseUserBusy          Cause = 17
	CauseNoUserResponding  Cause = 18
	CauseNoAnswer          Cause = 19
	CauseRejected          Cause = 21
	CauseDestinationDown   Cause = 27
	CauseInvalidNumber     Cause = 28
	CauseNormalUnspecified Cause = 31
	CauseNoCircuit         Cause = 34
	CauseNetworkOutOfOrder Cause = 38
	CauseTemporaryFailure  Cause = 41
	CauseCongestion        Cause = 42
	CauseBearerUnavailable Cause = 58
	CauseNotImplemented    Cause = 79
	CauseIncompatible      Cause = 88
	CauseTimerExpiry       Cause = 102
	CauseInterworking      Cause = 127
)

// CauseOf maps a SIP final status to Q.850. RFC 3398 8.2.6.1 gives the base,
// a common carrier default the rest (rating-and-cdr.md 4.3). The two mappings
// are not inverses, so both are data.
func CauseOf(s SIPStatus) Cause {
	if c, ok := causeOfStatus[s]; ok {
		return c
	}
	switch {
	case s == 0:
		return 0
	case s < 300:
		return CauseNormalClearing
	case s < 500:
		return CauseInterworking
	case s < 600:
		return CauseTemporaryFailure
	default:
		return CauseInterworking
	}
}

var causeOfStatus = map[SIPStatus]Cause{
	400: 41, 401: 21, 402: 21, 403: 21, 404: 1, 405: 63, 406: 79, 407: 21, 408: 102, 410: 22, 413: 127,
	414: 127, 415: 79, 416: 127, 420: 127, 421: 127, 422: 31, 423: 127, 480: 18, 481: 41, 482: 25,
	483: 25, 484: 28, 485: 1, 486: 17, 487: 16, 488: 88, 491: 41, 493: 88,
	500: 41, 501: 79, 502: 38, 503: 41, 504: 102, 505: 127, 513: 127, 580: 47,
	600: 17, 603: 21, 604: 1, 606: 88,
}

// StatusOf maps a Q.850 cause to the SIP final status that RFC 3398 7.2.4.1
// gives for it; causes without a row give 500.
func StatusOf(c Cause) SIPStatus {
	if s, ok := statusOfCause[c]; ok {
		return s
	}
	return 500
}

var statusOfCause = map[Cause]SIPStatus{
	1: 404, 2: 404, 3: 404, 16: 480, 17: 486, 18: 408, 19: 480, 20: 480, 21: 403, 22: 410, 23: 410, 25: 483,
	26: 404, 27: 502, 28: 484, 29: 501, 31: 480, 34: 503, 38: 503, 41: 503, 42: 503, 47: 503, 55: 403,
	57: 403, 58: 503, 63: 503, 65: 488, 70: 488, 79: 501, 87: 403, 88: 488, 102: 504, 111: 500, 127: 500,
}

// ReleasedBy says which side ended a leg.
type ReleasedBy string

// Who ended a leg.
const (
	ReleasedByCaller ReleasedBy = "caller"
	ReleasedByCallee ReleasedBy = "callee"
	ReleasedByEngine ReleasedBy = "engine"
)

// Disposition is how a leg ended, in the closed vocabulary of rating-and-cdr.md 4.3.
type Disposition string

// The dispositions.
const (
	Answered      Disposition = "answered"
	Busy          Disposition = "busy"
	NoAnswer      Disposition = "no_answer"
	Cancelled     Disposition = "cancelled"
	Rejected      Disposition = "rejected"
	Unallocated   Disposition = "unallocated"
	Congestion    Disposition = "congestion"
	FailedNetwork Disposition = "failed_network"
	FailedMedia   Disposition = "failed_media"
	BlockedPolicy Disposition = "blocked_policy"
)
