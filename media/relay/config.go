package relay

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"tandem"
)

// Config says where media is and how it is handled.
type Config struct {
	// Addresses are our own media addresses. The first of each family is the
	// default for peers of that family; trunks choose among all by MediaProfile.LocalAddress.
	Addresses []netip.Addr
	// Advertise maps an address of Addresses to the one written into SDP, where
	// the machine stands behind a 1:1 NAT. Missing: the address itself.
	Advertise map[netip.Addr]netip.Addr
	// PortMin and PortMax bound the UDP ports, both included. A side of a call
	// takes an even port for RTP and the next for RTCP (RFC 3550 11).
	PortMin, PortMax uint16
	// Threads is the number of media threads; one carries about 100,000 packets/s.
	Threads int
	// OwnProcessors tells that GOMAXPROCS was raised by Threads, so that a
	// waiting media thread may keep its processor: saves about 3 us a packet.
	OwnProcessors bool
	// RTPTimeout is how long a side may be silent while media should flow both
	// ways, RTP or RTCP; 0 = for ever.
	RTPTimeout time.Duration
	// Quarantine is how long the ports of an ended call rest: late packets of
	// its peer must not find a new call.
	Quarantine time.Duration
	// Sockets bounds the open sockets, whatever the port range: each is an open
	// file, and journal, store and connections need some too. 0 = what the system
	// lets the process open, less 1,024.
	Sockets int
	// Prebind is the number of port pairs bound at the start per address, as far as
	// a quarter of the open files goes: binding one takes 10 to 20 us, which calls that
	// find none ready pay.
	Prebind int
	// Plain uses net.UDPConn and goroutines instead of media threads.
	Plain bool
}

// DefaultConfig is the configuration without addresses.
//
// Ports 20000 to 39999 are 10,000 pairs, 5,000 calls, below Linux's ephemeral
// range (32768) for the most part; keep the range out of
// net.ipv4.ip_local_port_range or reserve it.
func DefaultConfig() Config {
	return Config{PortMin: 20000, PortMax: 39999, Threads: 1, RTPTimeout: time.Minute, Quarantine: 2 * time.Second, Prebind: 1024}
}

// Validate reports the first rule that the configuration breaks.
func (c Config) Validate() error {
	bad := func(field, message, mend string) error {
		return &tandem.Error{Kind: tandem.KindInvalid, Field: "media." + field, Message: message, Mend: mend}
	}
	if len(c.Addresses) == 0 {
		return bad("addresses", "no media address", "give the address that peers send RTP to")
	}
	if len(c.Addresses) > maxBanks {
		return bad("addresses", fmt.Sprintf("%d media addresses", len(c.Addresses)), fmt.Sprintf("give %d at most", maxBanks))
	}
	seen := map[netip.Addr]bool{}
	for i, a := range c.Addresses {
		field := fmt.Sprintf("addresses[%d]", i)
		switch {
		case !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.Is4In6():
			return bad(field, fmt.Sprintf("%v is no address to receive media on", a), "give an address of this machine")
		case seen[a]:
			return bad(field, a.String()+" is listed twice", "remove one")
		}
		seen[a] = true
	}
	for bind, public := range c.Advertise {
		if !seen[bind] {
			return bad("advertise", bind.String()+" is not a media address", "list it under addresses")
		}
		if !public.IsValid() || public.Is4() != bind.Is4() || public.IsUnspecified() || public.IsMulticast() {
			return bad("advertise", fmt.Sprintf("%v cannot stand for %v", public, bind), "give the public address of the same family")
		}
	}
	if c.PortMin < 1024 || int(c.PortMax)-int(c.PortMin) < 3 {
		return bad("port_min", fmt.Sprintf("ports %d to %d", c.PortMin, c.PortMax), "give a range above 1023 with room for one call (4 ports)")
	}
	if c.Threads < 1 || c.Threads > 64 {
		return bad("threads", fmt.Sprintf("%d media threads", c.Threads), "give 1 to 64")
	}
	if c.RTPTimeout < 0 || c.Quarantine < 0 || c.Prebind < 0 || c.Sockets < 0 {
		return bad("rtp_timeout", "a negative time or count", "give 0 or more")
	}
	return nil
}

// Deps are the pool's neighbours; zero fields have defaults.
type Deps struct {
	// OnEvent is called from the pool's own goroutine and must not block; nil drops events.
	OnEvent func(tandem.MediaEvent)
	Clock   func() time.Time // nil = time.Now
	Random  io.Reader        // for keys and session ids; nil = crypto/rand
	Logger  *slog.Logger     // nil = discard
}

func (d Deps) withDefaults() Deps {
	if d.OnEvent == nil {
		d.OnEvent = func(tandem.MediaEvent) {}
	}
	if d.Clock == nil {
		d.Clock = time.Now
	}
	if d.Random == nil {
		d.Random = rand.Reader
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}
