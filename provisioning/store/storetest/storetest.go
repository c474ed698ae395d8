// Package storetest is the suite that every implementation of the provisioning
// store and the books must pass.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/provisioning"
)

// Store is what a store implements.
type Store interface {
	provisioning.Store
	provisioning.DeckStore
	tandem.LedgerStore
	Subscribe(func(*tandem.Directory)) (stop func())
}

// Run runs the suite. open opens the store at a place; the same place twice is
// the same store, after the first was closed by close.
func Run(t *testing.T, open func(t *testing.T, place string) (s Store, close func())) {
	ctx := context.Background()
	for name, test := range map[string]func(t *testing.T, s Store){
		"EmptyAtFirst": func(t *testing.T, s Store) {
			d, err := s.Directory(ctx)
			if err != nil || !reflect.DeepEqual(*d, tandem.Directory{}) {
				t.Errorf("Directory() = %+v, %v", d, err)
			}
		},
		"SamePointerChangesNothing": func(t *testing.T, s Store) {
			d, err := s.Update(ctx, func(d *tandem.Directory) (*tandem.Directory, error) { return d, nil })
			if err != nil || d.Version != 0 {
				t.Errorf("version %d, %v", d.Version, err)
			}
		},
		"ErrorChangesNothing": func(t *testing.T, s Store) {
			boom := errors.New("boom")
			_, err := s.Update(ctx, func(*tandem.Directory) (*tandem.Directory, error) { x := Sample(); return &x, boom })
			if d, _ := s.Directory(ctx); !errors.Is(err, boom) || len(d.Numbers) != 0 {
				t.Errorf("err %v, %d numbers", err, len(d.Numbers))
			}
		},
		"BrokenReferenceChangesNothing": func(t *testing.T, s Store) {
			x := Sample()
			x.Tenants = nil
			_, err := s.Update(ctx, replace(x))
			if d, _ := s.Directory(ctx); err == nil || d.Version != 0 {
				t.Errorf("err %v, version %d", err, d.Version)
			}
		},
		"SubscribersSeeEveryVersionInOrder": testSubscribe,
		"ConcurrentUpdatesQueue":            testConcurrentUpdates,
		"RemovedDeckComesBackWithNewVersion": func(t *testing.T, s Store) {
			must(t, update(s, Sample()))
			must(t, update(s, tandem.Directory{}))
			other := Sample()
			other.Decks[0].Rows[0].Rate++
			must(t, update(s, other))
			d, _ := s.Directory(ctx)
			if d.Decks[0].Version <= Sample().Decks[0].Version {
				t.Errorf("version %d names other rows than before", d.Decks[0].Version)
			}
			if d.Decks[1].Version != Sample().Decks[1].Version {
				t.Errorf("version %d names the rows of version %d", d.Decks[1].Version, Sample().Decks[1].Version)
			}
		},
		"StageActivateRollBack": testStageActivateRollBack,
		"VersionsNeverCollide":  testVersionsNeverCollide,
		"BookOnce":              testBookOnce,
		"BooksRollBack":         testBooksRollBack,
		"BucketsAndBalances":    testBucketsAndBalances,
		"AnyOrderSameBalances":  testAnyOrder,
	} {
		t.Run(name, func(t *testing.T) {
			s, close := open(t, t.TempDir())
			defer close()
			test(t, s)
		})
	}
	t.Run("EverythingComesBackAfterReopening", func(t *testing.T) { testReopen(t, open) })
}

func replace(d tandem.Directory) func(*tandem.Directory) (*tandem.Directory, error) {
	return func(*tandem.Directory) (*tandem.Directory, error) { return &d, nil }
}

