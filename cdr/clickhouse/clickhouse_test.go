package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	chdriver "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"tandem"
	"tandem/cdr"
	"tandem/cdr/engine"
)

func TestMain(m *testing.M) {
	if library := os.Getenv("TANDEM_TEST_ENGINE_CHILD"); library != "" {
		if err := engine.RunChild(context.Background(), engine.ChildOptions{Library: library, DataDir: os.Getenv("TANDEM_TEST_ENGINE_DIR"), Stdin: os.Stdin, Stdout: os.Stdout}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// testClient runs against the embedded engine; against a server when
// TANDEM_TEST_CLICKHOUSE names one (host:port, native), in a database of its own.
func testClient(t testing.TB) *Client {
	t.Helper()
	if addr := os.Getenv("TANDEM_TEST_CLICKHOUSE"); addr != "" {
		c, err := Open(Config{Addrs: []string{addr}}, Deps{})
		if err != nil {
			t.Fatal(err)
		}
		name := "tandem_test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
		if err := c.conn.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.conn.Exec(context.Background(), "DROP DATABASE "+name); c.Close() })
		own, err := Open(Config{Addrs: []string{addr}, Database: name}, Deps{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { own.Close() })
		return own
	}
	s := startEngine(t)
	c, err := Open(Config{Transport: s.RoundTripper()}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func startEngine(t testing.TB) *engine.Supervisor {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s, err := engine.NewSupervisor(engine.Config{SearchDir: root, DataDir: dir, RestartMax: 200 * time.Millisecond, Command: func(library string) *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "TANDEM_TEST_ENGINE_CHILD="+library, "TANDEM_TEST_ENGINE_DIR="+dir)
		return cmd
	}}, engine.Deps{})
	if err != nil {
		t.Skip("the ClickHouse engine library is not installed: run scripts/install-chdb.sh (make test does)")
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	ready, stop := context.WithTimeout(ctx, 60*time.Second)
	defer stop()
	if err := s.Ready(ready); err != nil {
		t.Fatal(err)
	}
	return s
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 123_000_000, time.UTC)

// sampleRows are the rows of n connected inbound calls.
func sampleRows(n int) []tandem.CDR {
	var rows []tandem.CDR
	for i := range n {
		id := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, i))
		at := noon.Add(time.Duration(i) * time.Second)
		call := tandem.CallRecord{Correlation: id, Node: "node-1", Direction: tandem.Inbound, Account: "contoso", DID: "+14255550100",
			Tenant: uuid.NewSHA1(uuid.NameSpaceOID, []byte("t")), UserType: tandem.StandardUser, Plan: tandem.Metered,
			From: fmt.Sprintf("+1206555%04d", i%10000), To: "+14255550100", Trace: []tandem.TraceStep{{Rule: "did", Detail: "quote ' and \n\n blank"}},
			Legs: []tandem.LegRecord{
				{Technology: tandem.Phone, Network: "Carrier East", SetupTime: at, RingTime: at.Add(time.Second), AnswerTime: at.Add(2 * time.Second), ReleaseTime: at.Add(62 * time.Second),
					Duration: time.Minute, Disposition: tandem.Answered, ReasonText: "a'b\\c\n\nd", RX: tandem.StreamStats{Packets: 3000, Lost: 3, JitterMicros: 1500}},
				{Technology: tandem.OperatorConnect, Network: "Operator Connect", SetupTime: at, ReleaseTime: at, Outcome: tandem.OutcomeStatus, Status: 503, Cause: 41, Disposition: tandem.Congestion},
				{Technology: tandem.OperatorConnect, Network: "Operator Connect", SetupTime: at, AnswerTime: at.Add(2 * time.Second), ReleaseTime: at.Add(62 * time.Second),
					Duration: time.Minute, Outcome: tandem.OutcomeAnswered, Status: 200, Disposition: tandem.Answered, SRTP: true},
			}}
		of := cdr.Assembler{MOS: func(uint64, uint64, float32, string) float32 { return 4.25 }}.Rows(tandem.JournalFact{Pos: tandem.JournalPos(i + 1), Kind: tandem.FactEnd, At: at, Call: call})
		of[0].Charge = tandem.Charge{Amount: 8500, Currency: "USD", Rate: 85_000_001, BilledS: 60, ChargedS: 60, Class: tandem.ClassUS, DeckID: "us-retail", DeckVer: 3, DeckRow: 7, Explanation: `{"a":"b'c"}`}
		of[0].Cost = tandem.Cost{Amount: 2150, Currency: "USD", Explanation: `{"a":"cost"}`}
		rows = append(rows, of...)
	}
	return rows
}

func TestRowsComeBackAsInsertedAndTokensDeduplicate(t *testing.T) {
	c, ctx := testClient(t), t.Context()
	rows := sampleRows(100)
	for range 3 { // a response that was lost, twice
		if err := c.Insert(ctx, "node-1:1-100", rows); err != nil {
			t.Fatal(err)
		}
	}
	// What goes to a server by the driver: known by its token too, and the same rows.
	if err := c.insertBatch(ctx, "node-1:1-100", rows); err != nil {
		t.Fatal(err)
	}
	byDriver := sampleRows(101)[300:]
	if err := c.insertBatch(ctx, "node-1:101-101", byDriver); err != nil {
		t.Fatal(err)
	}
	var plain uint64
	if err := c.conn.QueryRow(ctx, "SELECT count() FROM cdr").Scan(&plain); err != nil || plain != 303 {
		t.Fatalf("plain count %d, want 303 (%v)", plain, err)
	}
	for _, want := range [][]tandem.CDR{rows[:3], byDriver} {
		got, err := c.Reports().Call(ctx, want[0].Correlation)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	}
}

// TestRefusedInserts: what the engine refuses is classified, and costs the next
// insert nothing.
func TestRefusedInserts(t *testing.T) {
	c, ctx := testClient(t), t.Context()
	rows := sampleRows(10)
	insert := func(want cdr.InsertClass, refused bool) {
		t.Helper()
		err := c.Insert(ctx, "n:1-10", rows)
		var class *cdr.InsertError
		if (err != nil) != refused || refused && (!errors.As(err, &class) || class.Class != want) {
			t.Fatalf("got %v, want class %d", err, want)
		}
	}
	if err := c.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		statement string
		class     cdr.InsertClass
		refused   bool
	}{
		{"ALTER TABLE cdr RENAME COLUMN mos TO elsewhere", cdr.Busy, true},
		{"ALTER TABLE cdr RENAME COLUMN elsewhere TO mos", 0, false},
		{"TRUNCATE TABLE cdr", 0, false},
		{"ALTER TABLE cdr ADD CONSTRAINT good CHECK duration_ms < 60000", cdr.Poison, true},
	} {
		if err := c.conn.Exec(ctx, step.statement); err != nil {
			t.Fatal(err)
		}
		insert(step.class, step.refused)
		rows[0].Account += "x"
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := c.Insert(ended, "n:1-10", rows); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
	if err := c.Insert(ctx, "nothing", nil); err != nil {
		t.Errorf("no rows: %v", err)
	}
}

func TestReportsFilter(t *testing.T) {
	c, ctx := testClient(t), t.Context()
	rows := sampleRows(50)
	other := sampleRows(51)[150:]
	for i := range other {
		other[i].Account = "fabrikam"
	}
	if err := c.Insert(ctx, "n:1-50", append(rows, other...)); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		filter tandem.CDRFilter
		want   uint64
	}{
		"all":                  {tandem.CDRFilter{}, 153},
		"account":              {tandem.CDRFilter{Account: "fabrikam"}, 3},
		"connected legs":       {tandem.CDRFilter{Connected: true}, 102},
		"one technology":       {tandem.CDRFilter{Technology: tandem.Phone}, 51},
		"one call":             {tandem.CDRFilter{Correlation: rows[0].Correlation}, 3},
		"half-open period":     {tandem.CDRFilter{From: noon, To: noon.Add(2 * time.Second)}, 6},
		"digits in a number":   {tandem.CDRFilter{Number: "5550049"}, 3},
		"number with its plus": {tandem.CDRFilter{Number: "+14255550100"}, 153},
		"hostile account":      {tandem.CDRFilter{Account: "x' OR 1=1 --\n\t\\"}, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			n, err := c.Reports().Count(ctx, tc.filter)
			if err != nil || n != tc.want {
				t.Fatalf("count %d, want %d (%v)", n, tc.want, err)
			}
			list, err := c.Reports().CDRs(ctx, tc.filter)
			if err != nil || uint64(len(list)) != tc.want {
				t.Fatalf("%d rows, want %d (%v)", len(list), tc.want, err)
			}
		})
	}
	list, err := c.Reports().CDRs(ctx, tandem.CDRFilter{Limit: 2, Offset: 3})
	if err != nil || len(list) != 2 || list[0].Attempt != 0 || !list[0].InviteTime.Equal(rows[147].InviteTime) {
		t.Fatalf("page: %d rows, %v", len(list), err)
	}
	totals, err := c.Reports().Totals(ctx, tandem.CDRFilter{Account: "contoso", Connected: true, Technology: tandem.Phone})
	if err != nil || len(totals) != 1 || totals[0].Charged != 50*8500 || totals[0].PhoneMs != 50*60_000 {
		t.Fatalf("totals %+v, %v", totals, err)
	}
}

