//go:build !linux

package transport

import (
	"net"
	"net/netip"
)

// packetConn receives and sends the datagrams of one socket.
type packetConn struct{ c *net.UDPConn }

func newPacketConn(c *net.UDPConn) (*packetConn, error) { return &packetConn{c}, nil }

// ReadFrom waits for a datagram; only one goroutine may.
func (p *packetConn) ReadFrom(buf []byte) (int, netip.AddrPort, error) {
	n, from, err := p.c.ReadFromUDPAddrPort(buf)
	return n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), err
}

// WriteTo sends a datagram.
func (p *packetConn) WriteTo(msg []byte, to netip.AddrPort) (int, error) {
	return p.c.WriteToUDPAddrPort(msg, to)
}

// direct leaves a connection as it is.
func direct(nc net.Conn) net.Conn { return nc }
