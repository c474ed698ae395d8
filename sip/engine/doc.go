// Package engine drives the call core: it owns one goroutine per shard, brings
// events to the shard that owns their call, keeps its timers, and lets messages
// leave only after the facts of their turn are written.
//
// Reader goroutines of the transports call Receive, which sorts: OPTIONS
// outside dialogs and the answers to ours go to trunk health; everything else
// goes by Call-ID into the mailbox of a shard, in wire order. A shard takes what
// is in its mailbox, hands it to the core one event at a time, and settles each
// turn: what the core sent leaves at once, or waits in line behind facts that the
// journal has not written yet (barrier.go, docs/adr/0004-written-before-sent.md).
package engine
