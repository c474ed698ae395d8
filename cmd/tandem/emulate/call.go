package emulate

import (
	"time"

	"tandem"
	"tandem/sip/ua"
)

// Media is what a party sends.
type Media string

// The kinds of media; none makes a call without sockets for RTP, for load tests.
const (
	MediaTone    Media = "tone"
	MediaSweep   Media = "sweep"
	MediaEcho    Media = "echo"
	MediaSilence Media = "silence"
	MediaNoise   Media = "noise" // no packet like another: for comparing bit by bit
	MediaNone    Media = "none"
)

func (m Media) known() bool {
	switch m {
	case "", MediaTone, MediaSweep, MediaEcho, MediaSilence, MediaNoise, MediaNone:
		return true
	}
	return false
}

// Who hangs up.
const (
	HangUpCaller = "caller"
	HangUpCallee = "callee"
)

// Behaviour is what a called user or number does. The zero value answers at
// once and holds until the caller hangs up.
type Behaviour struct {
	// Status, when not 0 or 200, refuses with it after Ring.
	Status int    `json:"status,omitempty"`
	Reason string `json:"reason,omitempty"`
	// RingAfter is the time before the first 18x; Ring the time from there to the final response; 0 = no 18x at all.
	RingAfter tandem.Duration `json:"ring_after,omitempty"`
	Ring      tandem.Duration `json:"ring,omitempty"`
	// NoAnswer rings until the caller gives up.
	NoAnswer bool `json:"no_answer,omitempty"`
	// Early answers with 183 and SDP instead of 180.
	Early bool `json:"early,omitempty"`
	// Forks sends so many 180s with To-tags of their own before a 200 on yet another tag.
	Forks int `json:"forks,omitempty"`
	// Hold is the time from ACK to our BYE when HangUpBy is callee; 0 or caller = wait for the caller's.
	Hold     tandem.Duration `json:"hold,omitempty"`
	HangUpBy string          `json:"hang_up_by,omitempty"`
	// RefreshAfter sends a session-refresh re-INVITE with unchanged SDP so long after the answer.
	RefreshAfter tandem.Duration `json:"refresh_after,omitempty"`
	// RefreshNewKey gives that re-INVITE a new SRTP key (roll-over counter restarts at 0).
	RefreshNewKey bool `json:"refresh_new_key,omitempty"`
	// HoldAfter puts the caller on hold (a=sendonly) for HoldFor, then resumes.
	HoldAfter tandem.Duration `json:"hold_after,omitempty"`
	HoldFor   tandem.Duration `json:"hold_for,omitempty"`
	Media     Media           `json:"media,omitempty"`
	ToneHz    int             `json:"tone_hz,omitempty"`
}