func update(s Store, d tandem.Directory) error {
	_, err := s.Update(context.Background(), replace(d))
	return err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Sample is a directory that uses every field, with hostile text in it.
func Sample() tandem.Directory {
	tenant := uuid.MustParse("3fa85f64-5717-4562-b3fc-2c963f66afa6")
	low := tandem.Amount(5_000_000)
	hostile := `Robert'); DROP TABLE number;-- "<b>=1+1`
	return tandem.Directory{
		Trunks: []tandem.Trunk{{ID: "east", Kind: tandem.TrunkCarrier, Network: hostile, Carrier: "East", Transport: tandem.UDP, SRTP: tandem.SRTPOptional,
			Endpoints: []tandem.Endpoint{{Host: "sip.example.net", Port: 5060, Address: netip.MustParseAddr("192.0.2.7")}, {Host: "2001:db8::1", Port: 5060}},
			Sources:   []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}, TLSNames: []string{"sip.example.net"}, MediaSources: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
			FQDN: "sbc.example.net", OptionsInterval: tandem.Duration(time.Minute), ResponseTimeout: tandem.Duration(1500 * time.Millisecond),
			AnswerTimeout: tandem.Duration(time.Minute), NextOn: tandem.OutcomeSet{Statuses: []tandem.SIPStatus{503}, Kinds: []tandem.OutcomeKind{tandem.OutcomeSilence}},
			Priority: 2, Weight: 3, SendPAI: true, SendDiversion: true, SendHistoryInfo: true, SessionExpires: tandem.Duration(30 * time.Minute), Relay183: true, Lab: true, Disabled: true, CostDeck: "out"}},
		Decks: []tandem.Deck{
			{ID: "in", Direction: tandem.Inbound, Currency: "USD", Version: 1, Rows: []tandem.DeckRow{{ID: 1, Rate: 50_000_000, InitialInc: 60, NextInc: 60}}},
			{ID: "out", Direction: tandem.Outbound, Currency: "USD", Version: 4, Rows: []tandem.DeckRow{
				{ID: 1, Prefix: "", InitialInc: 60, NextInc: 60, Reject: true},
				{ID: 2, Prefix: "1", Destination: hostile, Rate: 1, ConnectFee: 2, InitialInc: 30, NextInc: 6,
					EffectiveFrom: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), EffectiveTo: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
					RateIntrastate: tandem.OptionalRate{Given: true}, RateIndeterminate: tandem.OptionalRate{Rate: 3, Given: true}, Grace: 4, MinCharge: 5,
					Rounding: tandem.Rounding{Mode: tandem.RoundUp, Drop: 4}},
				{ID: 3, Prefix: "44", Rate: 7, InitialInc: 60, NextInc: 60, RateInitial: tandem.OptionalRate{Rate: 8, Given: true}},
				{ID: 4, Prefix: "44", Rate: 6, InitialInc: 60, NextInc: 60, Times: "America/New_York Sat,Sun"}}}},
		Accounts: []tandem.Account{{ID: "contoso", Name: hostile, Currency: "USD", TimeZone: "America/New_York", RetailOut: "out", RetailIn: "in",
			FreeMinutes: 4000, FreeClasses: []tandem.NumberClass{tandem.ClassUS, tandem.ClassUSTerritory},
			Prepaid: true, CreditLimit: 1_000_001, FeeMetered: 5_000_000, FeeUnlimited: 12_345_678, LowBalance: &low, CycleDay: 31, CycleSplit: true}},
		Tenants:   []tandem.Tenant{{ID: tenant, Account: "contoso", Name: "Contoso", FQDN: "contoso.sbc.example.net"}},
		Addresses: []tandem.ServiceAddress{{ID: "hq", Account: "contoso", Street: "1 Way", City: "Redmond", State: "WA", PostalCode: "98052", Country: "US"}},
		Numbers: []tandem.Number{{DID: "+14255550100", Account: "contoso", Tenant: tenant, ServiceAddress: "hq", UserType: tandem.StandardUser,
			Plan: tandem.Unlimited, Failsafe: "+12065550100", FirstName: hostile, LastName: "L", ServiceName: "S", Status: tandem.StatusSubscriptionError}},
	}
}

