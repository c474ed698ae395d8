// Package store keeps the directory and the books in one SQLite file: the
// default store of a single node.
//
// One process owns the file (a lock file beside it says so) and one connection
// in it writes, so writers queue in Go rather than fail in SQLite. The file is
// in WAL mode with full synchronisation: what is committed survives a power
// cut. Readers have their own connections and never wait for the writer.
//
// The package starts no goroutine; subscribers are called on the goroutine
// that changed the directory.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/pressly/goose/v3"
	"golang.org/x/sys/unix"
	"modernc.org/sqlite"

	"tandem"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store implements provisioning.Store and tandem.LedgerStore. Its methods may
// be called from any goroutine.
type Store struct {
	path   string
	lock   *os.File
	write  *sql.DB // one connection
	read   *sql.DB
	ledger *ledgerStatements

	directory atomic.Pointer[tandem.Directory]

	mu          sync.Mutex // held by Update through its notifications, so that they keep their order
	subscribers map[int]func(*tandem.Directory)
	nextID      int
}

// Open opens the store file at path, making it and bringing its tables up to
// date if needed. KindConflict: another process holds it. KindInternal: the
// file is damaged or not a store. KindUnavailable: the disk refuses.
func Open(ctx context.Context, path string) (*Store, error) {
	lock, err := takeLock(path)
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, lock: lock, subscribers: map[int]func(*tandem.Directory){}}
	if err := s.open(ctx); err != nil {
		s.Close()
		return nil, describe(path, err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) (err error) {
	if s.write, err = connect(s.path, "rwc"); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if err := migrate(ctx, s.write); err != nil {
		return err
	}
	if s.read, err = connect(s.path, "ro"); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(4)
	dir, err := readDirectory(ctx, s.write)
	if err != nil {
		return err
	}
	s.directory.Store(dir)
	s.ledger, err = prepareLedger(ctx, s.write)
	return err
}

// Read reads the directory of a store that another process may hold, without
// changing anything.
func Read(ctx context.Context, path string) (*tandem.Directory, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, &tandem.Error{Kind: tandem.KindNotFound, Message: "there is no store at " + path, Mend: "start tandem serve once: it makes the store", Err: err}
	}
	db, err := connect(path, "ro")
	if err != nil {
		return nil, describe(path, err)
	}
	defer db.Close()
	dir, err := readDirectory(ctx, db)
	return dir, describe(path, err)
}

// Close releases the file. Transactions under way are rolled back.
func (s *Store) Close() error {
	var errs []error
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.write != nil {
		errs = append(errs, s.write.Close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

// takeLock makes this process the owner of the store until the file is closed.
func takeLock(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, &tandem.Error{Kind: tandem.KindUnavailable, Message: "the folder of the store " + path + " can't be made", Mend: "check the data folder's owner and free space", Err: err}
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, &tandem.Error{Kind: tandem.KindUnavailable, Message: "the lock file of the store " + path + " can't be opened", Mend: "check the data folder's owner", Err: err}
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, &tandem.Error{Kind: tandem.KindConflict, Message: "the store " + path + " is in use by another tandem",
			Mend: "stop the other process, or give this one a data folder of its own", Err: err}
	}
	return lock, nil
}

// connect opens a pool. Transactions begin IMMEDIATE: one that would write
// later never finds its snapshot outdated.
func connect(path, mode string) (*sql.DB, error) {
	q := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_pragma": {"busy_timeout(5000)", "foreign_keys(1)"}}
	if mode == "rwc" {
		q["_pragma"] = append(q["_pragma"], "journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(4000)")
	}
	// The path stands escaped in the URI: '?' and '#' in a folder name are no part of the query.
	return sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
}

func migrate(ctx context.Context, db *sql.DB) error {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, sub, goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	known := p.ListSources()
	if at, err := p.GetDBVersion(ctx); err != nil {
		return err
	} else if newest := known[len(known)-1].Version; at > newest {
		return &tandem.Error{Kind: tandem.KindConflict, Message: fmt.Sprintf("the store was written by a newer tandem (tables %d, this one knows %d)", at, newest),
			Mend: "run the newer tandem, or restore the copy made before the update"}
	}
	_, err = p.Up(ctx)
	return err
}

// SQLite's primary result codes that operators can act on.
const (
	sqliteBusy    = 5
	sqliteIOErr   = 10
	sqliteCorrupt = 11
	sqliteFull    = 13
	sqliteNotADB  = 26
)

// describe turns SQLite's errors into ones that say what to do. Errors that
// carry a *tandem.Error already stay as they are.
func describe(path string, err error) error {
	var known *tandem.Error
	var e *sqlite.Error
	switch {
	case err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled):
		return err
	case !errors.As(err, &e):
		return fmt.Errorf("store %s: %w", path, err)
	}
	switch e.Code() & 0xff {
	case sqliteCorrupt, sqliteNotADB:
		return &tandem.Error{Kind: tandem.KindInternal, Message: "the store " + path + " is damaged or not a store",
			Mend: "put back a copy of it, or move it away and apply the configuration again; the journal still holds all calls", Err: err}
	case sqliteFull, sqliteIOErr:
		return &tandem.Error{Kind: tandem.KindUnavailable, Message: "the disk refuses the store " + path, Mend: "free space on the data folder's disk", Err: err}
	case sqliteBusy:
		return &tandem.Error{Kind: tandem.KindUnavailable, Message: "the store " + path + " is locked by another program", Mend: "close the program that has it open (sqlite3 shells hold it too)", Err: err}
	}
	return fmt.Errorf("store %s: %w", path, err)
}
