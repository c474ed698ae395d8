package scenario

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/rating"
	"tandem/rating/checker"
	"tandem/rating/ledger"
)

// leg reads "INSTANT FROM -> TO LENGTH [words]" as the Phone row of such a call.
func (s *scene) leg(rest string) tandem.CDR {
	f := strings.Fields(rest)
	if len(f) < 4 || f[2] != "->" {
		s.Fatalf("%s:%d: a call is INSTANT FROM -> TO LENGTH", s.file, s.line)
	}
	at, err := time.Parse(time.RFC3339Nano, f[0])
	if err != nil {
		s.Fatalf("%s:%d: %v", s.file, s.line, err)
	}
	at = at.UTC()
	row := tandem.CDR{Correlation: uuid.NewSHA1(uuid.Nil, []byte(fmt.Sprint(s.file, s.line))), Version: 1, Connected: true, Technology: tandem.Phone, AnswerTime: &at,
		From: f[1], To: f[3], Direction: tandem.Outbound, Attempt: 1, Trunk: s.carrier}
	if len(f) > 4 {
		length, err := time.ParseDuration(f[4])
		if err != nil {
			s.Fatalf("%s:%d: %v", s.file, s.line, err)
		}
		row.DurationMs, row.EndTime = uint32(length.Milliseconds()), at.Add(length)
	}
	words := strings.Join(f[min(len(f), 5):], " ")
	row.Connected, row.Failsafe = !strings.Contains(words, "not connected"), strings.Contains(words, "failsafe")
	if strings.Contains(words, "operator connect") {
		row.Technology = tandem.OperatorConnect
	}
	n := s.find(row.From)
	switch {
	case n == nil:
		n = s.find(row.To)
		row.Direction, row.Attempt = tandem.Inbound, 0
	case row.Failsafe:
		row.Direction, row.Attempt = tandem.Inbound, 2
	}
	if n == nil {
		s.Fatalf("%s:%d: neither number is ours", s.file, s.line)
	}
	row.Account, row.DID, row.Plan, row.UserType = n.Account, n.DID, n.Plan, n.UserType
	row.ID = tandem.LegID(row.Correlation, row.Attempt)
	return row
}

func (s *scene) call(rest string, block []string) {
	s.ready()
	rows := []tandem.CDR{s.leg(rest)}
	if err := s.ledger.Price(context.Background(), rows); err != nil {
		s.wrong("%v", err)
		return
	}
	s.last = rows[0]
	s.calls = append(s.calls, rows[0])
	s.expect(block)
}

func (s *scene) quote(rest string, block []string) {
	s.ready()
	row := s.leg(rest)
	charge, err := s.ledger.Quote(context.Background(), ledger.QuoteRequest{From: row.From, To: row.To, Failsafe: row.Failsafe, Duration: time.Duration(row.DurationMs) * time.Millisecond, At: *row.AnswerTime})
	if err != nil {
		s.wrong("%v", err)
		return
	}
	row.Charge = charge
	s.last = row
	s.expect(block)
}

// expect compares the last call with what the file says of it, and with the
// checker whatever it says.
func (s *scene) expect(block []string) {
	s.Helper()
	c := s.last.Charge
	must, ok, err := checker.Check(checker.Charge{Amount: c.Amount.String(), BilledS: c.BilledS, FreeS: c.FreeS, ChargedS: c.ChargedS, Explanation: c.Explanation},
		int64(s.last.DurationMs), time.LoadLocation)
	if !ok || err != nil {
		s.wrong("the checker has %+v, %v", must, err)
	}
	e, err := rating.ParseExplanation(c.Explanation)
	if err != nil {
		s.wrong("%v", err)
	}
	for _, line := range block {
		for part := range strings.SplitSeq(uncomment(line), "|") {
			key, want, _ := strings.Cut(strings.TrimSpace(part), " ")
			var have string
			switch key {
			case "":
				continue
			case "rule":
				have = string(e.Rule)
			case "billed":
				have = strconv.FormatInt(c.BilledS, 10)
			case "free":
				have = strconv.FormatInt(c.FreeS, 10)
			case "charged":
				have = strconv.FormatInt(c.ChargedS, 10)
			case "row":
				have = strconv.FormatInt(c.DeckRow, 10)
			case "version":
				have = strconv.Itoa(c.DeckVer)
			case "class":
				have = string(c.Class)
			case "fee", "amount", "cost":
				have = map[string]tandem.Amount{"fee": e.Fee, "amount": c.Amount, "cost": s.last.Cost.Amount}[key].String()
				want = s.money(want)
			default:
				s.wrong("nothing is called %q", key)
				continue
			}
			if have != strings.TrimSpace(want) {
				s.wrong("%s is %s, want %s\n%s", key, have, want, strings.Join(e.Sentences(), "\n"))
			}
		}
	}
}

