package engine

import (
	"sync/atomic"

	"tandem/sip/core"
)

type counters struct {
	refused, dropped, lostFacts, barrierAlarms, panics atomic.Uint64
}

// Stats is a reading of the engine's counters and of its cores, summed.
type Stats struct {
	Core          core.Stats
	Waiting       int    // messages in mailboxes now
	Refused       uint64 // new requests answered 503 because a mailbox was full
	Dropped       uint64 // other messages dropped because a mailbox was full
	LostFacts     uint64 // facts that the journal could not take
	BarrierAlarms uint64 // times that messages left before their facts were written
	Panics        uint64 // outside the core's own containment
}

// Stats reads the counters as of each shard's last turn. It does not wait for shards.
func (e *Engine) Stats() Stats {
	st := Stats{Refused: e.count.refused.Load(), Dropped: e.count.dropped.Load(), LostFacts: e.count.lostFacts.Load(),
		BarrierAlarms: e.count.barrierAlarms.Load(), Panics: e.count.panics.Load()}
	for _, s := range e.shards {
		st.Waiting += s.box.len()
		c := s.published()
		st.Core.Calls += c.Calls
		st.Core.Legs += c.Legs
		st.Core.ClientTx += c.ClientTx
		st.Core.ServerTx += c.ServerTx
		st.Core.Timers += c.Timers
		st.Core.Started += c.Started
		st.Core.Answered += c.Answered
		st.Core.Ended += c.Ended
		st.Core.Refused += c.Refused
		st.Core.Retransmits += c.Retransmits
		st.Core.Absorbed += c.Absorbed
		st.Core.LateAnswers += c.LateAnswers
		st.Core.Recovered += c.Recovered
		st.Core.Stray += c.Stray
		st.Core.BadMessages += c.BadMessages
		st.Core.Panics += c.Panics
		st.Core.Loose += c.Loose
	}
	return st
}
