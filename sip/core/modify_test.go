package core_test

import (
	"strings"
	"testing"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip/core"
	"tandem/sip/sim"
)

// talking brings up a call that nobody ends by itself.
func talking(t *testing.T, n *net) (caller *sim.Outgoing, callee *sim.Dialog) {
	t.Helper()
	caller = n.carrier.Call(sim.CallSpec{To: "+14255550100"})
	n.Run(10 * time.Second)
	if caller.Final != 200 {
		t.Fatalf("final %d", caller.Final)
	}
	return caller, n.teams[0].Dialogs()[0]
}

func TestReinviteIsPassedThrough(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 1})
	caller, callee := talking(t, n)
	status := 0
	caller.Modify("INVITE", sim.SDP(9), func(s int) { status = s })
	n.Run(time.Second)
	want(t, "caller's re-INVITE", status, 200)
	want(t, "reached Teams", count(n.teams[0], gosip.INVITE, true), 1)
	callee.Modify("INVITE", sim.SDP(9), func(s int) { status = s + 1 })
	n.Run(time.Second)
	want(t, "callee's re-INVITE", status, 201)
	want(t, "reached the carrier", count(n.carrier, gosip.UPDATE, true)+count(n.carrier, gosip.INVITE, true), 1)
	caller.HangUp()
	n.done(t)
}

// TestResumeByReinviteWithoutSDP: a phone holds with an offer and resumes with
// a re-INVITE that has none; the other side must hear that the hold is over.
func TestResumeByReinviteWithoutSDP(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 1})
	caller, _ := talking(t, n)
	status := 0
	caller.Modify("INVITE", append(sim.SDP(9), "a=inactive\r\n"...), func(s int) { status = s })
	n.Run(time.Second)
	want(t, "hold", status, 200)
	want(t, "hold reached Teams", count(n.teams[0], gosip.INVITE, true), 1)
	caller.Modify("INVITE", nil, func(s int) { status = s + 1 })
	n.Run(time.Second)
	want(t, "resume", status, 201)
	want(t, "resume reached Teams", count(n.teams[0], gosip.INVITE, true), 2)
	caller.Modify("INVITE", nil, nil)
	n.Run(time.Second)
	want(t, "a refresh without SDP does not reach Teams", count(n.teams[0], gosip.INVITE, true), 2)
	caller.HangUp()
	n.done(t)
}

func TestUpdateTowardsMicrosoftBecomesReinvite(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 2})
	caller, _ := talking(t, n)
	status := 0
	caller.Modify("UPDATE", sim.SDP(9), func(s int) { status = s })
	n.Run(time.Second)
	want(t, "status", status, 200)
	want(t, "UPDATE to Teams", count(n.teams[0], gosip.UPDATE, true), 0)
	want(t, "re-INVITE to Teams", count(n.teams[0], gosip.INVITE, true), 1)
	caller.HangUp()
	n.done(t)
}

func TestUnchangedReinviteIsAnsweredHere(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 3})
	caller, _ := talking(t, n)
	status := 0
	caller.Modify("INVITE", sim.SDP(1), func(s int) { status = s })
	n.Run(time.Second)
	want(t, "status", status, 200)
	want(t, "reached Teams", count(n.teams[0], gosip.INVITE, true), 0)
	caller.HangUp()
	n.done(t)
}

func TestReinviteWithoutOfferIsAnsweredHere(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 4})
	caller, callee := talking(t, n)
	_ = caller
	status := 0
	callee.Modify("INVITE", nil, func(s int) { status = s })
	n.Run(time.Second)
	want(t, "status", status, 200)
	caller.HangUp()
	n.done(t)
}

// RFC 3261 14.2: both sides re-INVITE at once; both hear 491.
func TestGlare(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 5})
	caller, callee := talking(t, n)
	var a, b int
	caller.Modify("INVITE", sim.SDP(9), func(s int) { a = s })
	callee.Modify("INVITE", sim.SDP(9), func(s int) { b = s })
	n.Run(5 * time.Second)
	if a != 200 || b != 491 {
		if a != 491 && b != 491 {
			t.Errorf("caller %d, callee %d: one must hear 491", a, b)
		}
	}
	caller.HangUp()
	n.done(t)
}

