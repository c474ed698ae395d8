package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"tandem"
	"tandem/provisioning"
	"tandem/provisioning/api"
	"tandem/provisioning/portal"
	"tandem/provisioning/store"
	"tandem/rating"
	"tandem/rating/deck"
	"tandem/rating/ledger"
)

// startHTTP serves API and portal.
func (n *Node) startHTTP(ctx context.Context) error {
	n.service = provisioning.NewService(provisioning.Deps{
		Store: n.store,
		Reports: func() provisioning.Reports {
			if r := n.reports.Load(); r != nil {
				return *r
			}
			return nil
		},
		Live:   n.engine.Live,
		Health: n.monitor.Health,
		RouteExplain: func(r tandem.RouteRequest) tandem.Plan {
			return n.Plan(&r, time.Now())
		},
		RateExplain:   n.explainRate,
		ExplainCharge: explainCharge,
		Parts:         n.parts,
		ParseDeckCSV:  deck.ParseCSV,
		ParseSheet:    deck.ParseSheet,
		WriteDeckCSV:  deck.WriteCSV,
		ValidateDeck:  deck.Validate,
		Decks:         n.store,
		Books:         nodeBooks{n.store, n.ledger.Credit()},
		Cycle:         rating.CycleOn,
		Credit: func(account string) (provisioning.Credit, bool) {
			c, limited := n.ledger.Credit().State(account)
			return provisioning.Credit{Held: c.Held, Available: c.Available, Calls: c.Calls}, limited
		},
		Replay:     replayRows,
		InsertRows: n.sink.Insert,
		Version:    version,
		Node:       n.config.Node,
		Logger:     n.log,
	})
	pages, err := portal.New(n.service, portal.Config{Logger: n.log})
	if err != nil {
		return err
	}
	n.listener, err = net.Listen("tcp", n.config.HTTP.Address)
	if err != nil {
		return &tandem.Error{Kind: tandem.KindConflict, Field: "http.address", Message: n.config.HTTP.Address + " can't be listened on",
			Mend: "choose another port, or stop the program that holds it", Err: err}
	}
	address := n.listener.Addr().(*net.TCPAddr)
	n.server = api.NewServer(besideCalls(api.New(n.service, api.Config{Loopback: address.IP.IsLoopback(), Token: n.token, Portal: pages, Logger: n.log}), moreProcessors.change))
	n.goRun(func() {
		if err := n.server.Serve(n.listener); !errors.Is(err, http.ErrServerClosed) {
			n.logError("serve HTTP", err)
		}
	})
	n.onClose(func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if n.server.Shutdown(grace) != nil {
			_ = n.server.Close()
		}
	})
	return nil
}

// nodeBooks reads from the store and writes through the credit manager.
type nodeBooks struct {
	*store.Store
	credit *ledger.Credit
}

// Books implements tandem.LedgerStore.
func (b nodeBooks) Books(ctx context.Context, f func(tandem.LedgerTx) error) error {
	return b.credit.Books(ctx, f)
}

// explainRate answers what a call would cost.
func (n *Node) explainRate(ctx context.Context, q provisioning.RateQuestion) (provisioning.RateAnswer, error) {
	charge, err := n.ledger.Quote(ctx, ledger.QuoteRequest{From: q.From, To: q.To, Duration: time.Duration(q.DurationS) * time.Second, At: q.At})
	if err != nil {
		return provisioning.RateAnswer{}, err
	}
	return provisioning.RateAnswer{Charge: charge, Sentences: sentences(charge)}, nil
}

// replayRows prices rows by another directory.
func replayRows(dir *tandem.Directory, rows []tandem.CDR, drawn func(tandem.Bucket) int64, priced func(int, tandem.Charge, tandem.Cost)) error {
	tariff, err := rating.NewTariff(dir, nil)
	if err != nil {
		return err
	}
	replay := rating.NewReplay(tariff)
	replay.Drawn = drawn
	for i := range rows {
		charge, cost := replay.Charge(&rows[i])
		priced(i, charge, cost)
	}
	return nil
}

func explainCharge(row tandem.CDR) []string { return sentences(row.Charge) }

// sentences says in words what a charge's explanation holds.
func sentences(c tandem.Charge) []string {
	explanation, err := rating.ParseExplanation(c.Explanation)
	if err != nil {
		return []string{"this charge carries no explanation"}
	}
	return explanation.Sentences()
}

// parts is the state of what is behind the calls, for /api/v1/status.
func (n *Node) parts() map[string]any {
	state := map[string]any{
		"journal":  n.journal.Stats(),
		"pipeline": n.pipeline.Status(),
		"sip":      n.transport.Metrics(),
		"calls":    n.engine.Stats(),
		"media":    n.media.Stats(),
		"runtime":  readGoState(),
	}
	if n.chdb != nil {
		state["engine"] = n.chdb.State()
	}
	return state
}
