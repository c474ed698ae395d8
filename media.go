package tandem

import (
	"net/netip"
	"time"
)

// MediaProfile is what a leg's media must look like.
type MediaProfile struct {
	SRTP SRTPMode
	// Teams selects Microsoft's rules: hold is sent as a=inactive only, no
	// c=0.0.0.0, no ICE, crypto lifetime |2^31 (microsoft-teams-trunk.md 6, 7).
	Teams bool
	// LocalAddress is our media address towards this leg; invalid = the pool's default for the offer's family.
	LocalAddress netip.Addr
	// PeerSources, when not empty, are the networks that media may come from besides the address in SDP.
	PeerSources []netip.Prefix
}

// MediaRelay makes media sessions. Implementations do no blocking I/O: ports
// come from a pool that is bound in advance.
type MediaRelay interface {
	// OpenMedia reserves the ports of a call. It fails with KindUnavailable when none is left.
	OpenMedia(ref CallRef, a MediaProfile) (MediaSession, error)
}

// MediaSession is the media of one call. It is used by the one shard that owns
// the call; after Close every method is a no-op.
//
// Offer and Answer keep offer/answer straight (RFC 3264): an offer from one
// side becomes our offer to the other; the answer from there becomes our answer
// back. Our address and port towards a side never change during the session.
// Errors are *Error of KindInvalid (SDP that makes no sense: answer 400 or 488)
// or KindConflict (media that can't be carried: answer 488).
type MediaSession interface {
	// SetPeer (re)sets side B for the next attempt: what the last attempt negotiated is forgotten, the ports stay.
	SetPeer(b MediaProfile)
	// Offer takes an SDP offer received from a side and returns the offer for the other side.
	Offer(from Side, sdp []byte) ([]byte, error)
	// Answer takes the answer of a side to the offer last made to it and
	// returns the answer for the other side. final is false for an early answer
	// (18x); a later one, possibly of another fork, replaces it.
	Answer(from Side, sdp []byte, final bool) ([]byte, error)
	// Reoffer returns our current description for a side as a fresh offer: for a
	// re-INVITE without SDP, and for session refreshes that we originate.
	Reoffer(to Side) ([]byte, error)
	// Rollback forgets the offer in progress: it was refused, media stays as it was.
	Rollback()
	// Stats reads the counters of a side: received from it, sent to it.
	Stats(side Side) (rx, tx StreamStats)
	// Describe tells what a side negotiated, for the CDR.
	Describe(side Side) (codec string, srtp bool)
	// Close releases the ports.
	Close()
}

// MediaEventKind is what a media session reports on its own.
type MediaEventKind uint8

// The media events.
const (
	// MediaTimeout: neither RTP nor RTCP came from Side for the configured time while it should have.
	MediaTimeout MediaEventKind = iota + 1
)

// MediaEvent is posted to the shard that owns the call.
type MediaEvent struct {
	Ref      CallRef
	Kind     MediaEventKind
	Side     Side
	LastSeen time.Time // last packet from that side; zero = none ever
}
