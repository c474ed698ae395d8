// Command sipfwd is the floor: it moves the datagrams of calls from one socket
// to the other side unread, as little as a Go process can do for a SIP hop.
//
//	sipfwd -listen 127.0.0.10:5060 -a 127.0.0.20:5070 -b 127.0.0.30:5080
package main

import (
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
)

func main() {
	listen := flag.String("listen", "127.0.0.10:5060", "own address")
	a := flag.String("a", "127.0.0.20:5070", "the calling side")
	b := flag.String("b", "127.0.0.30:5080", "the called side")
	listen2 := flag.String("listen2", "", "a second own address, for a second calling side")
	a2 := flag.String("a2", "", "the second calling side")
	flag.Parse()
	ways := [][3]string{{*listen, *a, *b}}
	if *listen2 != "" {
		ways = append(ways, [3]string{*listen2, *a2, *b})
	}
	failed := make(chan error)
	for _, way := range ways {
		go func() { failed <- forward(way) }()
	}
	fmt.Fprintln(os.Stderr, "sipfwd:", <-failed)
	os.Exit(1)
}

// forward returns only with an error of its set-up. Addresses are its own, the
// calling side's, the called side's.
func forward(addresses [3]string) error {
	var ends [3]netip.AddrPort
	for i, text := range addresses {
		end, err := netip.ParseAddrPort(text)
		if err != nil {
			return err
		}
		ends[i] = end
	}
	socket, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(ends[0]))
	if err != nil {
		return err
	}
	if err := socket.SetReadBuffer(4 << 20); err != nil {
		return err
	}
	up, down := ends[2], ends[1]
	buf := make([]byte, 65536)
	for {
		n, from, err := socket.ReadFromUDPAddrPort(buf)
		if err != nil {
			continue
		}
		to := up
		if from.Addr().Unmap() == up.Addr() {
			to = down
		}
		_, _ = socket.WriteToUDPAddrPort(buf[:n], to)
	}
}
