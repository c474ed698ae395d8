package main

import (
	"context"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/media/relay"
	"tandem/rating/ledger"
	"tandem/routing"
	"tandem/sip/core"
	"tandem/sip/engine"
	"tandem/sip/transport"
	"tandem/sip/trunk"
)

// startMedia opens the relay.
func (n *Node) startMedia(context.Context) error {
	first, last, err := n.config.Media.portRange()
	if err != nil {
		return err
	}
	settings := relay.DefaultConfig()
	settings.PortMin, settings.PortMax = first, last
	settings.RTPTimeout = n.config.Media.RTPTimeout
	settings.Addresses, settings.Advertise = n.config.Media.addresses()
	if n.config.Media.Threads > 0 {
		settings.Threads = n.config.Media.Threads
	}
	moreProcessors.change(settings.Threads)
	settings.OwnProcessors = true
	n.onClose(func() { moreProcessors.change(-settings.Threads) })
	n.media, err = relay.New(settings, relay.Deps{
		OnEvent: func(e tandem.MediaEvent) {
			if n.engine != nil {
				n.engine.MediaEvent(e)
			}
		},
		Logger: n.log,
	})
	if err != nil {
		return err
	}
	n.onClose(func() { n.logError("close media", n.media.Close()) })
	return nil
}

// userAgent names us in SIP as vendor/model/version, the form of X-MS-SBC.
func userAgent() string { return "Tandem/Tandem/" + version }

// startSIP opens the sockets, the health monitor and the shards. Nothing is
// received before StartNode's last step.
func (n *Node) startSIP(context.Context) error {
	settings := transport.DefaultConfig()
	for _, l := range n.config.SIP.Listen {
		settings.Listen = append(settings.Listen, transport.Listen{
			Transport: tandem.Transport(strings.ToUpper(l.Transport)), Address: netip.MustParseAddrPort(l.Address), Certificate: l.Certificate})
	}
	for _, c := range n.config.SIP.Certificates {
		settings.Certificates = append(settings.Certificates, transport.Certificate{Name: c.Name, CertFile: c.Cert, KeyFile: c.Key})
	}
	settings.Roots = n.config.SIP.Roots
	var err error
	n.transport, err = transport.New(settings, transport.Deps{Logger: n.log})
	if err != nil {
		return err
	}
	n.onClose(n.transport.Close)

	health := trunk.DefaultConfig()
	health.UserAgent = userAgent()
	n.monitor = trunk.New(health, trunk.Deps{Sender: n.transport, Connections: n.transport, Logger: n.log})
	n.onClose(n.monitor.Close)

	call := core.DefaultConfig()
	call.Node = n.config.Node
	call.UserAgent = userAgent()
	call.MaxCalls = 0 // the node's own limit is divided among the shards; 0 = none
	call.CheckpointEvery = n.config.Records.CheckpointEvery
	shards := n.config.SIP.Shards
	if shards == 0 {
		shards = runtime.NumCPU()
	}
	shard := engine.DefaultConfig()
	shard.Shards, shard.MaxCalls, shard.Core = shards, n.config.SIP.MaxCalls, call
	if err := shard.Validate(); err != nil {
		return err
	}
	var media tandem.MediaRelay = n.media
	if n.config.without(withoutMedia) {
		media = noMedia{}
	}
	var recorder engine.Recorder = n.journal
	if n.config.without(withoutJournal) {
		recorder = noJournal{}
	}
	n.engine = engine.New(shard, engine.Deps{
		Router: n, Credit: n.ledger.Credit(), Media: media, Recorder: creditRecorder{recorder, n.ledger.Credit()}, Sender: n.transport, Health: n.monitor, Logger: n.log,
	})
	n.onClose(n.hangUp)
	return nil
}

// releaseCut hangs up, in the background, the calls that a crash cut.
func (n *Node) releaseCut(ctx context.Context) error {
	if calls := n.journal.TakeCut(); len(calls) > 0 {
		n.goRun(func() { n.engine.ReleaseRecovered(ctx, calls) })
	}
	return nil
}

