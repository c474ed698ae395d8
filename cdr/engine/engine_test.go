package engine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"tandem"
)

// TestMain makes the test binary its own engine child, as the product is.
func TestMain(m *testing.M) {
	if library := os.Getenv("TANDEM_TEST_ENGINE_CHILD"); library != "" {
		if err := RunChild(context.Background(), ChildOptions{Library: library, DataDir: os.Getenv("TANDEM_TEST_ENGINE_DIR"), Stdin: os.Stdin, Stdout: os.Stdout}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func childCommand(dir string) func(library string) *exec.Cmd {
	return func(library string) *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "TANDEM_TEST_ENGINE_CHILD="+library, "TANDEM_TEST_ENGINE_DIR="+dir)
		return cmd
	}
}

func testLibrary(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	library, err := Locate("", root)
	if err != nil {
		t.Skip("the ClickHouse engine library is not installed: run scripts/install-chdb.sh (make test does)")
	}
	return library
}

func startEngine(t *testing.T, dir string) *Supervisor {
	t.Helper()
	s, err := NewSupervisor(Config{Library: testLibrary(t), DataDir: dir, Command: childCommand(dir)}, Deps{})
	if err != nil {
		t.Fatal(err)
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

func connect(t *testing.T, s *Supervisor) driver.Conn {
	t.Helper()
	rt := s.RoundTripper()
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{"engine.invalid:80"}, Protocol: clickhouse.HTTP,
		TransportFunc: func(*http.Transport) (http.RoundTripper, error) { return rt, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); rt.(*transport).CloseIdleConnections() })
	return conn
}

func TestDriverWorksAgainstTheChild(t *testing.T) {
	s := startEngine(t, t.TempDir())
	conn, ctx := connect(t, s), t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(conn.Exec(ctx, `CREATE TABLE t (id UUID, n LowCardinality(String), at DateTime64(3,'UTC'), maybe Nullable(DateTime64(3,'UTC')), price Decimal(18,10), text String)
		ENGINE = ReplacingMergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100`))
	at := time.Date(2026, 11, 24, 1, 2, 3, 4_000_000, time.UTC)
	hostile := "quote ' and \\ and\n\nblank line \x00 { } ; -- DROP"
	insert := func() {
		t.Helper()
		b, err := conn.PrepareBatch(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"insert_deduplication_token": "a'b\\", "async_insert": 0})), "INSERT INTO t (id, n, at, maybe, price, text)")
		must(err)
		for i := range 1000 {
			id := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, i))
			var maybe *time.Time
			if i%2 == 0 {
				maybe = &at
			}
			must(b.Append(id, "x", at, maybe, "0.0085000001", hostile))
		}
		must(b.Send())
	}
	insert()
	insert() // same token: nothing new
	var n, same uint64
	must(conn.QueryRow(ctx, "SELECT count(), countIf(text = {text:String}) FROM t WHERE at = {at:DateTime64(3)}", clickhouse.Named("text", hostile), clickhouse.Named("at", at)).Scan(&n, &same))
	if n != 1000 || same != 1000 {
		t.Fatalf("count %d, same text %d, want 1000", n, same)
	}
	err := conn.QueryRow(ctx, "SELECT * FROM nowhere").Err()
	if err == nil || !strings.Contains(err.Error(), "UNKNOWN_TABLE") {
		t.Fatalf("error %v", err)
	}
}

func TestChildThatDiesIsReplacedAndKeepsItsData(t *testing.T) {
	s := startEngine(t, t.TempDir())
	conn, ctx := connect(t, s), t.Context()
	if err := conn.Exec(ctx, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Exec(ctx, "INSERT INTO t SELECT number FROM numbers(10)"); err != nil {
		t.Fatal(err)
	}
	first := s.State().PID
	syscall.Kill(first, syscall.SIGKILL)
	wait, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for st := s.State(); !st.Up || st.PID == first; st = s.State() {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if st := s.State(); st.Up && st.PID != first {
			break
		}
		select {
		case <-changed:
		case <-wait.Done():
			t.Fatal("no new child")
		}
	}
	var n uint64
	if err := conn.QueryRow(ctx, "SELECT count() FROM t").Scan(&n); err != nil || n != 10 {
		t.Fatalf("%d rows, %v", n, err)
	}
}

func TestChildRefusesStrangers(t *testing.T) {
	s := startEngine(t, t.TempDir())
	resp, err := http.Get("http://" + s.State().Address + "/?query=" + url.QueryEscape("SELECT 1"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if resp.StatusCode != http.StatusForbidden {
		t.Fatalf("status %d", resp.StatusCode)
	}
}

func TestChildEndsWithItsParent(t *testing.T) {
	dir := t.TempDir()
	cmd := childCommand(dir)(testLibrary(t))
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(in, strings.Repeat("t", 32)+"\n")
	if _, err := out.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	in.Close() // what the kernel does when the parent dies
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestMissingLibraryNamesTheMend(t *testing.T) {
	_, err := NewSupervisor(Config{Library: "/nowhere/libchdb.so"}, Deps{})
	if tandem.KindOf(err) != tandem.KindUnavailable || !strings.Contains(err.Error(), "install-chdb.sh") {
		t.Fatalf("got %v", err)
	}
}

func TestChildWithoutTokenIsRefused(t *testing.T) {
	err := RunChild(t.Context(), ChildOptions{Stdin: bytes.NewReader(nil), Stdout: io.Discard})
	if tandem.KindOf(err) != tandem.KindInvalid {
		t.Fatalf("got %v", err)
	}
}