func testReopen(t *testing.T, open func(t *testing.T, place string) (Store, func())) {
	place := t.TempDir()
	s, close := open(t, place)
	must(t, update(s, Sample()))
	want, _ := s.Directory(context.Background())
	entry := Entry(1, 2_500_000, 30)
	must(t, s.Books(context.Background(), func(tx tandem.LedgerTx) error { return tx.Book(entry) }))
	close()

	s, close = open(t, place)
	defer close()
	got, err := s.Directory(context.Background())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Directory() = %+v, %v\nwant %+v", got, err, want)
	}
	must(t, s.Books(context.Background(), func(tx tandem.LedgerTx) error {
		back, known, err := tx.Entry(entry.Leg)
		if err != nil || !known || !reflect.DeepEqual(back, entry) {
			t.Errorf("Entry() = %+v, %v, %v\nwant %+v", back, known, err, entry)
		}
		return nil
	}))
}

func testSubscribe(t *testing.T, s Store) {
	var seen, late []uint64
	stop := s.Subscribe(func(d *tandem.Directory) { seen = append(seen, d.Version) })
	must(t, update(s, Sample()))
	s.Subscribe(func(d *tandem.Directory) { late = append(late, d.Version) })
	must(t, update(s, tandem.Directory{}))
	stop()
	must(t, update(s, Sample()))
	if want := []uint64{0, 1, 2}; !reflect.DeepEqual(seen, want) {
		t.Errorf("first saw %v, want %v", seen, want)
	}
	if want := []uint64{1, 2, 3}; !reflect.DeepEqual(late, want) {
		t.Errorf("second saw %v, want %v", late, want)
	}
}

