// Package sdp keeps offer/answer (RFC 3264) between the two sides of a call: an
// SDP offer from one side becomes our offer to the other, with our addresses,
// our keys and the other side's rules; the answer takes the way back.
//
// [Parse] reads what the relay needs out of whatever peers send: lines in any
// order, missing lines, unknown lines. What it can't understand of a line it
// leaves out; an error means that no audio could ever come of it. Nothing is
// copied through that was not read: the bodies we write are our own, so no line
// of a peer's can smuggle another in.
//
// [Exchange] is the state of one call: per side the negotiated media (a [Leg],
// which the relay obeys), our key, our session id and version. It does no I/O
// and takes no lock; its owner calls it. Codecs pass transparently: payload
// types, rtpmap, fmtp and their order stay, what both sides understand decides.
//
// It does not do ICE, DTLS-SRTP, BUNDLE or video: these are left out of our
// offers and refused or zeroed in our answers.
package sdp