func TestRefusedReinviteLeavesTheCallAlone(t *testing.T) {
	for status, heard := range map[int]int{488: 488, 491: 491, 500: 500, 606: 488, 403: 488} {
		n := newNet(t, sim.Config{Seed: 6})
		caller, _ := talking(t, n)
		n.teams[0].ModifyStatus = status
		got := 0
		caller.Modify("INVITE", sim.SDP(9), func(s int) { got = s })
		n.Run(time.Second)
		want(t, "heard", got, heard)
		want(t, "still up", len(n.Core.Live()), 1)
		caller.HangUp()
		n.done(t)
	}
}

// RFC 3261 12.2.1.2: a peer that no longer knows the dialog ends the call.
func TestReinviteAnswered481EndsTheCall(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 7})
	caller, _ := talking(t, n)
	n.teams[0].ModifyStatus = 481
	caller.Modify("INVITE", sim.SDP(9), nil)
	n.done(t)
	want(t, "by", n.End().Legs[0].ReleasedBy, tandem.ReleasedByEngine)
}

func TestUnusableOfferInCallIsRefused(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 8})
	caller, _ := talking(t, n)
	got := 0
	caller.Modify("INVITE", []byte("v=0\r\nm=nonsense\r\n"), func(s int) { got = s })
	n.Run(time.Second)
	want(t, "status", got, 488)
	caller.HangUp()
	n.done(t)
}

func TestByeDuringReinvite(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 9, Faults: sim.Faults{Delay: 50 * time.Millisecond}})
	caller, callee := talking(t, n)
	got := 0
	caller.Modify("INVITE", sim.SDP(9), func(s int) { got = s })
	n.After(20*time.Millisecond, callee.HangUp)
	n.done(t)
	want(t, "pending request", got, 487)
}

func TestInDialogRequests(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 10})
	caller, callee := talking(t, n)
	for _, c := range []struct {
		method, extra string
		body          string
		status        int
		from          *sim.Dialog
	}{
		{"INFO", "", "", 200, caller.Dialog},
		{"INFO", "Content-Type: application/dtmf-relay\r\n", "Signal=5\r\n", 415, caller.Dialog}, // Microsoft takes no INFO
		{"INFO", "Content-Type: application/dtmf-relay\r\n", "Signal=5\r\n", 200, callee},        // relayed to the carrier
		{"OPTIONS", "", "", 200, caller.Dialog},
		{"REFER", "Refer-To: <sip:x@example.com>\r\n", "", 405, caller.Dialog},
		{"NOTIFY", "Event: refer\r\n", "", 489, caller.Dialog},
		{"MESSAGE", "", "", 405, caller.Dialog},
		{"PRACK", "RAck: 1 1 INVITE\r\n", "", 481, caller.Dialog},
		{"FOO", "", "", 501, caller.Dialog},
	} {
		got := 0
		c.from.Send(c.method, []byte(c.body), c.extra, func(s int) { got = s })
		n.Run(time.Second)
		want(t, c.method+" "+c.extra, got, c.status)
	}
	want(t, "INFO reached the carrier", count(n.carrier, gosip.INFO, true), 1)
	caller.HangUp()
	n.done(t)
}

func TestOurRefreshKeepsALongCallUp(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 11})
	n.teams[0].Script = script(sim.Script{Steps: []sim.Step{{After: time.Second, Status: 200, SDP: true, Extra: "Session-Expires: 1800;refresher=uac\r\n"}}})
	caller, _ := talking(t, n)
	n.Run(24 * time.Hour)
	want(t, "still up", len(n.Core.Live()), 1)
	if got := count(n.teams[0], gosip.INVITE, true); got < 95 || got > 97 {
		t.Errorf("%d refreshes in 24 h of 30 min intervals", got)
	}
	caller.HangUp()
	n.done(t)
	if d := n.End().Legs[0].Duration; d < 24*time.Hour {
		t.Errorf("duration %v", d)
	}
}

