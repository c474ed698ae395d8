package routing

import (
	"time"

	"tandem"
)

// choice is one endpoint that could be tried.
type choice struct {
	trunk    *trunk
	endpoint int
	rank     rank
	health   *tandem.EndpointHealth // nil = never probed
}

// rank says when an endpoint is tried.
type rank uint8

const (
	rankFirst rank = iota // up, or not probed yet
	rankLast              // demoted or misconfigured: after all others
	rankDown              // known to be down
)

func (c *choice) state() tandem.HealthState {
	if c.health == nil {
		return tandem.HealthUnknown
	}
	return c.health.State
}

// choices lists the endpoints of trunks in order, with their health.
func choices(trunks []*trunk, health tandem.Health) []choice {
	n := 0
	for _, k := range trunks {
		n += len(k.Endpoints)
	}
	list := make([]choice, 0, n)
	for _, k := range trunks {
		states := health[k.ID]
		for i := range k.Endpoints {
			c := choice{trunk: k, endpoint: i, health: healthOf(states, i, k.Endpoints[i])}
			switch c.state() {
			case tandem.HealthDown:
				c.rank = rankDown
			case tandem.HealthDemoted, tandem.HealthMisconfigured:
				c.rank = rankLast
			}
			list = append(list, c)
		}
	}
	return list
}

// healthOf finds an endpoint's health: at its position, or elsewhere when the
// health snapshot is of an older directory.
func healthOf(states []tandem.EndpointHealth, i int, e tandem.Endpoint) *tandem.EndpointHealth {
	if i < len(states) && states[i].Endpoint == e {
		return &states[i]
	}
	for j := range states {
		if states[j].Endpoint == e {
			return &states[j]
		}
	}
	return nil
}

// attempts makes the attempts of one rank after another, in the order given.
func attempts(list []choice, to, from string, ranks ...rank) []tandem.Attempt {
	n := 0
	for i := range list {
		for _, r := range ranks {
			if list[i].rank == r {
				n++
			}
		}
	}
	if n == 0 {
		return nil
	}
	out := make([]tandem.Attempt, 0, n)
	for _, r := range ranks {
		for i := range list {
			if c := &list[i]; c.rank == r {
				a := c.trunk.attempts[c.endpoint]
				a.To, a.From = to, from
				out = append(out, a)
			}
		}
	}
	return out
}

// skipped lists the endpoints that are known to be down.
func skipped(list []choice, now time.Time) []tandem.SkippedAttempt {
	var out []tandem.SkippedAttempt
	for i := range list {
		c := &list[i]
		if c.rank != rankDown {
			continue
		}
		a := &c.trunk.attempts[c.endpoint]
		out = append(out, tandem.SkippedAttempt{Trunk: a.Trunk, Endpoint: a.Endpoint, Technology: a.Technology, Network: a.Network, Reason: downReason(c.health, now)})
	}
	return out
}

func downReason(h *tandem.EndpointHealth, now time.Time) string {
	s := "known to be down"
	if !h.Since.IsZero() && !now.Before(h.Since) {
		s += " for " + now.Sub(h.Since).Truncate(time.Second).String()
	}
	if h.Reason != "" {
		s += ": " + tandem.Clip(h.Reason, 100)
	}
	return s
}

// carrierOrder puts the carriers in the order of one call: by priority, and
// among equals at random by weight (RFC 2782's rule, without its zero weights),
// the same for the same seed.
func (t *Table) carrierOrder(seed uint64) []*trunk {
	order := make([]*trunk, len(t.carriers))
	copy(order, t.carriers)
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && order[to].Priority == order[from].Priority {
			to++
		}
		shuffle(order[from:to], &seed)
		from = to
	}
	return order
}

// shuffle draws without replacement, each with a chance of its weight.
func shuffle(group []*trunk, seed *uint64) {
	for ; len(group) > 1; group = group[1:] {
		sum := uint64(0)
		for _, k := range group {
			sum += weight(k)
		}
		at := next(seed) % sum
		for i, k := range group {
			if w := weight(k); at >= w {
				at -= w
				continue
			}
			copy(group[1:i+1], group[:i]) // the others keep their order
			group[0] = k
			break
		}
	}
}

func weight(k *trunk) uint64 { return uint64(max(k.Weight, 1)) }

// next is SplitMix64: seeds that differ in one bit give unrelated draws.
func next(seed *uint64) uint64 {
	*seed += 0x9e3779b97f4a7c15
	z := *seed
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
