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
	clocks   [128]uint32
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
// allocation, no lookup.
func (e *end) receive(w *srtp.Scratch, buf []byte, n int, onRTCP bool, from netip.AddrPort, now time.Duration) {
	l := &e.rtp
	if onRTCP {
		l = &e.rtcp
	}
	if !e.agreed || n < 8 || n > srtp.MaxPacket || buf[0]>>6 != 2 || !l.knows(from) && !l.admits(from, e.profile.PeerSources) {
		e.in.dropped++
		return
	}
	isRTCP, size := onRTCP || control(buf), n
	if !isRTCP && n < 12 {
		e.in.dropped++
		return
	}
	if e.secure {
		if n = e.open(w, buf[:n], isRTCP, now); n == 0 {
			e.in.dropped++
			return
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
	e.session.ends[e.side.Other()].send(w, buf, n, isRTCP, now)
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

// send protects and sends one packet to the side.
func (e *end) send(w *srtp.Scratch, buf []byte, n int, isRTCP bool, now time.Duration) {
	if !e.agreed {
		return
	}
	port, l := e.pair.rtp, &e.rtp
	if isRTCP && !e.mux {
		port, l = e.pair.rtcp, &e.rtcp
	}
	to := l.target()
	if !to.IsValid() {
		return
	}
	if e.secure {
		var err error
		if isRTCP {
			n, err = e.tx.RTCP(w, buf, n)
		} else {
			n, err = e.tx.RTP(w, buf, n)
		}
		if err != nil {
			e.out.dropped++
			return
		}
	}
	if !port.send(buf[:n], to) {
		e.out.dropped++
		return
	}
	e.out.seen = now
	if !isRTCP {
		e.out.packets++
		e.out.bytes += uint64(n)
	}
}
