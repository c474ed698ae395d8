package ledger

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"tandem"
	"tandem/rating/ledger/memstore"
)

// prepaid is the usual directory with contoso prepaid; 0.0125 a minute to the US, 60/60.
func prepaid(change func(*tandem.Account)) *tandem.Directory {
	d := directory()
	d.Version = 2
	d.Accounts[0].Prepaid = true
	if change != nil {
		change(&d.Accounts[0])
	}
	return d
}

func creditLedger(t rapid.TB, store tandem.LedgerStore, dir *tandem.Directory) *Ledger {
	t.Helper()
	l := New(store, func() time.Time { return answer }, nil)
	if err := l.SetDirectory(dir); err != nil {
		t.Fatal(err)
	}
	return l
}

func topUp(t rapid.TB, l *Ledger, amount tandem.Amount) {
	t.Helper()
	if err := l.Credit().Books(context.Background(), func(tx tandem.LedgerTx) error {
		return tx.Post(tandem.Posting{ID: uuid.New(), At: answer, Account: "contoso", Kind: tandem.PostTopUp, Amount: amount, Currency: "USD"})
	}); err != nil {
		t.Fatal(err)
	}
}

func planOf(did tandem.E164, kind tandem.PlanKind, to string) tandem.Plan {
	return tandem.Plan{Direction: tandem.Outbound, Account: "contoso", DID: did, UserType: tandem.StandardUser, PlanKind: kind, From: string(did), To: to,
		Attempts: []tandem.Attempt{{Technology: tandem.Phone, To: to}}}
}

func correlation(n int) tandem.CorrelationID { return uuid.NewSHA1(uuid.Nil, fmt.Append(nil, n)) }

// recordOf is the record of a call that talked on its B-leg; rowsOf are its rows.
func recordOf(n int, talked time.Duration) *tandem.CallRecord {
	r := &tandem.CallRecord{Correlation: correlation(n), Legs: []tandem.LegRecord{{Technology: tandem.OperatorConnect}, {Technology: tandem.Phone}}}
	if talked > 0 {
		for i := range r.Legs {
			r.Legs[i].AnswerTime, r.Legs[i].Duration = answer, talked
		}
	}
	return r
}

func rowsOf(n int, p *tandem.Plan, talked time.Duration) []tandem.CDR {
	at := answer
	return []tandem.CDR{{ID: tandem.LegID(correlation(n), 1), Correlation: correlation(n), Attempt: 1, Technology: tandem.Phone, Connected: true, Direction: tandem.Outbound, Account: "contoso",
		DID: p.DID, UserType: p.UserType, Plan: p.PlanKind, From: p.From, To: p.To, DurationMs: uint32(talked.Milliseconds()), AnswerTime: &at, EndTime: at.Add(talked)}}
}

