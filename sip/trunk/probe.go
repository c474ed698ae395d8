package trunk

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip"
)

// branchPrefix marks our OPTIONS among all responses.
const branchPrefix = "z9hG4bKtdopt"

// probe is one OPTIONS in progress: a non-INVITE client transaction (RFC 3261 17.1.2).
type probe struct {
	tx       uint64
	msg      []byte
	conn     sip.ConnID
	started  time.Time
	deadline time.Time
	resend   time.Time // UDP: Timer E
	wait     time.Duration
}

// IsOurs reports whether a response answers an OPTIONS of a Monitor.
func IsOurs(res *gosip.Response) bool {
	if res.CSeq().MethodName != gosip.OPTIONS {
		return false
	}
	branch, _ := res.Via().Params.Get("branch")
	_, ok := txOf(branch)
	return ok
}

func txOf(branch string) (uint64, bool) {
	rest, ok := strings.CutPrefix(branch, branchPrefix)
	if !ok {
		return 0, false
	}
	number, _, ok := strings.Cut(rest, ".")
	if !ok {
		return 0, false
	}
	tx, err := strconv.ParseUint(number, 16, 64)
	return tx, err == nil
}

// loop is the monitor's clock.
func (m *Monitor) loop() {
	defer close(m.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := m.deps.Clock()
		var next time.Time
		m.locked(func() { next = m.due(now) })
		wait := time.Hour
		if !next.IsZero() {
			wait = max(next.Sub(now), time.Millisecond)
		}
		timer.Reset(wait)
		select {
		case <-m.quit:
			return
		case <-m.wake:
		case <-timer.C:
		}
	}
}

// due does what is due at now and tells when it has to be called next; mu is held.
func (m *Monitor) due(now time.Time) time.Time {
	var next time.Time
	earliest := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for _, p := range m.points {
		if !p.m.probing {
			if p.m.state == tandem.HealthDown {
				m.step(p, evTick, "", 0, now)
				if p.m.state == tandem.HealthDown {
					earliest(p.m.downUntil)
				}
			}
			continue
		}
		if p.probe.tx != 0 && !now.Before(p.probe.deadline) {
			m.failed(p, fmt.Sprintf("no response to OPTIONS within %v", p.probe.deadline.Sub(p.probe.started)), now)
		}
		if p.probe.tx == 0 && !now.Before(p.next) {
			m.start(p, now)
		}
		if p.probe.tx == 0 {
			earliest(p.next)
			continue
		}
		if !p.probe.resend.IsZero() && !now.Before(p.probe.resend) {
			m.transmit(p)
			p.probe.wait = min(2*p.probe.wait, m.cfg.T2)
			p.probe.resend = now.Add(p.probe.wait)
		}
		earliest(p.probe.deadline)
		if p.next.After(now) { // its response may come before, and nobody wakes us for it
			earliest(p.next)
		}
		if !p.probe.resend.IsZero() {
			earliest(p.probe.resend)
		}
	}
	return next
}

// interval is the regular time between two probes of an endpoint.
func (m *Monitor) interval(p *point) time.Duration {
	return min(p.view.OptionsInterval.D(), m.cfg.MaxInterval)
}

// start sends an OPTIONS and plans the next one.
func (m *Monitor) start(p *point, now time.Time) {
	m.lastTx++
	p.probe = probe{tx: m.lastTx, started: now, deadline: now.Add(m.timeout(p, now))}
	p.probe.msg = m.options(p, m.lastTx)
	if p.view.Transport == tandem.UDP {
		p.probe.wait = m.cfg.T1
		p.probe.resend = now.Add(m.cfg.T1)
	}
	m.byTx[m.lastTx] = p
	p.m.lastProbe = now
	every := m.interval(p)
	if !p.m.settled() {
		every = min(every, m.cfg.RetryInterval)
	}
	if now.Before(p.watched) {
		every = min(every, p.bound/4)
	}
	p.next = now.Add(m.jittered(every))
	m.transmit(p)
}

func (m *Monitor) transmit(p *point) {
	to, ref, msg := p.target(), sip.SendRef{Shard: Shard, Tx: p.probe.tx, Watch: true}, p.probe.msg
	m.todo = append(m.todo, func() { m.deps.Sender.Send(to, ref, msg) })
}

func (m *Monitor) endProbe(p *point) {
	delete(m.byTx, p.probe.tx)
	p.probe = probe{}
}

// allow lists what the engine takes; Microsoft chooses its transfer method by
// it, so REFER is listed only once it is executed (microsoft-teams-trunk.md 2, 6).
const allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO"

// options writes the request as Microsoft wants it (microsoft-teams-trunk.md 2):
// our FQDN in Via, From and Contact, no user parts.
func (m *Monitor) options(p *point, tx uint64) []byte {
	v := &p.view
	name := v.FQDN
	if name == "" {
		name = v.ViaHost
	}
	peer := hostPort(p.endpoint.Host, p.endpoint.Port)
	own := hostPort(name, v.ViaPort)
	random := m.deps.Random()
	var b strings.Builder
	fmt.Fprintf(&b, "OPTIONS sip:%s SIP/2.0\r\n", peer+transportParam(v.Transport))
	fmt.Fprintf(&b, "Via: SIP/2.0/%s %s;branch=%s%x.%x;rport\r\n", v.Transport, hostPort(v.ViaHost, v.ViaPort), branchPrefix, tx, random)
	b.WriteString("Max-Forwards: 70\r\n")
	fmt.Fprintf(&b, "From: <sip:%s>;tag=%x\r\n", own, random>>16)
	fmt.Fprintf(&b, "To: <sip:%s>\r\n", peer)
	fmt.Fprintf(&b, "Call-ID: opt-%x-%x\r\n", tx, m.deps.Random())
	b.WriteString("CSeq: 1 OPTIONS\r\n")
	fmt.Fprintf(&b, "Contact: <sip:%s%s>\r\n", own, transportParam(v.Transport))
	b.WriteString("Allow: " + allow + "\r\nAccept: application/sdp\r\n")
	fmt.Fprintf(&b, "User-Agent: %s\r\nContent-Length: 0\r\n\r\n", m.cfg.UserAgent)
	return []byte(b.String())
}

func transportParam(t tandem.Transport) string {
	if t == tandem.UDP {
		return ""
	}
	return ";transport=" + strings.ToLower(string(t))
}

func hostPort(host string, port uint16) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(int(port))
}

// retryAfter reads the seconds of Retry-After (RFC 3261 20.33); 0 = none or unreadable.
func retryAfter(res *gosip.Response) time.Duration {
	h := res.GetHeader("Retry-After")
	if h == nil {
		return 0
	}
	text := strings.TrimSpace(h.Value())
	end := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(text)
	}
	n, err := strconv.ParseUint(text[:end], 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}

// printable makes a peer's phrase fit for logs and pages.
func printable(s string) string { return tandem.Clip(visible(s), 60) }

func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
