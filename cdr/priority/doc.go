// Package priority tells the kernel who goes first on a busy processor: threads
// that carry calls, then batches (pricing, delivery), then the ClickHouse engine.
// All are wishes: a system that refuses, or that is not Linux, only has them
// compete. ADR 0011 and 0012 have the measurements.
package priority
