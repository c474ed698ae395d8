package core_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip/sim"
)

var contactLine = regexp.MustCompile(`Contact: [^\r]*\r\n`)

// RFC 3261 12.1.1: no dialog can be made of a 2xx without Contact. The attempt
// fails at once, and nothing of it stays.
func TestAnswerWithoutContactLeavesNothing(t *testing.T) {
	for name, cancel := range map[string]time.Duration{"in time": 0, "after CANCEL": 2 * time.Second} {
		t.Run(name, func(t *testing.T) {
			n := newNet(t, sim.Config{Seed: 31})
			n.teams[0].Script = script(sim.Script{DeafToCancel: true, Steps: []sim.Step{{Status: 100}, {After: 3 * time.Second, Status: 200, SDP: true}}})
			n.teams[0].Change = func(msg []byte) []byte {
				if bytes.HasPrefix(msg, []byte("SIP/2.0 200")) {
					return contactLine.ReplaceAll(msg, nil)
				}
				return msg
			}
			n.carrier.Call(sim.CallSpec{To: "+14255550100", CancelAfter: cancel})
			n.Run(10 * time.Second)
			want(t, "calls", len(n.Core.Live()), 0)
			n.RunIdle(time.Hour)
			s := n.Core.Stats()
			want(t, "legs left", s.Legs, 0)
			want(t, "transactions left", s.ClientTx+s.ServerTx, 0)
			want(t, "never billed", n.End().Legs[1].Connected(), false)
		})
	}
}

// RFC 3261 13.2.2.4, 14.1: a 2xx to a re-INVITE that was given up because its
// connection died is ACKed all the same, or the peer ends the call (14.2).
func TestLateAnswerToALostReinviteIsAcked(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 32})
	caller, _ := talking(t, n)
	n.teams[0].Change = func([]byte) []byte { return nil }
	caller.Modify("INVITE", sim.SDP(9), nil)
	n.Run(100 * time.Millisecond)
	n.DropConnection(n.teams[0])
	n.Run(100 * time.Millisecond)
	n.teams[0].Change = nil
	n.Ladder = nil
	n.Run(20 * time.Second)
	acks := 0
	for _, l := range n.Ladder {
		if strings.Contains(l, "-> teams") && strings.Contains(l, "ACK sip:") {
			acks++
		}
	}
	if acks == 0 {
		t.Error("the 2xx of the re-INVITE was never ACKed")
	}
	want(t, "still up", len(n.Core.Live()), 1)
	caller.HangUp()
	n.done(t)
}

// microsoft-teams-trunk.md 4.2: the next address is for 408, 503 and 504 before any 18x; after it
// the same user would be rung twice. A 408 after ringing is no answer, which never forwards.
func TestFailureAfterRingingNeverRingsTheUserAgain(t *testing.T) {
	for status, failsafe := range map[int]int{408: 0, 503: 1, 504: 1} {
		n := newNet(t, sim.Config{Seed: 33})
		n.teams[0].Script = script(sim.Script{Steps: []sim.Step{{Status: 100}, {After: time.Second, Status: 180}, {After: 20 * time.Second, Status: status}}})
		o := call(n)
		n.done(t)
		want(t, "second address", rang(n.teams[1]), 0)
		want(t, "failsafe", rang(n.failover), failsafe)
		if failsafe == 0 {
			want(t, "caller hears", o.Final, 480)
			want(t, "disposition", n.End().Legs[1].Disposition, tandem.NoAnswer)
		}
	}
}

// RFC 4028 10: a refresh that gets no response ends the call, over UDP too, where
// the last retransmission sets the transaction's timer anew.
func TestSilenceToOurRefreshEndsTheCall(t *testing.T) {
	for name, allow := range map[string]string{"by UPDATE": "", "by re-INVITE": "no"} {
		t.Run(name, func(t *testing.T) {
			n := newNet(t, sim.Config{Seed: 34})
			if allow != "" {
				n.carrier.Change = func(msg []byte) []byte { return bytes.ReplaceAll(msg, []byte(", UPDATE"), nil) }
			}
			n.carrier.Call(sim.CallSpec{To: "+14255550100", Extra: "Session-Expires: 600;refresher=uas\r\nSupported: timer\r\n"})
			n.Run(10 * time.Second)
			n.carrier.Blackhole = true
			n.Run(12 * time.Minute)
			want(t, "calls", len(n.Core.Live()), 0)
			want(t, "Teams is released", count(n.teams[0], gosip.BYE, true), 1)
		})
	}
}

// RFC 4028 10: a session that nothing refreshed ends before its interval is over.
func TestRefreshRefusedUntilTheIntervalIsOver(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 35})
	n.teams[0].Script = script(sim.Script{Steps: []sim.Step{{After: time.Second, Status: 200, SDP: true, Extra: "Session-Expires: 1800;refresher=uac\r\n"}}})
	talking(t, n)
	n.teams[0].ModifyStatus = 500
	n.Run(time.Hour)
	want(t, "calls", len(n.Core.Live()), 0)
	if d := n.End().Legs[0].Duration; d < 29*time.Minute || d > 30*time.Minute {
		t.Errorf("ended after %v", d)
	}
	want(t, "cause", n.End().Legs[0].Cause, tandem.CauseTimerExpiry)
	n.done(t)
}

// RFC 3261 14.1: a 2xx to a re-INVITE puts the new session in force at its sender.
// When its description cannot be carried our own is offered again, or both ends
// would differ for the rest of the call.
func TestUnusableAnswerInCallIsPutRight(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 36})
	caller, _ := talking(t, n)
	n.teams[0].Change = func(msg []byte) []byte {
		head, _, _ := bytes.Cut(msg, []byte("\r\n\r\n"))
		if !bytes.HasPrefix(msg, []byte("SIP/2.0 200")) || !bytes.Contains(head, []byte("INVITE")) {
			return msg
		}
		head = regexp.MustCompile(`Content-(Type|Length): [^\r]*\r\n|\r\nContent-Length: \d+$`).ReplaceAll(head, nil)
		return append(head, "\r\nContent-Length: 0\r\n\r\n"...)
	}
	status := 0
	caller.Modify("INVITE", sim.SDP(9), func(s int) { status = s; n.teams[0].Change = nil })
	n.Run(10 * time.Second)
	want(t, "caller hears", status, 488)
	want(t, "re-INVITEs to Teams", count(n.teams[0], gosip.INVITE, true), 2)
	want(t, "still up", len(n.Core.Live()), 1)
	caller.HangUp()
	n.done(t)
}
