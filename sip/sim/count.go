package sim

// Counters are what happened in a world.
type Counters struct {
	Sent, Received                           int // messages of the core, and to it
	Lost, Duplicated, Reordered, Storms      int
	Dropped, Refused                         int // connections that died; dials that failed
	Crashes, ClockSteps, Refreshes           int
	Hangups, Drains, MediaTimeouts, Nonsense int
	Calls                                    map[string]int // ended, by direction and outcome
	Checks                                   [numInvariants]int
}

// Invariant is one of the rules that every run is held to.
type Invariant int

// The invariants.
const (
	invEnds Invariant = iota
	invRecords
	invTimes
	invDuration
	invAcked
	invAnswered
	invOneRings
	invCopies
	invSequence
	invMedia
	invPeers
	invRest
	numInvariants
)

// Invariants names the rules in the order of Counters.Checks.
func Invariants() [numInvariants]string {
	return [...]string{
		invEnds:     "every call ends within its timers",
		invRecords:  "one record per leg and attempt, facts in order",
		invTimes:    "times of a record in order",
		invDuration: "billed time is the true time",
		invAcked:    "every final response to INVITE is ACKed",
		invAnswered: "every request gets a final response, BYE and CANCEL at once",
		invOneRings: "one destination rings at a time",
		invCopies:   "retransmissions are true copies",
		invSequence: "CSeq rises within a dialog",
		invMedia:    "offer and answer in turn, media closed once",
		invPeers:    "no dialog is left up at a peer, no BYE unanswered there",
		invRest:     "no transaction, timer, dialog, connection watch or port is left",
	}
}

func (w *World) checked(i Invariant) { w.Count.Checks[i]++ }

// Add sums counters of several worlds.
func (c *Counters) Add(o *Counters) {
	c.Sent += o.Sent
	c.Received += o.Received
	c.Lost += o.Lost
	c.Duplicated += o.Duplicated
	c.Reordered += o.Reordered
	c.Storms += o.Storms
	c.Dropped += o.Dropped
	c.Refused += o.Refused
	c.Crashes += o.Crashes
	c.ClockSteps += o.ClockSteps
	c.Refreshes += o.Refreshes
	c.Hangups += o.Hangups
	c.Drains += o.Drains
	c.MediaTimeouts += o.MediaTimeouts
	c.Nonsense += o.Nonsense
	if c.Calls == nil {
		c.Calls = map[string]int{}
	}
	for k, n := range o.Calls {
		c.Calls[k] += n
	}
	for i, n := range o.Checks {
		c.Checks[i] += n
	}
}
