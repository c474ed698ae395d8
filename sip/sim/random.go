package sim

import (
	"time"

	"tandem"
	"tandem/sip/core"
)

// Random is a world with the usual network and random calls on it: a carrier
// that calls in, Microsoft with three addresses, carriers for failsafe and
// outbound calls. Every choice comes from the seed.
type Random struct {
	*World
	Carrier, Out *Peer
	Teams        [3]*Peer
	Calls        []*Outgoing
	teams        core.TrunkView
}

func set(words ...string) tandem.OutcomeSet {
	s, err := tandem.ParseOutcomeSet(words)
	if err != nil {
		panic(err)
	}
	return s
}

// NewRandom builds the network.
func NewRandom(cfg Config) *Random {
	r := &Random{World: New(cfg)}
	r.AddTrunk(core.TrunkView{Trunk: tandem.Trunk{ID: "carrier", Kind: tandem.TrunkCarrier, Network: "Carrier", Transport: tandem.UDP, FQDN: "sbc.example.com",
		SendPAI: true, SendDiversion: true, SendHistoryInfo: true, Relay183: true, SessionExpires: tandem.Duration(30 * time.Minute)}, ViaHost: "192.0.2.1", ViaPort: 5060})
	r.Carrier = r.AddPeer("carrier", "192.0.2.10:5060", tandem.UDP)
	r.Out = r.AddPeer("carrier", "192.0.2.30:5060", tandem.UDP)
	r.teams = core.TrunkView{Trunk: tandem.Trunk{ID: "teams", Kind: tandem.TrunkTeams, Network: "Operator Connect", Transport: tandem.TLS, FQDN: "sbc.example"},
		ViaHost: "sbc.example", ViaPort: 5061}
	for i, addr := range []string{"192.0.2.20:5061", "192.0.2.21:5061", "192.0.2.22:5061"} {
		r.Teams[i] = r.AddPeer("teams", addr, tandem.TLS)
		r.teams.Endpoints = append(r.teams.Endpoints, r.Teams[i].Endpoint())
	}
	r.AddTrunk(r.teams)
	for _, p := range []*Peer{r.Carrier, r.Out, r.Teams[0], r.Teams[1], r.Teams[2]} {
		p.Script = func(*Incoming) Script { return r.script() }
	}
	r.World.Plan = r.plan
	return r
}

// plan routes by the trunk that the call came from.
func (r *Random) plan(req *tandem.RouteRequest) tandem.Plan {
	next := set("408", "503", "504", "silence", "connection")
	p := tandem.Plan{Account: "acme", From: req.FromUser, To: req.RequestUser, DID: "+14255550100", FailsafeOn: next}
	out := tandem.Attempt{Trunk: "carrier", Endpoint: r.Out.Endpoint(), Technology: tandem.Phone, Network: "Carrier", To: req.RequestUser, From: req.FromUser,
		LocalHost: "sbc.example.com", ResponseTimeout: 4 * time.Second, AnswerTimeout: 70 * time.Second, NextOn: next}
	switch {
	case r.chance(0.02):
		p.Reject = &tandem.Rejection{Status: 403, Reason: "not allowed", Cause: 21}
		return p
	case req.Trunk == "teams":
		p.Direction = tandem.Outbound
		p.Attempts = []tandem.Attempt{out, out}
		return p
	}
	p.Direction = tandem.Inbound
	for i := range r.Teams {
		p.Attempts = append(p.Attempts, tandem.Attempt{Trunk: "teams", Endpoint: r.teams.Endpoints[i], Technology: tandem.OperatorConnect, Network: "Operator Connect",
			To: req.RequestUser, From: req.FromUser, LocalHost: "sbc.example", ResponseTimeout: 3 * time.Second, AnswerTimeout: 45 * time.Second, NextOn: next})
	}
	if r.chance(0.7) {
		p.FailsafeNumber, p.SilenceBound = "+14255559999", 4*time.Second
		out.Failsafe, out.Diverting, out.To = true, "+14255550100", "+14255559999"
		p.Failsafe = []tandem.Attempt{out}
	}
	return p
}

// script draws the behaviour of a callee.
func (r *Random) script() Script {
	ring, answer := r.Between(0, 3*time.Second), r.Between(500*time.Millisecond, 20*time.Second)
	s := Answers(ring, answer)
	if r.chance(0.4) {
		s.HangUpAfter = r.Between(time.Millisecond, 3*time.Minute)
	}
	if r.chance(0.15) {
		s.ModifyAfter = r.Between(time.Millisecond, 20*time.Second)
	}
	switch r.Pick(14) {
	case 0:
		statuses := []int{486, 480, 404, 408, 500, 503, 504, 603, 302, 401, 488, 422}
		return Refuses(answer, statuses[r.Pick(len(statuses))], "")
	case 1: // never answers
		return Script{Steps: s.Steps[:r.Pick(3)]}
	case 2: // 200 crosses CANCEL
		s.DeafToCancel = true
	case 3: // forks, two of them answer
		s.Steps = []Step{{0, 100, 0, false, ""}, {ring, 180, 1, false, ""}, {ring + time.Millisecond, 183, 2, true, ""},
			{answer, 200, 2, true, ""}, {answer + r.Between(0, 2*time.Second), 200, 1, true, ""}}
	case 4: // answers without ringing, late
		s.Steps = []Step{{r.Between(0, 90*time.Second), 200, 0, true, ""}}
		s.DeafToCancel = true
	case 5: // no media
		s.Steps[2].SDP = false
	case 6:
		s.Steps = []Step{{0, 100, 0, false, ""}, {ring, 183, 0, true, ""}, {answer, 200, 0, true, "Session-Expires: 90;refresher=uac\r\n"}}
	}
	return s
}

// Place makes one random call.
func (r *Random) Place() {
	from, to := r.Carrier, "+14255550100"
	if r.chance(0.4) {
		from, to = r.Teams[r.Pick(3)], "+12065550177"
	}
	if from.Refuse || from.Blackhole {
		from = r.Carrier
	}
	spec := CallSpec{To: to, HangUpAfter: r.Between(time.Millisecond, 5*time.Minute)}
	if r.chance(0.2) {
		spec.CancelAfter = r.Between(time.Millisecond, 25*time.Second)
	}
	if r.chance(0.03) {
		spec.NoAck = true
	}
	if r.chance(0.2) {
		spec.ModifyAfter = r.Between(time.Millisecond, 30*time.Second)
	}
	if r.chance(0.05) {
		spec.ByeAfter = r.Between(time.Second, 10*time.Second)
	}
	if from.Transport == tandem.UDP && r.chance(0.02) {
		spec.CancelFirst = true
	}
	if r.chance(0.2) {
		spec.Extra = "Session-Expires: 120\r\nSupported: timer\r\n"
	}
	r.Calls = append(r.Calls, from.Call(spec))
}

// Trouble makes connections die and addresses refuse for a while.
func (r *Random) Trouble(every, total time.Duration) {
	for at := every; at < total; at += every {
		r.After(at, func() {
			p := r.Teams[r.Pick(3)]
			if r.chance(0.5) {
				r.DropConnection(p)
				return
			}
			if r.Now.Before(p.calmUntil) { // away for longer than 64*T1 nothing could be promised
				return
			}
			p.Refuse = true
			r.DropConnection(p)
			away := r.Between(time.Second, 20*time.Second)
			p.calmUntil = r.Now.Add(away + 15*time.Second)
			r.After(away, func() { p.Refuse = false })
		})
	}
}
