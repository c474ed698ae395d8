package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// setup measures the set-up of every call, INVITE to 200 as the caller's network
// sees them, from a capture with the kernel's own times: the prober's 20 calls a
// second are too few for a hundredth. The capture is work on the system's core,
// so these runs tell no CPU.
func (s *session) setup(ctx context.Context) error {
	systems := slices.DeleteFunc(slices.Clone(s.systems), func(name string) bool { return name == "kamailio" }) // a proxy: no aim is set beside it
	if err := s.inTurn(ctx, systems, "setup", func() driver { return &captured{} }); err != nil {
		return err
	}
	s.setupTable(s.say)
	return nil
}

// setupTable has the medians of the rounds.
func (s *session) setupTable(say func(string, ...any)) {
	say("\n| calls/s | system | calls | p50 | p90 | p99 | more than the floor's | p99.9 | stolen %% |\n|---|---|---|---|---|---|---|---|---|")
	p99 := func(r result) float64 { return r.P99 }
	for _, rate := range s.rates {
		for _, name := range titles(s.of("setup")) {
			get := func(value func(result) float64) float64 { return s.median(name, "setup", rate, value) }
			say("| %d | %s | %.0f | %.2f | %.2f | %.2f | %.2f | %.2f | %.1f |", rate, name, get(func(r result) float64 { return float64(r.all()) }),
				get(func(r result) float64 { return r.P50 }), get(func(r result) float64 { return r.P90 }), get(p99), get(p99)-s.median("floor", "setup", rate, p99),
				get(func(r result) float64 { return r.P999 }), get(func(r result) float64 { return r.StolenPercent }))
		}
	}
}

// captured is SIPp with a capture beside it, from which the set-up times come.
type captured struct{ sipp }

func (d *captured) place(ctx context.Context, l load) (heard, error) {
	if l == warmUp {
		return d.sipp.place(ctx, l)
	}
	c, err := newCapture(d.r.system(), d.r.caller())
	if err != nil {
		return heard{}, err
	}
	h, err := d.sipp.place(ctx, l)
	times, broken := c.end()
	if err = errors.Join(err, broken); err != nil {
		return h, err
	}
	if len(times) < h.all() {
		return h, fmt.Errorf("the capture has %d of %d answered calls", len(times), h.all())
	}
	slices.Sort(times)
	at := func(share float64) float64 {
		return float64(times[min(len(times)-1, int(share*float64(len(times))))].Microseconds()) / 1000
	}
	h.P50, h.P90, h.P99, h.P999, h.Max = at(0.5), at(0.9), at(0.99), at(0.999), at(1)
	return h, nil
}

// capture follows the calls between a caller and the system through all
// datagrams of the loopback.
type capture struct {
	system, caller [4]byte
	socket         int
	stop           chan struct{}
	done           chan struct{}

	began map[string]time.Duration // INVITEs without an answer, by Call-ID; times of the capture's clock
	times []time.Duration          // of those that were answered

	broken error // what ended it early
}

// newCapture begins. It needs the right to open packet sockets (root).
func newCapture(system, caller string) (*capture, error) {
	c := &capture{stop: make(chan struct{}), done: make(chan struct{}), began: map[string]time.Duration{}}
	for _, a := range []struct {
		text string
		to   *[4]byte
	}{{system, &c.system}, {caller, &c.caller}} {
		address, err := netip.ParseAddrPort(a.text)
		if err != nil {
			return nil, err
		}
		*a.to = address.Addr().As4()
	}
	loopback, err := net.InterfaceByName("lo")
	if err != nil {
		return nil, err
	}
	ip := int(binary.NativeEndian.Uint16([]byte{unix.ETH_P_IP >> 8, unix.ETH_P_IP & 255})) // in network order
	if c.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, ip); err != nil {
		return nil, fmt.Errorf("a capture needs the right to open packet sockets (root): %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(c.socket, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1), // the loopback shows each datagram twice
		unix.SetsockoptInt(c.socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
		unix.SetsockoptInt(c.socket, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptTimeval(c.socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}),
		unix.Bind(c.socket, &unix.SockaddrLinklayer{Protocol: uint16(ip), Ifindex: loopback.Index}))
	if err != nil {
		unix.Close(c.socket)
		return nil, fmt.Errorf("capture: %w", err)
	}
	go c.read()
	return c, nil
}

// end stops and gives the set-up times, or why there are none.
func (c *capture) end() ([]time.Duration, error) {
	close(c.stop)
	<-c.done
	return c.times, c.broken
}

func (c *capture) read() {
	defer close(c.done)
	defer unix.Close(c.socket)
	packet, oob := make([]byte, 1500), make([]byte, 128)
	for {
		n, m, _, _, err := unix.Recvmsg(c.socket, packet, oob, 0)
		switch {
		case err == unix.EAGAIN || err == unix.EINTR: // nothing for a while
			select {
			case <-c.stop:
				return
			default:
				continue
			}
		case err != nil:
			c.broken = fmt.Errorf("capture: %w", err)
			return
		}
		if at, ok := stamp(oob[:m]); ok {
			c.take(at, packet[:n])
		}
	}
}

// stamp is the kernel's time of a datagram.
func stamp(oob []byte) (time.Duration, bool) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0, false
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Duration(binary.NativeEndian.Uint64(m.Data))*time.Second + time.Duration(binary.NativeEndian.Uint64(m.Data[8:])), true
		}
	}
	return 0, false
}

// take notes an IP packet. The first INVITE of a call counts, and its first 200.
func (c *capture) take(at time.Duration, p []byte) {
	if len(p) < 20 || p[9] != unix.IPPROTO_UDP {
		return
	}
	from, to := [4]byte(p[12:16]), [4]byte(p[16:20])
	header := int(p[0]&15)*4 + 8
	if header > len(p) {
		return
	}
	message := p[header:]
	switch {
	case from == c.caller && to == c.system && bytes.HasPrefix(message, []byte("INVITE ")):
		if id := field(message, "Call-ID"); id != "" {
			if _, again := c.began[id]; !again {
				c.began[id] = at
			}
		}
	case from == c.system && to == c.caller && bytes.HasPrefix(message, []byte("SIP/2.0 200 ")):
		id := field(message, "Call-ID")
		if began, ok := c.began[id]; ok && strings.HasSuffix(field(message, "CSeq"), " INVITE") {
			c.times = append(c.times, at-began)
			delete(c.began, id)
		}
	}
}

// field is a header's value; empty when the message has none.
func field(message []byte, name string) string {
	_, rest, ok := bytes.Cut(message, []byte("\r\n"+name+":"))
	if !ok {
		return ""
	}
	value, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(bytes.TrimSpace(value))
}