func TestCreditPaysForTheGrantedTime(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*tandem.Account)
		topUp   tandem.Amount
		plan    func(*tandem.Plan)
		granted time.Duration
		status  tandem.SIPStatus
	}{
		"Slice":                       {nil, 1_000_000, nil, time.Minute, 0},
		"LastMinute":                  {nil, 12_500, nil, time.Minute, 0},
		"ErrNoCredit":                 {nil, 0, nil, 0, 402},
		"ErrNotAMinute":               {nil, 12_499, nil, 0, 402},
		"CreditLimit":                 {func(a *tandem.Account) { a.CreditLimit = 12_500 }, 0, nil, time.Minute, 0},
		"PostpaidWithLimit":           {func(a *tandem.Account) { a.Prepaid, a.CreditLimit = false, 12_499 }, 0, nil, 0, 402},
		"PostpaidWithoutLimit":        {func(a *tandem.Account) { a.Prepaid = false }, 0, nil, 0, 0},
		"EmergencyNeedsNone":          {nil, 0, func(p *tandem.Plan) { p.Emergency, p.To = true, "911" }, 0, 0},
		"EmergencyNumberNeedsNone":    {nil, 0, func(p *tandem.Plan) { p.To = "911" }, 0, 0},
		"TollFreeNeedsNone":           {nil, 0, func(p *tandem.Plan) { p.To = "+18005550199" }, 0, 0},
		"FreeMinutesNeedNone":         {nil, 0, func(p *tandem.Plan) { p.PlanKind = tandem.Unlimited }, time.Minute, 0},
		"FreeMinutesNotForElsewhere":  {nil, 0, func(p *tandem.Plan) { p.PlanKind, p.To = tandem.Unlimited, "+442071838750" }, 0, 402},
		"OneFreeMinuteAndNoMoney":     {func(a *tandem.Account) { a.FreeMinutes = 1 }, 0, func(p *tandem.Plan) { p.PlanKind = tandem.Unlimited }, time.Minute, 0},
		"UnknownAccountIsNotOurMoney": {nil, 0, func(p *tandem.Plan) { p.Account = "fabrikam" }, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := creditLedger(t, memstore.New(), prepaid(c.change))
			if c.topUp > 0 {
				topUp(t, l, c.topUp)
			}
			p := planOf("+14255550101", tandem.Metered, "+12065550123")
			if c.plan != nil {
				c.plan(&p)
			}
			refused := l.Credit().Reserve(correlation(1), &p, answer)
			if (refused == nil) != (c.status == 0) || refused != nil && refused.Status != c.status || p.Granted != c.granted {
				t.Errorf("%+v, granted %s", refused, p.Granted)
			}
		})
	}
}

// TestParallelPrepaidCalls: 30 at once with credit for one; not a cent too many.
func TestParallelPrepaidCalls(t *testing.T) {
	store := memstore.New()
	l := creditLedger(t, store, prepaid(nil))
	topUp(t, l, 12_500+12_499)
	var wait sync.WaitGroup
	var mu sync.Mutex
	talked := 0
	for n := range 30 {
		wait.Go(func() {
			p := planOf("+14255550101", tandem.Metered, "+12065550123")
			c := l.Credit()
			if c.Reserve(correlation(n), &p, answer) != nil {
				return
			}
			granted := c.Answered(correlation(n), false, answer)
			if more := c.Extend(correlation(n), answer); more != granted || granted != time.Minute {
				t.Errorf("granted %s, extended %s", granted, more)
			}
			c.Ended(recordOf(n, granted))
			price(t, l, rowsOf(n, &p, granted))
			mu.Lock()
			defer mu.Unlock()
			talked++
		})
	}
	wait.Wait()
	if talked != 1 || store.Balance("contoso") != 12_499 {
		t.Errorf("%d calls talked, balance %s", talked, store.Balance("contoso"))
	}
	if s, _ := l.Credit().State("contoso"); s.Held != 0 || s.Balance != 12_499 || s.Calls != 0 {
		t.Errorf("%+v", s)
	}
}

func TestCreditOfAnInboundCall(t *testing.T) {
	inbound := func() tandem.Plan {
		return tandem.Plan{Direction: tandem.Inbound, Account: "contoso", DID: "+14255550101", UserType: tandem.StandardUser, PlanKind: tandem.Metered, From: "+13125550177",
			To: "+14255550101", FailsafeNumber: "+12065550199", Attempts: make([]tandem.Attempt, 1), Failsafe: make([]tandem.Attempt, 1)}
	}
	l := creditLedger(t, memstore.New(), prepaid(nil))
	topUp(t, l, 4_500) // a minute in, 0.0045, and nothing of the forward's 0.0125
	p := inbound()
	if refused := l.Credit().Reserve(correlation(1), &p, answer); refused != nil || p.Failsafe != nil || p.Granted != time.Minute {
		t.Errorf("%+v, %+v", refused, p)
	}
	topUp(t, l, 17_000)
	p = inbound()
	if refused := l.Credit().Reserve(correlation(2), &p, answer); refused != nil || len(p.Failsafe) != 1 {
		t.Errorf("%+v, %+v", refused, p)
	}
	if s, _ := l.Credit().State("contoso"); s.Available != 0 {
		t.Errorf("%+v", s)
	}
	l.Credit().Answered(correlation(2), false, answer) // the user took it: what the forward would cost is free again, and more of the inbound leg is not asked for
	if s, _ := l.Credit().State("contoso"); s.Available != 12_500 {
		t.Errorf("%+v", s)
	}
	l.Credit().Ended(recordOf(1, 0)) // never answered
	if s, _ := l.Credit().State("contoso"); s.Available != 17_000 {
		t.Errorf("%+v", s)
	}
}

