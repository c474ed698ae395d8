// Package trunk watches the health of the trunks' endpoints: it sends OPTIONS,
// listens to how calls end, and publishes immutable snapshots that routing
// reads. It also answers the OPTIONS of peers.
//
// The state machine of an endpoint (machine.go) is pure: time comes in with
// each observation. Monitor drives it: one goroutine for the clock, everything
// else runs in the goroutine of whoever brings news and never blocks.
//
// An endpoint counts as up on the response to our OPTIONS, never on a TLS
// handshake: with TLS 1.3 a refused client certificate shows up only later.
package trunk
