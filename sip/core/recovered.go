package core

import (
	"math"
	"net"
	"strconv"
	"strings"

	"tandem"
)

// noteDialogs puts what a BYE needs into the facts of a call that is up, and
// takes it out of the last one: nobody reads it there.
func (c *Call) noteDialogs(kind tandem.FactKind) {
	switch kind {
	case tandem.FactAnswer, tandem.FactCheckpoint:
		c.a.noteDialog()
		if c.b != nil {
			c.b.noteDialog()
		}
	case tandem.FactEnd:
		for i := range c.rec.Legs {
			c.rec.Legs[i].Dialog = nil
		}
	}
}

func (l *Leg) noteDialog() {
	if r := l.record(); r != nil && r.Connected() && l.remoteTag != "" {
		l.noted = tandem.DialogRecord{LocalTag: l.localTag, RemoteTag: l.remoteTag, Local: l.local, Remote: l.remote,
			Target: l.target, Routes: l.routes, LocalSeq: l.localSeq}
		r.Dialog = &l.noted
	}
}

// recoveredText is the text of the Reason header with which a cut call is released.
const recoveredText = "recovered after a crash"

// seqLeap goes past every CSeq that the dead process can have sent since its
// last fact. A peer takes any higher number (RFC 3261 12.2.2).
const seqLeap = 1 << 16

// ReleaseRecovered sends BYE in a dialog of a call that was cut by a crash of
// the process before this one, so that its far end, and the network's meter
// there, end at once. Nothing else is left of the call: in-dialog requests of
// the peer get 481. A leg without dialog or trunk is left alone.
func (c *Core) ReleaseRecovered(r *tandem.LegRecord, side tandem.Side) {
	d, view := r.Dialog, c.trunks[r.Trunk]
	if d == nil || view == nil || d.Target == "" || d.RemoteTag == "" || d.LocalSeq > math.MaxInt32-seqLeap || c.orphans >= maxOrphans {
		return
	}
	l := &Leg{core: c, side: side, view: view, rec: -1, state: legUp, cut: true}
	c.nextLeg++
	l.id = c.nextLeg
	c.legs[l.id] = l
	c.stats.Legs++
	c.orphans++
	c.stats.Recovered++
	l.dialog = dialog{callID: r.SIPCallID, localTag: d.LocalTag, remoteTag: d.RemoteTag, local: d.Local, remote: d.Remote,
		localSeq: d.LocalSeq + seqLeap, target: d.Target, routes: d.Routes}
	l.endpoint = endpointOf(view, r.Endpoint)
	l.hop = l.nextHop()
	l.release()
}

// endpointOf finds the endpoint that a record names; the zero one leaves the choice to fallbackHop.
func endpointOf(v *TrunkView, name string) tandem.Endpoint {
	host, port, err := net.SplitHostPort(name)
	if err != nil {
		host = name
	}
	number, _ := strconv.ParseUint(port, 10, 16)
	for _, ep := range v.Endpoints {
		if strings.EqualFold(ep.Host, host) && (ep.Port == 0 || ep.Port == uint16(number)) {
			return ep
		}
	}
	return tandem.Endpoint{}
}
