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

// leg looks at a leg that was booked just now.
func (w *watch) leg(row *tandem.CDR, a *rating.Assessment, used int64, c tandem.Charge) error {
	if c.Amount > 0 {
		w.debits[row.Account] = true
	}
	if c.FreeS == 0 {
		return nil
	}
	used += c.FreeS
	for _, kind := range tandem.MinutesEvents(used, a.LimitS) {
		if err := w.notice(tandem.UsageEvent{Kind: kind, Account: a.Bucket.Account, DID: a.Bucket.DID, Cycle: a.Bucket.Cycle, At: a.At, UsedS: used, LimitS: a.LimitS}); err != nil {
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
