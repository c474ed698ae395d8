package relay

import (
	"sync"
	"testing"
	"time"

	"tandem"
)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1_700_000_000, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	c.mu.Unlock()
}

// TestTimeout: silence is told once per side with the last packet's time, not
// while the call is held or still ringing, and anew after resume.
func TestTimeout(t *testing.T) {
	cfg := testConfig(t)
	cfg.RTPTimeout = time.Hour // the pool's own sweeps never fire; the test sweeps
	clock := newClock()
	var got []tandem.MediaEvent
	pool := newPool(t, cfg, Deps{Clock: clock.Now, OnEvent: func(e tandem.MediaEvent) { got = append(got, e) }})
	sweep := func(forward time.Duration) []tandem.MediaEvent {
		clock.Add(forward)
		got = nil
		pool.sweep(pool.now())
		return got
	}
	a, b := newPeer(t, "127.0.0.1", false), newPeer(t, "127.0.0.1", false)
	s, err := pool.OpenMedia(tandem.CallRef{Shard: 1, Serial: 7}, profile(a))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.SetPeer(profile(b))
	offer, err := s.Offer(tandem.SideA, a.describe())
	if err != nil {
		t.Fatal(err)
	}
	b.hear(offer)
	answer, err := s.Answer(tandem.SideB, b.describe(), false)
	if err != nil {
		t.Fatal(err)
	}
	a.hear(answer)
	if ev := sweep(2 * time.Hour); ev != nil {
		t.Errorf("while ringing: %+v", ev)
	}
	if _, err := s.Answer(tandem.SideB, b.describe(), true); err != nil {
		t.Fatal(err)
	}
	if ev := sweep(59 * time.Minute); ev != nil {
		t.Errorf("too early: %+v", ev)
	}
	a.passes(b)
	seen := clock.Now()
	ev := sweep(time.Minute)
	if len(ev) != 1 || ev[0].Side != tandem.SideB || ev[0].Ref.Serial != 7 || !ev[0].LastSeen.IsZero() || ev[0].Kind != tandem.MediaTimeout {
		t.Errorf("side B never spoke: %+v", ev)
	}
	if ev = sweep(59 * time.Minute); len(ev) != 1 || ev[0].Side != tandem.SideA || !ev[0].LastSeen.Equal(seen) {
		t.Errorf("side A fell silent at %v: %+v", seen, ev)
	}
	if ev = sweep(time.Hour); ev != nil {
		t.Errorf("told twice: %+v", ev)
	}
	a.direction = "sendonly" // hold
	b.direction = "recvonly"
	negotiate(t, s, tandem.SideA, a, b)
	if ev = sweep(5 * time.Hour); ev != nil {
		t.Errorf("on hold: %+v", ev)
	}
	a.direction, b.direction = "sendrecv", "sendrecv"
	negotiate(t, s, tandem.SideA, a, b)
	if ev = sweep(59 * time.Minute); ev != nil {
		t.Errorf("just resumed: %+v", ev)
	}
	if ev = sweep(time.Minute); len(ev) != 2 {
		t.Errorf("after resume: %+v", ev)
	}
}

// TestTimeoutByItself: the pool's own sweep tells it.
func TestTimeoutByItself(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		cfg.RTPTimeout = 20 * time.Millisecond
		events := make(chan tandem.MediaEvent, 4)
		pool := newPool(t, cfg, Deps{OnEvent: func(e tandem.MediaEvent) { events <- e }})
		join(t, pool, newPeer(t, "127.0.0.1", false), newPeer(t, "127.0.0.1", false))
		for range 2 {
			select {
			case <-events:
			case <-time.After(5 * time.Second):
				t.Fatal("no event")
			}
		}
	})
}
