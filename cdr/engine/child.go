package engine

import (
	"bufio"
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
	"golang.org/x/sys/unix"

	chproto "github.com/ClickHouse/ch-go/proto"

	"tandem"
	"tandem/cdr/priority"
)

// ChildOptions are what `tandem engine` is started with.
type ChildOptions struct {
	Library string // path of libchdb.so
	DataDir string // the engine's own folder; locked while it runs
	// MaxMemory limits one query, in bytes; 0 = 2 GiB. The process needs about 250 MB besides.
	MaxMemory int64
	// Stdin gives the token in its first line; its end ends the child. Stdout
	// gets one line, the address, once queries are served.
	Stdin  io.Reader
	Stdout io.Writer
}

const (
	tokenHeader = "X-Tandem-Engine-Token"
	// clientRevision is what clickhouse-go announces over HTTP and expects its blocks in.
	clientRevision = 54460
	// maxBody bounds an insert: 10,000 rows are about 10 MB.
	maxBody = 1 << 30
	// stuckAfter is longer than any query may run (maxExecution): the engine hangs, a new child is needed.
	maxExecution = 100 * time.Second
	stuckAfter   = 150 * time.Second
)

// engineConfig are the engine's server settings: by default it looks after its
// memory 20 times a second, which is most of what it costs while nobody asks it
// anything.
const engineConfig = `<clickhouse>
  <memory_worker_period_ms>2000</memory_worker_period_ms>
  <asynchronous_metrics_update_period_s>3600</asynchronous_metrics_update_period_s>
</clickhouse>
`

