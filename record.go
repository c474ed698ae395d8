package tandem

import "time"

// FactKind is the stage of a call that a journal record fixes.
type FactKind uint8

// The facts. Each carries the whole CallRecord as known then, so that the last
// one of a call suffices to close it after a crash.
const (
	FactStart      FactKind = 1 // INVITE accepted and routed, the first attempt about to leave
	FactAnswer     FactKind = 2 // a B-leg answered: billing runs
	FactCheckpoint FactKind = 3 // still up, or another attempt about to leave
	FactEnd        FactKind = 4 // final: rows are made from this one
	// FactAlive speaks of the node and carries no call: it was at work at that
	// instant, so every call on record without an end was still up.
	FactAlive FactKind = 5
)

func (k FactKind) String() string {
	switch k {
	case FactStart:
		return "start"
	case FactAnswer:
		return "answer"
	case FactCheckpoint:
		return "checkpoint"
	case FactEnd:
		return "end"
	case FactAlive:
		return "alive"
	}
	return "unknown"
}

// CallRecord is everything about a call that outlives it. The call core fills
// it; recorders must copy or encode it before they return.
type CallRecord struct {
	Correlation CorrelationID
	Node        string
	Direction   Direction
	Account     string
	Tenant      TenantID
	DID         E164
	UserType    UserType
	Plan        PlanKind
	Emergency   bool
	From, To    string // normalised, as in Plan
	Dialled     string // user part of the Request-URI as received
	FailsafeTo  E164   // set when the call was forwarded to the failsafe number
	Trace       []TraceStep
	Legs        []LegRecord // [0] is the A-leg, then the B-leg attempts in order
	Recovered   bool        // closed after a crash, not by a release
	// Checkpoint is the instant at which this record was last known to be true.
	Checkpoint time.Time
}

// LegRecord is one leg or attempt.
type LegRecord struct {
	Technology Technology
	Network    string
	Trunk      TrunkID
	Endpoint   string // host:port that was tried, or the source address of the A-leg
	SIPCallID  string
	From, To   string // what this leg's From and Request-URI said

	// Moments in UTC; zero = did not happen. See style.md 4 for their meaning.
	SetupTime, RingTime, AnswerTime, ReleaseTime time.Time
	// Duration is AnswerTime to ReleaseTime by the monotonic clock.
	Duration time.Duration

	Outcome     OutcomeKind // B-leg attempts; "" for the A-leg
	Status      SIPStatus   // final status of the INVITE on this leg
	Cause       Cause       // from the peer's Reason header, else mapped from Status
	ReasonText  string      // text of the peer's Reason header, or why the engine ended it
	ReleasedBy  ReleasedBy
	Disposition Disposition
	Failsafe    bool // the forward to the failsafe number

	Codec string // encoding name of the first audio format answered, as in "PCMU"
	SRTP  bool
	RX    StreamStats // packets received from this leg's peer
	TX    StreamStats // packets sent to it

	// Dialog is set in answer and checkpoint facts of connected legs only.
	Dialog *DialogRecord
}

// DialogRecord is what a BYE needs (RFC 3261 12.2.1.1), so that the node can
// release, when it is up again, the calls that a crash cut.
type DialogRecord struct {
	LocalTag, RemoteTag string
	Local, Remote       string   // name-addr of From and To of our requests, without tag
	Target              string   // the peer's Contact URI
	Routes              []string // "<uri>" in the order of our Route headers
	LocalSeq            uint32   // at least the last CSeq that we sent then
}

// Connected reports whether the leg was answered.
func (l *LegRecord) Connected() bool { return !l.AnswerTime.IsZero() }

// PDD is the post-dial delay: INVITE sent to first 18x, or to the answer when none came.
func (l *LegRecord) PDD() time.Duration {
	switch {
	case !l.RingTime.IsZero():
		return l.RingTime.Sub(l.SetupTime)
	case !l.AnswerTime.IsZero():
		return l.AnswerTime.Sub(l.SetupTime)
	}
	return 0
}

// StreamStats counts one direction of one leg's RTP.
type StreamStats struct {
	Packets, Bytes uint64
	Lost           uint64 // by sequence number, RFC 3550 6.4.1; only known for received streams
	JitterMicros   uint32 // RFC 3550 6.4.1 interarrival jitter
	Dropped        uint64 // bad SRTP tag, replay, wrong source, malformed
	LastSeen       time.Time
}

// JournalPos is a position in the journal: the sequence number of a fact, from
// 1, without gaps on one node. 0 = before the first.
type JournalPos uint64

// JournalFact is a fact as read back.
type JournalFact struct {
	Pos  JournalPos
	Kind FactKind
	At   time.Time
	Call CallRecord
}
