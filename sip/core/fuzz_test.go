package core_test

import (
	"strings"
	"testing"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem/sip"
	"tandem/sip/core"
	"tandem/sip/sim"
)

// FuzzMessage throws messages at a core that rings and talks. Nothing may
// panic, nothing unclean may leave, and in the end nothing is left.
func FuzzMessage(f *testing.F) {
	invite := "INVITE sip:+14255550100@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKx;rport\r\nMax-Forwards: 70\r\nFrom: \"A\" <sip:+1@x>;tag=1\r\nTo: <sip:+2@y>\r\nCall-ID: f1\r\nCSeq: 1 INVITE\r\nContact: <sip:a@192.0.2.10>\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
	f.Add(invite)
	for _, change := range [][2]string{
		{"INVITE", "OPTIONS"}, {"INVITE", "BYE"}, {"INVITE", "CANCEL"}, {"INVITE", "ACK"}, {"INVITE", "REGISTER"},
		{"Max-Forwards: 70", "Session-Expires: 90;refresher=uac\r\nRequire: timer"}, {"Max-Forwards: 70", "History-Info: <sip:a@b>;index=1"},
		{"<sip:a@192.0.2.10>", "*"}, {"<sip:a@192.0.2.10>", "<sip:[::1]:443>"}, {"sip:+142", "tel:+142"}, {"application/sdp", "multipart/mixed;boundary=q"},
		{";tag=1", ""}, {"z9hG4bKx", "old"}, {"\"A\"", "\"\\\""}, {"Call-ID: f1", "Call-ID: a\nEvil: b"},
	} {
		f.Add(strings.ReplaceAll(invite, change[0], change[1]))
	}
	f.Add("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKtd0000000000000001.0000000000000000\r\nFrom: <sip:a@b>;tag=0000000000000002-0000000000000000\r\nTo: <sip:c@d>;tag=x\r\nCall-ID: td0000-00\r\nCSeq: 1 INVITE\r\nContact: <sip:z@192.0.2.10>\r\nContent-Length: 0\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		msg, err := gosip.ParseMessage([]byte(text))
		if err != nil {
			return
		}
		_ = msg
		n := newNet(t, sim.Config{Seed: 1})
		n.Logging = false
		n.carrier.Call(sim.CallSpec{To: "+14255550100", HangUpAfter: 20 * time.Second})
		n.Run(1500 * time.Millisecond)
		throw := func() {
			m, err := gosip.ParseMessage([]byte(text))
			if err != nil {
				return
			}
			n.Core.Handle(core.Event{Kind: core.EventMessage, At: n.Now, Msg: m,
				Flow: sip.Flow{Trunk: "carrier", Transport: "UDP", Source: n.carrier.Addr, Local: n.carrier.Addr}})
		}
		throw()
		n.Run(5 * time.Second)
		throw()
		n.RunIdle(100 * time.Hour)
		s := n.Core.Stats()
		if s.Panics != 0 {
			t.Fatal("a panic")
		}
		if s.Calls+s.Legs+s.ClientTx+s.ServerTx+s.Timers+s.SetUps != 0 || n.Media.Open != 0 {
			t.Fatalf("left over: %+v, media %d", s, n.Media.Open)
		}
	})
}
