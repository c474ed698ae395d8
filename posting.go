package tandem

import (
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
)

// PostingKind says why a balance moved.
type PostingKind string

// The kinds of postings.
const (
	PostCharge     PostingKind = "charge"     // the price of a leg; only LedgerTx.Book makes it
	PostFee        PostingKind = "fee"        // the subscription fee of a plan
	PostTopUp      PostingKind = "topup"      // the customer paid in
	PostCorrection PostingKind = "correction" // re-rating, or a mistake mended: either sign
	PostRefund     PostingKind = "refund"     // a charge or fee given back
)

// PostingKinds lists all kinds, in the order in which statements sum them up.
var PostingKinds = [...]PostingKind{PostCharge, PostFee, PostTopUp, PostCorrection, PostRefund}

// Counter is the book on the other side of the customer's: what the one gains
// the other loses, so that the sum over all books is zero.
func (k PostingKind) Counter() string {
	switch k {
	case PostCharge, PostFee:
		return "revenue"
	case PostTopUp:
		return "cash"
	case PostCorrection:
		return "corrections"
	case PostRefund:
		return "refunds"
	}
	return ""
}

// Posting moves an amount between an account's book and the book that is its
// kind's Counter. It is stored once by its ID and never edited: a mistake is
// mended by another posting. The balance of an account is the sum of its postings.
type Posting struct {
	// ID is the idempotence key; of a charge the leg's. What can be done twice by
	// mistake derives it from what it is about (uuid.NewSHA1), as a fee does from number and cycle.
	ID       uuid.UUID   `json:"id"`
	At       time.Time   `json:"at"` // when it counts, UTC; of a charge the answer instant
	Account  string      `json:"account"`
	Kind     PostingKind `json:"kind"`
	Amount   Amount      `json:"amount"` // what the account's balance moves by: negative = taken from it
	Currency Currency    `json:"currency"`
	DID      E164        `json:"did,omitempty"`
	Leg      uuid.UUID   `json:"leg,omitzero"` // the leg that a charge, correction or refund is about
	Note     string      `json:"note,omitempty"`
}

// maxPostingNote bounds a note in bytes.
const maxPostingNote = 500

// Validate refuses what LedgerTx.Post must not store: KindInvalid.
func (p *Posting) Validate() error {
	bad := func(field, message, mend string) error {
		return &Error{Kind: KindInvalid, Field: field, Message: message, Mend: mend}
	}
	switch {
	case p.ID == uuid.Nil:
		return bad("id", "a posting needs an ID", "give a UUID; the same one again changes nothing")
	case p.Account == "":
		return bad("account", "a posting needs an account", "name the account")
	case p.Kind == PostCharge:
		return bad("kind", "a charge is booked with its leg", "post a correction instead")
	case p.Kind.Counter() == "":
		return bad("kind", fmt.Sprintf("%q is not a kind of posting", Clip(string(p.Kind), 40)), "use one of: fee, topup, correction, refund")
	case p.Currency == "":
		return bad("currency", "a posting needs a currency", "write an ISO 4217 code such as USD")
	case p.At.IsZero():
		return bad("at", "a posting needs an instant", "say when it counts")
	case p.Amount == 0 || p.Amount == math.MinInt64:
		return bad("amount", "a posting moves something", "write an amount other than 0")
	case p.Amount < 0 && (p.Kind == PostTopUp || p.Kind == PostRefund), p.Amount > 0 && p.Kind == PostFee:
		return bad("amount", fmt.Sprintf("a %s of %s has the wrong sign", p.Kind, p.Amount), "a top-up or refund adds to the balance, a fee takes from it; post a correction instead")
	case len(p.Note) > maxPostingNote:
		return bad("note", "the note is too long", fmt.Sprintf("write at most %d bytes", maxPostingNote))
	}
	return nil
}