// RFC 4028 10: a peer that promised to refresh and does not is gone.
func TestSessionExpiresWithoutRefresh(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 12})
	o := n.carrier.Call(sim.CallSpec{To: "+14255550100", Extra: "Session-Expires: 600;refresher=uac\r\nSupported: timer\r\n"})
	n.done(t)
	want(t, "final", o.Final, 200)
	last := o.Responses[len(o.Responses)-1]
	want(t, "agreed", last.GetHeader("Session-Expires").Value(), "600;refresher=uac")
	want(t, "Require", last.GetHeader("Require").Value(), "timer")
	if d := n.End().Legs[0].Duration; d != 568*time.Second {
		t.Errorf("ended after %v", d)
	}
	want(t, "by", n.End().Legs[0].ReleasedBy, tandem.ReleasedByEngine)
}

func TestSessionIntervalOfTheCallerTooSmall(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 13})
	o := n.carrier.Call(sim.CallSpec{To: "+14255550100", Extra: "Session-Expires: 30\r\nSupported: timer\r\n"})
	n.done(t)
	want(t, "final", o.Final, 422)
	want(t, "Min-SE", o.Responses[0].GetHeader("Min-SE").Value(), "90")
}

func TestRefreshBacksOffAfterGlare(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 14})
	n.teams[0].Script = script(sim.Script{Steps: []sim.Step{{After: time.Second, Status: 200, SDP: true, Extra: "Session-Expires: 100;refresher=uac\r\n"}}})
	caller, _ := talking(t, n)
	n.teams[0].ModifyStatus = 491
	n.Run(50 * time.Second)
	n.teams[0].ModifyStatus = 0
	n.Run(10 * time.Second)
	if got := count(n.teams[0], gosip.INVITE, true); got < 2 {
		t.Errorf("%d re-INVITEs, want another after the 491", got)
	}
	want(t, "still up", len(n.Core.Live()), 1)
	caller.HangUp()
	n.done(t)
}

// An INVITE whose headers must be refused before a call exists.
func TestRefusedBeforeACallExists(t *testing.T) {
	for name, c := range map[string]struct {
		spec   sim.CallSpec
		swap   [2]string
		status int
		header [2]string
	}{
		"loop":            {swap: [2]string{"Max-Forwards: 70", "Max-Forwards: 0"}, status: 483},
		"unknown option":  {spec: sim.CallSpec{Extra: "Require: 100rel, foo\r\n"}, status: 420, header: [2]string{"Unsupported", "100rel, foo"}},
		"not SDP":         {spec: sim.CallSpec{Extra: "Content-Type: text/plain\r\n"}, status: 415, header: [2]string{"Accept", "application/sdp, multipart/mixed"}},
		"encoded":         {spec: sim.CallSpec{Extra: "Content-Encoding: gzip\r\n"}, status: 415},
		"unusable offer":  {spec: sim.CallSpec{SDP: []byte("v=0\r\nm=nonsense\r\n")}, status: 488},
		"too large":       {spec: sim.CallSpec{SDP: []byte(strings.Repeat("a=x\r\n", 9000))}, status: 413},
		"scheme":          {swap: [2]string{"INVITE sip:", "INVITE urn:"}, status: 416},
		"no Contact":      {swap: [2]string{"Contact:", "X-Contact:"}, status: 400},
		"bare line feed":  {spec: sim.CallSpec{Extra: "Privacy: id\nEvil: yes\r\n"}, status: 400},
		"no From tag":     {swap: [2]string{";tag=uac", ";gat=uac"}, status: 400},
		"own Via beneath": {spec: sim.CallSpec{Extra: "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKtd01\r\n"}, status: 482},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNet(t, sim.Config{Seed: 15})
			c.spec.To = "+14255550100"
			o := n.carrier.CallWith(c.spec, func(msg string) string {
				if c.swap[0] == "" {
					return msg
				}
				return strings.Replace(msg, c.swap[0], c.swap[1], 1)
			})
			n.done(t)
			want(t, "final", o.Final, c.status)
			if c.header[0] != "" {
				want(t, c.header[0], o.Responses[len(o.Responses)-1].GetHeader(c.header[0]).Value(), c.header[1])
			}
			want(t, "nothing to Teams", len(n.teams[0].Got), 0)
		})
	}
}

