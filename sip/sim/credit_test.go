package sim_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/rating/ledger"
	"tandem/rating/ledger/memstore"
	"tandem/sip/sim"
)

// Answered implements core.Credit.
func (s *stack) Answered(call tandem.CorrelationID, failsafe bool, at time.Time) time.Duration {
	return s.credit.Answered(call, failsafe, at)
}

// Extend implements core.Credit.
func (s *stack) Extend(call tandem.CorrelationID, at time.Time) time.Duration {
	return s.credit.Extend(call, at)
}

// settled tells the credit manager of ends before they are on record, as a node does.
type settled struct {
	*realJournal
	credit *ledger.Credit
}

func (j settled) Record(kind tandem.FactKind, at time.Time, call *tandem.CallRecord) {
	if kind == tandem.FactEnd {
		j.credit.Ended(call)
	}
	j.realJournal.Record(kind, at, call)
}

// TestParallelPrepaidCallsNeverOverspend: 30 calls at once with credit for one,
// or a little more, on the real core in virtual time and any weather. What they
// cost is booked from the journal: not a cent too many, and nothing stays held.
func TestParallelPrepaidCallsNeverOverspend(t *testing.T) {
	answered, refused, cut := 0, 0, 0
	for seed := range uint64(20) {
		s := newStack(t, seed, sim.Weather{})
		account := &s.dir.Accounts[0]
		account.Prepaid, account.FreeMinutes = true, int(seed%3)
		store := memstore.New()
		l := ledger.New(store, func() time.Time { return s.Now }, nil)
		if err := l.SetDirectory(s.dir); err != nil {
			t.Fatal(err)
		}
		s.credit = l.Credit()
		s.World.Journal = settled{s.journal, s.credit}
		topUp := tandem.Amount(25_000 * (1 + seed%4))
		if err := s.credit.Books(context.Background(), func(tx tandem.LedgerTx) error {
			return tx.Post(tandem.Posting{ID: uuid.UUID{1}, At: s.Now, Account: account.ID, Kind: tandem.PostTopUp, Amount: topUp, Currency: "USD"})
		}); err != nil {
			t.Fatal(err)
		}
		for i := range 30 {
			number := &s.dir.Numbers[i%8]
			spec := s.outbound(number, fmt.Sprintf("+1206555%04d", i))
			spec.HangUpAfter = time.Duration(30+s.Pick(600)) * time.Second
			s.teams().Call(spec)
		}
		s.RunIdle(2 * time.Hour)
		rows, problems := s.rows()
		for _, p := range append(problems, s.Check()...) {
			t.Errorf("seed %d: %s", seed, p)
		}
		if err := l.Price(context.Background(), rows); err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			switch {
			case r.Reason == "the account's credit is used up" && r.Technology == tandem.Phone:
				cut++
				if r.DurationMs%60_000 != 0 {
					t.Errorf("seed %d: cut at %d ms", seed, r.DurationMs)
				}
			case r.Disposition == tandem.BlockedPolicy:
				refused++
			}
			if r.Connected && r.Technology == tandem.Phone {
				answered++
			}
		}
		state, _ := s.credit.State(account.ID)
		if b := store.Balance(account.ID); b < 0 || state.Held != 0 || state.Calls != 0 || state.Balance != b {
			t.Errorf("seed %d: balance %s of %s, %+v", seed, b, topUp, state)
		}
	}
	if answered == 0 || refused == 0 || cut == 0 {
		t.Errorf("%d calls answered, %d refused, %d cut: some of it was not tried", answered, refused, cut)
	}
}
