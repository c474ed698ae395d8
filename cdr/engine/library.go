package engine

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// library is an open connection of libchdb. The C API serves one query at a
// time on a connection and one connection per process.
type library struct {
	mu   sync.Mutex
	conn *unsafe.Pointer // chdb_connection*: what it points to is the connection

	connect  func(argc int32, argv unsafe.Pointer) *unsafe.Pointer
	closing  func(conn *unsafe.Pointer)
	query    func(conn, sql unsafe.Pointer, sqlLen uintptr, format unsafe.Pointer, formatLen uintptr, names, nameLens, values, valueLens unsafe.Pointer, count uintptr) unsafe.Pointer
	errorOf  func(result unsafe.Pointer) string
	bufferOf func(result unsafe.Pointer) unsafe.Pointer
	lengthOf func(result unsafe.Pointer) uintptr
	destroy  func(result unsafe.Pointer)
	signals  func(enabled int32)
}

// queryError is an error of the engine with ClickHouse's error code.
type queryError struct {
	Code int
	Text string
}

func (e *queryError) Error() string { return e.Text }

// openLibrary loads the library and opens the data folder; config is the
// engine's own configuration file.
func openLibrary(path, dataDir, config string) (*library, error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	l := &library{}
	for name, target := range map[string]any{
		"chdb_connect": &l.connect, "chdb_close_conn": &l.closing, "chdb_query_with_params_n": &l.query, "chdb_result_error": &l.errorOf,
		"chdb_result_buffer": &l.bufferOf, "chdb_result_length": &l.lengthOf, "chdb_destroy_query_result": &l.destroy,
		"chdb_set_signal_handlers_enabled": &l.signals,
	} {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			return nil, fmt.Errorf("%s has no %s: version 26.5 or newer is needed: %w", path, name, err)
		}
		purego.RegisterFunc(target, symbol)
	}
	// The library's own handlers hold a crashed process for minutes. Without
	// them a fault ends the child at once, and the supervisor starts another.
	l.signals(0)
	args := cStrings("clickhouse", "--path="+dataDir, "--config-file="+config)
	l.conn = l.connect(int32(len(args.pointers)), args.array())
	runtime.KeepAlive(args)
	if l.conn == nil || *l.conn == nil {
		return nil, errors.New("open " + dataDir + ": the engine refuses (is the folder in use or damaged?)")
	}
	return l, nil
}

func (l *library) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.closing(l.conn)
		l.conn = nil
	}
}

// run executes one statement with bound parameters (values in ClickHouse's
// escaped text form, as HTTP clients send them) and returns its output.
func (l *library) run(sql, format string, params map[string]string) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return nil, errors.New("engine is closing")
	}
	var names, values []string
	for k, v := range params {
		names, values = append(names, k), append(values, v)
	}
	n, v, q := cStrings(names...), cStrings(values...), cStrings(sql, format)
	result := l.query(*l.conn, q.pointers[0], uintptr(len(sql)), q.pointers[1], uintptr(len(format)),
		n.array(), n.sizes(), v.array(), v.sizes(), uintptr(len(names)))
	runtime.KeepAlive(n)
	runtime.KeepAlive(v)
	runtime.KeepAlive(q)
	if result == nil {
		return nil, errors.New("engine gave no result")
	}
	defer l.destroy(result)
	if text := l.errorOf(result); text != "" {
		return nil, &queryError{Code: codeOf(text), Text: strings.Clone(text)}
	}
	size := l.lengthOf(result)
	if size == 0 {
		return nil, nil
	}
	return append([]byte(nil), unsafe.Slice((*byte)(l.bufferOf(result)), size)...), nil
}

// codeOf reads the number of "Code: 60. DB::Exception: ..."; 1000 is
// ClickHouse's POCO_EXCEPTION, its own word for "other".
func codeOf(text string) int {
	_, rest, ok := strings.Cut(text, "Code: ")
	if ok {
		digits, _, _ := strings.Cut(rest, ".")
		if n, err := strconv.Atoi(strings.TrimSpace(digits)); err == nil && n > 0 {
			return n
		}
	}
	return 1000
}

// cArgs are strings as C wants them. The Go heap does not move, so that the
// addresses hold as long as the value is kept alive.
type cArgs struct {
	bytes    [][]byte
	pointers []unsafe.Pointer
	lengths  []uintptr
}

func cStrings(list ...string) *cArgs {
	a := &cArgs{}
	for _, s := range list {
		b := append([]byte(s), 0)
		a.bytes = append(a.bytes, b)
		a.pointers = append(a.pointers, unsafe.Pointer(&b[0]))
		a.lengths = append(a.lengths, uintptr(len(s)))
	}
	return a
}

func (a *cArgs) array() unsafe.Pointer {
	if len(a.pointers) == 0 {
		return nil
	}
	return unsafe.Pointer(&a.pointers[0])
}

func (a *cArgs) sizes() unsafe.Pointer {
	if len(a.lengths) == 0 {
		return nil
	}
	return unsafe.Pointer(&a.lengths[0])
}
