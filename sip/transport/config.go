package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"tandem"
)

// Config is what the sockets are set to. It is read-only after New.
type Config struct {
	Listen       []Listen
	Certificates []Certificate // the first is the default one
	// Roots lists PEM files with the roots that peers' certificates must chain to; empty: the system's.
	Roots []string

	// MaxMessage is the largest SIP message taken, in bytes, headers and body; more is answered 413.
	MaxMessage int
	// MaxConns and MaxConnsPerSource cap accepted connections, handshakes in progress included.
	MaxConns, MaxConnsPerSource int
	// MaxRate is how many messages a second are taken from one source address. Of
	// a source that sends more, datagrams are dropped before they are read, and
	// streams are read slower.
	MaxRate int
	// MaxIdleRate is how many of them may lead to nothing: OPTIONS, what can't be
	// read, and what is refused. A source that sends more is treated likewise.
	MaxIdleRate int
	// HandshakeTimeout bounds the TLS handshake of an accepted connection.
	HandshakeTimeout time.Duration
	// DialTimeout bounds one dial: all addresses of the name, connect and TLS.
	DialTimeout time.Duration
	// MessageTimeout bounds the time from the first to the last byte of a message on a stream.
	MessageTimeout time.Duration
	// IdleTimeout closes a connection on which nothing was received or sent for so long.
	IdleTimeout time.Duration
	// WriteTimeout bounds one write to a stream; a peer that does not read loses its connection.
	WriteTimeout time.Duration
	// WriteQueue is how many bytes may wait for one connection; more fails the message.
	WriteQueue int
	// RenewAfter is the age from which our connections are replaced by new ones (Microsoft: hourly).
	RenewAfter time.Duration
	// RetireIdle is how long a replaced connection must be silent before it is
	// closed: longer than an INVITE may ring without a message (Timer C).
	RetireIdle time.Duration
	// Housekeeping is how often ages and certificate files are looked at.
	Housekeeping time.Duration
	// UDPBuffer is the kernel's buffer of a UDP socket, in bytes each way.
	UDPBuffer int
	// FreshFor is how long a resolved name is used without asking again;
	// StaleFor how long it is used when asking fails.
	FreshFor, StaleFor time.Duration
}

// Listen is one listening socket.
type Listen struct {
	Transport   tandem.Transport
	Address     netip.AddrPort
	Certificate string // TLS: name of ours; empty: the default one
}

// Certificate is a certificate chain and its key in PEM files; changes of the files are seen.
type Certificate struct {
	Name, CertFile, KeyFile string
}

// DefaultConfig is the product's default without sockets.
func DefaultConfig() Config {
	return Config{
		MaxMessage:        65535, // the largest UDP datagram; sipgo's own limit
		MaxConns:          4096,
		MaxConnsPerSource: 256, // Microsoft opens two per proxy machine; carriers behind one address share it
		// What no machine serves anyway: 330 us a call and 7 messages in make 21,000 a second and CPU.
		MaxRate: 20_000 * runtime.GOMAXPROCS(0),
		// One CPU\'s 1,500 calls a second, two thirds of them refused.
		MaxIdleRate:      1_000 * runtime.GOMAXPROCS(0),
		HandshakeTimeout: 5 * time.Second,
		DialTimeout:      3 * time.Second, // under the default failsafe bound of 4 s
		MessageTimeout:   10 * time.Second,
		IdleTimeout:      30 * time.Minute,
		WriteTimeout:     5 * time.Second,
		WriteQueue:       4 << 20, // 1.3 s of 1,000 calls/s at 3 KB a call
		RenewAfter:       time.Hour,
		RetireIdle:       4 * time.Minute,
		Housekeeping:     5 * time.Second,
		UDPBuffer:        4 << 20, // 2,000 messages of a burst while the reader is away
		FreshFor:         30 * time.Second,
		StaleFor:         10 * time.Minute,
	}
}

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var all []error
	bad := func(field string, value any, rule, mend string) {
		all = append(all, &tandem.Error{Kind: tandem.KindInvalid, Field: "sip." + field, Message: fmt.Sprintf("%v %s", value, rule), Mend: mend})
	}
	names := map[string]bool{}
	for i, cert := range c.Certificates {
		if cert.Name == "" || names[cert.Name] {
			bad(fmt.Sprintf("certificates[%d].name", i), fmt.Sprintf("%q", cert.Name), "must be a name used once", "name each certificate differently")
		}
		names[cert.Name] = true
	}
	for i, l := range c.Listen {
		field := fmt.Sprintf("listen[%d]", i)
		switch l.Transport {
		case tandem.UDP, tandem.TCP:
		case tandem.TLS:
			if len(c.Certificates) == 0 {
				bad(field, l.Address, "listens for TLS without a certificate", "add one under sip.certificates")
			} else if l.Certificate != "" && !names[l.Certificate] {
				bad(field+".certificate", l.Certificate, "is not under sip.certificates", "use one of its names")
			}
		default:
			bad(field+".transport", fmt.Sprintf("%q", l.Transport), "is not a transport", "use udp, tcp or tls")
		}
		if !l.Address.IsValid() {
			bad(field+".address", l.Address, "is not ip:port", "write it as in 192.0.2.10:5061")
		}
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"handshake_timeout", c.HandshakeTimeout}, {"dial_timeout", c.DialTimeout}, {"message_timeout", c.MessageTimeout},
		{"idle_timeout", c.IdleTimeout}, {"write_timeout", c.WriteTimeout}, {"renew_after", c.RenewAfter}, {"retire_idle", c.RetireIdle},
		{"housekeeping", c.Housekeeping}, {"fresh_for", c.FreshFor}, {"stale_for", c.StaleFor},
	} {
		if d.value <= 0 {
			bad(d.field, d.value, "is not above zero", "write a duration with its unit, as in 5s")
		}
	}
	if c.MaxMessage < 2048 || c.MaxMessage > 65535 {
		bad("max_message", c.MaxMessage, "is out of range", "use 2048 to 65535 bytes")
	}
	if c.MaxConns < 1 || c.MaxConnsPerSource < 1 {
		bad("max_conns", c.MaxConns, "leaves no room for a connection", "use at least 1, in all and per source")
	}
	if c.MaxRate < 1 || c.MaxIdleRate < 1 {
		bad("max_rate", min(c.MaxRate, c.MaxIdleRate), "leaves no room for a message", "use at least 1")
	}
	if c.WriteQueue < c.MaxMessage {
		bad("write_queue", c.WriteQueue, "holds less than one message", "use at least max_message")
	}
	return errors.Join(all...)
}