// RunChild serves until Stdin ends or ctx is done. It may be called once per
// process: the library can't be opened twice.
func RunChild(ctx context.Context, o ChildOptions) error {
	if o.MaxMemory <= 0 {
		o.MaxMemory = 2 << 30
	}
	in := bufio.NewReader(o.Stdin)
	token, err := in.ReadString('\n')
	token = strings.TrimSpace(token)
	if err != nil || len(token) < 16 {
		return &tandem.Error{Kind: tandem.KindInvalid, Field: "stdin", Message: "the engine is started by tandem itself, which gives it a token", Mend: "run tandem serve or tandem demo"}
	}
	if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
		return &tandem.Error{Kind: tandem.KindUnavailable, Field: "clickhouse.dir", Message: "the engine's folder can't be made", Mend: "give a folder that tandem may write to", Err: err}
	}
	unlock, err := lockFolder(ctx, o.DataDir)
	if err != nil {
		return err
	}
	defer unlock()
	priority.Engine()
	config := filepath.Join(o.DataDir, "config.xml")
	err = os.WriteFile(config, []byte(engineConfig), 0o600)
	var lib *library
	if err == nil {
		lib, err = openLibrary(o.Library, filepath.Join(o.DataDir, "data"), config)
	}
	if err != nil {
		return &tandem.Error{Kind: tandem.KindUnavailable, Field: "clickhouse.library", Message: "the engine can't start", Mend: "run scripts/install-chdb.sh again, or configure a ClickHouse server", Err: err}
	}
	defer lib.close()
	for _, set := range []string{
		fmt.Sprintf("SET max_memory_usage = %d", o.MaxMemory),
		fmt.Sprintf("SET max_execution_time = %d", int(maxExecution.Seconds())),
	} {
		if _, err := lib.run(set, "Null", nil); err != nil {
			return fmt.Errorf("%s: %w", set, err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &server{lib: lib, token: []byte(token)}
	httpServer := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- httpServer.Serve(l) }()
	gone := make(chan struct{})
	go func() {
		io.Copy(io.Discard, in)
		close(gone)
	}()
	fmt.Fprintf(o.Stdout, "%s\n", l.Addr())
	select {
	case <-gone:
	case <-ctx.Done():
	case err := <-served:
		return err
	}
	// A query in progress gets a moment; then the process ends with it. That is
	// safe: a part of an insert is never visible.
	end, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := httpServer.Shutdown(end); err != nil {
		return errors.New("engine ended with a query in progress")
	}
	return nil
}

// lockFolder waits a little: after a crash of the parent the last child may
// still be on its way out.
func lockFolder(ctx context.Context, dir string) (func(), error) {
	f, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if try == 100 || ctx.Err() != nil {
			f.Close()
			return nil, &tandem.Error{Kind: tandem.KindConflict, Field: "clickhouse.dir", Message: "the engine's folder " + dir + " is in use by another process",
				Mend: "stop it, or give this tandem its own data folder", Err: err}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// server speaks as much of ClickHouse's HTTP interface as clickhouse-go needs.
type server struct {
	lib   *library
	token []byte
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if subtle.ConstantTimeCompare([]byte(r.Header.Get(tokenHeader)), s.token) != 1 {
		fail(w, http.StatusForbidden, 516, "Code: 516. the engine serves its own tandem only (AUTHENTICATION_FAILED)")
		return
	}
	if r.URL.Path == "/ping" {
		io.WriteString(w, "Ok.\n")
		return
	}
	q, bad := parse(r.URL.Query())
	if err := q.read(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		fail(w, http.StatusBadRequest, 27, "Code: 27. the request ended early: "+tandem.Clip(err.Error(), 200))
		return
	}
	defer q.close()
	watchdog := time.AfterFunc(stuckAfter, func() { os.Exit(3) })
	defer watchdog.Stop()
	var out []byte
	err := bad
	if err == nil {
		out, err = q.run(s.lib)
	}
	if err != nil {
		code := 1000
		var q *queryError
		if errors.As(err, &q) {
			code = q.Code
		}
		fail(w, http.StatusInternalServerError, code, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("X-ClickHouse-Format", "Native")
	w.Write(out)
}

func fail(w http.ResponseWriter, status, code int, text string) {
	w.Header().Set("X-ClickHouse-Exception-Code", strconv.Itoa(code))
	w.WriteHeader(status)
	io.WriteString(w, text)
}

var (
	insertNative = regexp.MustCompile(`(?is)^\s*(INSERT\s+INTO\s.*?)\s+FORMAT\s+Native\s*$`)
	settingsWord = regexp.MustCompile(`(?i)\bSETTINGS\b`)
	readsRows    = regexp.MustCompile(`(?is)^\s*(SELECT|WITH)\b`)
	plainName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// query is one request. The body of an insert is in rows, any other's in text.
type query struct {
	sql      string // without the body
	insert   string // the INSERT INTO ... of rows in Native format; empty: something else
	params   map[string]string
	settings []string
	text     []byte
	rows     *os.File
	size     int64 // of rows
}

// parse reads a request's parameters. The query is never nil: its body must be
// read before an error is answered.
func parse(values url.Values) (*query, error) {
	q := &query{params: map[string]string{}}
	var err error
	for key, values := range values {
		name, isParam := strings.CutPrefix(key, "param_")
		switch {
		case isParam:
			q.params[name] = values[0]
		case key == "query":
			q.sql = values[0]
		case clientOnly[key]:
		case plainName.MatchString(key):
			q.settings = append(q.settings, key+" = "+literal(values[0]))
		default:
			err = &queryError{115, "Code: 115. setting " + strconv.Quote(tandem.Clip(key, 40)) + " is not a name (UNKNOWN_SETTING)"}
		}
	}
	sort.Strings(q.settings)
	if m := insertNative.FindStringSubmatch(q.sql); m != nil {
		q.insert = m[1]
	}
	return q, err
}

// read takes in the body. The library would cut inline binary data at blank
// lines, so that of an insert goes into a memory file, as it comes: it is a
// megabyte or two, which need not be in this heap as well.
func (q *query) read(body io.Reader) (err error) {
	if q.insert == "" {
		q.text, err = io.ReadAll(body)
		return err
	}
	fd, err := unix.MemfdCreate("tandem-insert", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	q.rows = os.NewFile(uintptr(fd), "tandem-insert")
	// A reader and a writer without shortcuts of their own: with the file's, the buffer would not be used.
	q.size, err = io.CopyBuffer(struct{ io.Writer }{q.rows}, struct{ io.Reader }{body}, make([]byte, 128<<10))
	if err != nil {
		q.close()
	}
	return err
}

func (q *query) close() {
	if q.rows != nil {
		q.rows.Close()
	}
}

func (q *query) run(lib *library) ([]byte, error) {
	if q.insert != "" {
		return nil, q.store(lib)
	}
	sql := q.sql
	if sql == "" {
		sql = string(q.text)
	} else {
		sql += "\n" + string(q.text)
	}
	if len(q.settings) > 0 && readsRows.MatchString(sql) && !settingsWord.MatchString(sql) {
		sql += "\nSETTINGS " + strings.Join(q.settings, ", ")
	}
	out, err := lib.run(sql, "Native", q.params)
	if err != nil {
		return nil, err
	}
	return convert(out)
}

// clientOnly are what clickhouse-go sends for the HTTP interface itself.
var clientOnly = map[string]bool{"database": true, "default_format": true, "client_protocol_version": true, "query_id": true, "quota_key": true,
	"wait_end_of_query": true, "compress": true, "decompress": true, "session_id": true, "session_timeout": true}

// store inserts rows. One thread and one block per body: deduplication by token
// needs the same blocks at every retry.
func (q *query) store(lib *library) error {
	if q.size == 0 {
		return nil
	}
	settings := append(q.settings, insertSelect...)
	_, err := lib.run(fmt.Sprintf("%s SETTINGS %s SELECT * FROM file('/proc/self/fd/%d', 'Native')", q.insert, strings.Join(settings, ", "), q.rows.Fd()), "Null", nil)
	return err
}

var insertSelect = []string{"max_insert_threads = 1", "max_threads = 1", "max_block_size = 1048576", "min_insert_block_size_rows = 1048576", "min_insert_block_size_bytes = 0"}

func literal(v string) string {
	if _, err := strconv.ParseUint(v, 10, 63); err == nil {
		return v
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'"
}

// convert turns the blocks that the library writes (revision 0) into those that
// clickhouse-go expects.
func convert(out []byte) ([]byte, error) {
	if len(out) == 0 {
		return nil, nil
	}
	reader := chproto.NewReader(bytes.NewReader(out))
	var buffer chproto.Buffer
	for {
		block := proto.NewBlock()
		if err := block.Decode(reader, 0); err != nil {
			if errors.Is(err, io.EOF) {
				return buffer.Buf, nil
			}
			return nil, fmt.Errorf("decode the engine's answer: %w", err)
		}
		if err := block.Encode(&buffer, clientRevision); err != nil {
			return nil, fmt.Errorf("encode the engine's answer: %w", err)
		}
	}
}