// TestNumberSearchBesideNewParts: rows are found by number in parts with the index
// and without it, whichever are read together.
func TestNumberSearchBesideNewParts(t *testing.T) {
	c, ctx := testClient(t), t.Context()
	insert := func(n int) {
		t.Helper()
		rows := sampleRows(n + 1)[3*n:]
		if err := c.Insert(ctx, fmt.Sprint("n:", n), rows); err != nil {
			t.Fatal(err)
		}
	}
	exec := func(statement string) {
		t.Helper()
		if err := c.conn.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 3 {
		insert(n)
	}
	exec("OPTIMIZE TABLE cdr FINAL") // builds the index
	exec("SYSTEM STOP MERGES cdr")
	insert(3)
	for _, tc := range []struct {
		number string
		rows   int
	}{{"4255550100", 12}, {"2065550001", 3}, {"2065550003", 3}, {"2065550004", 0}} {
		f := tandem.CDRFilter{Number: tc.number}
		list, err := c.Reports().CDRs(ctx, f)
		n, err2 := c.Reports().Count(ctx, f)
		_, err3 := c.Reports().Totals(ctx, f)
		if err := errors.Join(err, err2, err3); err != nil || len(list) != tc.rows || n != uint64(tc.rows) {
			t.Errorf("%s: %d rows, count %d, want %d: %v", tc.number, len(list), n, tc.rows, err)
		}
	}
}

func TestBadFiltersAreRefused(t *testing.T) {
	for name, f := range map[string]tandem.CDRFilter{
		"3 digits": {Number: "123"}, "letters": {Number: "12345x"}, "wildcard": {Number: "1234%"}, "negative": {Limit: -1}, "huge": {Limit: maxLimit + 1},
	} {
		if _, err := bind(f); tandem.KindOf(err) != tandem.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHigherVersionReplacesARow(t *testing.T) {
	c, ctx := testClient(t), t.Context()
	rows := sampleRows(1)
	if err := c.Insert(ctx, "a", rows); err != nil {
		t.Fatal(err)
	}
	again := sampleRows(1)[:1]
	again[0].Version, again[0].Charge.Amount = 2, 9999
	if err := c.Insert(ctx, "b", again); err != nil {
		t.Fatal(err)
	}
	got, err := c.Reports().CDRs(ctx, tandem.CDRFilter{})
	if err != nil || len(got) != 3 || got[0].Charge.Amount != 9999 {
		t.Fatalf("%d rows, %v", len(got), err)
	}
}

func TestColumnsAreThoseOfTheMigrations(t *testing.T) {
	c, ctx := testClient(t), t.Context()
	for range 2 { // the second start finds all applied
		if err := c.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		c.migrated = false
	}
	rows, err := c.conn.Query(ctx, "SELECT name, type FROM system.columns WHERE table = 'cdr' AND database = currentDatabase() ORDER BY position")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []chdriver.ColumnNameAndType
	for rows.Next() {
		var col chdriver.ColumnNameAndType
		if err := rows.Scan(&col.Name, &col.Type); err != nil {
			t.Fatal(err)
		}
		got = append(got, col)
	}
	if d := cmp.Diff(columnTypes(), got); d != "" {
		t.Fatal(d)
	}
}

func TestClusterFormRenders(t *testing.T) {
	c, err := Open(Config{Addrs: []string{"127.0.0.1:1"}, Cluster: "main"}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	body, err := migrationFiles.ReadFile("migrations/0001_cdr.sql")
	if err != nil {
		t.Fatal(err)
	}
	sql, err := render("x", string(body), c.names())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"cdr_local ON CLUSTER main", "ReplicatedReplacingMergeTree(", "Distributed('main', currentDatabase(), 'cdr_local', cityHash64(correlation_id))"} {
		if !strings.Contains(sql, want) {
			t.Errorf("missing %q in\n%s", want, sql)
		}
	}
	if _, err := Open(Config{Addrs: []string{"x:1"}, Cluster: "a; DROP"}, Deps{}); tandem.KindOf(err) != tandem.KindInvalid {
		t.Errorf("hostile cluster name: %v", err)
	}
}

func TestServerAwayIsUnavailable(t *testing.T) {
	c, err := Open(Config{Addrs: []string{"127.0.0.1:1"}}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Reports().CDRs(t.Context(), tandem.CDRFilter{}); tandem.KindOf(err) != tandem.KindUnavailable {
		t.Fatalf("got %v", err)
	}
}