// TestDelayedOffer: a carrier's INVITE without SDP is answered with our offer,
// and the ACK brings the answer (RFC 3261 13.2.1).
func TestDelayedOffer(t *testing.T) {
	none := []byte{}
	t.Run("OK", func(t *testing.T) {
		n := newNet(t, sim.Config{Seed: 18})
		o := n.carrier.Call(sim.CallSpec{To: "+14255550100", SDP: none, HangUpAfter: 2 * time.Second})
		n.done(t)
		want(t, "final", o.Final, 200)
		answer := o.Responses[len(o.Responses)-1]
		want(t, "the 200 has an offer", len(answer.Body()) > 0, true)
		for _, r := range o.Responses[:len(o.Responses)-1] {
			want(t, "no offer in an unreliable response", len(r.Body()), 0)
		}
		want(t, "Teams gets an offer", strings.Contains(string(n.teams[0].Got[0].Body()), "m=audio"), true)
	})
	for name, ack := range map[string][]byte{"ErrNoAnswer": {}, "ErrAnswer": []byte("v=0\r\nm=nonsense\r\n")} {
		t.Run(name, func(t *testing.T) {
			n := newNet(t, sim.Config{Seed: 19})
			o := n.carrier.Call(sim.CallSpec{To: "+14255550100", SDP: none, AckSDP: ack})
			n.done(t)
			want(t, "final", o.Final, 200)
			want(t, "the call is over", o.Over, true)
		})
	}
	t.Run("NextAttempt", func(t *testing.T) {
		n := newNet(t, sim.Config{Seed: 20})
		n.teams[0].Script = script(sim.Refuses(time.Second, 503, ""))
		o := n.carrier.Call(sim.CallSpec{To: "+14255550100", SDP: none, HangUpAfter: 2 * time.Second})
		n.done(t)
		want(t, "final", o.Final, 200)
	})
	t.Run("ErrFromTeams", func(t *testing.T) {
		n := newNet(t, sim.Config{Seed: 21})
		o := n.teams[0].Call(sim.CallSpec{From: "+14255550100", To: "+12065550111", SDP: none})
		n.done(t)
		want(t, "final", o.Final, 488)
	})
}

func TestMergedRequest(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 16})
	n.carrier.Call(sim.CallSpec{To: "+14255550100", HangUpAfter: time.Second})
	n.Run(time.Second)
	n.carrier.Repeat("INVITE", func(m string) string { return strings.Replace(m, "branch=z9hG4bK", "branch=z9hG4bKother", 1) })
	n.Run(time.Second)
	want(t, "merged copy", n.carrier.LastStray, 482)
	n.done(t)
	want(t, "one call", n.Core.Stats().Started, uint64(1))
}

func TestEmergencyKeepsLocationTowardsCarrier(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 17})
	n.plan.Emergency = true
	n.plan.Attempts, n.plan.FailsafeOn = nil, tandem.OutcomeSet{}
	n.plan.Failsafe[0].Failsafe = false
	body := "--b1\r\nContent-Type: application/sdp\r\n\r\n" + string(sim.SDP(1)) + "\r\n--b1\r\nContent-Type: application/pidf+xml\r\nContent-ID: <loc@x>\r\n\r\n<presence/>\r\n--b1--\r\n"
	o := n.carrier.Call(sim.CallSpec{To: "911", SDP: []byte(body), HangUpAfter: time.Second,
		Extra: "Content-Type: multipart/mixed;boundary=b1\r\nGeolocation: <cid:loc@x>\r\n"})
	n.done(t)
	want(t, "final", o.Final, 200)
	inv := n.failover.Got[0]
	if b := string(inv.Body()); !strings.Contains(b, "Content-ID: <loc@x>") || !strings.Contains(b, "<presence/>") {
		t.Errorf("body %s", b)
	}
	want(t, "Geolocation", inv.GetHeader("Geolocation").Value(), "<cid:loc@x>")
}