// hangUp ends the calls in progress and the shards.
func (n *Node) hangUp() {
	n.monitor.Drain(true)
	n.engine.Drain(true)
	deadline := time.Now().Add(stopGrace)
	for _, call := range n.engine.Live() {
		n.engine.Hangup(call.Correlation, "node is stopped")
	}
	for len(n.engine.Live()) > 0 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	n.engine.Close()
}

// Plan implements core.Router: routing decides by the present directory and
// health; then rating may refuse what it could not price, and the journal what
// it could not record. Emergency calls pass both.
func (n *Node) Plan(req *tandem.RouteRequest, now time.Time) tandem.Plan {
	plan := n.table.Load().Plan(req, n.monitor.Health(), now)
	if plan.Reject != nil || plan.Emergency {
		return plan
	}
	if !n.config.without(withoutRating) {
		if refused := n.ledger.Authorize(&plan, now); refused != nil {
			refuse(&plan, "rating", refused)
			return plan
		}
	}
	if !n.journal.Accepting() {
		refuse(&plan, "journal", &tandem.Rejection{Status: 503, Cause: tandem.CauseTemporaryFailure, Reason: "calls can't be recorded now"})
		return plan
	}
	if !n.config.without(withoutRating) {
		if refused := n.ledger.Credit().Reserve(req.Correlation, &plan, now); refused != nil {
			refuse(&plan, "credit", refused)
			return plan
		}
	}
	if req.Correlation != uuid.Nil { // not a question of tandem route explain
		n.monitor.Try(&plan, now)
	}
	return plan
}

// creditRecorder settles a call's credit before its end is on record, so that
// the ledger never books a leg that is not awaited.
type creditRecorder struct {
	engine.Recorder
	credit *ledger.Credit
}

// Record implements engine.Recorder.
func (r creditRecorder) Record(shard uint16, kind tandem.FactKind, at time.Time, call *tandem.CallRecord) uint64 {
	if kind == tandem.FactEnd {
		r.credit.Ended(call)
	}
	return r.Recorder.Record(shard, kind, at, call)
}

func refuse(plan *tandem.Plan, rule string, why *tandem.Rejection) {
	plan.Reject = why
	plan.Trace = append(plan.Trace, tandem.TraceStep{Rule: rule, Detail: "refused: " + why.Reason})
}

// followDirectory brings every change of the directory to routing, rating and
// signalling, all or none of them.
func (n *Node) followDirectory(context.Context) error {
	dir, err := n.store.Directory(context.Background())
	if err != nil {
		return err
	}
	if err := n.applyDirectory(dir); err != nil {
		return err
	}
	n.onClose(n.store.Subscribe(func(dir *tandem.Directory) {
		n.logError("apply directory", n.applyDirectory(dir))
	}))
	return nil
}

func (n *Node) applyDirectory(dir *tandem.Directory) error {
	settings := routing.DefaultConfig()
	r := n.config.Routing
	settings.FailsafeBound, settings.TryingBound, settings.RingingBound = r.FailsafeBound, r.TryingBound, r.RingingBound
	table, err := routing.New(settings, dir)
	if err != nil {
		return err
	}
	if err := n.ledger.SetDirectory(dir); err != nil {
		return err
	}
	var views []core.TrunkView
	var sources []transport.Trunk
	for _, t := range dir.Trunks {
		if t.Disabled {
			continue
		}
		local, ok := n.transport.LocalFor(t)
		if !ok {
			n.log.Warn("trunk can't be used: no listening socket of its transport", "trunk", t.ID, "transport", t.Transport,
				"mend", "add one under sip.listen and restart")
			continue
		}
		host := t.FQDN
		if host == "" {
			host = local.Addr().String()
		}
		views = append(views, core.TrunkView{Trunk: t, ViaHost: host, ViaPort: local.Port()})
		sources = append(sources, transport.Trunk{Trunk: t, Local: local})
	}
	n.table.Store(table)
	n.transport.SetTrunks(sources)
	n.monitor.SetTrunks(views)
	n.engine.SetDirectory(views)
	select {
	case n.feesDue <- struct{}{}:
	default:
	}
	return nil
}
