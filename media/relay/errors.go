package relay

import (
	"errors"
	"net/netip"

	"tandem"
)

func noPorts(addr netip.Addr) error {
	return &tandem.Error{Kind: tandem.KindUnavailable, Field: "media.ports", Message: "no media port is left on " + addr.String(),
		Mend: "widen media ports, raise the limit of open files, or carry fewer calls"}
}

// errFiles: the budget of open files is spent; ports that are bound already go on serving.
var errFiles = errors.New("no more sockets may be opened")

func unknownAddress(addr netip.Addr) error {
	return &tandem.Error{Kind: tandem.KindInvalid, Field: "media.addresses", Message: addr.String() + " is not among the media addresses",
		Mend: "list it under media addresses"}
}

func errClosed() error {
	return &tandem.Error{Kind: tandem.KindConflict, Message: "the media of this call is closed"}
}
