package core

import (
	"bytes"
	"strconv"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip/header"
)

// session is the session timer of one leg (RFC 4028). Each side has its own:
// a refresh on one leg says nothing about the other.
type session struct {
	timer     timer
	seconds   int // 0 = no session timer agreed
	weRefresh bool
	last      time.Duration // on the core's clock: when a session that nothing refreshed is given up; 0 = no clock runs
}

// intervalRefusal refuses a session interval under our minimum (RFC 4028 9).
func (c *Core) intervalRefusal(in *inbound) (int, []byte) {
	if in.sessionExpires == "" || !header.HasToken(in.supported, "timer") {
		return 0, nil
	}
	minimum := int(c.cfg.MinSE.Seconds())
	if s, err := header.ParseSessionExpires(in.sessionExpires); err != nil || s.Seconds >= minimum {
		return 0, nil
	}
	b := append([]byte("Min-SE: "), strconv.Itoa(minimum)...)
	return 422, append(b, crlf...)
}

// interval is the Session-Expires of a message, if it says one.
func interval(in *inbound) (header.SessionInterval, bool) {
	if in.sessionExpires == "" {
		return header.SessionInterval{}, false
	}
	s, err := header.ParseSessionExpires(in.sessionExpires)
	return s, err == nil && s.Seconds > 0
}

// startSession takes the session interval of a request of the peer (RFC 4028 9).
func (l *Leg) startSession(in *inbound) {
	s, ok := interval(in)
	if !ok {
		if l.session.seconds == 0 && l.view.SessionExpires > 0 {
			l.session.seconds, l.session.weRefresh = int(l.view.SessionExpires.D().Seconds()), true
		}
		return
	}
	l.session.seconds = max(s.Seconds, int(l.core.cfg.MinSE.Seconds()))
	switch {
	case s.Refresher == header.RefresherUAS:
		l.session.weRefresh = true
	case s.Refresher == header.RefresherUAC:
		l.session.weRefresh = false
	default:
		l.session.weRefresh = !l.timers
	}
}

// startAgreed takes the session interval of a 2xx to a request of ours (RFC 4028 7.2).
func (l *Leg) startAgreed(in *inbound) {
	s, ok := interval(in)
	if !ok {
		l.session.seconds = 0
		return
	}
	l.session.seconds = max(s.Seconds, int(l.core.cfg.MinSE.Seconds()))
	l.session.weRefresh = s.Refresher != header.RefresherUAS
}

// sessionLines print the agreed interval: in a response of ours we are the UAS,
// in a request the UAC.
func (l *Leg) sessionLines(_ gosip.RequestMethod, response bool) []byte {
	if l.session.seconds == 0 {
		return nil
	}
	who := header.RefresherUAS
	if l.session.weRefresh != response {
		who = header.RefresherUAC
	}
	b := append(make([]byte, 0, 64), "Session-Expires: "...)
	b = strconv.AppendInt(b, int64(l.session.seconds), 10)
	b = append(b, ";refresher="...)
	b = append(b, who...)
	b = append(b, crlf...)
	if response && who == header.RefresherUAC {
		b = append(b, "Require: timer\r\n"...)
	}
	if !response {
		b = append(b, "Min-SE: "...)
		b = strconv.AppendInt(b, int64(l.core.cfg.MinSE.Seconds()), 10)
		b = append(b, crlf...)
	}
	return b
}

// renewSession starts the clock anew: we refresh at half of the interval, or
// give up a session that nothing refreshed shortly before it is over (RFC 4028 10).
func (l *Leg) renewSession() {
	if l.session.seconds == 0 || l.state != legUp {
		l.core.timers.stop(&l.session.timer)
		l.session.last = 0
		return
	}
	d := time.Duration(l.session.seconds) * time.Second
	l.session.last = l.core.now + d - min(32*time.Second, d/3)
	if l.session.weRefresh {
		l.retrySession(d / 2)
	} else {
		l.retrySession(d)
	}
}

// retrySession looks at the session again after d, or when its time is over.
func (l *Leg) retrySession(d time.Duration) {
	at := l.core.now + d
	if l.session.last > 0 {
		at = min(at, l.session.last)
	}
	l.core.timers.set(&l.session.timer, at, timerSession, l)
}

// sessionDue refreshes the session, or ends the call of one that was not refreshed in time.
func (c *Call) sessionDue(l *Leg) {
	if l.state != legUp || c.state != Talking && c.state != Answering {
		return
	}
	if l.session.last > 0 && c.core.now >= l.session.last {
		c.released.set(tandem.ReleasedByEngine, 0, tandem.CauseTimerExpiry, "session expired without a refresh")
		c.on(evLost, nil)
		return
	}
	c.refresh(l)
}

