package ledger

import (
	"slices"
	"sort"
	"time"

	"tandem"
	"tandem/rating"
)

// hold is what is reserved for one call.
type hold struct {
	id      tandem.CorrelationID
	account string
	rows    []tandem.CDR // the legs that would be charged
	seconds int64        // granted
	money   tandem.Amount
	pending int // legs to be booked, once the call has ended
	draws   draws
}

// draws are what a call may draw: from the bucket of the cycle in which it was
// answered and, if the account splits calls at the cycle's end, from the next one's.
type draws [2]struct {
	bucket tandem.Bucket // zero: nothing
	limit  int64         // of the bucket
	billed int64         // seconds that may be drawn from it
}

// fill says what a leg of so many billed seconds may draw.
func (d *draws) fill(a *rating.Assessment, billed int64) {
	d[0].billed, d[1].billed = a.Drawable(billed)
	d[0].bucket, d[1].bucket = a.Bucket, a.Next
	for i := range d {
		d[i].limit, d[i].bucket.Cycle = a.LimitS, d[i].bucket.Cycle.UTC()
	}
}

// from is how many seconds may be drawn from a bucket.
func (d *draws) from(b tandem.Bucket) (n int64) {
	for i := range d {
		if d[i].bucket == b {
			n += d[i].billed
		}
	}
	return n
}

// newHold lists the legs that a call may be charged for.
func newHold(call tandem.CorrelationID, p *tandem.Plan, at time.Time) *hold {
	h := &hold{id: call, account: p.Account}
	row := tandem.CDR{Connected: true, Technology: tandem.Phone, Direction: p.Direction, Account: p.Account, Tenant: p.Tenant, DID: p.DID,
		UserType: p.UserType, Plan: p.PlanKind, From: p.From, To: p.To}
	if p.Direction == tandem.Outbound {
		row.Attempt = 1
	}
	h.rows = append(h.rows, row)
	if p.Direction == tandem.Inbound && len(p.Failsafe) > 0 {
		row.Attempt, row.Failsafe, row.To = 1, true, string(p.FailsafeNumber)
		h.rows = append(h.rows, row)
	}
	h.at(at)
	return h
}

// at says when the legs are answered.
func (h *hold) at(at time.Time) {
	at = at.UTC()
	for i := range h.rows {
		h.rows[i].AnswerTime = &at
	}
}

// answered drops the leg to the failsafe number unless the call went there.
func (h *hold) answered(failsafe bool) {
	if !failsafe {
		h.rows = h.rows[:1]
	}
}

// priced is what talk time costs.
type priced struct {
	money      tandem.Amount
	billed     int64 // the seconds to the end of the interval
	draws      draws
	chargeable bool // false: no leg can cost anything
}

// price is what the legs cost for so many seconds when free ones are left in the buckets.
func (h *hold) price(t *rating.Tariff, seconds int64, free [2]int64) priced {
	var out priced
	for i := range h.rows {
		h.rows[i].DurationMs = uint32(min(seconds, maxTalk) * 1000)
		a := t.Assess(&h.rows[i])
		if a.Rule == rating.RuleMetered || a.Rule == rating.RuleAllowance || a.Rule == rating.RuleGrace {
			out.chargeable = true
		}
		used := [2]int64{a.LimitS, a.LimitS}
		if a.Bucket != (tandem.Bucket{}) { // of one leg at most: inbound ones never draw
			used[0], used[1] = a.LimitS-free[0], a.LimitS-free[1]
		}
		p := a.PriceAcross(used[0], used[1])
		if a.Bucket != (tandem.Bucket{}) {
			out.draws.fill(&a, p.BilledS)
		}
		out.money += p.Amount
		out.billed = max(out.billed, p.BilledS)
	}
	return out
}

