package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// side is one neighbour of the system: the carrier (UDP, RTP) or Microsoft (TLS,
// SRTP on request).
type side struct {
	name   string
	tls    bool
	secure bool           // SRTP
	own    netip.AddrPort // in Via and Contact
	system netip.AddrPort
	ports  *ports // of media; nil: none is sent, the SDP names a port all the same

	socket   *net.UDPConn // UDP
	listener net.Listener // TLS
	dialed   net.Conn     // TLS: our requests leave here
	write    sync.Mutex

	// receive gets every message, in the reader's goroutine; reply answers where it came from.
	receive func(s *side, text string, reply func(string))
}

// transport as Via names it.
func (s *side) transport() string {
	if s.tls {
		return "TLS"
	}
	return "UDP"
}

// contact is our Contact's URI.
func (s *side) contact(user string) string {
	if s.tls {
		return fmt.Sprintf("<sip:%s@%s;transport=tls>", user, s.own)
	}
	return fmt.Sprintf("<sip:%s@%s>", user, s.own)
}

// openUDP binds the side's address.
func (s *side) openUDP() error {
	socket, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(s.own))
	if err != nil {
		return err
	}
	_ = socket.SetReadBuffer(4 << 20) // less means retransmissions, which show
	s.socket = socket
	go func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := socket.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			s.receive(s, string(buf[:n]), func(text string) { _, _ = socket.WriteToUDPAddrPort([]byte(text), from) })
		}
	}()
	return nil
}

// openTLS listens for the system's connections, and dials it for requests of
// our own when dial is set. Both ends show their certificate and check the other's.
func (s *side) openTLS(settings *tls.Config, dial bool) error {
	listener, err := tls.Listen("tcp", s.own.String(), settings)
	if err != nil {
		return err
	}
	s.listener = listener
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	if !dial {
		return nil
	}
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: s.own.Addr().AsSlice()}} // the system knows us by our address
	client := settings.Clone()
	client.ServerName = sbcName
	if s.dialed, err = tls.DialWithDialer(dialer, "tcp", s.system.String(), client); err != nil {
		return err
	}
	go s.serve(s.dialed)
	return nil
}

func (s *side) serve(conn net.Conn) {
	r := bufio.NewReaderSize(conn, 64<<10)
	var write sync.Mutex
	for {
		text, err := readMessage(r)
		if err != nil {
			_ = conn.Close()
			return
		}
		s.receive(s, text, func(answer string) {
			lock := &write
			if conn == s.dialed {
				lock = &s.write
			}
			lock.Lock()
			defer lock.Unlock()
			_, _ = conn.Write([]byte(answer))
		})
	}
}

// send sends a request of ours to the system.
func (s *side) send(text string) {
	if !s.tls {
		_, _ = s.socket.WriteToUDPAddrPort([]byte(text), s.system)
		return
	}
	s.write.Lock()
	defer s.write.Unlock()
	_, _ = s.dialed.Write([]byte(text))
}

// close gives the side's addresses back.
func (s *side) close() {
	if s.socket != nil {
		_ = s.socket.Close()
	}
	if s.listener != nil {
		_ = s.listener.Close()
	}
	if s.dialed != nil {
		_ = s.dialed.Close()
	}
	if s.ports != nil {
		for _, m := range s.ports.all {
			_ = syscall.Close(m.fd)
		}
	}
}
