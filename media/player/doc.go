// Package player is the audio of the emulators: RTP and SRTP endpoints (SDES,
// RFC 4568) that play tones and sweeps or echo, count what comes, and say which
// tone they hear, so that a test can prove that audio crosses and that no call
// hears another's. One goroutine with a 20 ms ticker sends for all streams;
// every stream has one reader.
//
// It shares no code with the relay, only the RTP and SRTP modules. It knows
// PCMU and PCMA; it does no jitter buffering and plays nothing to anybody's ears.
package player
