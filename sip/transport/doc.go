// Package transport owns the SIP sockets: UDP, TCP and TLS. It implements
// sip.Sender and calls a sip.Handler with parsed messages in wire order.
//
// It uses sipgo's parser but not its TransportLayer (docs/adr/0002-own-sockets.md).
//
// Who runs: one goroutine per UDP socket reads; one per listener accepts; each
// stream connection has a reader and a writer; each dial and each name lookup
// has a short-lived goroutine; one janitor watches ages and certificate files.
// Send never blocks: it writes a datagram, or queues for a connection's writer.
//
// What comes in: the source is checked against the trunks' networks before
// anything is parsed, and for TLS the certificate decides too. Streams are cut
// into messages by our own framing, so that a message that can't be parsed is
// answered or dropped alone and its connection lives on.
//
// What goes out: responses go on the connection that their request came from
// (RFC 3261 18.2.2); our own requests go only on connections that we dialled,
// because Microsoft ignores requests on connections that it opened.
package transport
