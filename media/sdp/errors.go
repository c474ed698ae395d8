package sdp

import "tandem"

// invalid is SDP that makes no sense.
func invalid(message, mend string) error {
	return &tandem.Error{Kind: tandem.KindInvalid, Field: "sdp", Message: message, Mend: mend}
}

// conflict is SDP that makes sense but can't be carried: SIP 488.
func conflict(message, mend string) error {
	return &tandem.Error{Kind: tandem.KindConflict, Field: "sdp", Message: message, Mend: mend}
}
