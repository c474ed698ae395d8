package ledger

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/rating"
)

// creditSlice is how much talk time is reserved at a time. Each call strands at
// most so much of its account's credit, and asks again about once a minute.
const creditSlice = 60

// Credit is the credit manager: it reserves money for the calls of accounts with
// limited credit, in the words of RFC 8506. A call gets talk time for which its
// price is held, asks for more before that ends, and is settled when its legs
// are booked; until then what it may cost stays held. So the balance less all
// holds never falls below the credit limit, however many calls run in parallel.
//
// It answers from memory. The books are the truth: balances and drawn minutes
// are read from them when an account becomes limited, and every writer of the
// books goes through Books, which keeps them up to date. Holds live in memory
// only: a process that dies gives them back, and what its calls cost is booked
// from the journal.
//
// Free minutes of a number that several calls share are counted for each call
// as if the others had drawn theirs first: whichever ends first, the price of
// the rest is held.
type Credit struct {
	tariff func() *rating.Tariff
	store  tandem.LedgerStore
	clock  func() time.Time

	writing sync.Mutex  // a transaction and its effect here are one step
	limited atomic.Bool // any account is

	mu     sync.Mutex
	ready  func() bool // nil: the books hold all that ended
	purses map[string]*purse
	calls  map[tandem.CorrelationID]*hold
	legs   map[uuid.UUID]*hold // legs of ended calls that are not booked yet
	used   map[tandem.Bucket]int64
	on     map[tandem.Bucket]map[*hold]bool // holds that may draw from a bucket
}

// purse is an account with limited credit.
type purse struct {
	account tandem.Account
	balance tandem.Amount
	held    tandem.Amount // sum of its holds
}

func newCredit(store tandem.LedgerStore, clock func() time.Time, tariff func() *rating.Tariff) *Credit {
	return &Credit{tariff: tariff, store: store, clock: clock, purses: map[string]*purse{}, calls: map[tandem.CorrelationID]*hold{},
		legs: map[uuid.UUID]*hold{}, used: map[tandem.Bucket]int64{}, on: map[tandem.Bucket]map[*hold]bool{}}
}

