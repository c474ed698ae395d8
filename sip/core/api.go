// Package core is the call core of one shard: transactions, dialogs and B2BUA
// calls as deterministic state machines. It reads no clock, socket or file and
// takes no lock: events carry the time, everything that leaves goes through
// Output. See api.go for the whole contract; sip/engine drives it in the
// product, the simulator in tests.
package core

import (
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip"
)

// EventKind tells what happened.
type EventKind uint8

// The events.
const (
	EventMessage    EventKind = iota + 1 // Flow, Msg
	EventSentOn                          // Ref, Conn
	EventSendFailed                      // Ref, Err
	EventConnClosed                      // Conn
	EventMedia                           // Media
)

// Event is one input of the core. It is a value: no closure, no reply channel.
type Event struct {
	Kind  EventKind
	At    time.Time // with its monotonic part
	Flow  sip.Flow
	Msg   gosip.Message
	Ref   sip.SendRef
	Conn  sip.ConnID
	Err   string
	Media tandem.MediaEvent
}

// Router decides where calls go; it reads immutable snapshots and takes microseconds.
type Router interface {
	Plan(req *tandem.RouteRequest, now time.Time) tandem.Plan
}

// Credit says how long a call of an account with limited credit may talk, in the
// words of RFC 8506: the plan's Granted is the initial grant, these are its
// updates. It answers from memory, never blocks, and knows the call by the
// correlation ID that the RouteRequest had. The call ends for it with its FactEnd.
type Credit interface {
	// Answered tells that the call is connected, on a failsafe attempt or not, and
	// gives the talk time that is granted from the answer on; 0 = no limit.
	Answered(call tandem.CorrelationID, failsafe bool, at time.Time) time.Duration
	// Extend gives the talk time from the answer on that is granted now; not more
	// than before: the credit is used up.
	Extend(call tandem.CorrelationID, at time.Time) time.Duration
}

// Output is everything that leaves the core. No method may block or call back into the core.
type Output interface {
	sip.Sender
	// Record writes a fact; the record is copied or encoded before it returns.
	Record(kind tandem.FactKind, at time.Time, call *tandem.CallRecord)
	// Outcome tells trunk health how an attempt on an endpoint ended.
	Outcome(trunk tandem.TrunkID, endpoint tandem.Endpoint, o tandem.Outcome, at time.Time)
	// Watch asks trunk health to look after an endpoint where an INVITE waits for
	// its final response. If it dies, the connection that the INVITE went out on is
	// closed within bound. It is called again and again while the INVITE waits.
	Watch(trunk tandem.TrunkID, endpoint tandem.Endpoint, bound time.Duration, at time.Time)
	// Health is what trunk health thinks of an endpoint now.
	Health(trunk tandem.TrunkID, endpoint tandem.Endpoint) tandem.HealthState
}

// TrunkView is what the core needs to know of a trunk.
type TrunkView struct {
	tandem.Trunk
	// ViaHost and ViaPort are our own address towards the trunk (Via sent-by, Contact port).
	ViaHost string
	ViaPort uint16
}

// Deps are the core's neighbours.
type Deps struct {
	Router Router
	Credit Credit // nil: plans grant nothing
	Media  tandem.MediaRelay
	Output Output
	// Random gives unpredictable bits for tags, branches, Call-IDs and
	// correlation IDs; the simulator passes a seeded source.
	Random func() uint64
}
