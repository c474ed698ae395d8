package sdp

// Direction is a media direction seen by the author of the description
// (RFC 3264 5.1): a set of send and receive.
type Direction uint8

// The directions.
const (
	Inactive Direction = 0
	SendOnly Direction = 1
	RecvOnly Direction = 2
	SendRecv Direction = SendOnly | RecvOnly
)

func (d Direction) String() string {
	return [...]string{"inactive", "sendonly", "recvonly", "sendrecv"}[d&SendRecv]
}

// Mirror is the same direction seen by the other party.
func (d Direction) Mirror() Direction { return d>>1&1 | d<<1&2 }

// parseDirection reads the name of a direction attribute.
func parseDirection(name string) (Direction, bool) {
	switch name {
	case "sendrecv":
		return SendRecv, true
	case "sendonly":
		return SendOnly, true
	case "recvonly":
		return RecvOnly, true
	case "inactive":
		return Inactive, true
	}
	return 0, false
}

// offerDirection is what a side hears of the other's wish. Microsoft
// understands only inactive as hold (microsoft-teams-trunk.md 6).
func offerDirection(wish Direction, teams bool) Direction {
	if teams && wish != SendRecv {
		return Inactive
	}
	return wish
}

// answerDirection is our answer to an offer of direction offered, when we asked
// the other side for asked and it answered got. Where we asked for inactive only
// because Microsoft understands nothing else, the answer is the natural one to what was
// really offered. Towards Microsoft a hold by answer is inactive too.
func answerDirection(offered, asked, got Direction, teams bool) Direction {
	answer := got & offered.Mirror()
	if asked != offered {
		answer = offered.Mirror()
	}
	if teams && offered == SendRecv && answer != SendRecv {
		return Inactive
	}
	return answer
}
