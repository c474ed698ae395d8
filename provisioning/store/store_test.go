package store_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/provisioning"
	"tandem/provisioning/store"
	"tandem/provisioning/store/storetest"
)

func open(t testing.TB, path string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T, place string) (storetest.Store, func()) {
		s := open(t, filepath.Join(place, "a folder with ? and #", "tandem.db"))
		return s, func() { s.Close() }
	})
}

func TestSecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.db")
	s := open(t, path)
	_, err := store.Open(context.Background(), path)
	if tandem.KindOf(err) != tandem.KindConflict || !strings.Contains(err.Error(), "in use by another tandem") {
		t.Errorf("second Open: %v", err)
	}
	sample := storetest.Sample()
	if _, err := s.Update(context.Background(), func(*tandem.Directory) (*tandem.Directory, error) { return &sample, nil }); err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"held", "free"} {
		if d, err := store.Read(context.Background(), path); err != nil || len(d.Numbers) != 1 {
			t.Errorf("Read while %s: %v, %v", state, d, err)
		}
		s.Close()
	}
	if _, err := store.Read(context.Background(), path+"x"); tandem.KindOf(err) != tandem.KindNotFound {
		t.Errorf("Read of nothing: %v", err)
	}
	open(t, path) // free again
}

func TestDamagedFileIsNamed(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"text":             func([]byte) []byte { return []byte(strings.Repeat("not a database ", 1000)) },
		"header zeroed":    func(b []byte) []byte { clear(b[:100]); return b },
		"middle scrambled": func(b []byte) []byte { scramble(b[4096:]); return b },
		"cut":              func(b []byte) []byte { return b[:5000] },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tandem.db")
			s := open(t, path)
			sample := storetest.Sample()
			if _, err := s.Update(context.Background(), func(*tandem.Directory) (*tandem.Directory, error) { return &sample, nil }); err != nil {
				t.Fatal(err)
			}
			s.Close()
			good, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(good), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = store.Open(context.Background(), path)
			if err == nil || !strings.Contains(err.Error(), "is damaged or not a store") || !strings.Contains(err.Error(), "put back a copy") {
				t.Errorf("Open: %v", err)
			}
		})
	}
}

func scramble(b []byte) {
	for i := range b {
		b[i] ^= 0x5a
	}
}

func TestNewerStoreIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.db")
	open(t, path).Close()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := store.Open(context.Background(), path); err == nil || !strings.Contains(err.Error(), "newer tandem") {
		t.Errorf("Open: %v", err)
	}
}