func TestPrivacyAndAssertedIdentity(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 18})
	var asked tandem.RouteRequest
	plan := n.Plan
	n.Plan = func(r *tandem.RouteRequest) tandem.Plan { asked = *r; return plan(r) }
	n.plan.Private = true
	n.plan.Attempts = nil
	n.carrier.Call(sim.CallSpec{From: "anonymous", To: "+14255550100", HangUpAfter: time.Second,
		Extra: "P-Asserted-Identity: \"Ann\" <sip:+12065550111@x>, <tel:+12065550111>\r\nPrivacy: id\r\nX-MS-TenantID: 11111111-2222-3333-4444-555555555555\r\n"})
	n.done(t)
	want(t, "PAI", asked.PAIUser, "+12065550111")
	want(t, "privacy", asked.Privacy, true)
	want(t, "tenant", asked.TenantHint, "11111111-2222-3333-4444-555555555555")
	inv := n.failover.Got[0]
	want(t, "From", inv.From().Address.String(), "sip:anonymous@anonymous.invalid")
	want(t, "PAI onward", inv.GetHeader("P-Asserted-Identity").Value(), "<sip:+12065550111@sbc.example.com;user=phone>")
	want(t, "Privacy onward", inv.GetHeader("Privacy").Value(), "id")
}

// microsoft-teams-trunk.md 1.4, 3.2: in-dialog requests follow the route set on
// a connection of our own; Microsoft's Contact on port 443 is never dialled.
func TestCallFromMicrosoftFollowsTheRouteSet(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 19})
	n.plan.Direction = tandem.Outbound
	n.plan.Attempts = []tandem.Attempt{n.plan.Failsafe[0]}
	n.plan.Attempts[0].Failsafe = false
	n.plan.Failsafe = nil
	s := sim.Answers(time.Second, 2*time.Second)
	s.HangUpAfter = 5 * time.Second
	n.failover.Script = script(s)
	o := n.teams[0].CallWith(sim.CallSpec{To: "+14255559999", Host: "tenant1.sbc1.customers.example:5061;user=phone",
		Extra: "RECORD-ROUTE: <sip:sip3.pstnhub.test:5061;transport=tls;lr>\r\n"}, func(m string) string {
		return strings.Replace(m, "Contact: <sip:peer@192.0.2.20:5061;transport=tls>", "CONTACT: <sip:api-du-a.pstnhub.test:443;x-i=1f;x-c=ab/d/8/cd>", 1)
	})
	n.Run(20 * time.Second)
	want(t, "final", o.Final, 200)
	want(t, "BYE at the routed address", count(n.teams[2], gosip.BYE, true), 1)
	bye := n.teams[2].Got[0]
	want(t, "Request-URI", bye.Recipient.String(), "sip:api-du-a.pstnhub.test:443;x-i=1f;x-c=ab/d/8/cd")
	want(t, "Route", bye.GetHeader("Route").Value(), "<sip:sip3.pstnhub.test:5061;transport=tls;lr>")
	want(t, "Contact of our 200", o.Responses[len(o.Responses)-1].Contact().Address.Host, "tenant1.sbc1.customers.example")
	want(t, "live", len(n.Core.Live()), 0)
}

func TestShardOf(t *testing.T) {
	for _, id := range []string{"a@b", "", "td00zz-x"} {
		if s := core.ShardOf(id, 4); s > 3 {
			t.Errorf("%q: shard %d", id, s)
		}
	}
	minted := "td0002-" + strings.Repeat("0a", 16)
	want(t, "minted", core.ShardOf(minted, 4), uint16(2))
	want(t, "minted beyond", core.ShardOf(minted, 2) < 2, true)
}
