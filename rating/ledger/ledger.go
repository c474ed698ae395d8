package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/rating"
)

// Ledger prices rows; see New. All methods may be called concurrently.
type Ledger struct {
	store  tandem.LedgerStore
	clock  func() time.Time
	log    *slog.Logger
	tariff atomic.Pointer[rating.Tariff]
	swap   sync.Mutex // one SetDirectory at a time
	credit *Credit
	fees   map[tandem.E164]uuid.UUID // of each number, the fee last known to be posted; TakeFees' own
}

// New makes a ledger over a store. A nil clock is time.Now, a nil logger
// discards. Price and Quote answer KindUnavailable until SetDirectory was called.
func New(store tandem.LedgerStore, clock func() time.Time, logger *slog.Logger) *Ledger {
	if clock == nil {
		clock = time.Now
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	l := &Ledger{clock: clock, log: logger, fees: map[tandem.E164]uuid.UUID{}}
	l.credit = newCredit(store, clock, l.tariff.Load)
	l.store = l.credit
	return l
}

// Credit is the credit manager over the same books: other writers of them write through it.
func (l *Ledger) Credit() *Credit { return l.credit }

// SetDirectory makes the decks and accounts of a snapshot those of the next
// batch. On error the previous ones stay in force.
func (l *Ledger) SetDirectory(dir *tandem.Directory) error {
	l.swap.Lock()
	defer l.swap.Unlock()
	t, err := rating.NewTariff(dir, l.tariff.Load())
	if err != nil {
		return fmt.Errorf("tariffs of directory version %d: %w", dir.Version, err)
	}
	if err := l.credit.setDirectory(dir, t); err != nil {
		return err
	}
	l.tariff.Store(t)
	return nil
}

func (l *Ledger) current() (*rating.Tariff, error) {
	t := l.tariff.Load()
	if t == nil {
		return nil, &tandem.Error{Kind: tandem.KindUnavailable, Message: "no tariffs are loaded yet", Mend: "try again when the node has started"}
	}
	return t, nil
}

// Price fills rows[i].Charge, and Cost where a carrier's is known: what we owe
// others is no posting in the customer's books. All rows of a batch are booked in one durable
// transaction, in their order; on error nothing was booked and no row was
// changed. A row that can't be priced (no deck, no row) is booked at 0 with the
// reason in its explanation: it must not hold up the others.
//
// Rows that are 0 by rule (attempts, the Operator Connect side) are not booked.
func (l *Ledger) Price(ctx context.Context, rows []tandem.CDR) error {
	t, err := l.current()
	if err != nil {
		return err
	}
	assessed := make([]rating.Assessment, len(rows))
	bookable := false
	for i := range rows {
		assessed[i] = t.Assess(&rows[i])
		bookable = bookable || assessed[i].Bookable()
	}
	charges := make([]tandem.Charge, len(rows))
	var unrated []int
	var w watch
	var a rating.Assessment
	book := func(tx tandem.LedgerTx) error {
		// The store may run a transaction again.
		unrated, w = unrated[:0], watch{tx: tx, debits: map[string]bool{}}
		for i := range rows {
			if !assessed[i].Bookable() {
				continue
			}
			a = assessed[i] // pricing may change it
			charge, fresh, err := post(&w, &rows[i], &a)
			if err != nil {
				return fmt.Errorf("price leg %s of call %s: %w", rows[i].ID, rows[i].Correlation, err)
			}
			if charges[i] = charge; fresh && a.Rule == rating.RuleUnrated {
				unrated = append(unrated, i)
			}
		}
		return w.balances(t, l.clock().UTC())
	}
	if bookable {
		if err := l.store.Books(ctx, book); err != nil {
			return err
		}
	}
	for i := range rows {
		if !assessed[i].Bookable() {
			charges[i] = assessed[i].Charge(0)
		}
		rows[i].Charge = charges[i]
		rows[i].Cost = t.Cost(&rows[i])
	}
	l.warn(rows, unrated)
	l.tell(w.fresh)
	return nil
}

// post books one leg unless it is booked already. It tries to book before it
// looks: a leg that is there is a replay, and those are rare.
func post(w *watch, row *tandem.CDR, a *rating.Assessment) (charge tandem.Charge, fresh bool, err error) {
	var used int64
	if a.Bucket != (tandem.Bucket{}) {
		if used, err = w.tx.Used(a.Bucket); err != nil {
			return charge, false, err
		}
	}
	next := a.LimitS
	if a.Next != (tandem.Bucket{}) {
		if next, err = w.tx.Used(a.Next); err != nil {
			return charge, false, err
		}
	}
	e := tandem.LedgerEntry{Leg: row.ID, Pos: row.NodeSeq, At: a.At, Account: row.Account, DID: row.DID}
	charge, e.NextS = a.ChargeAcross(used, next)
	if e.Bucket, e.Charge = a.Bucket, charge; e.NextS > 0 {
		e.Next = a.Next
	}
	if err = w.tx.Book(e); err == nil {
		return charge, true, w.leg(&e, a, used, next)
	}
	if tandem.KindOf(err) != tandem.KindConflict {
		return charge, false, err
	}
	stored, booked, err := w.tx.Entry(row.ID)
	if err == nil && !booked {
		err = fmt.Errorf("leg %s is booked already, and is not", row.ID)
	}
	return stored.Charge, false, err
}

// warn reports legs without a price: once per batch, for a missing deck hits every leg.
func (l *Ledger) warn(rows []tandem.CDR, unrated []int) {
	if len(unrated) == 0 {
		return
	}
	first := &rows[unrated[0]]
	l.log.Warn("legs without a price", "count", len(unrated), "corr_id", first.Correlation, "account", tandem.Clip(first.Account, 63),
		"explanation", tandem.Clip(first.Charge.Explanation, 400))
}

// Authorize refuses an outbound call that the payer's deck refuses to price;
// nil = go ahead, also before SetDirectory. See rating.Tariff.Authorize.
func (l *Ledger) Authorize(p *tandem.Plan, at time.Time) *tandem.Rejection {
	if t := l.tariff.Load(); t != nil {
		return t.Authorize(p, at)
	}
	return nil
}
