package transport

import (
	"io"
	"net"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// streamConn is a TCP connection that is read and written by raw system calls,
// for the reason that packetConn gives. Deadlines and closing are net's.
type streamConn struct {
	*net.TCPConn
	raw syscall.RawConn
	in  transfer
	out transfer
}

// transfer is one direction; run is made once, so that a call allocates nothing.
type transfer struct {
	mu   sync.Mutex
	run  func(fd uintptr) bool
	trap uintptr // SYS_RECVFROM or SYS_SENDTO
	buf  []byte
	n    int
	err  error
}

// direct makes reading and writing of a TCP connection raw; other connections stay as they are.
func direct(nc net.Conn) net.Conn {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nc
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nc
	}
	c := &streamConn{TCPConn: tcp, raw: raw}
	c.in.trap, c.in.run = unix.SYS_RECVFROM, c.in.call
	c.out.trap, c.out.run = unix.SYS_SENDTO, c.out.call
	return c
}

func (d *transfer) call(fd uintptr) bool {
	for {
		n, _, errno := unix.RawSyscall6(d.trap, fd, uintptr(unsafe.Pointer(&d.buf[0])), uintptr(len(d.buf)), unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			d.n, d.err = int(n), nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		default:
			d.n, d.err = 0, errno
		}
		return true
	}
}

// Read implements net.Conn.
func (c *streamConn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	d := &c.in
	d.mu.Lock()
	defer d.mu.Unlock()
	d.buf = b
	err := c.raw.Read(d.run)
	d.buf = nil
	switch {
	case err != nil:
		return 0, err
	case d.err != nil:
		return 0, d.err
	case d.n == 0:
		return 0, io.EOF
	}
	return d.n, nil
}

// Write implements net.Conn: it writes all of b, or says how much it wrote.
func (c *streamConn) Write(b []byte) (int, error) {
	d := &c.out
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() { d.buf = nil }()
	sent := 0
	for sent < len(b) {
		d.buf = b[sent:]
		if err := c.raw.Write(d.run); err != nil {
			return sent, err
		}
		if d.err != nil {
			return sent, d.err
		}
		sent += d.n
	}
	return sent, nil
}
