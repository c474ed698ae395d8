package core_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip"
	"tandem/sip/core"
	"tandem/sip/sim"
)

// A message of thousands of headers of one name costs in proportion to its size.
func TestRepeatedHeadersCostNoMoreThanTheirSize(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 41})
	text := func(headers int) string {
		return "OPTIONS sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKm" + fmt.Sprint(headers) + "\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: many\r\nCSeq: 1 OPTIONS\r\n" +
			strings.Repeat("k: a\r\n", headers) + "Content-Length: 0\r\n\r\n"
	}
	cost := func(headers int) uint64 {
		m, err := gosip.ParseMessage([]byte(text(headers)))
		if err != nil {
			t.Fatal(err)
		}
		flow := sip.Flow{Trunk: "carrier", Transport: "UDP", Source: n.carrier.Addr}
		return allocated(func() { n.Core.Handle(core.Event{Kind: core.EventMessage, At: n.Now, Flow: flow, Msg: m}) })
	}
	cost(10)
	if few, many := cost(1000), cost(8000); many > 20*few+1<<20 {
		t.Errorf("%d bytes allocated for 8,000 headers, %d for 1,000", many, few)
	}
}

// Answers that belong to nothing are released, but whoever invents them by the
// thousand makes the core neither hold nor send without bound.
func TestInventedAnswersAreBounded(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 42})
	n.Logging = false
	flow := sip.Flow{Trunk: "carrier", Transport: "UDP", Source: n.carrier.Addr}
	n.carrier.Blackhole = true
	for i := range 5000 {
		m, err := gosip.ParseMessage(fmt.Appendf(nil, "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKtd0000000000000001.0000000000000000\r\nFrom: <sip:a@b>;tag=0000000000000002-0000000000000000\r\nTo: <sip:c@d>;tag=x%d\r\nCall-ID: td0000-00\r\nCSeq: 1 INVITE\r\nContact: <sip:z@192.0.2.10>\r\nContent-Length: 0\r\n\r\n", i))
		if err != nil {
			t.Fatal(err)
		}
		n.Core.Handle(core.Event{Kind: core.EventMessage, At: n.Now, Flow: flow, Msg: m})
	}
	if s := n.Core.Stats(); s.Legs > 1024 {
		t.Errorf("%d legs held for 5,000 invented answers", s.Legs)
	}
	n.RunIdle(time.Minute)
	want(t, "legs left", n.Core.Stats().Legs, 0)
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Requests without a usable branch are matched as RFC 2543 did (RFC 3261 17.2.3,
// RFC 4475 3.1.1.7 and 3.2.1): a copy is a copy, another request another one.
func TestRequestsWithoutBranchAreToldApart(t *testing.T) {
	for name, branch := range map[string]string{"no branch": "", "the cookie alone": ";branch=z9hG4bK", "no cookie": ";branch=1"} {
		t.Run(name, func(t *testing.T) {
			n := newNet(t, sim.Config{Seed: 43})
			flow := sip.Flow{Trunk: "carrier", Transport: "UDP", Source: n.carrier.Addr}
			for i, id := range []string{"one", "one", "two", "two"} {
				m, err := gosip.ParseMessage([]byte("REGISTER sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060" + branch + "\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: " + id + "\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n"))
				if err != nil {
					t.Fatal(err)
				}
				n.Core.Handle(core.Event{Kind: core.EventMessage, At: n.Now, Flow: flow, Msg: m})
				want(t, "server transactions", n.Core.Stats().ServerTx, i/2+1)
			}
			want(t, "bad messages", n.Core.Stats().BadMessages, 0)
			n.RunIdle(time.Minute)
		})
	}
}

// A trunk that floods us with requests that lead to nothing holds a bounded
// number of transactions, and is answered all the same.
func TestRefusalsHoldABoundedNumberOfTransactions(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 44})
	n.Logging = false
	n.carrier.Blackhole = true
	methods := []string{"REGISTER", "BYE", "INVITE"}
	if testing.Short() {
		methods = methods[:2] // each refused INVITE is repeated for 32 s
	}
	for _, method := range methods {
		flow := sip.Flow{Trunk: tandem.TrunkID(method), Transport: "UDP", Source: n.carrier.Addr}
		n.AddTrunk(core.TrunkView{Trunk: tandem.Trunk{ID: flow.Trunk, Kind: tandem.TrunkCarrier, Transport: tandem.UDP}, ViaHost: "192.0.2.1", ViaPort: 5060})
		before := n.Core.Stats()
		for i := range 10000 {
			m, err := gosip.ParseMessage(fmt.Appendf(nil, "%[2]s sip:+1@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK%[1]d\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: %[1]d\r\nCSeq: 1 %[2]s\r\nContact: <sip:a@192.0.2.10>\r\nRequire: nonsense\r\nContent-Length: 0\r\n\r\n", i, method))
			if err != nil {
				t.Fatal(err)
			}
			n.Core.Handle(core.Event{Kind: core.EventMessage, At: n.Now, Flow: flow, Msg: m})
		}
		after := n.Core.Stats()
		if held := after.ServerTx - before.ServerTx; held != 8192 || after.Stateless-before.Stateless != 10000-8192 {
			t.Errorf("%s: %d transactions held, %d answers without", method, held, after.Stateless-before.Stateless)
		}
	}
	n.RunIdle(time.Hour)
	want(t, "transactions left", n.Core.Stats().ServerTx, 0)
	// The count went down with them: there is room again.
	m, err := gosip.ParseMessage([]byte("REGISTER sip:+1@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 REGISTER\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	n.Core.Handle(core.Event{Kind: core.EventMessage, At: n.Now, Msg: m, Flow: sip.Flow{Trunk: "REGISTER", Transport: "UDP", Source: n.carrier.Addr}})
	want(t, "transactions after the flood", n.Core.Stats().ServerTx, 1)
}
