package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tandem"
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
	_, options, _ := strings.Cut(rest, " minutes ")
	a.CycleSplit = strings.Contains(options, "cycle_end split")
	if _, day, given := strings.Cut(options, "cycle_day "); given {
		_, _ = fmt.Sscan(day, &a.CycleDay)
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
	s.dir.Numbers = slices.DeleteFunc(slices.Clone(s.dir.Numbers), func(old tandem.Number) bool { return old.DID == n.DID })
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
