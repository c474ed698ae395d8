// Package relay moves the RTP and RTCP of calls between their two sides,
// protecting and opening SRTP where a side asks for it. A [Pool] owns the ports
// and the media threads; a session made by [Pool.OpenMedia] owns two port pairs,
// the offer/answer state of the call (package sdp) and one direction of packet
// state each way.
//
// # A packet's way
//
// A media thread wakes in epoll, receives one packet of each ready port into its
// own buffers and hands them to the sessions that hold the ports, each under its
// session's lock, which nobody else wants except for microseconds when SDP
// changes. The session checks the source, opens SRTP, counts and protects for the
// other side. Then all are sent, each again under the lock. The steps are taken
// for a group of packets at a time because code and memory are cold after every
// system call, and then only once for the group. No lookup, no queue, no
// allocation. Payloads, sequence numbers, timestamps and
// SSRCs pass unchanged: continuity across re-INVITE, re-key, fork and failsafe
// is that of the source, which changes its SSRC when it changes (RFC 3550 8).
//
// # Who may send
//
// Media is taken from the address in SDP and from MediaProfile.PeerSources, with
// any port until one is latched; a secured side latches only on an authentic
// packet. After that the socket is connected: the kernel drops everyone else.
// Nothing is ever relayed for or sent to a third party.
//
// # Threads
//
// Each media thread is a goroutine locked to its thread with its own epoll set.
// With Config.OwnProcessors it waits in a raw system call and so keeps its
// processor; the program must have raised GOMAXPROCS by Config.Threads for that.
// The entry of thread.wait is the point where the garbage collector can stop it.
// On other systems, or with Config.Plain, a goroutine per socket does the same work.
package relay
