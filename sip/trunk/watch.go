package trunk

import (
	"time"

	"tandem"
)

// How a silent death is noticed while calls ring. A connection to a dead peer
// says nothing: the kernel's retransmissions take minutes, and a proxy whose
// machine still acknowledges shows nothing at all. So, while an INVITE waits for
// its final response at Microsoft, every address of the trunk is asked OPTIONS
// each quarter of Plan.RingingBound. If there is no answer within three
// eighths of it, the same is asked at once on a new connection. Only when that
// fails as well is the address dead: the connections on which nothing at all
// was received meanwhile are closed, and what waits on them goes on. An address
// that answers on either connection is never given up: the user may be hearing
// the call ring.
//
// All addresses are asked at the same time, because a call that loses its address
// must know which of the others are worth trying.

// Watch tells that an INVITE waits at an endpoint; see core.Output.
func (m *Monitor) Watch(id tandem.TrunkID, _ tandem.Endpoint, bound time.Duration, at time.Time) {
	wake := false
	m.locked(func() {
		for _, p := range m.points {
			if p.view.ID != id || !p.m.probing || bound <= 0 {
				continue
			}
			p.bound = bound
			p.watched = at.Add(bound / 2) // the next call of Watch comes after a quarter
			if due := p.m.lastProbe.Add(bound / 4); p.probe.tx == 0 && due.Before(p.next) {
				p.next, wake = due, true
			}
		}
	})
	if wake {
		m.poke()
	}
}

// timeout is how long a probe waits for its response.
func (m *Monitor) timeout(p *point, now time.Time) time.Duration {
	if now.Before(p.watched) {
		return min(m.cfg.ProbeTimeout, p.bound*3/8)
	}
	return m.cfg.ProbeTimeout
}

// failed takes the failure of the probe in progress; mu is held.
func (m *Monitor) failed(p *point, why string, now time.Time) {
	started := p.probe.started
	m.endProbe(p)
	if p.m.fails == 0 {
		p.failing = started
	}
	m.step(p, evFailed, why, 0, now)
	if !m.mayDoubt(p) {
		return
	}
	to, since := p.target(), p.failing
	if p.m.fails < m.cfg.FailuresDown {
		m.todo = append(m.todo, func() { m.deps.Connections.Distrust(to) })
		if now.Before(p.watched) {
			p.next = now // no time to lose: on a new connection
			m.poke()
		}
		return
	}
	m.todo = append(m.todo, func() { m.deps.Connections.Abandon(to, since) })
}

// mayDoubt: the connections to an endpoint are ours to replace. Carriers that answer
// no OPTIONS, or slowly, are left alone.
func (m *Monitor) mayDoubt(p *point) bool {
	return p.view.Kind == tandem.TrunkTeams && p.view.Transport != tandem.UDP && m.deps.Connections != nil
}
