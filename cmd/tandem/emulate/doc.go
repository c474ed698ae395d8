// Package emulate holds the far ends that Tandem can be tried against: Teams,
// Microsoft's SIP proxies with mutual TLS, SRTP and their header rules, and
// Carrier, a PSTN carrier over UDP and TCP with plain RTP. Both place and
// answer calls with real audio, keep a ladder of every call, note the rules
// that the peer breaks, and misbehave on command. They serve the demo, the
// tests and an operator's staging. They share no code with the call core or
// the relay (see sip/ua and media/player).
//
// # Over HTTP
//
// The control API listens on a loopback address (5090 for Teams, 5091 for the
// carrier by default). A call is answered when it is over, or at once with ?async=1:
//
//	curl localhost:5090/state                 # listeners, peers and whether they are active, counters
//	curl localhost:5090/files                 # paths: CA, certificate and key for the operator's side
//	curl localhost:5091/calls -d '{"from":"+12065550100","to":"+14255550100","hold":"2s"}'
//	curl localhost:5090/calls                 # every call, without ladders; ?full=1 with them
//	curl localhost:5090/calls/1               # one call: times, packets, heard tone, headers, ladder
//	curl -X PUT localhost:5090/faults -d '{"fault":"blackhole"}'
//	curl -X PUT localhost:5090/faults -d '{"fault":"503","listener":"sip.pstnhub.test","retry_after":1,"count":3}'
//	curl -X DELETE 'localhost:5090/faults?fault=blackhole'
//	curl localhost:5090/violations
//	curl localhost:5091/load -d '{"from":"+12065550100","to":"+14255550100","hold":"1s","media":"none","rate":50,"for":"60s"}'
//
// The fields of a call are those of CallSpec, of a fault those of Fault; the
// kinds of fault are the Fault constants.
//
// # Who owns what
//
// An Endpoint (sip/ua) owns sockets and transactions. Every call has one
// goroutine, the script: it alone touches its session. Results, faults and
// violations sit behind the station's mutex.
package emulate
