package transport

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// packetConn receives and sends the datagrams of one socket.
//
// The socket does not block, so its system calls are made raw: the scheduler is
// not told. An ordinary one tells it twice, and on a node that is mostly idle
// each of the fourteen datagrams of a call then wakes the runtime's monitor
// thread, which looks around, sleeps 20 us, looks again: that was 17 % of a
// call's CPU time at 200 calls/s (docs/performance.md). Waiting for a datagram is
// still the network poller's. Measured: docs/adr/0010-raw-sockets-and-quick-parser.md.
type packetConn struct {
	raw syscall.RawConn
	ops sync.Pool // of *sendOp

	// Of the one reader.
	read func(fd uintptr) bool
	buf  []byte
	n    int
	from unix.RawSockaddrAny
	err  error
}

// sendOp is one datagram being sent; run is made once, so that sending allocates nothing.
type sendOp struct {
	run  func(fd uintptr) bool
	msg  []byte
	to   unix.RawSockaddrAny
	size uint32
	err  error
}

func newPacketConn(c *net.UDPConn) (*packetConn, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	p := &packetConn{raw: raw}
	p.read = p.receive
	p.ops.New = func() any {
		o := &sendOp{}
		o.run = o.send
		return o
	}
	return p, nil
}

// ReadFrom waits for a datagram; only one goroutine may.
func (p *packetConn) ReadFrom(buf []byte) (int, netip.AddrPort, error) {
	p.buf = buf
	if err := p.raw.Read(p.read); err != nil {
		return 0, netip.AddrPort{}, err
	}
	return p.n, addressOf(&p.from), p.err
}

func (p *packetConn) receive(fd uintptr) bool {
	for {
		size := uint32(unix.SizeofSockaddrAny)
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&p.buf[0])), uintptr(len(p.buf)), 0,
			uintptr(unsafe.Pointer(&p.from)), uintptr(unsafe.Pointer(&size)))
		switch errno {
		case 0:
			p.n, p.err = int(n), nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		default:
			p.n, p.err = 0, errno
		}
		return true
	}
}

// WriteTo sends a datagram. A full socket buffer is an error (ENOBUFS), not a
// wait: the caller may be a shard, and SIP over UDP sends again what is lost.
func (p *packetConn) WriteTo(msg []byte, to netip.AddrPort) (int, error) {
	if len(msg) == 0 {
		return 0, nil
	}
	o := p.ops.Get().(*sendOp)
	o.msg, o.err = msg, nil
	o.size = setAddress(&o.to, to)
	err := p.raw.Write(o.run)
	if err == nil {
		err = o.err
	}
	o.msg = nil
	p.ops.Put(o)
	if err != nil {
		return 0, err
	}
	return len(msg), nil
}

func (o *sendOp) send(fd uintptr) bool {
	for range 3 {
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&o.msg[0])), uintptr(len(o.msg)), unix.MSG_NOSIGNAL,
			uintptr(unsafe.Pointer(&o.to)), uintptr(o.size))
		switch errno {
		case 0:
			o.err = nil
			return true
		case unix.EAGAIN:
			errno = unix.ENOBUFS
		}
		o.err = errno
		if errno != unix.EINTR && errno != unix.ECONNREFUSED { // the ICMP error of an earlier datagram: send again
			return true
		}
	}
	return true
}

// addressOf reads a socket address.
func addressOf(sa *unix.RawSockaddrAny) netip.AddrPort {
	switch sa.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), networkOrder(in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom16(in.Addr).Unmap(), networkOrder(in.Port))
	}
	return netip.AddrPort{}
}

// setAddress writes a socket address and gives its size.
func setAddress(sa *unix.RawSockaddrAny, to netip.AddrPort) uint32 {
	if to.Addr().Is4() {
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(sa)) = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: networkOrder(to.Port()), Addr: to.Addr().As4()}
		return unix.SizeofSockaddrInet4
	}
	in := unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: networkOrder(to.Port()), Addr: to.Addr().As16()}
	if zone := to.Addr().Zone(); zone != "" {
		if ifi, err := net.InterfaceByName(zone); err == nil {
			in.Scope_id = uint32(ifi.Index)
		}
	}
	*(*unix.RawSockaddrInet6)(unsafe.Pointer(sa)) = in
	return unix.SizeofSockaddrInet6
}

// networkOrder turns a port between network order and ours.
func networkOrder(v uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&v))[:])
}
