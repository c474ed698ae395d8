package main

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tandem"
	"tandem/cdr"
	"tandem/cdr/clickhouse"
	chdb "tandem/cdr/engine"
	"tandem/media/quality"
	"tandem/provisioning"
	"tandem/rating/ledger"
)

// startRecords starts what follows the journal: the ledger, the delivery
// pipeline and the way to ClickHouse. A ClickHouse that is away only lengthens
// the journal, so it never keeps the node from starting.
func (n *Node) startRecords(ctx context.Context) error {
	n.ledger = ledger.New(n.store, nil, n.log)
	sink, err := n.openClickHouse(ctx)
	if err != nil {
		return err
	}
	n.sink = sink
	var pricer cdr.Pricer = n.ledger
	if n.config.without(withoutRating) {
		pricer = noRating{}
	}
	n.pipeline, err = cdr.NewPipeline(cdr.Config{Dir: filepath.Join(n.config.Data, "journal"), Node: n.config.Node, MOS: listeningQuality}, cdr.Deps{
		Read:    func(from tandem.JournalPos) cdr.FactReader { return n.journal.ReadEnds(from) },
		Sync:    n.journal.Sync,
		Synced:  n.journal.Synced,
		Release: n.journal.Release,
		Pricer:  pricer,
		Sink:    sink,
		Busy:    newBatches().change,
		Logger:  n.log,
	})
	return err
}

// flushGrace is how long a stopping node tries to deliver what it has; the rest
// goes out after the next start.
const flushGrace = 3 * time.Second

// startDelivery begins to rate and deliver, once the directory is known. It
// ends before the journal that it reads from is closed.
func (n *Node) startDelivery(ctx context.Context) error {
	left := n.journal.Synced() // by a former process
	n.ledger.Credit().WaitFor(func() bool { return n.pipeline.Status().Ledger >= left })
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.pipeline.Run(ctx)
	}()
	n.onJournalClose = append(n.onJournalClose, func() {
		flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushGrace)
		defer cancel()
		if err := n.pipeline.Flush(flush); err != nil {
			n.log.Info("rows wait for the next start", "err", err)
		}
		stop()
		<-ended
	})
	return nil
}

// goRun runs f until the node is closed; Close waits for it.
func (n *Node) goRun(f func()) {
	n.background.Add(1)
	go func() {
		defer n.background.Done()
		f()
	}()
}

// openClickHouse makes the client, and for the embedded engine its child
// process. Without an engine rows wait in the journal and reports say why.
func (n *Node) openClickHouse(ctx context.Context) (cdr.Sink, error) {
	settings := clickhouse.Config{Database: n.config.ClickHouse.Database, Username: n.config.ClickHouse.User, Cluster: n.config.ClickHouse.Cluster}
	switch n.config.ClickHouse.Mode {
	case "off":
		return absentSink{&tandem.Error{Kind: tandem.KindUnavailable, Message: "ClickHouse is turned off", Mend: "set clickhouse.mode to embedded or server"}}, nil
	case "embedded":
		supervisor, err := chdb.NewSupervisor(chdb.Config{Library: n.config.ClickHouse.Library, DataDir: filepath.Join(n.config.Data, "clickhouse"), SearchDir: n.config.Data}, chdb.Deps{Logger: n.log})
		if err != nil {
			n.log.Warn("reports are not available", "err", err)
			return absentSink{err}, nil
		}
		n.chdb = supervisor
		n.goRun(func() { supervisor.Run(ctx) })
		settings.Transport = supervisor.RoundTripper()
		if wrap := n.config.ClickHouse.wrap; wrap != nil {
			settings.Transport = wrap(settings.Transport)
		}
	case "server":
		settings.Addrs = n.config.ClickHouse.Addresses
		if n.config.ClickHouse.TLS {
			settings.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		if file := n.config.ClickHouse.PasswordFile; file != "" {
			secret, err := os.ReadFile(file)
			if err != nil {
				return nil, &tandem.Error{Kind: tandem.KindNotFound, Field: "clickhouse.password_file", Message: file + " can't be read", Mend: "give the path of a file that holds only the password", Err: err}
			}
			settings.Password = strings.TrimSpace(string(secret))
		}
	}
	client, err := clickhouse.Open(settings, clickhouse.Deps{Logger: n.log})
	if err != nil {
		return nil, err
	}
	n.onJournalClose = append(n.onJournalClose, func() { n.logError("close ClickHouse", client.Close()) })
	var reports provisioning.Reports = &freshReports{Reports: client.Reports(), flush: n.Flush, status: func() cdr.Status { return n.pipeline.Status() }, clock: time.Now}
	n.reports.Store(&reports)
	return client, nil
}

// absentSink stands where ClickHouse is not: rows stay in the journal and go
// out once there is one.
type absentSink struct{ err error }

func (s absentSink) Insert(context.Context, string, []tandem.CDR) error { return s.err }

// listeningQuality adapts media/quality to what cdr asks.
func listeningQuality(lost, packets uint64, jitterMs float32, codec string) float32 {
	return float32(quality.MOS(codec, tandem.StreamStats{Lost: lost, Packets: packets, JitterMicros: uint32(jitterMs * 1000)}))
}

// EngineCmd is `tandem engine`, the child process with the embedded engine.
type EngineCmd struct {
	Library   string `required:"" help:"Path of libchdb.so."`
	Dir       string `required:"" help:"The engine's own folder."`
	MaxMemory int64  `name:"max-memory" help:"Bytes that one query may use."`
}

// Run serves until standard input ends: the child never outlives its parent.
func (c EngineCmd) Run(env *environment) error {
	return chdb.RunChild(env.ctx, chdb.ChildOptions{Library: c.Library, DataDir: c.Dir, MaxMemory: c.MaxMemory, Stdin: os.Stdin, Stdout: os.Stdout})
}
