package tandem

import "time"

// UsageEventKind says what happened to a bucket or balance.
type UsageEventKind string

// The kinds of usage events.
const (
	UsageMinutes80  UsageEventKind = "minutes_80"  // four fifths of a number's free minutes are drawn
	UsageMinutes100 UsageEventKind = "minutes_100" // all of them: calls are charged from here on
	UsageLowBalance UsageEventKind = "low_balance" // the account's balance fell below its low_balance
)

// UsageEvent is stored at most once per account, number, cycle and kind, in the
// transaction on the books that made it true.
type UsageEvent struct {
	Kind    UsageEventKind `json:"kind"`
	Account string         `json:"account"`
	DID     E164           `json:"did,omitempty"` // with minutes only
	Cycle   time.Time      `json:"cycle"`         // start of the cycle, UTC
	At      time.Time      `json:"at"`            // answer instant of the call that drew so far; with low_balance when it was noticed

	UsedS  int64 `json:"used_s,omitzero"` // of the bucket, with the call
	LimitS int64 `json:"limit_s,omitzero"`

	Balance   Amount   `json:"balance,omitzero"` // with low_balance, as it was then
	Threshold Amount   `json:"threshold,omitzero"`
	Currency  Currency `json:"currency,omitempty"`
}

// MinutesEvents lists what a bucket that is drawn up to used seconds has to tell.
func MinutesEvents(used, limit int64) []UsageEventKind {
	switch {
	case limit <= 0 || used*5 < limit*4:
		return nil
	case used < limit:
		return []UsageEventKind{UsageMinutes80}
	}
	return []UsageEventKind{UsageMinutes80, UsageMinutes100}
}
