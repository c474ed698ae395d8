// Package tandem is the vocabulary that every other package speaks: numbers,
// trunks, legs, causes, money, the routing plan, the call record and the
// directory of customers. It imports the standard library and uuid only, does
// no I/O and starts no goroutine.
//
// Imports run one way:
//
//	tandem  <-  sip  media  routing  rating  cdr  provisioning  <-  cmd, bench
//
// The six never import one another: where one needs another it declares the
// few methods it calls, in types of this package, and cmd passes the
// implementation.
package tandem
