package ledger

import (
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

	bucket tandem.Bucket
	limit  int64 // of the bucket
	billed int64 // seconds that may be drawn from it
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
	bucket     tandem.Bucket
	limit      int64
	chargeable bool // false: no leg can cost anything
}

// price is what the legs cost for so many seconds when free ones are left in the bucket.
func (h *hold) price(t *rating.Tariff, seconds, free int64) priced {
	var out priced
	for i := range h.rows {
		h.rows[i].DurationMs = uint32(min(seconds, maxTalk) * 1000)
		a := t.Assess(&h.rows[i])
		if a.Rule == rating.RuleMetered || a.Rule == rating.RuleAllowance || a.Rule == rating.RuleGrace {
			out.chargeable = true
		}
		var used int64
		if a.Bucket != (tandem.Bucket{}) {
			out.bucket, out.limit, used = a.Bucket, a.LimitS, a.LimitS-free
			out.bucket.Cycle = out.bucket.Cycle.UTC()
		}
		p := a.Price(used)
		out.money += p.Amount
		out.billed = max(out.billed, p.BilledS)
	}
	return out
}

// grant holds the price of as many seconds as the purse can pay, up to want and
// on to the end of its interval, never fewer than are granted already. free: the
// call can cost nothing, so nothing is held.
func (c *Credit) grant(t *rating.Tariff, p *purse, h *hold, want int64) (granted, free bool) {
	first := h.price(t, max(want, 1), 0)
	if !first.chargeable {
		c.drop(h)
		return false, true
	}
	if h.bucket != first.bucket { // the cycle ended between set-up and answer
		c.leave(h)
	}
	want = min(max(want, first.billed), maxTalk)
	affords := func(seconds int64) bool {
		more := c.cost(t, h, seconds) - c.present(h)
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

// left is what others leave of the bucket to a hold if they all draw first.
func (c *Credit) left(h *hold, b tandem.Bucket, limit int64) int64 {
	left := limit - c.used[b]
	for other := range c.on[b] {
		if other != h {
			left -= other.billed
		}
	}
	return max(left, 0)
}

// cost is the money that must be held, for this call and those that share its
// bucket, if it is granted so many seconds.
func (c *Credit) cost(t *rating.Tariff, h *hold, seconds int64) tandem.Amount {
	bare := h.price(t, seconds, 0)
	if bare.bucket == (tandem.Bucket{}) {
		return bare.money
	}
	sum := h.price(t, seconds, c.left(h, bare.bucket, bare.limit)).money
	was := h.billed
	shared := c.on[bare.bucket]
	mine := shared[h]
	if shared == nil {
		return sum
	}
	h.billed, shared[h] = bare.billed, true
	for other := range shared {
		if other != h {
			sum += other.price(t, other.seconds, c.left(other, other.bucket, other.limit)).money
		}
	}
	if h.billed = was; !mine {
		delete(shared, h)
	}
	return sum
}

// present is what is held now for the calls that cost counts.
func (c *Credit) present(h *hold) tandem.Amount {
	sum := h.money
	b := h.bucket
	if b == (tandem.Bucket{}) { // it may come to one
		b = h.price(c.tariff(), max(h.seconds, 1), 0).bucket
	}
	for other := range c.on[b] {
		if other != h {
			sum += other.money
		}
	}
	return sum
}

// set holds the price of so many seconds, and again what its neighbours need.
func (c *Credit) set(t *rating.Tariff, h *hold, seconds int64) {
	bare := h.price(t, seconds, 0)
	if h.bucket != bare.bucket {
		c.leave(h)
	}
	h.seconds, h.billed, h.bucket, h.limit = seconds, bare.billed, bare.bucket, bare.limit
	money := bare.money
	if h.bucket != (tandem.Bucket{}) {
		if c.on[h.bucket] == nil {
			c.on[h.bucket] = map[*hold]bool{}
		}
		c.on[h.bucket][h] = true
		money = h.price(t, seconds, c.left(h, h.bucket, h.limit)).money
	}
	c.hold(h, money)
	c.again(t, h.bucket, h)
}

// again holds anew for the calls that share a bucket, but one.
func (c *Credit) again(t *rating.Tariff, b tandem.Bucket, but *hold) {
	for other := range c.on[b] {
		if other != but {
			c.hold(other, other.price(t, other.seconds, c.left(other, b, other.limit)).money)
		}
	}
}

func (c *Credit) hold(h *hold, money tandem.Amount) {
	if p := c.purses[h.account]; p != nil {
		p.held += money - h.money
	}
	h.money = money
}

// leave takes a hold from its bucket, which frees some of what its neighbours hold.
func (c *Credit) leave(h *hold) {
	b := h.bucket
	h.bucket, h.billed = tandem.Bucket{}, 0
	shared := c.on[b]
	if shared == nil {
		return
	}
	if delete(shared, h); len(shared) == 0 {
		delete(c.on, b)
	}
	c.again(c.tariff(), b, h)
}

// drop releases all that is held for a call.
func (c *Credit) drop(h *hold) {
	if c.calls[h.id] == h {
		delete(c.calls, h.id)
	}
	c.hold(h, 0)
	c.leave(h)
}
