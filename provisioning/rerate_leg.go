package provisioning

import (
	"fmt"
	"maps"

	"github.com/google/uuid"

	"tandem"
)

// correctLeg posts what the books lack to the leg's charge; known is false when they do not know the leg.
func (s *Service) correctLeg(tx tandem.LedgerTx, c *change) (known, posted bool, err error) {
	e, known, err := tx.Entry(c.row.ID)
	if err != nil || !known {
		return known, false, err
	}
	if e.Charge.Currency != c.charge.Currency {
		return true, false, &tandem.Error{Kind: tandem.KindConflict, Field: "currency", Message: "the leg was charged in " + tandem.Clip(string(e.Charge.Currency), 3) + ", the account's currency is another now", Mend: "refund it by hand"}
	}
	n, amount, free := 1, e.Charge.Amount, map[tandem.Bucket]int64{}
	free[utc(e.Bucket)] += e.Charge.FreeS - e.NextS
	free[utc(e.Next)] += e.NextS
	for ; ; n++ { // what was corrected before
		p, isPosting, err := tx.Posting(rerateID(c.row.ID, n))
		if err != nil {
			return true, false, err
		}
		redrawn := false
		for _, id := range redrawIDs(c.row.ID, n) {
			r, known, err := tx.Redrawn(id)
			if err != nil {
				return true, false, err
			}
			free[utc(r.Bucket)] += r.Seconds
			redrawn = redrawn || known
		}
		if !isPosting && !redrawn {
			break
		}
		if isPosting {
			amount -= p.Amount
		}
	}
	if amount != c.charge.Amount {
		p := tandem.Posting{ID: rerateID(c.row.ID, n), At: e.At, Account: e.Account, Kind: tandem.PostCorrection, Amount: amount - c.charge.Amount, Currency: e.Charge.Currency,
			DID: e.DID, Leg: e.Leg, Note: fmt.Sprintf("rated again by deck %s version %d: %s instead of %s", c.charge.DeckID, c.charge.DeckVer, c.charge.Amount, amount)}
		if err := tx.Post(p); err != nil {
			return true, false, err
		}
		posted = true
	}
	if c.charge.FreeS > 0 {
		drawn, err := storedDraws(&c.row, c.charge)
		if err != nil {
			return true, posted, err
		}
		for b, seconds := range drawn {
			free[b] -= seconds
		}
	}
	return true, posted, redraw(tx, &e, redrawIDs(c.row.ID, n), free)
}

// redrawIDs are the IDs of the redraws of a leg's n-th correction: a leg that was
// split at the end of a cycle has two buckets.
func redrawIDs(leg uuid.UUID, n int) [2]uuid.UUID {
	id := rerateID(leg, n)
	return [2]uuid.UUID{id, uuid.NewSHA1(id, []byte("next"))}
}

// redraw gives buckets back what legs drew too much, or takes the rest: surplus by bucket.
func redraw(tx tandem.LedgerTx, e *tandem.LedgerEntry, ids [2]uuid.UUID, surplus map[tandem.Bucket]int64) error {
	maps.DeleteFunc(surplus, func(_ tandem.Bucket, s int64) bool { return s == 0 })
	if len(surplus) > len(ids) {
		return &tandem.Error{Kind: tandem.KindConflict, Message: "the leg drew from buckets of other cycles than it would now: the account's time zone or cycle_day is another", Mend: "put it back, or correct by hand"}
	}
	n := 0
	for b, s := range surplus {
		id := ids[n]
		n++
		if err := tx.Redraw(tandem.Redraw{ID: id, Leg: e.Leg, Bucket: b, Seconds: -s}); err != nil {
			return err
		}
	}
	return nil
}

func utc(b tandem.Bucket) tandem.Bucket {
	b.Cycle = b.Cycle.UTC()
	return b
}

// noticeUsage stores what the corrections made true of balances and buckets, and returns what is new.
func (s *Service) noticeUsage(tx tandem.LedgerTx, dir *tandem.Directory, batch []change) (fresh []tandem.UsageEvent, err error) {
	notice := func(e tandem.UsageEvent) error {
		isNew, err := tx.Notice(e)
		if isNew {
			fresh = append(fresh, e)
		}
		return err
	}
	for i := range dir.Accounts {
		a := &dir.Accounts[i]
		touched := false
		for j := range batch {
			c := &batch[j]
			if c.row.Account != a.ID {
				continue
			}
			touched = true
			if c.charge.FreeS <= c.row.Charge.FreeS {
				continue
			}
			if err := noticeDraws(tx, a, c, notice); err != nil {
				return nil, err
			}
		}
		if !touched {
			continue
		}
		balance, err := tx.Balance(a.ID, a.Currency)
		if err != nil {
			return nil, err
		}
		e, low, err := s.lowBalance(a, balance)
		if err == nil && low {
			err = notice(e)
		}
		if err != nil {
			return nil, err
		}
	}
	return fresh, nil
}

// noticeDraws looks at the buckets of a leg that draws more than it did.
func noticeDraws(tx tandem.LedgerTx, a *tandem.Account, c *change, notice func(tandem.UsageEvent) error) error {
	drawn, err := storedDraws(&c.row, c.charge)
	if err != nil {
		return err
	}
	for b, seconds := range drawn {
		if seconds == 0 {
			continue
		}
		used, err := tx.Used(b)
		if err != nil {
			return err
		}
		limit := int64(a.FreeMinutes) * 60
		for _, kind := range tandem.MinutesEvents(used, limit) {
			if err := notice(tandem.UsageEvent{Kind: kind, Account: b.Account, DID: b.DID, Cycle: b.Cycle, At: c.row.EndTime.UTC(), UsedS: used, LimitS: limit}); err != nil {
				return err
			}
		}
	}
	return nil
}
