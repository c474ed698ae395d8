package tandem

import "time"

// RouteRequest is what routing is asked with: the facts of an incoming INVITE
// as received, unvalidated beyond their syntax.
type RouteRequest struct {
	// Correlation is the call's; zero when only a question is asked.
	Correlation CorrelationID
	Trunk       TrunkID // the trunk that the INVITE came from; its kind gives the direction
	RequestUser string  // user part of the Request-URI, percent-escapes decoded, parameters cut
	RequestHost string  // host of the Request-URI: on Direct Routing the tenant's FQDN
	FromUser    string  // user part of From, "" or "anonymous" when withheld
	FromName    string  // display name of From
	PAIUser     string  // user part of the first SIP or TEL P-Asserted-Identity, "" if none
	Privacy     bool    // the caller asked for privacy (RFC 3323: id, user or full)
	TenantHint  string  // X-MS-TenantID (Operator Connect)
	ContactHost string
	Forwarded   bool // the INVITE carries History-Info or Diversion entries
	// Diverters are the numbers that diverted the call, newest first: the user
	// parts of its Diversion entries and of its History-Info entries without the one
	// of the present target (RFC 7044 puts that last, also when nobody diverted).
	// A DID of ours among them means that our own forward has come back.
	Diverters []string
	Seed      uint64 // for weighted choice; derived from the correlation ID, so that a replay chooses the same
}

// Plan is routing's answer: who pays, where to try in which order, and why.
// When Reject is set nothing is tried.
type Plan struct {
	Direction Direction
	Account   string
	Tenant    TenantID
	DID       E164 // the customer's number in this call: called number inbound, caller outbound
	UserType  UserType
	PlanKind  PlanKind
	Emergency bool

	// From and To are the normalised numbers of the call: E.164, or a short code such as 911. From may be "anonymous".
	From, To string
	// FromName is the display name to show onward, already stripped of control characters.
	FromName string
	Private  bool

	Attempts []Attempt // in order
	// Failsafe is tried after the last of Attempts if its outcome is in
	// FailsafeOn, or at once when Attempts is empty and Failsafe is not.
	Failsafe   []Attempt
	FailsafeOn OutcomeSet
	// FailsafeNumber is where a failsafe call goes; "" = none configured.
	FailsafeNumber E164
	// SilenceBound limits the time from the first INVITE of Attempts until the
	// failsafe starts while no endpoint has sent any response at all; 0 = no bound.
	SilenceBound time.Duration
	// TryingBound limits the same time while Microsoft has said 100 Trying and
	// nothing else: a proxy that took the INVITE and died, or whose users' side is
	// away. What is left of Attempts is skipped then. After ringing it counts from
	// the next address's INVITE; 0 = no bound of the plan.
	TryingBound time.Duration
	// RingingBound limits the time from the death of a Microsoft address to the
	// end of the attempts that wait there for a final response: trunk health looks
	// after the address meanwhile; 0 = only as ever.
	RingingBound time.Duration
	// Skipped lists endpoints that were not tried because they are known to be down.
	Skipped []SkippedAttempt

	// Granted is how long the call may talk on the credit reserved for it; 0 = its
	// account's credit has no limit. See core.Credit.
	Granted time.Duration

	Reject *Rejection
	Trace  []TraceStep
}

// Attempt is one INVITE to one endpoint.
type Attempt struct {
	Trunk      TrunkID
	Endpoint   Endpoint
	Technology Technology
	Network    string
	// To is the user part of the Request-URI ("+14255550100", "911"), From that of the From header.
	To, From string
	// LocalHost is our name towards this peer: host of From and Contact. Towards
	// Microsoft it is the tenant's FQDN (Direct Routing) or the trunk's.
	LocalHost string
	// Failsafe is true for the forward to a failsafe number; Diverting is then the DID that was called.
	Failsafe        bool
	Diverting       E164
	ResponseTimeout time.Duration // INVITE to first response
	AnswerTimeout   time.Duration // INVITE to final response
	NextOn          OutcomeSet    // outcomes that allow the next attempt
}

// SkippedAttempt is an endpoint known to be down, kept on record.
type SkippedAttempt struct {
	Trunk      TrunkID
	Endpoint   Endpoint
	Technology Technology
	Network    string
	Reason     string
}

// Rejection is a refusal by routing.
type Rejection struct {
	Status SIPStatus
	Reason string // for the peer's Reason header and the log; never carries hostile text
	Cause  Cause
}

// TraceStep says one thing that routing decided and why, for `tandem route explain` and the log.
type TraceStep struct {
	Rule   string `json:"rule"`   // short name of the rule, as in "did", "tenant", "health", "carrier order", "failsafe"
	Detail string `json:"detail"` // what it found and decided
}
