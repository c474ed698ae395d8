package core

import (
	"time"

	"tandem"
)

// State is how far a call is. Offer/answer (modification) and the
// transactions below have states of their own.
type State uint8

// The states. Every one but Ended has a timer, see bound.
const (
	Routing   State = iota // INVITE taken, the plan is being asked for
	Dialing                // an attempt is out, the caller has heard 100 only
	Ringing                // the caller has heard 18x
	Answering              // 200 sent to the caller, its ACK awaited
	Talking                // established on both sides
	Releasing              // over; finals, CANCEL or BYE are on their way
	Ended                  // record written; legs may linger on their own
	numStates
)

func (s State) String() string {
	return [...]string{"routing", "dialing", "ringing", "answering", "talking", "releasing", "ended"}[s]
}

type event uint8

// The events of a call.
const (
	evRoute     event = iota // routing accepted the call
	evReject                 // routing, media or admission refused it
	evRing                   // 18x from the current attempt
	evAnswer                 // 2xx with usable media from the current attempt
	evFail                   // the current attempt failed
	evExhaust                // nothing is left to try
	evCancel                 // the caller gave up: CANCEL, or BYE in its early dialog
	evAck                    // the caller acknowledged our 200
	evBye                    // one side hung up
	evNoAck                  // a 2xx of ours was never acknowledged
	evMediaLost              // no RTP for too long
	evLost                   // a peer no longer knows its dialog, or its session expired
	evHangup                 // the operator ends the call
	evExpire                 // the state's timer ran out
	evSettle                 // every leg's record is final
	evPanic                  // the call's own code panicked
	numEvents
)

func (e event) String() string {
	return [...]string{"route", "reject", "ring", "answer", "fail", "exhaust", "cancel", "ack", "bye", "no-ack",
		"media-lost", "lost", "hangup", "expire", "settle", "panic"}[e]
}

// step is one cell of the table: the next state and what is done in it. leg is
// the leg that the event came from; nil when it came from none.
type step struct {
	to State
	do func(c *Call, leg *Leg)
}

type table [numStates][numEvents]step

// newTable is the one transition table of a call. An empty cell is legal: the
// event is counted by its transaction, answered as the RFC says, and changes
// nothing. There is one way to end: Releasing.
func newTable() *table {
	early := [numEvents]step{
		evRing:    {Ringing, (*Call).ring},
		evAnswer:  {Answering, (*Call).connect},
		evExhaust: {Releasing, (*Call).refuse},
		evCancel:  {Releasing, (*Call).cancelled},
		evHangup:  {Releasing, (*Call).refuse},
		evExpire:  {Releasing, (*Call).refuse},
		evPanic:   {Releasing, (*Call).refuse},
	}
	dialing, ringing := early, early
	dialing[evFail] = step{Dialing, (*Call).tryNext}
	ringing[evFail] = step{Ringing, (*Call).tryNext}
	up := [numEvents]step{
		evBye:       {Releasing, (*Call).hangUp},
		evNoAck:     {Releasing, (*Call).hangUp},
		evMediaLost: {Releasing, (*Call).hangUp},
		evLost:      {Releasing, (*Call).hangUp},
		evHangup:    {Releasing, (*Call).hangUp},
		evExpire:    {Releasing, (*Call).hangUp},
		evPanic:     {Releasing, (*Call).hangUp},
	}
	answering, talking := up, up
	answering[evAck] = step{Talking, (*Call).established}
	return &table{
		Routing: {
			evRoute:  {Dialing, (*Call).dialFirst},
			evReject: {Releasing, (*Call).refuse},
			evCancel: {Releasing, (*Call).cancelled},
			evPanic:  {Releasing, (*Call).refuse},
		},
		Dialing:   dialing,
		Ringing:   ringing,
		Answering: answering,
		Talking:   talking,
		Releasing: {
			evSettle: {Ended, (*Call).close},
			evExpire: {Ended, (*Call).close},
			evPanic:  {Ended, (*Call).close},
		},
	}
}

// bound is the timer row: how long a call may stay in a state. When it runs
// out evExpire happens. 0 = no bound: Ended, and Talking when MaxDuration is 0
// (checkpoints go on, media timeout and session timers still end the call).
// Routing is left within the event that entered it.
func (c *Config) bound(s State) time.Duration {
	switch s {
	case Dialing, Ringing:
		return c.SetupLimit
	case Answering:
		return 64*c.T1 + c.T1 // the 2xx's own end comes first
	case Talking:
		return c.MaxDuration
	case Releasing:
		return c.ReleaseWait
	}
	return 0
}

// on moves the call. leg may be nil.
func (c *Call) on(e event, leg *Leg) {
	st := c.core.table[c.state][e]
	if st.do == nil {
		return
	}
	if st.to != c.state {
		c.enter(st.to, e)
	}
	st.do(c, leg)
}

func (c *Call) enter(s State, e event) {
	from := c.state
	c.state = s
	if from == Dialing && s == Ringing {
		return // one bound for the whole set-up
	}
	if d := c.core.cfg.bound(s); d > 0 {
		c.core.timers.set(&c.bound, c.core.now+d, timerState, c)
	} else {
		c.core.timers.stop(&c.bound)
	}
	if s == Releasing {
		c.stopTimers()
		c.describeRelease(e)
	}
}

// describeRelease fills in why the call ends, where the event alone says it.
func (c *Call) describeRelease(e event) {
	r := &c.released
	switch e {
	case evNoAck:
		r.set(tandem.ReleasedByEngine, 408, tandem.CauseTimerExpiry, "the 200 was never acknowledged")
	case evMediaLost:
		r.set(tandem.ReleasedByEngine, 0, tandem.CauseNetworkOutOfOrder, "no media from the peer")
	case evExpire:
		r.set(tandem.ReleasedByEngine, 480, tandem.CauseTimerExpiry, "time limit of the call")
	case evPanic:
		r.set(tandem.ReleasedByEngine, 500, tandem.CauseTemporaryFailure, "internal error")
	}
}
