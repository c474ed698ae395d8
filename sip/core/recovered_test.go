package core_test

import (
	"math/rand/v2"
	"testing"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip/core"
	"tandem/sip/sim"
)

// reborn is the core of the next process: it knows the trunks and nothing of the calls.
func (n *net) reborn() {
	n.Core = core.New(core.DefaultConfig(), core.Deps{Media: n.Media, Output: n.World, Random: rand.New(rand.NewPCG(9, 9)).Uint64})
	n.Core.SetTrunks(n.trunks)
	n.Core.Tick(n.Now)
}

// TestCutCallIsReleasedByTheNextProcess: with the last fact of a call that a
// crash cut, the next process hangs up on both sides, past every CSeq that the
// dead one used; the peers take the BYE as one of their dialog.
func TestCutCallIsReleasedByTheNextProcess(t *testing.T) {
	for name, up := range map[string]time.Duration{"after the answer": 5 * time.Second, "after a checkpoint": 90 * time.Second} {
		t.Run(name, func(t *testing.T) {
			n := newNet(t, sim.Config{Seed: 4})
			n.carrier.Call(sim.CallSpec{To: "+14255550100", HangUpAfter: time.Hour})
			n.Run(up)
			fact := n.Facts[len(n.Facts)-1]
			if fact.Kind == tandem.FactEnd {
				t.Fatal("the call is over")
			}
			n.reborn()
			released := 0
			for i := range fact.Call.Legs {
				leg, side := &fact.Call.Legs[i], tandem.SideB
				if i == 0 {
					side = tandem.SideA
				}
				if leg.Dialog != nil {
					released++
				}
				n.Core.ReleaseRecovered(leg, side)
			}
			n.Run(10 * time.Second)
			want(t, "dialogs on record", released, 2)
			want(t, "carrier BYE", count(n.carrier, gosip.BYE, true), 1)
			want(t, "teams BYE", count(n.teams[0], gosip.BYE, true), 1)
			for _, p := range []*sim.Peer{n.carrier, n.teams[0]} {
				bye := p.Got[len(p.Got)-1]
				want(t, "last request", bye.Method, gosip.BYE)
				if reason := bye.GetHeader("Reason"); reason == nil || reason.Value() != `Q.850;cause=41;text="recovered after a crash"` {
					t.Errorf("reason %v", reason)
				}
				for _, d := range p.Dialogs() {
					if !d.Over {
						t.Errorf("%s: the dialog %s is still up", p.Addr, d.CallID)
					}
				}
			}
			n.RunIdle(time.Hour)
			stats := n.Core.Stats()
			want(t, "released", stats.Recovered, uint64(2))
			want(t, "legs left", stats.Legs, 0)
		})
	}
}

// TestEndedCallCarriesNoDialog: nothing is left to release.
func TestEndedCallCarriesNoDialog(t *testing.T) {
	n := newNet(t, sim.Config{Seed: 5})
	n.carrier.Call(sim.CallSpec{To: "+14255550100", HangUpAfter: 5 * time.Second})
	n.done(t)
	for i, leg := range n.End().Legs {
		if leg.Dialog != nil {
			t.Errorf("leg %d: %+v", i, leg.Dialog)
		}
	}
	n.reborn()
	n.Core.ReleaseRecovered(&n.End().Legs[0], tandem.SideA)
	n.Run(time.Second)
	want(t, "carrier BYE", count(n.carrier, gosip.BYE, true), 0)
}
