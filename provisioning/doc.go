// Package provisioning holds what operators configure while the engine runs:
// trunks, carriers, decks, accounts, tenants, service addresses and numbers.
//
// One YAML document (docs/formats/apply.md) says what is wanted. [Parse] reads
// it and reports every mistake with line and column, [Plan] is a pure function
// from the present directory and the document to the next directory and the
// difference, and [Service.Apply] stores it. The store tells its subscribers
// about the new, immutable [tandem.Directory]; routing and rating build their
// lookups from it.
//
// [Service] is the list of operations that the API (package api) and the portal
// (package portal) offer; neither of them has rules of its own. What other
// parts know (reports, live calls, health, prices) comes in as functions of
// root types, each of which may be absent.
//
// The package starts no goroutine.
package provisioning