// setDirectory brings the accounts up to date; balances and minutes of those
// that are newly limited come from the books. Calls in progress of an account
// that is no longer limited go on without a limit.
func (c *Credit) setDirectory(dir *tandem.Directory, t *rating.Tariff) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	next := map[string]*purse{}
	var fresh []*purse
	for _, a := range dir.Accounts {
		if !a.Limited() {
			continue
		}
		c.mu.Lock()
		p := c.purses[a.ID]
		c.mu.Unlock()
		if p == nil || p.account.Currency != a.Currency {
			p = &purse{account: a}
			fresh = append(fresh, p)
		}
		next[a.ID] = p
	}
	used := map[tandem.Bucket]int64{}
	if len(next) > 0 {
		if err := c.store.Books(context.Background(), func(tx tandem.LedgerTx) error {
			return c.load(tx, fresh, next, dir, t, used)
		}); err != nil {
			return fmt.Errorf("balances of limited accounts: %w", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range dir.Accounts {
		if p := next[dir.Accounts[i].ID]; p != nil {
			p.account = dir.Accounts[i]
		}
	}
	for _, p := range fresh {
		p.held = c.heldOf(p.account.ID)
	}
	for b, n := range used {
		c.used[b] = n
	}
	c.purses = next
	c.limited.Store(len(next) > 0)
	for _, h := range c.holds() { // decks and free minutes may have changed
		c.set(t, h, h.seconds)
	}
	return nil
}

// holds lists all holds.
func (c *Credit) holds() []*hold {
	all := make(map[*hold]bool, len(c.calls)+len(c.legs))
	for _, h := range c.calls {
		all[h] = true
	}
	for _, h := range c.legs {
		all[h] = true
	}
	return slices.Collect(maps.Keys(all))
}

// heldOf is the sum of an account's holds.
func (c *Credit) heldOf(account string) (sum tandem.Amount) {
	for _, h := range c.holds() {
		if h.account == account {
			sum += h.money
		}
	}
	return sum
}

// load reads what is not known yet. It runs while nobody else writes.
func (c *Credit) load(tx tandem.LedgerTx, fresh []*purse, limited map[string]*purse, dir *tandem.Directory, t *rating.Tariff, used map[tandem.Bucket]int64) (err error) {
	for _, p := range fresh {
		if p.balance, err = tx.Balance(p.account.ID, p.account.Currency); err != nil {
			return err
		}
	}
	now := c.clock()
	for i := range dir.Numbers {
		n := &dir.Numbers[i]
		if limited[n.Account] == nil || n.Plan != tandem.Unlimited {
			continue
		}
		b, next := t.Buckets(n.Account, n.DID, now)
		if used[b], err = tx.Used(b); err != nil {
			return err
		}
		if a, _ := t.Account(n.Account, now); a == nil || !a.CycleSplit {
			continue
		}
		if used[next], err = tx.Used(next); err != nil {
			return err
		}
	}
	return nil
}

// WaitFor has calls of limited accounts refused with 503 until ready says that
// what a former process left in the journal is booked: its balance would be
// spent twice. ready answers from memory.
func (c *Credit) WaitFor(ready func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = ready
}

// Reserve holds the price of a first slice of talk time and writes it into the
// plan; a call that can't pay for one second is refused. What the account can't
// pay beside an inbound call is its forward to the failsafe number: it is taken
// out of the plan then. Accounts without a limit, emergency calls and calls that
// cost nothing are left alone. A zero call is a question: nothing stays held.
func (c *Credit) Reserve(call tandem.CorrelationID, p *tandem.Plan, at time.Time) *tandem.Rejection {
	t := c.tariff()
	if !c.limited.Load() || p.Emergency || p.Reject != nil || t == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	purse := c.purses[p.Account]
	if purse == nil {
		return nil
	}
	if before := c.calls[call]; before != nil {
		c.drop(before)
	}
	if c.ready != nil {
		if !c.ready() {
			return &tandem.Rejection{Status: 503, Cause: tandem.CauseTemporaryFailure, Reason: "calls of a former process are being booked"}
		}
		c.ready = nil
	}
	h := newHold(call, p, at)
	granted, free := c.grant(t, purse, h, creditSlice)
	if !granted && len(p.Failsafe) > 0 && len(p.Attempts) > 0 {
		h.answered(false)
		if granted, free = c.grant(t, purse, h, creditSlice); granted || free {
			p.Failsafe = nil
			p.Trace = append(p.Trace, tandem.TraceStep{Rule: "credit", Detail: "the credit does not pay for a forward to the failsafe number"})
		}
	}
	switch {
	case free:
		return nil
	case !granted:
		return &tandem.Rejection{Status: 402, Cause: tandem.CauseRejected, Reason: "the account has no credit for this call"}
	}
	p.Granted = time.Duration(h.seconds) * time.Second
	p.Trace = append(p.Trace, tandem.TraceStep{Rule: "credit", Detail: fmt.Sprintf("%d s granted, %s %s held", h.seconds, h.money, purse.account.Currency)})
	if call == uuid.Nil {
		c.drop(h)
		return nil
	}
	c.calls[call] = h
	return nil
}

// Answered implements core.Credit.
func (c *Credit) Answered(call tandem.CorrelationID, failsafe bool, at time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.calls[call]
	if h == nil || c.purses[h.account] == nil {
		return 0
	}
	h.answered(failsafe)
	h.at(at)
	want := max(h.seconds, creditSlice)
	h.seconds = 0 // a dearer time of the day may have begun since: what is held may pay for less
	if granted, free := c.grant(c.tariff(), c.purses[h.account], h, want); free {
		return 0
	} else if !granted {
		return time.Nanosecond // the end at once
	}
	return time.Duration(h.seconds) * time.Second
}

// Extend implements core.Credit.
func (c *Credit) Extend(call tandem.CorrelationID, _ time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.calls[call]
	if h == nil || c.purses[h.account] == nil {
		return 0
	}
	c.grant(c.tariff(), c.purses[h.account], h, h.seconds+creditSlice)
	return time.Duration(h.seconds) * time.Second
}

// Ended settles a call: what it did not use is released, the rest stays held
// until its legs are booked. It must be called before the record is written.
func (c *Credit) Ended(r *tandem.CallRecord) {
	if !c.limited.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.calls[r.Correlation]
	if h == nil {
		return
	}
	delete(c.calls, r.Correlation)
	var talked time.Duration
	for i := range r.Legs {
		if l := &r.Legs[i]; l.Technology == tandem.Phone && l.Connected() {
			talked = max(talked, l.Duration)
			c.legs[tandem.LegID(r.Correlation, i)] = h
			h.pending++
		}
	}
	if h.pending == 0 {
		c.drop(h)
		return
	}
	if used := int64((talked + time.Second - 1) / time.Second); used < h.seconds {
		c.set(c.tariff(), h, used)
	}
}

// committed takes over what a transaction did to the books.
func (c *Credit) committed(effects []effect) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range effects {
		p := c.purses[e.account]
		if p != nil && p.account.Currency == e.currency {
			p.balance += e.amount
		}
		b := e.bucket
		b.Cycle = b.Cycle.UTC()
		if p != nil && e.free != 0 {
			c.used[b] += e.free
		}
		if h := c.legs[e.leg]; h != nil && e.leg != uuid.Nil {
			delete(c.legs, e.leg)
			if h.pending--; h.pending == 0 {
				c.drop(h)
			}
		}
		if p != nil && e.free != 0 { // also by a call or a redraw that nothing was held for
			c.again(c.tariff(), slices.Collect(maps.Keys(c.on[b])))
		}
	}
}

// CreditState is what a limited account can spend now.
type CreditState struct {
	Balance   tandem.Amount
	Held      tandem.Amount
	Available tandem.Amount // balance and credit limit less what is held
	Calls     int
}

// State describes a limited account; false when it is not limited.
func (c *Credit) State(account string) (CreditState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.purses[account]
	if p == nil {
		return CreditState{}, false
	}
	s := CreditState{Balance: p.balance, Held: p.held, Available: p.balance + p.account.CreditLimit - p.held}
	for _, h := range c.calls {
		if h.account == account {
			s.Calls++
		}
	}
	return s, true
}

// maxTalk bounds what is ever granted: the milliseconds of a CDR.
const maxTalk = math.MaxUint32/1000 - 86_400