// TestBooksAreNeverEdited: not even by hand, and every sum agrees.
func TestBooksAreNeverEdited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.db")
	s := open(t, path)
	err := s.Books(context.Background(), func(tx tandem.LedgerTx) error {
		for i := range 10 {
			if err := tx.Book(storetest.Entry(i, tandem.Amount(i*1000-2000), 1)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{"UPDATE ledger_posting SET amount = 1", "DELETE FROM ledger_posting", "UPDATE ledger_entry SET amount = 1", "DELETE FROM ledger_entry"} {
		if _, err := db.Exec(statement); err == nil || !strings.Contains(err.Error(), "never") {
			t.Errorf("%s: %v", statement, err)
		}
	}
	var postings, balance, all int64
	if err := db.QueryRow(`SELECT (SELECT sum(iif(credit = 'customer:contoso', amount, -amount)) FROM ledger_posting),
		(SELECT amount FROM ledger_balance WHERE book = 'customer:contoso'), (SELECT sum(amount) FROM ledger_balance)`).Scan(&postings, &balance, &all); err != nil {
		t.Fatal(err)
	}
	if postings != balance || all != 0 || balance != -25000 {
		t.Errorf("postings %d, balance %d, all books %d", postings, balance, all)
	}
}

// TestKilledWriterLosesNothingCommitted re-executes the test binary as a
// writer, kills it at a random moment and counts.
func TestKilledWriterLosesNothingCommitted(t *testing.T) {
	if path := os.Getenv("TANDEM_TEST_STORE"); path != "" {
		writeUntilKilled(t, path)
		return
	}
	for range 3 {
		path := filepath.Join(t.TempDir(), "tandem.db")
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWriterLosesNothingCommitted$", "-test.v")
		cmd.Env = append(os.Environ(), "TANDEM_TEST_STORE="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		committed := 0
		for committed < 40 {
			var word string
			if _, err := fmt.Fscan(out, &word); err != nil {
				t.Fatal(err)
			}
			fmt.Sscanf(word, "committed=%d", &committed)
		}
		_ = cmd.Process.Kill() // while it writes the next batches
		_ = cmd.Wait()

		s := open(t, path)
		legs := int64(0)
		err = s.Books(context.Background(), func(tx tandem.LedgerTx) error {
			for i := 1; ; i++ {
				_, known, err := tx.Entry(storetest.Entry(i, 0, 0).Leg)
				if err != nil || !known {
					used, err2 := tx.Used(storetest.Entry(1, 0, 0).Bucket)
					if used != legs {
						t.Errorf("bucket holds %d seconds, entries %d", used, legs)
					}
					if err == nil {
						err = err2
					}
					return err
				}
				legs++
			}
		})
		if err != nil || legs < int64(committed) || legs%10 != 0 {
			t.Errorf("%d legs after %d were committed, in tens: %v", legs, committed, err)
		}
		b, err := s.Balances(context.Background()) // each ten legs of 1 came with a top-up of 3
		if err != nil || len(b) != 1 || int64(b[0].Amount) != -legs+legs/10*3 {
			t.Errorf("balances %v, %v for %d legs", b, err, legs)
		}
		st, err := s.Statement(context.Background(), provisioning.StatementQuery{Account: "contoso", Currency: "USD", From: time.Unix(0, 0), To: time.Now().AddDate(10, 0, 0), Limit: 1})
		if err != nil || st.Opening != 0 || st.Closing != b[0].Amount || int64(st.Total) != legs+legs/10 {
			t.Errorf("statement %+v, %v for %d legs", st, err, legs)
		}
	}
}

func writeUntilKilled(t *testing.T, path string) {
	s := open(t, path)
	for i := 0; i < 1_000_000; i += 10 {
		err := s.Books(context.Background(), func(tx tandem.LedgerTx) error {
			for j := 1; j <= 10; j++ {
				if err := tx.Book(storetest.Entry(i+j, 1, 1)); err != nil {
					return err
				}
			}
			return tx.Post(tandem.Posting{ID: uuid.NewSHA1(uuid.Nil, fmt.Append(nil, i)), At: time.Unix(int64(i)+1, 0), Account: "contoso", Kind: tandem.PostTopUp, Amount: 3, Currency: "USD"})
		})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("committed=%d\n", i+10)
	}
}

// BenchmarkBooks tells what booking a leg costs by size of the transaction, and
// on top of the legs of some minutes at 1,000 calls/s: with IDs in the order of
// time, as the core mints them, and with random ones.
func BenchmarkBooks(b *testing.B) {
	for _, c := range []struct {
		batch, before int
		ids           string
	}{{1, 0, "ordered"}, {100, 0, "ordered"}, {1000, 0, "ordered"}, {1000, 200_000, "ordered"}, {1000, 200_000, "random"}} {
		b.Run(fmt.Sprintf("batch=%d/before=%d/ids=%s", c.batch, c.before, c.ids), func(b *testing.B) {
			s := open(b, filepath.Join(b.TempDir(), "tandem.db"))
			n := 0
			book := func(legs int) {
				err := s.Books(context.Background(), func(tx tandem.LedgerTx) error {
					for range legs {
						n++
						if err := tx.Book(benchEntry(n, c.ids == "ordered")); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			for n < c.before {
				book(1000)
			}
			b.ReportAllocs()
			before := processCPU(b)
			for b.Loop() {
				book(c.batch)
			}
			b.ReportMetric(float64((processCPU(b)-before).Microseconds())/float64(n-c.before), "cpu-us/leg")
		})
	}
}

// benchEntry is the n-th leg of 1,000 a second, with an explanation as long as it is in the product.
func benchEntry(n int, ordered bool) tandem.LedgerEntry {
	e := storetest.Entry(n, 450, 0)
	e.Bucket, e.At = tandem.Bucket{}, e.At.Add(time.Duration(n)*time.Millisecond)
	e.Charge.Explanation = strings.Repeat("x", 430)
	if call := uuid.NewSHA1(uuid.Nil, fmt.Append(nil, n)); ordered {
		binary.BigEndian.PutUint64(call[:8], uint64(e.At.UnixMilli())<<16|7<<12)
		e.Leg = tandem.LegID(call, 1)
	}
	return e
}

func processCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkDeck300k(b *testing.B) {
	deck := tandem.Deck{ID: "big", Direction: tandem.Outbound, Currency: "USD", Version: 1}
	for i := range 300_000 {
		deck.Rows = append(deck.Rows, tandem.DeckRow{ID: int64(i + 1), Prefix: fmt.Sprint(1_000_000 + i), Destination: "somewhere", Rate: 85_000_000, InitialInc: 6, NextInc: 6})
	}
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			s := open(b, filepath.Join(b.TempDir(), "tandem.db"))
			if _, err := s.Update(context.Background(), func(*tandem.Directory) (*tandem.Directory, error) {
				return &tandem.Directory{Decks: []tandem.Deck{deck}}, nil
			}); err != nil {
				b.Fatal(err)
			}
			s.Close()
		}
	})
	path := filepath.Join(b.TempDir(), "tandem.db")
	s := open(b, path)
	if _, err := s.Update(context.Background(), func(*tandem.Directory) (*tandem.Directory, error) {
		return &tandem.Directory{Decks: []tandem.Deck{deck}}, nil
	}); err != nil {
		b.Fatal(err)
	}
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if _, err := store.Read(context.Background(), path); err != nil {
				b.Fatal(err)
			}
		}
	})
}