// grant holds the price of as many seconds as the purse can pay, up to want and
// on to the end of its interval, never fewer than are granted already. free: the
// call can cost nothing, so nothing is held.
func (c *Credit) grant(t *rating.Tariff, p *purse, h *hold, want int64) (granted, free bool) {
	first := h.price(t, max(want, 1), [2]int64{})
	if !first.chargeable {
		c.drop(h)
		return false, true
	}
	want = min(max(want, first.billed), maxTalk)
	affords := func(seconds int64) bool {
		more := c.more(t, h, seconds)
		return more <= 0 || p.balance+p.account.CreditLimit-p.held >= more
	}
	if !affords(want) {
		// The most seconds that are affordable: the price never falls as a call goes on.
		want = int64(sort.Search(int(want), func(n int) bool { return !affords(int64(n) + 1) }))
	}
	if want <= 0 {
		return false, false
	}
	if want < h.seconds {
		return true, false
	}
	c.set(t, h, want)
	return true, false
}

// left is what others leave of its buckets to a hold if they all draw first.
func (c *Credit) left(h *hold) (left [2]int64) {
	for i := range h.draws {
		d := &h.draws[i]
		if d.bucket == (tandem.Bucket{}) {
			continue
		}
		left[i] = d.limit - c.used[d.bucket]
		for other := range c.on[d.bucket] {
			if other != h {
				left[i] -= other.draws.from(d.bucket)
			}
		}
		left[i] = max(left[i], 0)
	}
	return left
}

// money is what must be held for so many seconds of a call.
func (c *Credit) money(t *rating.Tariff, h *hold, seconds int64) tandem.Amount {
	return h.price(t, seconds, c.left(h)).money
}

// more is the money that must be held beyond what is, for this call and those
// that share its buckets, if it is granted so many seconds.
func (c *Credit) more(t *rating.Tariff, h *hold, seconds int64) tandem.Amount {
	was := h.draws
	c.draw(h, h.price(t, seconds, [2]int64{}).draws)
	sum := c.money(t, h, seconds) - h.money
	for _, other := range c.neighbours(h, &was) {
		sum += c.money(t, other, other.seconds) - other.money
	}
	c.draw(h, was)
	return sum
}

// set holds the price of so many seconds, and again what its neighbours need.
func (c *Credit) set(t *rating.Tariff, h *hold, seconds int64) {
	was := h.draws
	c.draw(h, h.price(t, seconds, [2]int64{}).draws)
	h.seconds = seconds
	c.hold(h, c.money(t, h, seconds))
	c.again(t, c.neighbours(h, &was))
}

// draw says what a call may draw from now on.
func (c *Credit) draw(h *hold, now draws) {
	for i := range h.draws {
		b := h.draws[i].bucket
		if delete(c.on[b], h); len(c.on[b]) == 0 {
			delete(c.on, b)
		}
	}
	h.draws = now
	for i := range now {
		b := now[i].bucket
		if b == (tandem.Bucket{}) {
			continue
		}
		if c.on[b] == nil {
			c.on[b] = map[*hold]bool{}
		}
		c.on[b][h] = true
	}
}

// neighbours are the calls that share a bucket with a hold, or did.
func (c *Credit) neighbours(h *hold, was *draws) (list []*hold) {
	for _, b := range [...]tandem.Bucket{h.draws[0].bucket, h.draws[1].bucket, was[0].bucket, was[1].bucket} {
		for other := range c.on[b] {
			if other != h && !slices.Contains(list, other) {
				list = append(list, other)
			}
		}
	}
	return list
}

// again holds anew for calls whose neighbours changed.
func (c *Credit) again(t *rating.Tariff, calls []*hold) {
	for _, h := range calls {
		c.hold(h, c.money(t, h, h.seconds))
	}
}

func (c *Credit) hold(h *hold, money tandem.Amount) {
	if p := c.purses[h.account]; p != nil {
		p.held += money - h.money
	}
	h.money = money
}

// drop releases all that is held for a call, which frees some of what its neighbours hold.
func (c *Credit) drop(h *hold) {
	if c.calls[h.id] == h {
		delete(c.calls, h.id)
	}
	c.hold(h, 0)
	was := h.draws
	c.draw(h, draws{})
	c.again(c.tariff(), c.neighbours(h, &was))
}