// CallSpec is a call to place.
type CallSpec struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Hold is the time from answer to our BYE. With HangUpBy callee we wait for
	// the far end's BYE instead, at most Hold + 30 s.
	Hold     tandem.Duration `json:"hold,omitempty"`
	HangUpBy string          `json:"hangup_by,omitempty"`
	// CancelAfter gives up so long after the INVITE, if there is no answer yet; 0 = never.
	CancelAfter tandem.Duration `json:"cancel_after,omitempty"`
	// CancelOnRing gives up so long after the first 18x; negative = at once.
	CancelOnRing tandem.Duration `json:"cancel_on_ring,omitempty"`
	// Timeout ends an unanswered call by CANCEL; default 60 s. Microsoft's own is 10 s (FailoverTimeSeconds).
	Timeout tandem.Duration `json:"timeout,omitempty"`
	Media   Media           `json:"media,omitempty"`
	ToneHz  int             `json:"tone_hz,omitempty"`
	// Listener of the Teams emulator that calls, by name; default the first.
	Listener string `json:"listener,omitempty"`
	// Tenant overrides the tenant's GUID in X-MS-TenantID, or the Request-URI host in Direct Routing.
	Tenant string `json:"tenant,omitempty"`
	Mode   Mode   `json:"mode,omitempty"`
	// Anonymous hides the number in From; PAI and Privacy: id carry it.
	Anonymous bool `json:"anonymous,omitempty"`
	// Headers are added as they are.
	Headers []ua.Header `json:"headers,omitempty"`
	// Body replaces the SDP offer; for bad input. ContentType goes with it.
	Body        string `json:"body,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	NoSDP       bool   `json:"no_sdp,omitempty"` // delayed offer
	// RefreshAfter, RefreshNewKey, HoldAfter and HoldFor as in Behaviour.
	RefreshAfter  tandem.Duration `json:"refresh_after,omitempty"`
	RefreshNewKey bool            `json:"refresh_new_key,omitempty"`
	HoldAfter     tandem.Duration `json:"hold_after,omitempty"`
	HoldFor       tandem.Duration `json:"hold_for,omitempty"`
}

// CallResult is what one party saw of a call; the emulators keep one for every
// call, placed or received.
type CallResult struct {
	ID       string `json:"id"`
	Incoming bool   `json:"incoming"` // the emulator was called
	From     string `json:"from"`
	To       string `json:"to"`
	CallID   string `json:"call_id"`
	Listener string `json:"listener,omitempty"`
	Source   string `json:"source,omitempty"` // where the INVITE came from or went to

	// Status is the final response to the INVITE; 0 = none came, or none was sent.
	Status      int    `json:"status"`
	Reason      string `json:"reason,omitempty"`
	ReasonField string `json:"reason_header,omitempty"` // the Reason header of the final response
	Provisional []int  `json:"provisional,omitempty"`   // 100 included, in order
	Fault       string `json:"fault,omitempty"`         // the fault that was applied to it

	Start    time.Time `json:"start"`              // INVITE sent or received
	TryingAt time.Time `json:"trying_at,omitzero"` // first response of any kind
	RingAt   time.Time `json:"ring_at,omitzero"`
	AnswerAt time.Time `json:"answer_at,omitzero"` // 200 received, or sent
	EndAt    time.Time `json:"end_at,omitzero"`    // BYE, CANCEL or final failure
	// EndedBy is local or remote: who hung up, cancelled or refused.
	EndedBy string `json:"ended_by,omitempty"`
	Error   string `json:"error,omitempty"`
	Done    bool   `json:"done"`

	// Sent and Received count RTP packets; HeardHz is the strongest frequency received, 0 = silence or nothing.
	Sent     uint64 `json:"rtp_sent"`
	Received uint64 `json:"rtp_received"`
	HeardHz  int    `json:"heard_hz,omitempty"`
	BadSRTP  uint64 `json:"bad_srtp,omitempty"` // packets that failed authentication
	Codec    string `json:"codec,omitempty"`
	Suite    string `json:"srtp_suite,omitempty"`

	// Invite is the header list of the INVITE, Response that of its final response, as on the wire.
	Invite    []ua.Header `json:"invite,omitempty"`
	InviteURI string      `json:"invite_uri,omitempty"`
	Offer     string      `json:"offer,omitempty"`
	Response  []ua.Header `json:"response,omitempty"`
	Answer    string      `json:"answer,omitempty"`
	// Refreshes lists the final statuses of our re-INVITEs; Reinvites counts the peer's.
	Refreshes []int         `json:"refreshes,omitempty"`
	Reinvites int           `json:"reinvites,omitempty"`
	Log       []ua.LogEntry `json:"log,omitempty"`
	Ladder    string        `json:"ladder,omitempty"`
}

// Duration is the time from answer to end; 0 when never answered.
func (r CallResult) Duration() time.Duration {
	if r.AnswerAt.IsZero() || r.EndAt.IsZero() {
		return 0
	}
	return r.EndAt.Sub(r.AnswerAt)
}

// Header is the first value of a header of the INVITE.
func (r CallResult) Header(name string) string { return (&ua.Message{Headers: r.Invite}).Get(name) }

// HeardTone reports whether the tone was what the far end was heard to play.
func (r CallResult) HeardTone(hz int) bool { return r.HeardHz == hz && hz != 0 }
