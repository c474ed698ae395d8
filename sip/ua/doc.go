// Package ua is a small SIP endpoint for emulators and tests: a user agent
// client and server over UDP, TCP and TLS, one goroutine per call, with full
// control of every header. It is the product's far end, so it shares nothing
// with the call core but the message parser (sipgo's): a mistake in the core
// must not be cancelled out by the same mistake here.
//
// An Endpoint owns sockets and transactions (RFC 3261 17 with the 2xx rules of
// RFC 6026). A request outside a dialog goes to Config.Handler in its own
// goroutine, an INVITE becomes a Call by Endpoint.Accept; Endpoint.Invite makes
// a Call in the other direction. A Call delivers what happens to it, in wire
// order, on Events; its methods send. Nothing is answered behind the script's
// back except what no script wants to write: the 200 to a CANCEL, the ACK to a
// failure, 481 to a request of no known dialog, and ACK + BYE to a 2xx that
// comes after Close.
//
// It does not do authentication, DNS, PRACK or media.
package ua