// refresh sends a session refresh of our own: UPDATE without an offer where
// the peer takes it, else a re-INVITE with our current description.
func (c *Call) refresh(l *Leg) {
	if c.mod != nil || c.state != Talking || l.awaiting != nil {
		l.retrySession(2 * time.Second)
		return
	}
	if !l.updates || l.view.Kind == tandem.TrunkTeams {
		sdp, err := c.media.Reoffer(l.side)
		if err != nil {
			l.retrySession(refusedPause(l))
			return
		}
		c.reoffer(l, sdp)
		return
	}
	m := &modification{to: l}
	m.tx = l.send(gosip.UPDATE, forRefresh, l.sessionLines(gosip.UPDATE, false), "", nil)
	c.modifying(l, m)
}

// reoffer sends our present description, got from Reoffer, as a re-INVITE of our own.
func (c *Call) reoffer(l *Leg, sdp []byte) {
	m := &modification{to: l, offered: true}
	l.sentSDP, l.localIsAnswer = sdp, false
	m.tx = l.send(gosip.INVITE, forRefresh, l.sessionLines(gosip.INVITE, false), sdpType, sdp)
	c.modifying(l, m)
}

// tell offers a side our present description when its direction is no longer
// the one that the side knows: the other side ended or began a hold by its
// answer to an offer of ours.
func (c *Call) tell(l *Leg) {
	if c.mod != nil || c.state != Talking || l.awaiting != nil || l.state != legUp {
		return
	}
	sdp, err := c.media.Reoffer(l.side)
	switch {
	case err != nil:
	case direction(sdp) == direction(l.sentSDP):
		c.media.Rollback()
	default:
		c.reoffer(l, sdp)
	}
}

// direction is the media direction that a description of ours states (RFC 3264 5.1).
func direction(sdp []byte) string {
	for _, word := range []string{"inactive", "sendonly", "recvonly"} {
		if bytes.Contains(sdp, []byte("\na="+word)) {
			return word
		}
	}
	return "sendrecv"
}

// modifying notes our request as the call's modification in progress.
func (c *Call) modifying(l *Leg, m *modification) {
	k := c.core
	l.modify = m.tx
	c.mod = m
	k.timers.set(&c.modifyEnd, k.now+65*k.cfg.T1, timerModify, c) // silence is Timer B's or F's to tell, at 64*T1
}

// refreshAnswered takes the final response to a refresh of ours.
func (c *Call) refreshAnswered(l *Leg, m *modification, in *inbound) {
	k := c.core
	if in.status >= 300 && m.offered {
		c.media.Rollback()
	}
	switch {
	case in.status < 300:
		if sdp, _, ok := in.sdp(); m.offered && ok && len(sdp) > 0 {
			if _, err := c.media.Answer(l.side, sdp, true); err == nil {
				l.gotSDP = sdp
			} else {
				c.media.Rollback()
			}
		} else if m.offered {
			c.media.Rollback()
		}
		if in.sessionExpires != "" {
			l.startAgreed(in)
		}
		l.renewSession()
	case in.status == 491:
		l.retrySession(k.glareWait(l))
	case in.status == 422:
		if n, err := header.ParseMinSE(in.minSE); err == nil {
			l.session.seconds = max(l.session.seconds, n)
		}
		l.retrySession(time.Second)
	case in.status == 481 || in.status == 408:
		c.released.set(tandem.ReleasedByEngine, 0, tandem.CauseTemporaryFailure, "the peer no longer knows the call")
		c.on(evLost, nil)
	default: // not fatal (RFC 4028 10): try again before the interval is over
		l.retrySession(refusedPause(l))
	}
}

// refusedPause is the time between a refresh that failed and the next try.
func refusedPause(l *Leg) time.Duration {
	return time.Duration(max(l.session.seconds, 90)) * time.Second / 4
}

// glareWait is the back-off after 491: 2.1 to 4 s for the owner of the Call-ID,
// 0 to 2 s for the other side, in units of 10 ms (RFC 3261 14.1).
func (c *Core) glareWait(l *Leg) time.Duration {
	if l.side == tandem.SideB {
		return 2100*time.Millisecond + time.Duration(c.deps.Random()%191)*10*time.Millisecond
	}
	return time.Duration(c.deps.Random()%201) * 10 * time.Millisecond
}
