package emulate

import (
	"path/filepath"

	"tandem/sip/ua"
)

// State is what GET /state shows.
type State struct {
	Kind      string          `json:"kind"` // teams or carrier
	Listeners []ListenerState `json:"listeners"`
	Active    int             `json:"active_calls"`
	Streams   int             `json:"media_streams"`
	Violated  map[string]int  `json:"violations"` // count per rule
	Faults    []Fault         `json:"faults"`
	Peers     []PeerState     `json:"peers,omitempty"`
	SBC       string          `json:"sbc"`
	SIP       Counts          `json:"sip"`
}

// ListenerState is one listener.
type ListenerState struct {
	Name        string `json:"name"`
	Transport   string `json:"transport"`
	Address     string `json:"address"`
	Connections int    `json:"connections"`
}

// Counts are the endpoint's counters (ua.Stats).
type Counts struct {
	Received, Sent, Strays, Late2xx, Retransmits, Repeated, Unanswered2xx, Dropped uint64
}

func counts(s *ua.Stats) Counts {
	return Counts{s.Received.Load(), s.Sent.Load(), s.Strays.Load(), s.Late2xx.Load(), s.Retransmits.Load(), s.Repeated.Load(), s.Unanswered2xx.Load(), s.Dropped.Load()}
}

// Counters are the endpoint's counters.
func (st *station) Counters() Counts { return counts(st.ep.Stats()) }

func (st *station) common(kind, sbc string) State {
	s := State{Kind: kind, Active: st.Active(), Streams: st.player.Streams(), Faults: st.Faults(), SBC: sbc, Violated: map[string]int{}, SIP: st.Counters()}
	st.mu.Lock()
	for k, v := range st.broken {
		s.Violated[k] = v
	}
	st.mu.Unlock()
	for _, l := range st.pick("") {
		s.Listeners = append(s.Listeners, ListenerState{l.Config.Name, string(l.Config.Transport), l.Addr().String(), len(l.Conns())})
	}
	return s
}

// State is what GET /state shows.
func (t *Teams) State() State {
	t.peers.Lock()
	sbc := t.sbc.String()
	t.peers.Unlock()
	s := t.common("teams", sbc)
	s.Peers = t.Peers()
	return s
}

// State is what GET /state shows.
func (c *Carrier) State() State {
	c.mu.Lock()
	sbc := c.sbc.String()
	c.mu.Unlock()
	return c.common("carrier", sbc)
}

func (t *Teams) state() any   { return t.State() }
func (c *Carrier) state() any { return c.State() }

// Files names the certificate files that the operator's side needs: the root to
// trust, and the certificate and key to present.
func (t *Teams) Files() map[string]string {
	if t.ca == nil {
		return map[string]string{}
	}
	out := map[string]string{}
	for name, file := range map[string]string{"ca": "ca.pem", "certificate": "sbc.pem", "key": "sbc.key"} {
		path := filepath.Join(t.ca.Dir, file)
		if abs, err := filepath.Abs(path); err == nil {
			path = abs
		}
		out[name] = path
	}
	return out
}

func (t *Teams) files() map[string]string   { return t.Files() }
func (c *Carrier) files() map[string]string { return map[string]string{} }
