// Package srtp protects and opens RTP and RTCP packets in place (RFC 3711) with
// the suites that SDES offers (RFC 4568): AES_CM_128_HMAC_SHA1_80, which
// Microsoft requires, and its variant with a 32-bit tag. It also reads and
// writes the a=crypto attribute.
//
// A [Sender] or [Receiver] holds one master key and so one direction of one
// stream of keys; each synchronisation source in it has its own rollover counter
// and replay window. None of them locks: their owner is whoever handles the
// packets, and lends them its [Scratch]. Nothing is allocated per packet.
//
// It stands beside pion/srtp because it is measured faster and allocation-free
// (BenchmarkProtect); the tests hold it against pion in both directions. What it
// does not do: key derivation rates, GCM suites, unencrypted or unauthenticated
// modes, DTLS.
package srtp
