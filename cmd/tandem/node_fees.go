package main

import (
	"context"
	"errors"
	"time"
)

// feeEvery is how often a node looks whether a cycle has begun. What is posted
// already is known in memory.
const feeEvery = time.Minute

// startFees takes the subscription fees: when the directory changes, and when a cycle begins.
func (n *Node) startFees(ctx context.Context) error {
	if n.config.without(withoutRating) {
		return nil
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(feeEvery)
		defer tick.Stop()
		for {
			posted, err := n.ledger.TakeFees(ctx)
			if err != nil && !errors.Is(err, context.Canceled) {
				n.log.Warn("subscription fees could not be taken; they will be", "err", err)
			}
			if posted > 0 {
				n.log.Info("subscription fees taken", "count", posted)
			}
			select {
			case <-ctx.Done():
				return
			case <-n.feesDue:
			case <-tick.C:
			}
		}
	}()
	n.onClose(func() { stop(); <-ended })
	return nil
}
