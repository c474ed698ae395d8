// Package routing decides where a call goes. It is one pure function,
// Table.Plan: the facts of an INVITE, the health of the trunks and the time go
// in; ordered attempts, the failsafe step and the trace of why come out. The
// live call path, `tandem route explain` and the replay of past calls ask the
// same function.
//
// A Table is an immutable index of one tandem.Directory: building one costs
// milliseconds, asking it microseconds. It holds no lock, starts no goroutine
// and reads no clock, so any number of goroutines may share it; whoever owns
// the current one swaps a pointer when the directory changes.
//
// It does not try anything itself, keeps no health and knows no prices.
package routing
