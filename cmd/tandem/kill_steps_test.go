package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/cdr"
	"tandem/cdr/journal"
	"tandem/provisioning"
	"tandem/provisioning/provtest"
	"tandem/provisioning/store"
	"tandem/rating/ledger"
	"tandem/rating/ledger/memstore"
)

// The child of TestKilledAtEveryStep gets its folder and the step at which it dies.
const (
	killDirEnv  = "TANDEM_TEST_KILL_DIR"
	killStepEnv = "TANDEM_TEST_KILL_STEP"
)

// TestKilledAtEveryStep: numbers are ordered and pay their fee, calls are
// journalled, rated, booked and delivered, money comes in, a corrected deck is
// activated and the calls are rated again; at each step of it in turn the
// process gets a real kill -9. The next process goes through the same; then
// books and rows say what the journal says, each fact once.
func TestKilledAtEveryStep(t *testing.T) {
	if dir := os.Getenv(killDirEnv); dir != "" {
		at, err := strconv.Atoi(os.Getenv(killStepEnv))
		if err != nil {
			t.Fatal(err)
		}
		var n atomic.Int64
		die := func() {
			if n.Add(1) == int64(at) {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
		if err := orderRatePost(t.Context(), dir, die); err != nil {
			t.Fatal(err)
		}
		return
	}
	stride := 1
	if testing.Short() {
		stride = 9
	}
	steps := 0
	for step := 1; ; step += stride {
		dir := t.TempDir()
		child := exec.Command(os.Args[0], "-test.run=^TestKilledAtEveryStep$")
		child.Env = append(os.Environ(), killDirEnv+"="+dir, killStepEnv+"="+strconv.Itoa(step))
		out, err := child.CombinedOutput()
		if err == nil {
			break // there is no such step
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("step %d: %v\n%s", step, err, out)
		}
		for range 2 { // the next process, and one more that finds all done
			if err := orderRatePost(t.Context(), dir, func() {}); err != nil {
				t.Fatalf("after a kill at step %d: %v", step, err)
			}
		}
		if problems := journalAgrees(t, dir); len(problems) > 0 {
			t.Errorf("after a kill at step %d: %q", step, problems)
		}
		steps++
	}
	if steps*stride < 50 {
		t.Errorf("only %d steps were cut", steps)
	}
}

// killStore counts the steps of the store's transactions.
type killStore struct {
	*store.Store
	step func()
}

func (k killStore) Books(ctx context.Context, f func(tandem.LedgerTx) error) error {
	k.step()
	err := k.Store.Books(ctx, func(tx tandem.LedgerTx) error {
		if err := f(killTx{tx, k.step}); err != nil {
			return err
		}
		k.step() // all is written, nothing is committed
		return nil
	})
	k.step()
	return err
}

func (k killStore) Update(ctx context.Context, next func(*tandem.Directory) (*tandem.Directory, error)) (*tandem.Directory, error) {
	k.step()
	dir, err := k.Store.Update(ctx, next)
	k.step()
	return dir, err
}

type killTx struct {
	tandem.LedgerTx
	step func()
}

func (k killTx) Book(e tandem.LedgerEntry) error {
	defer k.step()
	return k.LedgerTx.Book(e)
}

func (k killTx) Post(p tandem.Posting) error {
	defer k.step()
	return k.LedgerTx.Post(p)
}

func (k killTx) Redraw(r tandem.Redraw) error {
	defer k.step()
	return k.LedgerTx.Redraw(r)
}

// rowFile stands for ClickHouse: inserts are durable and whole, a token counts once.
type rowFile struct {
	path string
	step func()
}

type insertion struct {
	Token string
	Rows  []tandem.CDR
}

func (f *rowFile) Insert(_ context.Context, token string, rows []tandem.CDR) error {
	f.step()
	line, err := json.Marshal(insertion{token, rows})
	if err != nil {
		return err
	}
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err = file.Write(append(line, '\n')); err != nil {
		return err
	}
	f.step() // stored, and the answer is lost
	return nil
}

// read returns the newest version of each row, and what was stored twice.
func (f *rowFile) read() (rows []tandem.CDR, doubled []string, err error) {
	text, err := os.ReadFile(f.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	tokens, versions, at := map[string]bool{}, map[string]bool{}, map[uuid.UUID]int{}
	for line := range bytes.Lines(text) {
		var in insertion
		if err := json.Unmarshal(line, &in); err != nil {
			return nil, nil, err
		}
		if tokens[in.Token] {
			continue
		}
		tokens[in.Token] = true
		for _, row := range in.Rows {
			if key := fmt.Sprint(row.ID, row.Version); versions[key] {
				doubled = append(doubled, key)
			} else {
				versions[key] = true
			}
			i, known := at[row.ID]
			switch {
			case !known:
				at[row.ID] = len(rows)
				rows = append(rows, row)
			case rows[i].Version < row.Version:
				rows[i] = row
			}
		}
	}
	return rows, doubled, nil
}

const (
	killFee   = tandem.Amount(5_000_000)
	killTopUp = tandem.Amount(20_000_000)
)

// orderRatePost does what is not done yet, as a node and its operator do.
func orderRatePost(ctx context.Context, dir string, step func()) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	plain, err := store.Open(ctx, filepath.Join(dir, storeFile))
	if err != nil {
		return err
	}
	defer plain.Close()
	s := killStore{plain, step}
	l := ledger.New(s, func() time.Time { return rigNow }, nil)
	rows := &rowFile{path: filepath.Join(dir, "rows"), step: step}
	reports := &provtest.Reports{}
	svc := rigService(s, reports, rows.Insert)

	d, err := s.Update(ctx, func(now *tandem.Directory) (*tandem.Directory, error) { // the order
		if len(now.Numbers) > 0 {
			return now, nil
		}
		ordered := rigDirectory()
		ordered.Accounts[0].FeeMetered, ordered.Accounts[0].FeeUnlimited = killFee, killFee
		return ordered, nil
	})
	if err == nil {
		err = l.SetDirectory(d)
	}
	if err == nil {
		_, err = l.TakeFees(ctx)
	}
	if err == nil {
		err = recordRateDeliver(ctx, dir, step, l, rows)
	}
	if err == nil {
		_, err = svc.Post(ctx, tandem.Posting{ID: uuid.NewSHA1(uuid.Nil, []byte("top-up")), At: rigNow, Account: "contoso", Kind: tandem.PostTopUp, Amount: killTopUp})
	}
	if err == nil && d.Decks[1].Version == 1 { // a corrected deck "out"
		_, err = svc.ImportDeck(ctx, provisioning.DeckImport{Deck: "out", Name: "out.csv", File: []byte("prefix,destination,rate,initial_inc,next_inc\n1,US,0.0150,30,30\n")})
		if step(); err == nil {
			_, err = svc.ActivateDeck(ctx, "out", 0)
		}
		step()
	}
	if err != nil {
		return err
	}
	if reports.Rows, _, err = rows.read(); err != nil {
		return err
	}
	_, err = svc.Rerate(ctx, provisioning.Rerate{From: november.From, To: november.To, Apply: true})
	return err
}

// recordRateDeliver is three calls on record, and all that follows from the journal.
func recordRateDeliver(ctx context.Context, dir string, step func(), l *ledger.Ledger, rows *rowFile) error {
	j, err := journal.Open(journal.Config{Dir: filepath.Join(dir, "journal"), SyncEvery: time.Millisecond, Reserve: 1 << 16}, journal.Deps{Clock: func() time.Time { return rigNow }})
	if err != nil {
		return err
	}
	defer j.Close()
	known := map[tandem.CorrelationID]bool{}
	for f, err := range facts(j.Read(1)) {
		if err != nil {
			return err
		}
		known[f.Call.Correlation] = true
	}
	numbers := rigDirectory().Numbers
	for n, i := range []int{0, 1, 1} { // 380 s each; 600 s are free of the second number
		call := killCall(n, &numbers[i])
		if known[call.Correlation] { // by a former process; the journal ended it if that was cut
			continue
		}
		at := call.Legs[1].SetupTime
		for kind := tandem.FactStart; kind <= tandem.FactEnd; kind++ {
			if kind == tandem.FactCheckpoint {
				continue
			}
			if kind == tandem.FactAnswer {
				for i := range call.Legs {
					call.Legs[i].AnswerTime = at
				}
			}
			if call.Checkpoint = at; kind == tandem.FactEnd {
				for i := range call.Legs {
					call.Legs[i].Duration, call.Legs[i].ReleaseTime = 380*time.Second, at.Add(380*time.Second)
				}
			}
			j.Record(0, kind, at, call)
			step() // perhaps on disk
			if err := j.Sync(ctx); err != nil {
				return err
			}
			step()
		}
	}
	p, err := cdr.NewPipeline(cdr.Config{Dir: filepath.Join(dir, "delivery"), Node: "n1"}, cdr.Deps{Sync: j.Sync, Synced: j.Synced, Pricer: l, Sink: rows,
		Read: func(from tandem.JournalPos) cdr.FactReader { return j.ReadEnds(from) }, Release: func(tandem.JournalPos) { step() }})
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { p.Run(run); close(ended) }()
	err = p.Flush(ctx)
	stop()
	<-ended
	return err
}

func killCall(n int, number *tandem.Number) *tandem.CallRecord {
	at := time.Date(2026, 11, 10, 15, 10*n, 0, 0, time.UTC)
	leg := tandem.LegRecord{Technology: tandem.OperatorConnect, From: string(number.DID), To: "+12065550123", SetupTime: at}
	out := leg
	out.Technology, out.Outcome = tandem.Phone, tandem.OutcomeAnswered
	return &tandem.CallRecord{Correlation: uuid.NewSHA1(uuid.Nil, fmt.Append(nil, "kill ", n)), Node: "n1", Direction: tandem.Outbound, Account: number.Account, DID: number.DID,
		UserType: number.UserType, Plan: number.Plan, From: string(number.DID), To: "+12065550123", Legs: []tandem.LegRecord{leg, out}}
}

// facts reads what a journal holds now.
func facts(r *journal.Reader) func(func(tandem.JournalFact, error) bool) {
	return func(yield func(tandem.JournalFact, error) bool) {
		defer r.Close()
		for {
			f, ok, err := r.TryNext()
			if err == nil && !ok {
				return
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

// journalAgrees compares books and rows with a second computation from the
// journal's ends and the deck in force.
func journalAgrees(t *testing.T, dir string) (problems []string) {
	t.Helper()
	ctx := t.Context()
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	fatal := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := store.Open(ctx, filepath.Join(dir, storeFile))
	fatal(err)
	defer s.Close()
	d, err := s.Directory(ctx)
	fatal(err)
	second := ledger.New(memstore.New(), func() time.Time { return rigNow }, nil)
	fatal(second.SetDirectory(d))
	j, err := journal.Open(journal.Config{Dir: filepath.Join(dir, "journal"), Reserve: 1 << 16}, journal.Deps{Clock: func() time.Time { return rigNow }})
	fatal(err)
	defer j.Close()
	want := map[uuid.UUID]tandem.Charge{}
	var owed tandem.Amount
	var free int64
	for f, err := range facts(j.Read(1)) {
		fatal(err)
		rows := cdr.Assembler{}.Rows(f)
		fatal(second.Price(ctx, rows))
		for _, row := range rows {
			if _, again := want[row.ID]; again {
				problem("the journal ends leg %s twice", row.ID)
			}
			want[row.ID] = row.Charge
			owed, free = owed+row.Charge.Amount, free+row.Charge.FreeS
		}
	}
	if len(want) != 6 {
		problem("%d legs in the journal", len(want))
	}
	rows, doubled, err := (&rowFile{path: filepath.Join(dir, "rows")}).read()
	fatal(err)
	if len(doubled) > 0 || len(rows) != len(want) {
		problem("%d rows for %d legs, stored twice: %q", len(rows), len(want), doubled)
	}
	for _, row := range rows {
		if c, ok := want[row.ID]; !ok || differsInMoney(c, row.Charge) {
			problem("row %s version %d: charged %s, %d s free, by the journal %s, %d s", row.ID, row.Version, row.Charge.Amount, row.Charge.FreeS, c.Amount, c.FreeS)
		}
	}
	statement, err := s.Statement(ctx, provisioning.StatementQuery{Account: "contoso", Currency: "USD", From: november.From, To: november.To, Limit: 100})
	fatal(err)
	if wanted := killTopUp - 2*killFee - owed; statement.Closing != wanted {
		problem("balance %s, by the journal %s", statement.Closing, wanted)
	}
	for _, sum := range statement.Sums {
		if once := map[tandem.PostingKind]int{tandem.PostFee: 2, tandem.PostTopUp: 1}[sum.Kind]; once > 0 && sum.Count != once {
			problem("%d postings of %s", sum.Count, sum.Kind)
		}
	}
	fatal(s.Books(ctx, func(tx tandem.LedgerTx) error {
		used, err := tx.Used(tandem.Bucket{Account: "contoso", DID: "+14255550102", Cycle: time.Date(2026, 11, 1, 4, 0, 0, 0, time.UTC)})
		if used != free {
			problem("%d s drawn, by the journal %d", used, free)
		}
		return err
	}))
	return problems
}

func differsInMoney(a, b tandem.Charge) bool {
	return a.Amount != b.Amount || a.BilledS != b.BilledS || a.FreeS != b.FreeS
}
