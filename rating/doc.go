// Package rating prices legs. It is pure integer arithmetic over an immutable
// snapshot (Tariff) of accounts and decks: no I/O, no clock, no float, no
// goroutine.
//
// One leg takes three steps, all without allocation until the last:
//
//	Tariff.Assess(row)        who pays, by which deck row, from which bucket
//	Terms.Price(duration, …)  the interval formula, rounded once
//	Assessment.Charge(used)   the charge with its explanation
//
// Below it: numberplan (what a number is), deck (prefix to price row) and
// ledger (draws minutes and books charges exactly once).
package rating
