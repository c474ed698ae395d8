package trunk

import (
	"time"

	"tandem"
)

// event is something learned about an endpoint.
type event uint8

const (
	evAlive       event = iota // any final response to OPTIONS but 403 and 503: it can be reached
	evFailed                   // no response, or no connection
	evRefused                  // 403 to OPTIONS: reachable, but it does not know us
	evUnavailable              // 503
	evCallAlive                // a call got a response there
	evCallFailed               // a call got none
	evCallLost                 // a call lost its connection, or got none
	evTried                    // a call is about to try whether calls work again
	evTick                     // time went by
)

// machine is the health of one endpoint. It is pure: no clock, no I/O.
//
// Probes and calls are counted apart. An endpoint whose OPTIONS are answered
// while its INVITEs die must not come up with each answered OPTIONS: failing
// calls hold it down for a time that doubles with each repetition. What falls in
// one go is one repetition, however many calls fell with it; and one loss of
// connections holds nothing down: a new connection works or fails for OPTIONS too.
type machine struct {
	cfg     *Config
	probing bool // false: the trunk has no OPTIONS, calls alone decide

	state     tandem.HealthState
	since     time.Time
	downUntil time.Time
	reason    string
	lastProbe time.Time
	lastOK    time.Time

	fails     int       // consecutive failed probes
	oks       int       // consecutive successes while not up
	callFails int       // consecutive failed calls
	holds     int       // times that calls brought it down since they last worked
	counted   bool      // the present fall is among them
	fell      time.Time // by calls, the last that is among them
	held      bool      // calls held it down and none has worked since
	trial     bool      // up again by its OPTIONS alone: one call shall try it
	tried     bool      // that call is on its way, and down says so to the others
}

func newMachine(cfg *Config, probing bool, now time.Time) *machine {
	m := &machine{cfg: cfg, probing: probing, state: tandem.HealthUnknown, since: now, reason: "not probed yet"}
	if !probing {
		m.state, m.reason = tandem.HealthUp, "not probed: the trunk has no OPTIONS interval"
	}
	return m
}

// trialGap is how long others wait for the call that tries; then the next one may.
// An INVITE that dies is silent for longer, but one that works may ring for longer.
const trialGap = 3 * time.Second

// together is how far apart the ends of calls may be that fell by one cause.
const together = 2 * time.Second

// step takes one event. why says what happened, hold how long a 503 asked us to
// stay away (0 = it did not say). It reports whether the state changed.
func (m *machine) step(ev event, why string, hold time.Duration, now time.Time) bool {
	before := m.state
	switch ev {
	case evAlive:
		m.lastOK, m.fails = now, 0
		m.rise(now, "answers OPTIONS ("+why+")")
	case evCallAlive:
		m.lastOK, m.fails, m.callFails, m.holds = now, 0, 0, 0
		if m.tried {
			m.downUntil = now
		}
		m.held, m.trial, m.tried = false, false, false
		if m.state != tandem.HealthMisconfigured {
			m.rise(now, "answers calls ("+why+")")
		}
	case evFailed:
		m.fails++
		m.oks = 0
		m.fall(m.fails, why)
	case evCallFailed, evCallLost:
		m.callFails++
		m.oks = 0
		m.trial, m.tried = false, false
		m.fall(m.callFails, "calls fail: "+why)
		if m.state == tandem.HealthDown && m.callFails >= m.cfg.FailuresDown && !m.counted && now.Sub(m.fell) >= together {
			times := m.holds
			if ev == evCallLost && m.probing {
				times--
			}
			if times >= 0 {
				m.held = true
				m.holdDown(now, min(m.cfg.CallHold<<min(times, 8), m.cfg.MaxCallHold))
			}
			m.holds++
			m.counted, m.fell = true, now
		}
	case evRefused:
		m.lastOK, m.fails, m.oks = now, 0, 0
		m.state, m.reason = tandem.HealthMisconfigured, why
	case evUnavailable:
		m.oks = 0
		if hold <= 0 {
			hold = m.cfg.UnavailableFor
		}
		m.state, m.reason = tandem.HealthDown, why
		m.holdDown(now, min(hold, m.cfg.MaxRetryAfter))
	case evTried:
		if m.trial {
			m.trial, m.tried = false, true
			m.state, m.reason = tandem.HealthDown, "a call tries whether calls work again"
			m.since = now
			m.holdDown(now, trialGap)
			return false // nothing is known yet
		}
	case evTick:
		// Nobody asks an endpoint without OPTIONS how it is: when its time is
		// over it may be tried again, last.
		if !m.probing && m.state == tandem.HealthDown && !now.Before(m.downUntil) {
			m.state, m.reason = tandem.HealthDemoted, "may be tried again"
		}
	}
	if m.state != tandem.HealthDown {
		m.downUntil, m.counted = time.Time{}, false
	}
	if m.state != before {
		m.since = now
		return true
	}
	return false
}

// rise counts a success.
func (m *machine) rise(now time.Time, why string) {
	if m.state == tandem.HealthDown && now.Before(m.downUntil) {
		return // it asked for peace, or calls die there
	}
	switch m.state {
	case tandem.HealthUp:
		m.reason = why
	case tandem.HealthUnknown, tandem.HealthMisconfigured:
		m.state, m.reason, m.oks = tandem.HealthUp, why, 0
	default:
		if m.callFails > 0 && m.state == tandem.HealthDown {
			m.callFails = m.cfg.FailuresDown - 1 // one more failing call and it is down again
			m.trial, m.tried = m.held, false
		}
		if m.oks++; m.oks >= m.cfg.SuccessesUp {
			m.state, m.reason, m.oks = tandem.HealthUp, why, 0
		} else {
			m.state, m.reason = tandem.HealthDemoted, why+"; waiting for more successes"
		}
	}
}

// fall counts a failure: the first demotes, enough of them bring down.
func (m *machine) fall(failures int, why string) {
	switch {
	case failures >= m.cfg.FailuresDown:
		m.state, m.reason = tandem.HealthDown, why
	case m.state == tandem.HealthUp || m.state == tandem.HealthMisconfigured:
		m.state, m.reason = tandem.HealthDemoted, why
	case m.state != tandem.HealthDown:
		m.reason = why
	}
}

// holdDown never shortens a time that runs.
func (m *machine) holdDown(now time.Time, d time.Duration) {
	if until := now.Add(d); until.After(m.downUntil) {
		m.downUntil = until
	}
}

// settled reports whether the regular interval is enough: up with nothing
// pending, or refused by configuration that only people can mend.
func (m *machine) settled() bool {
	return m.fails == 0 && m.callFails == 0 && (m.state == tandem.HealthUp || m.state == tandem.HealthMisconfigured)
}
