package ledger

import (
	"time"

	"tandem"
	"tandem/rating"
)

// watch finds what one transaction makes true of buckets and balances: events
// that are stored with it, once per cycle. It is made anew when a store runs the transaction again.
type watch struct {
	tx     tandem.LedgerTx
	fresh  []tandem.UsageEvent
	debits map[string]bool // accounts that were charged
}

// leg looks at a leg that was booked just now: used and next seconds of its buckets were drawn before.
func (w *watch) leg(e *tandem.LedgerEntry, a *rating.Assessment, used, next int64) error {
	if e.Charge.Amount > 0 {
		w.debits[e.Account] = true
	}
	if err := w.bucket(e.Bucket, e.At, used, e.Charge.FreeS-e.NextS, a.LimitS); err != nil {
		return err
	}
	return w.bucket(e.Next, e.Next.Cycle, next, e.NextS, a.LimitS)
}

func (w *watch) bucket(b tandem.Bucket, at time.Time, used, drawn, limit int64) error {
	if drawn == 0 {
		return nil
	}
	for _, kind := range tandem.MinutesEvents(used+drawn, limit) {
		if err := w.notice(tandem.UsageEvent{Kind: kind, Account: b.Account, DID: b.DID, Cycle: b.Cycle, At: at, UsedS: used + drawn, LimitS: limit}); err != nil {
			return err
		}
	}
	return nil
}

// balances looks at the accounts that were charged.
func (w *watch) balances(t *rating.Tariff, now time.Time) error {
	for id := range w.debits {
		account, cycle := t.Account(id, now)
		if account == nil || account.LowBalance == nil {
			continue
		}
		balance, err := w.tx.Balance(id, account.Currency)
		if err != nil {
			return err
		}
		if balance >= *account.LowBalance {
			continue
		}
		if err := w.notice(tandem.UsageEvent{Kind: tandem.UsageLowBalance, Account: id, Cycle: cycle, At: now, Balance: balance, Threshold: *account.LowBalance, Currency: account.Currency}); err != nil {
			return err
		}
	}
	return nil
}

func (w *watch) notice(e tandem.UsageEvent) error {
	fresh, err := w.tx.Notice(e)
	if fresh {
		w.fresh = append(w.fresh, e)
	}
	return err
}

// tell logs events that were stored.
func (l *Ledger) tell(events []tandem.UsageEvent) {
	for _, e := range events {
		if e.Kind == tandem.UsageLowBalance {
			l.log.Warn("balance is low", "account", tandem.Clip(e.Account, 63), "balance", e.Balance, "threshold", e.Threshold, "currency", e.Currency, "cycle", e.Cycle)
			continue
		}
		l.log.Info("free minutes run out", "event", e.Kind, "account", tandem.Clip(e.Account, 63), "did", e.DID, "used_s", e.UsedS, "limit_s", e.LimitS, "cycle", e.Cycle)
	}
}
