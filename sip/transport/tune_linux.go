package transport

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// userTimeout is how long sent bytes may stay unacknowledged before the kernel
// gives the connection up (RFC 5482): a dead path shows up in seconds, not in
// the quarter of an hour that TCP would retransmit.
const userTimeout = 20 * time.Second

// tune sets what every stream connection needs.
func tune(nc net.Conn) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	_ = tcp.SetNoDelay(true)
	_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3})
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
		})
	}
}

// forceBuffer sets the receive buffer beyond net.core.rmem_max, where we may
// (CAP_NET_ADMIN). The system's usual 208 KB are five datagrams of 54 KB: while
// the reader is away for some milliseconds, they push everyone else's out.
func forceBuffer(pc *net.UDPConn, size int) {
	if raw, err := pc.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size)
		})
	}
}