// TestCreditIsNeverOverspent: whatever calls begin, extend, end and are booked
// in whatever order, with free minutes shared among them, the balance never
// falls below the limit, and in the end nothing is held.
func TestCreditIsNeverOverspent(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		store := memstore.New()
		limit := tandem.Amount(rapid.IntRange(0, 30_000).Draw(rt, "limit"))
		at := answer
		l := creditLedger(rt, store, prepaid(func(a *tandem.Account) {
			a.CreditLimit, a.FreeMinutes = limit, rapid.IntRange(0, 4).Draw(rt, "free minutes")
			if a.CycleSplit = rapid.Bool().Draw(rt, "split"); a.CycleSplit {
				at = novemberEnds.Add(-time.Duration(rapid.IntRange(1, 200).Draw(rt, "seconds to the cycle's end")) * time.Second)
			}
		}))
		c := l.Credit()
		type talk struct {
			n       int
			plan    tandem.Plan
			granted time.Duration
			talked  time.Duration
		}
		var live, ended []*talk
		pick := func(list *[]*talk) *talk {
			i := rapid.IntRange(0, len(*list)-1).Draw(rt, "which")
			x := (*list)[i]
			*list = append((*list)[:i:i], (*list)[i+1:]...)
			return x
		}
		book := func(x *talk) {
			rows := rowsOf(x.n, &x.plan, x.talked)
			rows[0].AnswerTime, rows[0].EndTime = &at, at.Add(x.talked)
			if err := l.Price(context.Background(), rows); err != nil {
				rt.Fatal(err)
			}
		}
		check := func(what string) {
			s, _ := c.State("contoso")
			if b := store.Balance("contoso"); b+limit < 0 || s.Balance != b || s.Available < 0 {
				rt.Fatalf("after %s: balance %s, limit %s, state %+v", what, b, limit, s)
			}
		}
		for n := range rapid.IntRange(1, 60).Draw(rt, "steps") {
			switch step := rapid.IntRange(0, 9).Draw(rt, "step"); {
			case step < 4:
				did, kind := tandem.E164("+14255550102"), tandem.Unlimited
				if rapid.Bool().Draw(rt, "metered") {
					did, kind = "+14255550101", tandem.Metered
				}
				x := &talk{n: n, plan: planOf(did, kind, rapid.SampledFrom([]string{"+12065550123", "+442071838750"}).Draw(rt, "to"))}
				if c.Reserve(correlation(n), &x.plan, at) == nil {
					x.granted = c.Answered(correlation(n), false, at)
					live = append(live, x)
				}
				check("reserve")
			case step < 6 && len(live) > 0:
				x := live[rapid.IntRange(0, len(live)-1).Draw(rt, "which")]
				if more := c.Extend(correlation(x.n), at); more < x.granted {
					rt.Fatalf("extended from %s to %s", x.granted, more)
				} else {
					x.granted = more
				}
				check("extend")
			case step < 8 && len(live) > 0:
				x := pick(&live)
				x.talked = time.Duration(rapid.Int64Range(0, x.granted.Milliseconds()).Draw(rt, "talked")) * time.Millisecond
				if rapid.Bool().Draw(rt, "all") {
					x.talked = x.granted
				}
				c.Ended(recordOf(x.n, x.talked))
				if x.talked > 0 {
					ended = append(ended, x)
				}
				check("end")
			case step == 8 && len(ended) > 0:
				book(pick(&ended))
				check("book")
			case step == 9:
				topUp(rt, l, tandem.Amount(rapid.IntRange(1, 40_000).Draw(rt, "top-up")))
			}
		}
		for len(live) > 0 {
			x := pick(&live)
			x.talked = x.granted
			c.Ended(recordOf(x.n, x.talked))
			ended = append(ended, x)
		}
		for len(ended) > 0 {
			book(pick(&ended))
			check("the last bookings")
		}
		if s, _ := c.State("contoso"); s.Held != 0 || s.Calls != 0 || len(c.legs) != 0 || len(c.on) != 0 {
			rt.Fatalf("left over: %+v, %d legs, %d buckets", s, len(c.legs), len(c.on))
		}
	})
}

