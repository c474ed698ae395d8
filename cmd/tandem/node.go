package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
	"tandem/cdr"
	chdb "tandem/cdr/engine"
	"tandem/cdr/journal"
	"tandem/media/relay"
	"tandem/provisioning"
	"tandem/provisioning/store"
	"tandem/rating/ledger"
	"tandem/routing"
	"tandem/sip/engine"
	"tandem/sip/transport"
	"tandem/sip/trunk"
)

// Node is a running Tandem: every part, wired. Start makes one, Close ends it.
type Node struct {
	config Config
	log    *slog.Logger
	token  string

	store    *store.Store
	journal  *journal.Journal
	ledger   *ledger.Ledger
	pipeline *cdr.Pipeline
	sink     cdr.Sink
	reports  atomic.Pointer[provisioning.Reports]
	chdb     *chdb.Supervisor // nil unless the embedded engine is used

	table     atomic.Pointer[routing.Table]
	media     *relay.Pool
	transport *transport.Transport
	monitor   *trunk.Monitor
	engine    *engine.Engine

	service  *provisioning.Service
	server   *http.Server
	listener net.Listener
	feesDue  chan struct{} // the directory has changed

	stop       context.CancelFunc // ends the background work of records
	background sync.WaitGroup
	// onJournalClose ends what reads the journal, last added first: when it
	// runs all calls are hung up, and their rows still go out.
	onJournalClose []func()
	closers        []func() // in the order of closing
}

// StartNode starts every part, the ones that calls depend on first. On an error
// what was started is closed again.
func StartNode(ctx context.Context, config Config, log *slog.Logger) (*Node, error) {
	n := &Node{config: config, log: log, feesDue: make(chan struct{}, 1)}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	n.stop = stop
	steps := []struct {
		name string
		run  func(context.Context) error
	}{
		{"data folder", n.openData},
		{"records", n.startRecords},
		{"media", n.startMedia},
		{"signalling", n.startSIP},
		{"directory", n.followDirectory},
		{"delivery", n.startDelivery},
		{"fees", n.startFees},
		{"HTTP", n.startHTTP},
		{"profiles", n.startProfiles},
		{"signalling sockets", func(context.Context) error { return n.transport.Serve(n.engine) }},
		{"release of cut calls", n.releaseCut},
	}
	for _, step := range steps {
		if err := step.run(background); err != nil {
			n.Close()
			return nil, fmt.Errorf("start %s: %w", step.name, err)
		}
	}
	return n, nil
}

// onClose adds work for Close; the last added runs first.
func (n *Node) onClose(f func()) { n.closers = append([]func(){f}, n.closers...) }

// Close ends all parts: first what takes calls, last the books and the journal.
// Calls in progress are hung up and recorded.
func (n *Node) Close() {
	for _, f := range n.closers {
		f()
	}
	n.closers = nil
	n.stop()
	n.background.Wait()
}

// openData makes the data folder, the API token, the store and the journal.
func (n *Node) openData(ctx context.Context) error {
	if err := os.MkdirAll(n.config.Data, 0o750); err != nil {
		return &tandem.Error{Kind: tandem.KindUnavailable, Field: "data", Message: "folder " + n.config.Data + " can't be made", Mend: "give the user that runs tandem write access", Err: err}
	}
	token, err := loadToken(filepath.Join(n.config.Data, tokenFile))
	if err != nil {
		return err
	}
	n.token = token
	n.store, err = store.Open(ctx, filepath.Join(n.config.Data, storeFile))
	if err != nil {
		return err
	}
	n.onClose(func() { n.logError("close store", n.store.Close()) })

	settings := journal.DefaultConfig(filepath.Join(n.config.Data, "journal"))
	read, stored, err := cdr.Progress(settings.Dir)
	if err != nil {
		return err
	}
	settings.Floor = read
	settings.SyncEvery, settings.CheckpointEvery = n.config.Records.SyncEvery, n.config.Records.CheckpointEvery
	n.journal, err = journal.Open(settings, journal.Deps{Logger: n.log, FS: n.config.Records.fs, Delivered: func(call *tandem.CallRecord) bool {
		return n.store.Booked(ctx, call, stored)
	}})
	if err != nil {
		return err
	}
	n.onClose(func() {
		for _, f := range slices.Backward(n.onJournalClose) {
			f()
		}
		n.logError("close journal", n.journal.Close())
	})
	return nil
}

// storeFile is the store's name in the data folder.
const storeFile = "tandem.db"

// loadToken reads the API token, or makes one at the first start.
func loadToken(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		if token := strings.TrimSpace(string(text)); token != "" {
			return token, nil
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	secret := make([]byte, 24)
	rand.Read(secret)
	token := hex.EncodeToString(secret)
	return token, os.WriteFile(path, []byte(token+"\n"), 0o600)
}

func (n *Node) logError(what string, err error) {
	if err != nil {
		n.log.Error(what, "err", err)
	}
}

// URL is where API and portal are served.
func (n *Node) URL() string { return "http://" + n.listener.Addr().String() }

// Flush waits until everything recorded so far is rated and delivered; it is
// for the demo and tests.
func (n *Node) Flush(ctx context.Context) error { return n.pipeline.Flush(ctx) }

// stopGrace is how long a stopping node waits until its calls are hung up.
const stopGrace = 5 * time.Second
