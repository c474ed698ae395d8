//go:build !linux

package transport

import (
	"net"
	"time"
)

// tune sets what every stream connection needs.
func tune(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetNoDelay(true)
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3})
	}
}

// forceBuffer is Linux's.
func forceBuffer(*net.UDPConn, int) {}