func testConcurrentUpdates(t *testing.T, s Store) {
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			_, err := s.Update(context.Background(), func(d *tandem.Directory) (*tandem.Directory, error) {
				next := *d
				next.Decks = append(append([]tandem.Deck(nil), d.Decks...), tandem.Deck{ID: fmt.Sprintf("deck%02d", i), Direction: tandem.Inbound, Currency: "USD", Version: 1})
				return &next, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if d, _ := s.Directory(context.Background()); len(d.Decks) != 20 || d.Version != 20 {
		t.Errorf("%d decks at version %d: an update was lost", len(d.Decks), d.Version)
	}
}

// Entry is a ledger entry of leg i.
func Entry(i int, amount tandem.Amount, freeS int64) tandem.LedgerEntry {
	var correlation tandem.CorrelationID
	correlation[0], correlation[1], correlation[2] = byte(i), byte(i>>8), byte(i>>16)
	if i%2 == 1 {
		correlation[6] = 0x70 // UUIDv7, as calls have now; the others as on record from before
	}
	return tandem.LedgerEntry{Leg: tandem.LegID(correlation, 1), Pos: tandem.JournalPos(i), At: time.Date(2026, 11, 3, 4, 5, 6, 7000, time.UTC),
		Account: "contoso", DID: "+14255550100",
		Bucket: tandem.Bucket{Account: "contoso", DID: "+14255550100", Cycle: time.Date(2026, 11, 1, 4, 0, 0, 0, time.UTC)},
		Charge: tandem.Charge{Amount: amount, Currency: "USD", Rate: 85_000_000, BilledS: 60, FreeS: freeS, ChargedS: 60 - freeS, Class: tandem.ClassUS,
			DeckID: "out", DeckVer: 4, DeckRow: 2, Explanation: `{"deck":"out"}`}}
}

func testBookOnce(t *testing.T, s Store) {
	ctx := context.Background()
	e := Entry(1, 8500, 60)
	must(t, s.Books(ctx, func(tx tandem.LedgerTx) error { return tx.Book(e) }))
	err := s.Books(ctx, func(tx tandem.LedgerTx) error { return tx.Book(e) })
	if tandem.KindOf(err) != tandem.KindConflict {
		t.Errorf("second booking: %v", err)
	}
	// A conflict inside a transaction leaves its other entries as they are.
	must(t, s.Books(ctx, func(tx tandem.LedgerTx) error {
		if tandem.KindOf(tx.Book(e)) != tandem.KindConflict {
			t.Error("booked twice")
		}
		return tx.Book(Entry(2, 100, 0))
	}))
	checkBalance(t, s, -8600)
	checkUsed(t, s, e.Bucket, 60)
}

func testBooksRollBack(t *testing.T, s Store) {
	boom := errors.New("boom")
	err := s.Books(context.Background(), func(tx tandem.LedgerTx) error {
		must(t, tx.Book(Entry(1, 8500, 60)))
		if used, _ := tx.Used(Entry(1, 0, 0).Bucket); used != 60 {
			t.Errorf("used inside = %d", used)
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Error(err)
	}
	func() { // a panic rolls back as well
		defer func() { _ = recover() }()
		_ = s.Books(context.Background(), func(tx tandem.LedgerTx) error {
			must(t, tx.Book(Entry(2, 8500, 60)))
			panic("boom")
		})
	}()
	checkUsed(t, s, Entry(1, 0, 0).Bucket, 0)
	if b, err := s.Balances(context.Background()); err != nil || len(b) != 0 {
		t.Errorf("balances %v, %v", b, err)
	}
	drawsNothing := Entry(3, 0, 5)
	drawsNothing.Bucket = tandem.Bucket{}
	if err := s.Books(context.Background(), func(tx tandem.LedgerTx) error { return tx.Book(drawsNothing) }); tandem.KindOf(err) != tandem.KindInvalid {
		t.Errorf("free seconds from no bucket: %v", err)
	}
}

func testBucketsAndBalances(t *testing.T, s Store) {
	december := Entry(3, -500, 7) // a refund
	december.Bucket.Cycle = december.Bucket.Cycle.AddDate(0, 1, 0)
	must(t, s.Books(context.Background(), func(tx tandem.LedgerTx) error {
		for _, e := range []tandem.LedgerEntry{Entry(1, 1000, 60), Entry(2, 0, 30), december} {
			if err := tx.Book(e); err != nil {
				return err
			}
		}
		return nil
	}))
	checkUsed(t, s, Entry(1, 0, 0).Bucket, 90)
	checkUsed(t, s, december.Bucket, 7)
	checkBalance(t, s, -500)
}

// testAnyOrder: batches in any order and with replays give the same books.
func testAnyOrder(t *testing.T, s Store) {
	const legs = 200
	order := rand.New(rand.NewPCG(1, 2)).Perm(legs)
	order = append(order, order[:50]...) // replayed after a crash
	for len(order) > 0 {
		n := min(len(order), 17)
		batch := order[:n]
		order = order[n:]
		must(t, s.Books(context.Background(), func(tx tandem.LedgerTx) error {
			for _, i := range batch {
				e := Entry(i, tandem.Amount(i), 1)
				if _, known, err := tx.Entry(e.Leg); err != nil || known {
					if err != nil {
						return err
					}
					continue
				}
				if err := tx.Book(e); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	checkBalance(t, s, -legs*(legs-1)/2)
	checkUsed(t, s, Entry(1, 0, 0).Bucket, legs)
}

func checkUsed(t *testing.T, s Store, b tandem.Bucket, want int64) {
	t.Helper()
	must(t, s.Books(context.Background(), func(tx tandem.LedgerTx) error {
		if used, err := tx.Used(b); err != nil || used != want {
			t.Errorf("Used(%v) = %d, %v, want %d", b, used, err, want)
		}
		return nil
	}))
}

func checkBalance(t *testing.T, s Store, want tandem.Amount) {
	t.Helper()
	b, err := s.Balances(context.Background())
	if err != nil || len(b) != 1 || b[0] != (provisioning.Balance{Account: "contoso", Currency: "USD", Amount: want}) {
		t.Errorf("Balances() = %v, %v, want %s", b, err, want)
	}
}
