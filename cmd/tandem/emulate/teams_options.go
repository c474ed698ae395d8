package emulate

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"tandem/sip/ua"
)

// options answers the operator's OPTIONS by the rules of microsoft-teams-trunk.md 2
// and, when they are kept, dials back to the FQDN in its Contact.
func (t *Teams) options(tx *ua.ServerTx) {
	m := tx.Req
	listener := t.listenerOf(m.Conn)
	host := ""
	contact, readable := ua.AddressOf(m.Get("Contact"))
	if readable {
		host = contact.Host
	}
	if f, ok := t.faults.request(listener, "OPTIONS", host); ok {
		switch {
		case f.Kind == FaultStatus:
			tx.Reply(f.Status, "", append(retryAfter(f), ua.Header{Name: "Server", Value: server})...)
			if f.CloseAfter {
				m.Conn.Close()
			}
		default:
			tx.Abandon()
		}
		return
	}
	fqdn, v := t.contactVerdict(m)
	if v.status != 0 {
		t.peerSeen(fqdn, listener, false)
		tx.Reply(v.status, "", append(v.headers, ua.Header{Name: "Server", Value: server})...)
		return
	}
	t.peerSeen(fqdn, listener, true)
	tx.Reply(200, "", ua.Header{Name: "Allow", Value: allow}, ua.Header{Name: "Server", Value: server})
	if !readable { // Record-Route alone is never dialled
		return
	}
	t.dialBack(listener, contact)
}

// Gaps between OPTIONS that break the cadence: one a minute is expected, three minutes is unhealthy.
const longestGap = 3 * time.Minute

func (t *Teams) peerSeen(fqdn, listener string, good bool) {
	if fqdn == "" {
		return
	}
	now := time.Now()
	t.peers.Lock()
	if len(t.seen) > 1000 && t.seen[fqdn] == nil {
		t.peers.Unlock()
		return
	}
	p := t.seen[fqdn]
	if p == nil {
		p = &PeerState{FQDN: fqdn, Options: map[string]int{}, Last: map[string]time.Time{}}
		t.seen[fqdn] = p
	}
	var gap time.Duration
	if good {
		if last, ok := p.Last[listener]; ok {
			gap = now.Sub(last)
			p.LongestGap = max(p.LongestGap, gap)
		}
		p.Options[listener]++
		p.Last[listener] = now
	} else {
		p.Refused++
	}
	t.peers.Unlock()
	if gap > longestGap {
		t.violate("options_cadence", fmt.Sprintf("%s sent no OPTIONS for %s", fqdn, gap.Round(time.Second)), listener, nil)
	}
}

// dialBack sends our own OPTIONS to the FQDN in Contact over our own
// connection; its 200 makes the trunk active.
func (t *Teams) dialBack(listener string, contact ua.URI) {
	t.peers.Lock()
	p := t.seen[contact.Host]
	if p == nil || p.dialling {
		t.peers.Unlock()
		return
	}
	p.dialling = true
	t.peers.Unlock()
	m, err := t.probe(listener, contact.Host, contact.Port)
	t.peers.Lock()
	defer t.peers.Unlock()
	p.dialling, p.DialBackAt = false, time.Now()
	p.Active, p.DialBack, p.DialBackError = false, 0, ""
	if err != nil {
		p.DialBackError = err.Error()
		return
	}
	p.DialBack, p.Active = m.Status, m.Status == 200
	p.Allow, p.Contact = m.Get("Allow"), m.Get("Contact")
}

// Probe sends Microsoft's OPTIONS to a trunk name and gives the status.
func (t *Teams) Probe(fqdn string) (int, error) {
	m, err := t.probe(t.cfg.Listeners[0].Name, fqdn, 0)
	if err != nil {
		return 0, err
	}
	return m.Status, nil
}

func (t *Teams) probe(listener, fqdn string, port int) (*ua.Message, error) {
	to, ok := t.target(listener, fqdn, port)
	if !ok {
		return nil, fmt.Errorf("address of %s is not known", fqdn)
	}
	host := fqdn + ":" + strconv.Itoa(int(to.Addr.Port()))
	req := &ua.Message{Method: "OPTIONS", URI: "sip:" + host + ";transport=tls"}
	req.Add("From", fmt.Sprintf("<sip:%s:%d>", listener, t.Addr(listener).Port()))
	req.Add("To", "<sip:"+host+">")
	req.Add("Contact", fmt.Sprintf("<sip:%s:%d;transport=tls>", listener, t.Addr(listener).Port()))
	req.Add("User-Agent", server)
	req.Add("Allow", allow)
	ctx, cancel := context.WithTimeout(t.ep.Context(), 10*time.Second)
	defer cancel()
	return t.ep.Do(ctx, to, req)
}
