package main

import (
	"context"
	"sync"
	"time"

	"tandem"
	"tandem/cdr"
	"tandem/provisioning"
)

const (
	// freshEvery is how often reading reports may cause an insert: rows are at
	// most about this old, however many pages poll.
	freshEvery = time.Second
	// freshWait bounds how long a report waits for the delivery before it shows what there is.
	freshWait = 3 * time.Second
)

// freshReports delivers what is on record before it reads: rows leave in large,
// rare batches, and no reader of reports sees that.
type freshReports struct {
	provisioning.Reports
	flush  func(context.Context) error
	status func() cdr.Status
	clock  func() time.Time

	mu   sync.Mutex
	last time.Time // when the last delivery for a report began
}

// CDRs implements provisioning.Reports.
func (r *freshReports) CDRs(ctx context.Context, f tandem.CDRFilter) ([]tandem.CDR, error) {
	r.deliver(ctx)
	return r.Reports.CDRs(ctx, f)
}

// deliver does not wait for a ClickHouse that is in trouble: reading will tell.
func (r *freshReports) deliver(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock() // who comes meanwhile waits for the same delivery
	now := r.clock()
	if now.Sub(r.last) < freshEvery || r.status().LastError != "" {
		return
	}
	wait, cancel := context.WithTimeout(ctx, freshWait)
	defer cancel()
	if r.flush(wait) == nil {
		r.last = now
	}
}
