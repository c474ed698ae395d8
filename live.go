package tandem

import "time"

// LiveCall is a call in progress, for `tandem calls` and the portal.
type LiveCall struct {
	Correlation CorrelationID `json:"correlation_id"`
	State       string        `json:"state"`
	Since       time.Time     `json:"since"`
	Direction   Direction     `json:"direction"`
	Account     string        `json:"account"`
	From        string        `json:"from"`
	To          string        `json:"to"`
	TrunkA      TrunkID       `json:"trunk_a"`
	TrunkB      TrunkID       `json:"trunk_b"`
	// NextTimer is when the call acts next if nothing comes; TimerName says which timer.
	NextTimer time.Time `json:"next_timer,omitzero"`
	TimerName string    `json:"timer,omitempty"`
}
