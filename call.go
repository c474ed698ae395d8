package tandem

import (
	"crypto/sha1"
	"strconv"

	"github.com/google/uuid"
)

// CorrelationID is shared by every leg, attempt and CDR of one call.
type CorrelationID = uuid.UUID

// TenantID is a Microsoft Entra tenant ID.
type TenantID = uuid.UUID

// Direction is seen from the customer: inbound = PSTN to Teams user.
type Direction string

// The directions.
const (
	Inbound  Direction = "inbound"
	Outbound Direction = "outbound"
)

// Technology is the CDR's word for which side a leg is on.
type Technology string

// The technologies; every connected call has one row of each, a failsafe call two of Phone.
const (
	OperatorConnect Technology = "Operator Connect"
	Phone           Technology = "Phone"
)

// PlanKind is the tariff plan of a number.
type PlanKind string

// The plans. Auto-attendants may only be metered.
const (
	Metered   PlanKind = "Metered"
	Unlimited PlanKind = "Unlimited"
)

// UserType is what a number is used for in Teams.
type UserType string

// The user types.
const (
	StandardUser  UserType = "Standard Teams user"
	SharedLine    UserType = "Shared line"
	AutoAttendant UserType = "Auto-attendant"
)

// NumberStatus is the state of a number towards Microsoft; exactly these four words.
type NumberStatus string

// The number statuses.
const (
	StatusUnassigned        NumberStatus = "Unassigned"
	StatusAssigned          NumberStatus = "Assigned"
	StatusError             NumberStatus = "Error"
	StatusSubscriptionError NumberStatus = "Subscription Error"
)

// Side is a side of a B2BUA call: A faces the caller, B the callee.
type Side uint8

// The sides.
const (
	SideA Side = iota
	SideB
)

// Other is the opposite side.
func (s Side) Other() Side { return 1 - s }

func (s Side) String() string {
	if s == SideA {
		return "A"
	}
	return "B"
}

// CallRef finds a call inside the engine: the shard that owns it and its serial
// number there. It never leaves the process.
type CallRef struct {
	Shard  uint16
	Serial uint64
}

// legSpace is the name space of leg IDs.
var legSpace = uuid.MustParse("6f1d3c52-6f0e-5c0e-9d3a-6d2f6a5b7c11")

// LegID is the deterministic identity of one leg of a call: a replay of the
// same facts gives the same IDs, which makes rating and delivery idempotent.
// Attempt 0 is the A-leg, 1 and up are the B-leg attempts in order.
//
// Where the correlation ID begins with the call's instant (UUIDv7, as the core
// mints them), the second half of the leg's does (UUIDv8): ClickHouse sorts by
// that, so that the legs of a call, and of a second, stand together. In it 1111
// stands behind the 48 bits of milliseconds, and then the 12 bits by which calls of
// the same millisecond differ; 60 more, of all that the ID is made of, are in the
// first half. Calls whose ID is another, as on record from before, have UUIDv5.
func LegID(correlation CorrelationID, attempt int) uuid.UUID {
	// uuid.NewSHA1 of the same, without its four allocations.
	var text [56]byte
	n := copy(text[:], legSpace[:])
	n += copy(text[n:], correlation[:])
	sum := sha1.Sum(strconv.AppendInt(text[:n], int64(attempt), 10))
	id, version := uuid.UUID(sum[:16]), byte(5)
	if correlation.Version() == 7 {
		version = 8
		copy(id[8:], correlation[:8])
		id[14] = id[14]&0x0f | timedLeg<<4
	}
	id[6] = id[6]&0x0f | version<<4
	id[8] = id[8]&0x3f | 0x80 // RFC 9562
	return id
}

// timedLeg is nobody's version: it tells a leg's ID whose halves are swapped.
const timedLeg = 0xf

// LegKey is the ID of a leg for an index that sorts by its first bytes: with its
// halves swapped, if the second one begins with the call's instant. An index by the
// ID itself gets a page written per leg as soon as it has some 100,000; by the key
// the legs of a second share a few. LegKey of the key is the ID, whatever ID it is.
func LegKey(id uuid.UUID) (key uuid.UUID) {
	if first, second := id[6]>>4, id[14]>>4; first == 8 && second == timedLeg || first == timedLeg && second == 8 {
		copy(key[:], id[8:])
		copy(key[8:], id[:8])
		return key
	}
	return id
}
