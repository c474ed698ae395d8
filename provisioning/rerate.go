package provisioning

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tandem"
)

// Rerate asks to rate the calls of a period again by the decks in force.
type Rerate struct {
	From    time.Time `json:"from" doc:"by INVITE time"`
	To      time.Time `json:"to" doc:"exclusive"`
	Account string    `json:"account,omitempty" maxLength:"63" doc:"Only of this account."`
	Apply   bool      `json:"apply,omitempty" doc:"Absent: only tell the difference."`
}

// Rerated tells what rating again changes, or changed.
type Rerated struct {
	Differences
	Applied   bool `json:"applied"`
	Postings  int  `json:"postings" doc:"corrections posted now"`
	Rows      int  `json:"rows" doc:"rows of which a new version was stored"`
	NotBooked int  `json:"not_booked" doc:"legs that the books do not know: left as they are"`
}

// rerateBatch bounds the transaction on the books, which new calls wait for.
const rerateBatch = 500

// rerateSpace is the name space of the IDs of corrections by rating again.
var rerateSpace = uuid.MustParse("c0f6e0f4-5a55-4ab4-8f0f-6c0a4a5a9d02")

// rerateID is the n-th correction of a leg.
func rerateID(leg uuid.UUID, n int) uuid.UUID {
	return uuid.NewSHA1(rerateSpace, fmt.Appendf(nil, "%s %d", leg, n))
}

// change is a leg to be rated again: its row as stored, and what it costs now.
type change struct {
	row    tandem.CDR
	charge tandem.Charge
	cost   tandem.Cost
}

// Rerate rates the calls of a period again by the decks in force: a dry run, or with
// Apply corrections of the books and new versions of the rows. Nothing is
// overwritten: the entry of a leg stays, a correction posting makes up the
// difference, a redraw that of the minutes.
//
// The books come first, and what they say already is what counts: a run that was
// cut off between books and rows, or that is made again, corrects nothing twice.
func (s *Service) Rerate(ctx context.Context, q Rerate) (Rerated, error) {
	s.rating.Lock()
	defer s.rating.Unlock()
	dir, err := s.d.Store.Directory(ctx)
	if err != nil {
		return Rerated{}, err
	}
	rows, err := s.connectedRows(ctx, q.Account, q.From, q.To, q.Apply)
	if err != nil {
		return Rerated{}, err
	}
	var out Rerated
	var changes []change
	lost := 0
	out.Differences, err = s.replay(ctx, dir, rows, nil, func(row *tandem.CDR, c tandem.Charge, cost tandem.Cost) {
		if !differs(row.Charge, c) {
			c = row.Charge
		}
		if cost.Amount == row.Cost.Amount && cost.Currency == row.Cost.Currency {
			cost = row.Cost
		}
		if c == row.Charge && cost == row.Cost {
			return
		}
		if row.Charge.BilledS > 0 && c.BilledS == 0 && unrated(c) {
			lost++
		}
		changes = append(changes, change{*row, c, cost})
	})
	if err != nil || !q.Apply {
		return out, err
	}
	if s.d.InsertRows == nil {
		return out, absent("rows can't be written here", "ask a node that runs tandem serve with ClickHouse")
	}
	if lost > 0 {
		return out, &tandem.Error{Kind: tandem.KindConflict, Message: fmt.Sprintf("%d legs that have a price would have none", lost), Mend: "see them with a dry run; mend account or deck, then try again"}
	}
	for len(changes) > 0 {
		n := min(len(changes), rerateBatch)
		if err := s.correct(ctx, dir, changes[:n], &out); err != nil {
			return out, err
		}
		changes = changes[n:]
	}
	out.Applied = true
	s.d.Logger.Info("calls rated again", "from", q.From, "to", q.To, "account", q.Account, "legs", out.Legs, "postings", out.Postings, "rows", out.Rows)
	return out, nil
}

// correct brings books and rows of a batch to what the legs cost now.
func (s *Service) correct(ctx context.Context, dir *tandem.Directory, batch []change, out *Rerated) error {
	var booked []tandem.CDR
	var postings int
	var events []tandem.UsageEvent
	if err := s.d.Books.Books(ctx, func(tx tandem.LedgerTx) error {
		booked, postings = booked[:0], 0 // the store may run a transaction again
		for i := range batch {
			known, posted, err := s.correctLeg(tx, &batch[i])
			if err != nil {
				return fmt.Errorf("rate leg %s again: %w", batch[i].row.ID, err)
			}
			if posted {
				postings++
			}
			if known {
				row := batch[i].row
				row.Version, row.Charge, row.Cost = row.Version+1, batch[i].charge, batch[i].cost
				booked = append(booked, row)
			}
		}
		var err error
		events, err = s.noticeUsage(tx, dir, batch)
		return err
	}); err != nil {
		return err
	}
	for _, e := range events {
		s.d.Logger.Warn("usage event", "event", e.Kind, "account", e.Account, "did", e.DID, "used_s", e.UsedS, "limit_s", e.LimitS, "balance", e.Balance, "cycle", e.Cycle)
	}
	out.Postings += postings
	out.NotBooked += len(batch) - len(booked)
	if len(booked) == 0 {
		return nil
	}
	if err := s.d.InsertRows(ctx, rerateToken(booked), booked); err != nil {
		return &tandem.Error{Kind: tandem.KindUnavailable, Message: "the books are corrected, the rows are not: ClickHouse did not take them", Mend: "run the same command again when it is back; nothing is corrected twice", Err: err}
	}
	out.Rows += len(booked)
	return nil
}

// rerateToken names a batch of new versions by what it says.
func rerateToken(rows []tandem.CDR) string {
	h := sha256.New()
	for i := range rows {
		fmt.Fprintf(h, "%s %d %s %s\n", rows[i].ID, rows[i].Version, rows[i].Charge.Explanation, rows[i].Cost.Explanation)
	}
	return fmt.Sprintf("rerate-%x", h.Sum(nil)[:16])
}
