// Package scenario holds what the ledger must charge as files that a billing
// person can read: decks, calls, and the postings expected of them
// (testdata/*.txt). The tests run each file through ledger and checker.
//
// A file is made of lines. Indented lines belong to the line above; # begins a
// comment. Commands:
//
//	deck NAME DIRECTION CURRENCY     then a rate sheet, as docs/formats/deck.md describes; none may be refused
//	refused deck NAME DIRECTION CURRENCY: TEXT   a sheet that must be refused with this text
//	account NAME CURRENCY ZONE out DECK in DECK minutes N [cycle_day N] [cycle_end split]
//	number DID ACCOUNT PLAN [USER-TYPE]   the same DID again: its plan from here on
//	carrier NAME cost DECK           calls go out over it
//	used DID at INSTANT N s          seconds drawn from the bucket of that month already
//	call INSTANT FROM -> TO LENGTH [not connected] [failsafe]
//	    rule R | billed N | free N | charged N | fee A | amount A | cost A | row N | class C    what is expected of the last call
//	quote INSTANT FROM -> TO LENGTH  as call, but not booked
//	refuse INSTANT FROM -> TO        the call is refused before it begins
//	allow INSTANT FROM -> TO         it is not
//	replay                           all calls once more, in the other order: the books must stay as they are
//	posting ACCOUNT AMOUNT           the next posting of the books, in their order
//	balance ACCOUNT AMOUNT
//	left DID at INSTANT N s          what is left of the bucket of that month
//
// LENGTH is from answer to release, as in 90.4s or 1h2m.
package scenario