// novemberEnds is the end of contoso's cycle.
var novemberEnds = time.Date(2026, 12, 1, 5, 0, 0, 0, time.UTC)

// TestCreditAcrossTheCycleEnd: answered 30 s before it with one free minute in
// each cycle. The first interval draws from both, the second needs money.
func TestCreditAcrossTheCycleEnd(t *testing.T) {
	at := novemberEnds.Add(-30 * time.Second)
	for _, c := range []struct {
		name     string
		split    bool
		balance  tandem.Amount
		parallel bool // another call has drawn the December minute
		granted  time.Duration
	}{
		{"answer's cycle, free minute only", false, 0, false, time.Minute},
		{"split, free minutes only", true, 0, false, time.Minute},
		{"split, half a minute of the second interval to be paid", true, 6_250, false, 2 * time.Minute},
		{"split, not all of that half", true, 6_249, false, time.Minute},
		// Whichever of the two ends first, the other pays for half a minute: both hold it.
		{"split, December's minute shared with a call in progress", true, 12_500, true, time.Minute},
		{"split, December's minute shared, not enough for both", true, 12_499, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := creditLedger(t, memstore.New(), prepaid(func(a *tandem.Account) { a.FreeMinutes, a.CycleSplit = 1, c.split }))
			if c.balance > 0 {
				topUp(t, l, c.balance)
			}
			p := planOf("+14255550102", tandem.Unlimited, "+12065550123")
			if c.parallel {
				if refused := l.Credit().Reserve(correlation(1), &p, novemberEnds); refused != nil {
					t.Fatal(refused)
				}
			}
			var granted time.Duration
			if l.Credit().Reserve(correlation(2), &p, at) == nil {
				l.Credit().Answered(correlation(2), false, at)
				granted = l.Credit().Extend(correlation(2), at)
			}
			if granted != c.granted {
				t.Errorf("granted %s, want %s", granted, c.granted)
			}
		})
	}
}

// TestRestartGivesReservationsBack: holds live in memory; balance and drawn minutes come from the books.
func TestRestartGivesReservationsBack(t *testing.T) {
	store := memstore.New()
	l := creditLedger(t, store, prepaid(func(a *tandem.Account) { a.FreeMinutes = 1 }))
	topUp(t, l, 12_500)
	p := planOf("+14255550102", tandem.Unlimited, "+12065550123")
	if l.Credit().Reserve(correlation(1), &p, answer) != nil {
		t.Fatal("refused")
	}
	price(t, l, rowsOf(2, &p, time.Minute)) // draws the free minute
	next := creditLedger(t, store, prepaid(func(a *tandem.Account) { a.FreeMinutes = 1 }))
	if s, ok := next.Credit().State("contoso"); !ok || s.Balance != 12_500 || s.Held != 0 {
		t.Errorf("%+v", s)
	}
	for n, want := range []tandem.SIPStatus{0, 402} { // the minute that the balance pays for, and no free one
		q := planOf("+14255550102", tandem.Unlimited, "+12065550123")
		var got tandem.SIPStatus
		if refused := next.Credit().Reserve(correlation(10+n), &q, answer); refused != nil {
			got = refused.Status
		}
		if got != want {
			t.Errorf("call %d: status %d", n+1, got)
		}
	}
}

