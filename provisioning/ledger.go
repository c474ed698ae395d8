package provisioning

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tandem"
)

// Books are the postings of all accounts; provisioning/store keeps them.
type Books interface {
	tandem.LedgerStore
	// Statement reads an account's postings of a period in one snapshot; the query is checked.
	Statement(ctx context.Context, q StatementQuery) (Statement, error)
	// Buckets are the seconds drawn by numbers of an account in the cycle that begins at an instant.
	Buckets(ctx context.Context, account string, cycle time.Time) (map[tandem.E164]int64, error)
	// Charged are the seconds that were charged for, by number, of an account's calls answered from an instant to another (exclusive).
	Charged(ctx context.Context, account string, from, to time.Time) (map[tandem.E164]int64, error)
	// Spent sums up an account's postings from an instant to another (exclusive), by time.
	Spent(ctx context.Context, account string, currency tandem.Currency, from, to time.Time) ([]SpentQuarter, error)
	// UsageEvents lists events, the newest first, and how many there are; the query is checked.
	UsageEvents(ctx context.Context, q EventQuery) ([]tandem.UsageEvent, int, error)
}

// StatementQuery asks for the postings that count from From (inclusive) to To (exclusive).
type StatementQuery struct {
	Account       string
	Currency      tandem.Currency
	From, To      time.Time
	Limit, Offset int
}

// Statement is an account's postings of a period, by time, with the balance
// before and after: Opening and the sum of all postings make Closing.
type Statement struct {
	Account  string           `json:"account"`
	Currency tandem.Currency  `json:"currency"`
	From     time.Time        `json:"from"`
	To       time.Time        `json:"to" doc:"exclusive"`
	Opening  tandem.Amount    `json:"opening" doc:"balance at from"`
	Closing  tandem.Amount    `json:"closing" doc:"balance at to"`
	Sums     []PostingSum     `json:"sums" doc:"the whole period by kind of posting"`
	Total    int              `json:"total" doc:"how many postings the period has"`
	Items    []tandem.Posting `json:"items" doc:"one page of them, by time"`
}

// PostingSum sums up the postings of one kind.
type PostingSum struct {
	Kind   tandem.PostingKind `json:"kind"`
	Count  int                `json:"count"`
	Amount tandem.Amount      `json:"amount"`
}

// Statement is an account's statement of a period: its present month (UTC)
// when From is zero, until now when To is.
func (s *Service) Statement(ctx context.Context, q StatementQuery) (Statement, error) {
	account, err := s.account(ctx, q.Account)
	if err != nil {
		return Statement{}, err
	}
	now := s.d.Clock().UTC()
	if q.Currency == "" {
		q.Currency = account.Currency
	}
	if q.To.IsZero() {
		q.To = now
	}
	if q.From.IsZero() {
		q.From = time.Date(q.To.Year(), q.To.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	if q.Limit == 0 {
		q.Limit = DefaultRows
	}
	switch {
	case !q.From.Before(q.To):
		return Statement{}, refuse("from", q.From.Format(time.RFC3339), "is not before to", "swap them")
	case q.Limit < 0 || q.Limit > MaxRows:
		return Statement{}, refuse("limit", fmt.Sprint(q.Limit), "is out of range", fmt.Sprintf("ask for 1 to %d rows", MaxRows))
	case q.Offset < 0 || q.Offset > 100_000_000:
		return Statement{}, refuse("offset", fmt.Sprint(q.Offset), "is out of range", "use 0 or more")
	}
	return s.d.Books.Statement(ctx, q)
}

// account finds an account for an operation on the books.
func (s *Service) account(ctx context.Context, id string) (*tandem.Account, error) {
	if s.d.Books == nil {
		return nil, absent("the books are not open here", "ask a node that runs tandem serve")
	}
	dir, err := s.d.Store.Directory(ctx)
	if err != nil {
		return nil, err
	}
	for i := range dir.Accounts {
		if dir.Accounts[i].ID == id {
			return &dir.Accounts[i], nil
		}
	}
	return nil, noAccount(id)
}

func noAccount(id string) error {
	return &tandem.Error{Kind: tandem.KindNotFound, Field: "account", Message: "there is no account " + tandem.Clip(id, 63), Mend: "list them with GET /api/v1/accounts"}
}

// Posted is a posting with the account's balance after it.
type Posted struct {
	Posting tandem.Posting `json:"posting"`
	Balance tandem.Amount  `json:"balance"`
	Again   bool           `json:"again" doc:"the posting was stored before; nothing changed now"`
}

// Post stores a top-up, refund, correction or fee in the account's currency. A
// zero ID gets a new one, a zero At is now. The same posting again changes
// nothing and says so; another one under the same ID is a conflict.
func (s *Service) Post(ctx context.Context, p tandem.Posting) (Posted, error) {
	account, err := s.account(ctx, p.Account)
	if err != nil {
		return Posted{}, err
	}
	if err := checkLabel(p.Note); err != nil {
		return Posted{}, inField("note", err)
	}
	if p.ID == uuid.Nil {
		if p.ID, err = uuid.NewV7(); err != nil {
			return Posted{}, err
		}
	}
	given := p
	if p.At.IsZero() {
		p.At = s.d.Clock()
	}
	p.At, p.Currency = p.At.UTC().Truncate(time.Microsecond), account.Currency
	var out Posted
	var low bool
	err = s.d.Books.Books(ctx, func(tx tandem.LedgerTx) (err error) {
		out = Posted{Posting: p}
		if err = tx.Post(p); tandem.KindOf(err) == tandem.KindConflict {
			stored, _, readErr := tx.Posting(p.ID)
			if readErr != nil {
				return readErr
			}
			same := p
			if same.At = stored.At; !given.At.IsZero() {
				same.At = p.At
			}
			if stored != same {
				return &tandem.Error{Kind: tandem.KindConflict, Field: "id", Message: "posting " + p.ID.String() + " is stored already and says something else",
					Mend: "use a new ID for a new posting"}
			}
			out.Posting, out.Again, err = stored, true, nil
		}
		if err == nil {
			out.Balance, err = tx.Balance(p.Account, p.Currency)
		}
		if low = false; err == nil && p.Amount < 0 && !out.Again {
			low, err = s.noticeBalance(tx, account, out.Balance)
		}
		return err
	})
	if err != nil {
		return Posted{}, err
	}
	if !out.Again {
		s.d.Logger.Info("posted", "kind", p.Kind, "account", p.Account, "amount", p.Amount, "id", p.ID)
	}
	if low {
		s.d.Logger.Warn("balance is low", "account", account.ID, "balance", out.Balance, "threshold", *account.LowBalance, "currency", account.Currency)
	}
	return out, nil
}
