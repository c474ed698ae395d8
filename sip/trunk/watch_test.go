package trunk

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tandem"
	"tandem/sip"
	"tandem/sip/core"
)

// wires notes what the monitor does with connections.
type wires struct {
	mu    sync.Mutex
	begin time.Time
	did   []string
}

func (w *wires) note(what string, to sip.Target) {
	w.mu.Lock()
	w.did = append(w.did, fmt.Sprintf("%s %s at %s", what, to.Host, time.Since(w.begin).Round(10*time.Millisecond)))
	w.mu.Unlock()
}

func (w *wires) Distrust(to sip.Target)             { w.note("distrust", to) }
func (w *wires) Abandon(to sip.Target, _ time.Time) { w.note("abandon", to) }

func (w *wires) first(what, host string) (at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.did {
		var action, name, at string
		if _, err := fmt.Sscanf(d, "%s %s at %s", &action, &name, &at); err == nil && action == what && name == host {
			d, _ := time.ParseDuration(at)
			return d
		}
	}
	return -1
}

// watchRig is a monitor whose first address dies, and calls that ring at it.
func watchRig(t *testing.T, f func(b *bench, w *wires)) {
	synctest.Test(t, func(t *testing.T) {
		b, w := &bench{net: &network{}}, &wires{}
		b.Monitor = New(DefaultConfig(), Deps{Sender: b.net, Connections: w, Jitter: func(int64) int64 { return 0 }})
		defer b.Close()
		b.net.on(func(_ int, l letter) { go b.Response(sip.Flow{Trunk: "teams"}, response(t, l, 200, ""), time.Now()) })
		b.SetTrunks([]core.TrunkView{teams})
		time.Sleep(31*time.Second + 700*time.Millisecond) // somewhere between two probes
		f(b, w)
	})
}

// rings calls Watch as the core does while a call rings.
func rings(b *bench, bound, d time.Duration) {
	for range int(d / (bound / 4)) {
		time.Sleep(bound / 4)
		b.Watch("teams", teams.Endpoints[0], bound, time.Now())
	}
	time.Sleep(d % (bound / 4))
}

func TestSilentDeathIsNoticedWithinTheBound(t *testing.T) {
	for _, rung := range []time.Duration{0, 100 * time.Millisecond, 1900 * time.Millisecond, 2 * time.Second, 7 * time.Second, 20 * time.Second} {
		t.Run(rung.String(), func(t *testing.T) {
			const bound = 8 * time.Second
			watchRig(t, func(b *bench, w *wires) {
				rings(b, bound, rung)
				b.net.on(nil)
				w.begin = time.Now()
				rings(b, bound, 2*bound)
				synctest.Wait()
				for _, host := range []string{"sip.pstnhub.test", "sip2.pstnhub.test"} {
					if at := w.first("abandon", host); at < 0 || at > bound {
						t.Errorf("%s was abandoned after %s: %v", host, at, w.did)
					}
					if at := w.first("distrust", host); at < 0 {
						t.Errorf("%s was never asked on a new connection", host)
					}
				}
				if b.states() != "down down" {
					t.Errorf("states %s", b.states())
				}
			})
		})
	}
}

// An address that answers on a new connection lives: nothing is closed.
func TestAnswerOnANewConnectionSparesTheCalls(t *testing.T) {
	const bound = 8 * time.Second
	watchRig(t, func(b *bench, w *wires) {
		answering := func(_ int, l letter) {
			go b.Response(sip.Flow{Trunk: "teams"}, response(t, l, 200, ""), time.Now())
		}
		b.net.on(func(n int, l letter) {
			if w.first("distrust", l.to.Host) >= 0 {
				answering(n, l)
			}
		})
		w.begin = time.Now()
		rings(b, bound, time.Minute)
		synctest.Wait()
		if at := w.first("abandon", "sip.pstnhub.test"); at >= 0 {
			t.Errorf("closed after %s: %v", at, w.did)
		}
		if b.states() != "up up" {
			t.Errorf("states %s", b.states())
		}
	})
}

// Slow answers, as under loss, are answers.
func TestSlowAnswersAreNoDeath(t *testing.T) {
	const bound = 8 * time.Second
	watchRig(t, func(b *bench, w *wires) {
		b.net.on(func(_ int, l letter) {
			go func() {
				time.Sleep(2900 * time.Millisecond)
				b.Response(sip.Flow{Trunk: "teams"}, response(t, l, 200, ""), time.Now())
			}()
		})
		w.begin = time.Now()
		rings(b, bound, 2*time.Minute)
		b.net.on(func(_ int, l letter) { go b.Response(sip.Flow{Trunk: "teams"}, response(t, l, 200, ""), time.Now()) })
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if len(w.did) > 0 {
			t.Errorf("%v", w.did)
		}
	})
}

// When nothing rings any more, OPTIONS come at their regular pace again.
func TestWatchEndsWithTheRinging(t *testing.T) {
	const bound = 8 * time.Second
	watchRig(t, func(b *bench, w *wires) {
		rings(b, bound, 20*time.Second)
		time.Sleep(10 * time.Second)
		before := len(b.net.all())
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := len(b.net.all()) - before; n > 4 {
			t.Errorf("%d OPTIONS in 2 minutes to 2 addresses", n)
		}
	})
}

// A carrier that ignores OPTIONS keeps its connections.
func TestCarriersAreNotAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, w := &bench{net: &network{}}, &wires{}
		b.Monitor = New(DefaultConfig(), Deps{Sender: b.net, Connections: w})
		defer b.Close()
		carrier := teams
		carrier.Kind = tandem.TrunkCarrier
		b.SetTrunks([]core.TrunkView{carrier})
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if len(w.did) > 0 {
			t.Errorf("%v", w.did)
		}
	})
}

// A call that gets no answer may hang on a dead connection: the next dials anew.
func TestSilentCallDoubtsTheConnection(t *testing.T) {
	watchRig(t, func(b *bench, w *wires) {
		w.begin = time.Now()
		for range 5 {
			b.Outcome("teams", teams.Endpoints[0], tandem.Outcome{Kind: tandem.OutcomeSilence}, time.Now())
		}
		synctest.Wait()
		if len(w.did) != 1 || w.first("distrust", "sip.pstnhub.test") != 0 {
			t.Errorf("%v", w.did)
		}
	})
}

// Calls that lose their connection bring the address down until OPTIONS, sent at
// once, say that a new one works.
func TestLostConnectionsAreProbedAtOnce(t *testing.T) {
	watchRig(t, func(b *bench, w *wires) {
		before := len(b.net.all())
		for range 100 {
			b.Outcome("teams", teams.Endpoints[0], tandem.Outcome{Kind: tandem.OutcomeConnection}, time.Now())
		}
		time.Sleep(600 * time.Millisecond) // a second one, if the first answer came amid the losses
		synctest.Wait()
		if n := len(b.net.all()) - before; n < 1 || n > 2 || b.states() != "demoted up" {
			t.Errorf("%d OPTIONS, %s", n, b.states())
		}
		time.Sleep(6 * time.Second)
		if b.states() != "up up" {
			t.Errorf("6 s later %s", b.states())
		}
	})
}
