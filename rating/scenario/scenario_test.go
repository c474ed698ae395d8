package scenario

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/rating"
	"tandem/rating/checker"
	"tandem/rating/deck"
	"tandem/rating/ledger"
	"tandem/rating/ledger/memstore"
)

// TestScenarios runs every file; a line that is not understood or does not hold
// fails with its number.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &scene{T: t, file: file, store: memstore.New()}
			s.ledger = ledger.New(s.store, nil, nil)
			s.run(string(text))
		})
	}
}

// scene is the state of one file.
type scene struct {
	*testing.T
	file    string
	line    int
	dir     tandem.Directory
	fresh   bool // the directory has changed since the ledger got it
	store   *memstore.Store
	ledger  *ledger.Ledger
	carrier tandem.TrunkID
	calls   []tandem.CDR
	last    tandem.CDR
	seen    int // postings
}

func (s *scene) wrong(format string, a ...any) {
	s.Helper()
	s.Errorf("%s:%d: %s", s.file, s.line, fmt.Sprintf(format, a...))
}

// run takes the file apart into commands with their indented lines.
func (s *scene) run(text string) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); {
		at, command := i+1, uncomment(lines[i])
		var block []string
		for i++; i < len(lines) && (strings.HasPrefix(lines[i], " ") || strings.HasPrefix(lines[i], "\t")); i++ {
			block = append(block, lines[i])
		}
		if strings.TrimSpace(command) == "" {
			continue
		}
		s.line = at
		word, rest, _ := strings.Cut(command, " ")
		f, known := commands()[word]
		if !known {
			s.Fatalf("%s:%d: no command %q", s.file, at, word)
		}
		f(s, rest, block)
	}
}

func uncomment(line string) string {
	if i := strings.Index(line, "#"); i >= 0 {
		line = line[:i]
	}
	return strings.TrimRight(line, " \t\r")
}

func commands() map[string]func(*scene, string, []string) {
	return map[string]func(*scene, string, []string){
		"deck": (*scene).deck, "refused": (*scene).refused, "account": (*scene).account, "number": (*scene).number, "carrier": (*scene).addCarrier,
		"used": (*scene).used, "call": (*scene).call, "quote": (*scene).quote, "refuse": (*scene).refuse, "allow": (*scene).allow,
		"replay": (*scene).replay, "posting": (*scene).posting, "balance": (*scene).balance, "left": (*scene).left,
	}
}

// sheet reads the indented lines as a rate sheet.
func sheet(head string, block []string) (tandem.Deck, error) {
	f := strings.Fields(head)
	if len(f) != 3 {
		return tandem.Deck{}, fmt.Errorf("a deck has a name, a direction and a currency")
	}
	var text strings.Builder
	for _, line := range block {
		if line = strings.TrimSpace(uncomment(line)); line != "" {
			text.WriteString(line + "\n")
		}
	}
	d := tandem.Deck{ID: f[0], Direction: tandem.Direction(f[1]), Currency: tandem.Currency(f[2]), Version: 1}
	rows, err := deck.ParseCSV(strings.NewReader(text.String()))
	d.Rows = rows
	if err == nil {
		err = deck.Validate(&d)
	}
	return d, err
}

func (s *scene) deck(head string, block []string) {
	d, err := sheet(head, block)
	if err != nil {
		s.wrong("%v", err)
	}
	for i := range s.dir.Decks {
		if s.dir.Decks[i].ID == d.ID { // the next version of it
			d.Version = s.dir.Decks[i].Version + 1
			s.dir.Decks = slices.Delete(slices.Clone(s.dir.Decks), i, i+1)
			break
		}
	}
	s.dir.Decks, s.fresh = append(s.dir.Decks, d), true
}

func (s *scene) refused(head string, block []string) {
	head, want, _ := strings.Cut(strings.TrimPrefix(head, "deck "), ": ")
	if _, err := sheet(head, block); err == nil || !strings.Contains(err.Error(), want) {
		s.wrong("refused with %v, want %q", err, want)
	}
}

func (s *scene) account(rest string, _ []string) {
	var a tandem.Account
	if _, err := fmt.Sscanf(rest, "%s %s %s out %s in %s minutes %d", &a.ID, &a.Currency, &a.TimeZone, &a.RetailOut, &a.RetailIn, &a.FreeMinutes); err != nil {
		s.wrong("%v", err)
	}
	a.FreeClasses = []tandem.NumberClass{tandem.ClassUS, tandem.ClassUSTerritory}
	s.dir.Accounts, s.fresh = append(s.dir.Accounts, a), true
}

func (s *scene) number(rest string, _ []string) {
	f := strings.Fields(rest)
	if len(f) < 3 {
		s.wrong("a number has a DID, an account and a plan")
		return
	}
	n := tandem.Number{DID: tandem.E164(f[0]), Account: f[1], Plan: tandem.PlanKind(f[2]), UserType: tandem.StandardUser}
	if len(f) > 3 {
		n.UserType = tandem.UserType(strings.Join(f[3:], " "))
	}
	s.dir.Numbers, s.fresh = append(s.dir.Numbers, n), true
}

func (s *scene) addCarrier(rest string, _ []string) {
	var t tandem.Trunk
	if _, err := fmt.Sscanf(rest, "%s cost %s", &t.ID, &t.CostDeck); err != nil {
		s.wrong("%v", err)
	}
	t.Kind, s.carrier = tandem.TrunkCarrier, t.ID
	s.dir.Trunks, s.fresh = append(s.dir.Trunks, t), true
}

// ready brings the directory into force.
func (s *scene) ready() {
	if !s.fresh {
		return
	}
	dir := s.dir
	dir.Numbers = slices.Clone(dir.Numbers)
	if err := s.ledger.SetDirectory(&dir); err != nil {
		s.Fatalf("%s:%d: %v", s.file, s.line, err)
	}
	s.fresh = false
}

func (s *scene) find(did string) *tandem.Number {
	for i := range s.dir.Numbers {
		if string(s.dir.Numbers[i].DID) == did {
			return &s.dir.Numbers[i]
		}
	}
	return nil
}

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