// money writes an amount as amounts are printed.
func (s *scene) money(text string) string {
	a, err := tandem.ParseAmount(strings.TrimSpace(text))
	if err != nil {
		s.wrong("%v", err)
	}
	return a.String()
}

func (s *scene) refuse(rest string, _ []string) { s.authorize(rest, true) }
func (s *scene) allow(rest string, _ []string)  { s.authorize(rest, false) }

func (s *scene) authorize(rest string, refused bool) {
	s.ready()
	row := s.leg(rest)
	plan := tandem.Plan{Direction: row.Direction, Account: row.Account, To: row.To, From: row.From}
	if r := s.ledger.Authorize(&plan, *row.AnswerTime); (r != nil) != refused {
		s.wrong("refused: %+v", r)
	}
}

func (s *scene) replay(string, []string) {
	rows := slices.Clone(s.calls)
	slices.Reverse(rows)
	for i := range rows {
		rows[i].Charge = tandem.Charge{}
	}
	before := len(s.store.Entries())
	if err := s.ledger.Price(context.Background(), rows); err != nil {
		s.wrong("%v", err)
	}
	slices.Reverse(rows)
	for i := range rows {
		if rows[i].Charge != s.calls[i].Charge {
			s.wrong("call %d was charged %+v and is now %+v", i+1, s.calls[i].Charge, rows[i].Charge)
		}
	}
	if after := len(s.store.Entries()); after != before {
		s.wrong("%d entries became %d", before, after)
	}
}

// posting expects the next charge that moves money.
func (s *scene) posting(rest string, _ []string) {
	account, amount, _ := strings.Cut(rest, " ")
	entries := s.store.Entries()
	for ; s.seen < len(entries); s.seen++ {
		if e := entries[s.seen]; e.Charge.Amount != 0 {
			s.seen++
			if e.Account != account || e.Charge.Amount.String() != s.money(amount) {
				s.wrong("the next posting is %s of %s", e.Charge.Amount, e.Account)
			}
			return
		}
	}
	s.wrong("there are no more postings")
}

func (s *scene) balance(rest string, _ []string) {
	account, amount, _ := strings.Cut(rest, " ")
	if have := s.store.Balance(account); have.String() != s.money(amount) {
		s.wrong("the balance is %s", have)
	}
}

// bucket reads "DID at INSTANT N s".
func (s *scene) bucket(rest string) (b tandem.Bucket, limit, seconds int64) {
	var did, instant string
	if _, err := fmt.Sscanf(rest, "%s at %s %d s", &did, &instant, &seconds); err != nil {
		s.Fatalf("%s:%d: %v", s.file, s.line, err)
	}
	at, err := time.Parse(time.RFC3339, instant)
	n := s.find(did)
	if err != nil || n == nil {
		s.Fatalf("%s:%d: %v, number %s", s.file, s.line, err, did)
	}
	i := slices.IndexFunc(s.dir.Accounts, func(a tandem.Account) bool { return a.ID == n.Account })
	zone, err := time.LoadLocation(s.dir.Accounts[i].TimeZone)
	if err != nil {
		s.Fatal(err)
	}
	start, _ := rating.Cycle(at, zone)
	return tandem.Bucket{Account: n.Account, DID: n.DID, Cycle: start}, int64(s.dir.Accounts[i].FreeMinutes) * 60, seconds
}

func (s *scene) used(rest string, _ []string) {
	b, _, seconds := s.bucket(rest)
	err := s.store.Books(context.Background(), func(tx tandem.LedgerTx) error {
		return tx.Book(tandem.LedgerEntry{Leg: uuid.NewSHA1(uuid.Nil, []byte(fmt.Sprint("used", s.file, s.line))), Account: b.Account, DID: b.DID, Bucket: b, Charge: tandem.Charge{FreeS: seconds}})
	})
	if err != nil {
		s.wrong("%v", err)
	}
}

func (s *scene) left(rest string, _ []string) {
	b, limit, want := s.bucket(rest)
	_ = s.store.Books(context.Background(), func(tx tandem.LedgerTx) error {
		used, err := tx.Used(b)
		if err != nil || limit-used != want {
			s.wrong("%d s are left, %v", limit-used, err)
		}
		return err
	})
}
