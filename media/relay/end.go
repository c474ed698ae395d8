package relay

import (
	"net/netip"
	"time"

	"tandem"
	"tandem/media/sdp"
	"tandem/media/srtp"
)

// end is the media of one side of a call. The session's lock guards it.
//
// What every packet touches comes first: between two packets of a call the
// processor has carried hundreds of others, so each cache line is a wait for memory.
type end struct {
	session             *session
	pair                *pair
	side                tandem.Side
	agreed, secure, mux bool
	// flowing: the side should be sending since armed; reported: its silence was told.
	flowing, reported bool
	rx                *srtp.Receiver
	tx                *srtp.Sender
	rtp               latch
	in                received
	out               sent

	armed    time.Duration
	clocks   *sdp.Clocks // of what the side sends; set once agreed
	rtcp     latch
	profile  tandem.MediaProfile
	rxKey    srtp.Crypto
	txKey    srtp.Key
	old      *srtp.Receiver // of the key before, until oldUntil
	oldUntil time.Duration
}

// obey puts in force what was negotiated. An unchanged key keeps its context
// with rollover counters and replay windows, a new one starts afresh; the same
// goes for the latched address.
//
// A peer that gave a new key in an offer protects by the old one until our answer
// has reached it, so packets of both keys come for a while (RFC 4568 6.4 says
// nothing of how long).
func (e *end) obey(l *sdp.Leg, now time.Duration) {
	e.agreed = l.Agreed
	if !l.Agreed {
		return
	}
	e.secure, e.mux = l.Secure, l.Mux
	if l.Secure {
		if e.rx == nil || !e.rxKey.Key.Equal(l.Receive.Key) || e.rxKey.MKI != l.Receive.MKI {
			e.old, e.oldUntil = e.rx, now+keyOverlap
			e.rx, e.rxKey = srtp.NewReceiver(l.Receive.Key, l.Receive.MKI), l.Receive
		}
		if e.tx == nil || !e.txKey.Equal(l.Send) {
			e.tx, e.txKey = srtp.NewSender(l.Send), l.Send
		}
	}
	e.clocks = l.Clocks
	if e.rtp.point(l.RTP) {
		e.pair.rtp.disconnect()
	}
	if e.rtcp.point(l.RTCP) {
		e.pair.rtcp.disconnect()
	}
}

// flow notes whether the side should be sending from now on.
func (e *end) flow(on bool, now time.Duration) {
	if on && !e.flowing {
		e.armed, e.reported = now, false
	}
	e.flowing = on
}

// overdue reports that the side has been silent for too long, once.
func (e *end) overdue(limit, now time.Duration) bool {
	if !e.flowing || e.reported || now-max(e.armed, e.in.seen) < limit {
		return false
	}
	e.reported = true
	return true
}

// receiver is what opens the side's packets, nil when they are not secured.
func (e *end) receiver() *srtp.Receiver {
	if !e.secure {
		return nil
	}
	return e.rx
}

// sender is what protects packets to the side, nil when they are not secured.
func (e *end) sender() *srtp.Sender {
	if !e.secure {
		return nil
	}
	return e.tx
}

// control reports an RTCP packet on a port shared with RTP (RFC 5761 4).
func control(p []byte) bool { return p[1] >= 192 && p[1] <= 223 }

// receive handles one packet buf[:n] that came from a source to one of the
// side's ports; buf has room for srtp.Overhead more. This is the hot path: no
// allocation, no lookup. The result is what the other side is to be sent.
func (e *end) receive(w *srtp.Scratch, buf []byte, n int, onRTCP bool, from netip.AddrPort, now time.Duration) (out onward) {
	l := &e.rtp
	if onRTCP {
		l = &e.rtcp
	}
	if !e.agreed || n < 8 || n > srtp.MaxPacket || buf[0]>>6 != 2 || !l.knows(from) && !l.admits(from, e.profile.PeerSources) {
		e.in.dropped++
		return out
	}
	isRTCP, size := onRTCP || control(buf), n
	if !isRTCP && n < 12 {
		e.in.dropped++
		return out
	}
	if e.secure {
		if n = e.open(w, buf[:n], isRTCP, now); n == 0 {
			e.in.dropped++
			return out
		}
	}
	if l.settle(from) {
		if onRTCP {
			e.pair.rtcp.connect(from)
		} else {
			e.pair.rtp.connect(from)
		}
	}
	e.in.seen, e.reported = now, false
	if !isRTCP {
		e.in.take(buf, size, e.clocks[buf[1]&0x7f], now)
	}
	return e.session.ends[e.side.Other()].protect(w, buf, n, isRTCP)
}

// keyOverlap is how long the key before is still taken: our 200 may be lost and
// sent again three times (T1 0.5 s, 1 s, 2 s).
const keyOverlap = 4 * time.Second

// open authenticates and decrypts a packet and returns its length, 0 when it is not the side's.
func (e *end) open(w *srtp.Scratch, p []byte, isRTCP bool, now time.Duration) int {
	n, err := opened(w, e.rx, p, isRTCP)
	if err == nil {
		return n
	}
	if e.old == nil {
		return 0
	}
	if now > e.oldUntil {
		e.old = nil
		return 0
	}
	if n, err = opened(w, e.old, p, isRTCP); err != nil {
		return 0
	}
	return n
}

func opened(w *srtp.Scratch, r *srtp.Receiver, p []byte, isRTCP bool) (int, error) {
	if isRTCP {
		return r.RTCP(w, p)
	}
	return r.RTP(w, p)
}

// protect readies one packet for the side.
func (e *end) protect(w *srtp.Scratch, buf []byte, n int, isRTCP bool) (out onward) {
	if !e.agreed {
		return out
	}
	if _, l := e.way(isRTCP); !l.target().IsValid() {
		return out
	}
	tx := e.sender()
	if tx != nil {
		var err error
		if isRTCP {
			n, err = tx.RTCP(w, buf, n)
		} else {
			n, err = tx.RTP(w, buf, n)
		}
		if err != nil {
			e.out.dropped++
			return out
		}
	}
	return onward{session: e.session, side: e.side, rtcp: isRTCP, n: n, tx: tx}
}

// way is the port to send from, and who knows where to.
func (e *end) way(isRTCP bool) (port, *latch) {
	if isRTCP && !e.mux {
		return e.pair.rtcp, &e.rtcp
	}
	return e.pair.rtp, &e.rtp
}

// send sends one packet to the side.
func (e *end) send(p []byte, isRTCP bool, now time.Duration) {
	port, l := e.way(isRTCP)
	to := l.target()
	if !to.IsValid() {
		return
	}
	if !port.send(p, to) {
		e.out.dropped++
		return
	}
	e.out.seen = now
	if !isRTCP {
		e.out.packets++
		e.out.bytes += uint64(len(p))
	}
}