// TestDearerDeckHoldsMore: what a call may cost by the deck now in force is held at once, and no more talk time is granted than it pays.
func TestDearerDeckHoldsMore(t *testing.T) {
	l := creditLedger(t, memstore.New(), prepaid(nil))
	topUp(t, l, 40_000)
	p := planOf("+14255550101", tandem.Metered, "+12065550123")
	if l.Credit().Reserve(correlation(1), &p, answer) != nil {
		t.Fatal("refused")
	}
	d := prepaid(nil)
	d.Decks[0].Version, d.Decks[0].Rows[0].Rate = 2, 250_000_000 // 0.025 instead of 0.0125
	if err := l.SetDirectory(d); err != nil {
		t.Fatal(err)
	}
	if s, _ := l.Credit().State("contoso"); s.Held != 25_000 || s.Available != 15_000 {
		t.Errorf("%+v", s)
	}
	if got := l.Credit().Extend(correlation(1), answer); got != time.Minute {
		t.Errorf("extended to %s", got)
	}
}

// TestCreditWaitsForTheBooks: balances are trusted when the calls of a former process are booked.
func TestCreditWaitsForTheBooks(t *testing.T) {
	l := creditLedger(t, memstore.New(), prepaid(nil))
	topUp(t, l, 1_000_000)
	booked := false
	l.Credit().WaitFor(func() bool { return booked })
	for _, want := range []tandem.SIPStatus{503, 0, 0} {
		p := planOf("+14255550101", tandem.Metered, "+12065550123")
		var got tandem.SIPStatus
		if refused := l.Credit().Reserve(correlation(1), &p, answer); refused != nil {
			got = refused.Status
		}
		if got != want {
			t.Errorf("status %d, want %d", got, want)
		}
		booked = !booked
	}
}

func TestAccountBecomesLimitedAndUnlimited(t *testing.T) {
	store := memstore.New()
	l := creditLedger(t, store, directory())
	topUp(t, l, 12_500)
	p := planOf("+14255550101", tandem.Metered, "+12065550123")
	if l.Credit().Reserve(correlation(1), &p, answer) != nil || p.Granted != 0 {
		t.Errorf("granted %s without a limit", p.Granted)
	}
	for range 2 {
		if err := l.SetDirectory(prepaid(nil)); err != nil {
			t.Fatal(err)
		}
		q := planOf("+14255550101", tandem.Metered, "+12065550123")
		if l.Credit().Reserve(correlation(2), &q, answer) != nil || q.Granted != time.Minute {
			t.Errorf("granted %s of the balance", q.Granted)
		}
		if err := l.SetDirectory(directory()); err != nil {
			t.Fatal(err)
		}
		if got := l.Credit().Extend(correlation(2), answer); got != 0 {
			t.Errorf("extended to %s without a limit", got)
		}
	}
	if err := l.SetDirectory(prepaid(nil)); err != nil {
		t.Fatal(err)
	}
	if s, _ := l.Credit().State("contoso"); s.Held != 12_500 {
		t.Errorf("%+v", s)
	}
	l.Credit().Ended(recordOf(2, 0))
	if s, _ := l.Credit().State("contoso"); s.Held != 0 || s.Available != 12_500 {
		t.Errorf("%+v", s)
	}
}

func BenchmarkReserve(b *testing.B) {
	l := creditLedger(b, memstore.New(), prepaid(nil))
	topUp(b, l, 1_000_000_000)
	r := recordOf(1, 0)
	b.ReportAllocs()
	for b.Loop() {
		p := planOf("+14255550101", tandem.Metered, "+12065550123")
		l.Credit().Reserve(r.Correlation, &p, answer)
		l.Credit().Answered(r.Correlation, false, answer)
		l.Credit().Ended(r)
	}
}
