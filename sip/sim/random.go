package sim

import (
	"net/netip"
	"strconv"
	"time"

	"tandem"
	"tandem/sip/core"
)

// Random is a world with random calls on it: Microsoft's trunk and carriers
// whose peers call, answer and misbehave. Every choice comes from the seed.
type Random struct {
	*World
	Weather Weather
	// Dial says who calls whom: a peer, the numbers and the headers that its network adds.
	Dial func() (*Peer, CallSpec)
	// Trunks are the peers of each trunk, in the order of its endpoints.
	Trunks map[tandem.TrunkID][]*Peer

	streams []*Peer
	spent   time.Duration // the span in which calls begin
	scale   int           // how many times the weather's counts
}

// NewRandom builds the network of the trunks: a peer for every endpoint. Plan,
// Dial and Journal are still to be set.
func NewRandom(cfg Config, weather Weather, views []core.TrunkView) *Random {
	cfg.Faults = weather.Faults
	r := &Random{World: New(cfg), Weather: weather, Trunks: map[tandem.TrunkID][]*Peer{}}
	for _, v := range views {
		for _, ep := range v.Endpoints {
			addr := ep.Address
			if !addr.IsValid() {
				addr = netip.MustParseAddr(ep.Host)
			}
			p := r.AddPeer(v.ID, netip.AddrPortFrom(addr, ep.Port).String(), v.Transport)
			p.Timers = true
			p.Script = func(*Incoming) Script { return r.script() }
			p.OnModify = r.onModify
			r.Trunks[v.ID] = append(r.Trunks[v.ID], p)
			if v.Transport != tandem.UDP {
				r.streams = append(r.streams, p)
			}
		}
		r.AddTrunk(v)
	}
	r.Media.Ports = weather.Ports
	return r
}

// Start lets n calls begin within span, and the weather begin.
func (r *Random) Start(n int, span time.Duration) {
	r.spent = span
	for range n {
		r.After(r.Between(0, span), r.place)
	}
	r.scale = max(1, n/1000)
	w := &r.Weather
	r.every(w.Troubles, r.trouble)
	r.every(w.ClockSteps, func() {
		steps := [...]time.Duration{-time.Hour, -90 * time.Second, -time.Second, -3 * time.Millisecond, 40 * time.Millisecond, 2 * time.Second, time.Hour, 25 * time.Hour}
		r.StepClock(steps[r.Pick(len(steps))])
	})
	r.every(w.Crashes, r.Crash)
	r.every(w.Silences, func() {
		r.Count.MediaTimeouts++
		r.OneMediaTimeout(r.Between(time.Second, 30*time.Second))
	})
	r.every(w.Hangups, r.hangUpOne)
	r.every(w.Drains, func() {
		r.Count.Drains++
		r.Core.Drain(true)
		r.After(r.Between(time.Second, 5*time.Second), func() { r.Core.Drain(false) })
	})
}

// every does something n times, and for each further thousand calls again.
func (r *Random) every(n int, do func()) {
	for range n * r.scale {
		r.After(r.Between(0, r.spent), do)
	}
}

// hangUpOne is the operator's: one call in progress.
func (r *Random) hangUpOne() {
	if live := r.Core.Live(); len(live) > 0 && !r.turn.down {
		r.Count.Hangups++
		id := live[r.Pick(len(live))].Correlation
		r.inTurn(id.String(), func() {
			r.Core.Tick(r.Now)
			r.Core.Hangup(id, "simulated operator")
		})
	}
}

// trouble lets a connection die, or an address refuse for a while.
func (r *Random) trouble() {
	if len(r.streams) == 0 {
		return
	}
	p := r.streams[r.Pick(len(r.streams))]
	switch r.Pick(3) {
	case 0:
		r.DropConnection(p)
	case 1:
		r.DropInbound(p)
	default:
		if r.elapsed < p.calmUntil { // away for longer than 64*T1 nothing could be promised
			return
		}
		p.Refuse = true
		r.DropConnection(p)
		away := r.Between(time.Second, 20*time.Second)
		p.calmUntil = r.elapsed + away + 15*time.Second
		r.After(away, func() { p.Refuse = false })
	}
}

// place makes one random call.
func (r *Random) place() {
	from, spec := r.Dial()
	spec.HangUpAfter = r.Between(time.Millisecond, 4*time.Minute)
	switch {
	case r.chance(0.2):
		spec.CancelAfter = r.Between(time.Millisecond, 25*time.Second)
	case r.chance(0.05):
		spec.ByeAfter = r.Between(time.Second, 10*time.Second)
	case from.Transport == tandem.UDP && r.chance(0.02):
		spec.CancelFirst = true
	}
	spec.NoAck = r.chance(0.02)
	if spec.HangUpAfter > crossing && r.chance(0.2) {
		spec.HangUpAfter = crossing // the callee does the same: BYE crosses BYE
	}
	if r.chance(0.2) {
		spec.Extra += "Session-Expires: " + strconv.Itoa(90+r.Pick(120)) + [...]string{"", ";refresher=uac", ";refresher=uas"}[r.Pick(3)] + "\r\n"
	}
	spec.Then = r.then()
	if r.chance(0.05) { // no offer: the answer comes with the ACK, or nonsense, or nothing does
		spec.SDP = []byte{}
		spec.AckSDP = [][]byte{nil, nil, nil, {}, []byte("v=0\r\nm=nonsense\r\n")}[r.Pick(5)]
	}
	if r.chance(0.02) {
		from.CallWith(spec, r.spoilRequest())
		return
	}
	from.Call(spec)
}
