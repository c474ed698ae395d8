package ledger

import (
	"context"
	"math"
	"time"

	"tandem"
	"tandem/rating"
	"tandem/rating/numberplan"
)

// QuoteRequest is a question for `tandem rate explain`.
type QuoteRequest struct {
	// From and To are the caller and the number called. A DID of ours among them
	// gives account and plan: From makes the call outbound, else To inbound.
	From, To string
	// Failsafe asks for the forward leg of DID From to its failsafe number To instead.
	Failsafe bool
	Duration time.Duration
	At       time.Time // answer instant; zero = now
	// Used, when not nil, stands in for the seconds already drawn from the
	// bucket; nil reads the books.
	Used *int64
}

// Quote says what a call would cost, without booking it.
func (l *Ledger) Quote(ctx context.Context, q QuoteRequest) (tandem.Charge, error) {
	t, err := l.current()
	if err != nil {
		return tandem.Charge{}, err
	}
	row, err := l.row(t, q)
	if err != nil {
		return tandem.Charge{}, err
	}
	a := t.Assess(&row)
	var used, next int64
	switch {
	case a.Bucket == (tandem.Bucket{}):
	case q.Used != nil:
		used = *q.Used
	default:
		err := l.store.Books(ctx, func(tx tandem.LedgerTx) (err error) {
			if used, err = tx.Used(a.Bucket); err == nil && a.Next != (tandem.Bucket{}) {
				next, err = tx.Used(a.Next)
			}
			return err
		})
		if err != nil {
			return tandem.Charge{}, err
		}
	}
	charge, _ := a.ChargeAcross(used, next)
	return charge, nil
}

// row makes the Phone row that such a call would have.
func (l *Ledger) row(t *rating.Tariff, q QuoteRequest) (tandem.CDR, error) {
	ms := q.Duration.Milliseconds()
	if ms < 0 || ms > math.MaxUint32 {
		return tandem.CDR{}, &tandem.Error{Kind: tandem.KindInvalid, Field: "duration", Message: q.Duration.String() + " is out of range", Mend: "use 0s to 1193h"}
	}
	at := q.At
	if at.IsZero() {
		at = l.clock()
	}
	at = at.UTC()
	row := tandem.CDR{Connected: true, Technology: tandem.Phone, DurationMs: uint32(ms), AnswerTime: &at,
		EndTime: at.Add(q.Duration), From: q.From, To: q.To, Direction: tandem.Outbound, Failsafe: q.Failsafe}
	number := t.Number(did(q.From))
	switch {
	case number != nil && q.Failsafe:
		row.Direction, row.Attempt = tandem.Inbound, 1
	case number != nil:
	case q.Failsafe:
		return row, notOurs("from", q.From)
	default:
		row.Direction = tandem.Inbound
		if number = t.Number(did(q.To)); number == nil {
			return row, notOurs("from", q.From)
		}
	}
	row.Account, row.Tenant, row.DID, row.UserType, row.Plan = number.Account, number.Tenant, number.DID, number.UserType, number.Plan
	return row, nil
}

func notOurs(field, number string) error {
	return &tandem.Error{Kind: tandem.KindNotFound, Field: field, Message: "neither number is a DID of this node (from is " + tandem.Clip(number, 40) + ")",
		Mend: "give the DID that calls or is called, as in +14255550100; tandem apply adds numbers"}
}

// did writes a number as DIDs are written.
func did(s string) tandem.E164 {
	key, ok := numberplan.AppendKey([]byte{'+'}, s)
	if !ok {
		return ""
	}
	return tandem.E164(key)
}
