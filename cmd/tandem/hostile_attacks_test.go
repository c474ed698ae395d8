package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem"
	"tandem/cmd/tandem/emulate"
)

// attacks are what hostile sources do. Those of a known source come from the
// torture trunk's address, .25; the floods from outside the list from .99.
func (s *stage) attacks(t *testing.T) []attack {
	cert := s.issue(t, emulate.IssueSpec{Names: []string{"torture.example.com"}, Client: true})
	return []attack{
		{"malformed", s.attackMalformed},
		{"oversize", s.attackOversize},
		{"slow, 1 byte a second", func(ctx context.Context) string { return s.attackSlow(ctx, 100) }},
		{"half a handshake", func(ctx context.Context) string { return s.attackHalfOpen(ctx, 300) }},
		{"TLS connect, then close", func(ctx context.Context) string { return s.attackReconnect(ctx) }},
		{"flood from outside", func(ctx context.Context) string { return s.flood(ctx, "99", *hostileRate) }},
		{"flood from a trunk", func(ctx context.Context) string { return s.flood(ctx, "25", *hostileRate) }},
		{"flood on a stream", func(ctx context.Context) string {
			p, err := s.tryDial(tandem.TLS, "25", cert)
			if err != nil {
				return "no connection: " + err.Error()
			}
			defer p.conn.Close()
			return s.floodStream(ctx, p)
		}},
	}
}

// from opens a connection to the node from an address of the stage.
func (s *stage) from(ctx context.Context, network, host, port string) (net.Conn, error) {
	ip := net.ParseIP(testNet() + "." + host)
	d := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{IP: ip}}
	if network == "udp" {
		d.LocalAddr = &net.UDPAddr{IP: ip}
	}
	return d.DialContext(ctx, network, testNet()+".1:"+port)
}

// paced calls f rate times a second until the context ends, in bursts of a millisecond.
func paced(ctx context.Context, rate int, f func(i int)) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for i := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// What a busy machine missed is not made up for: a burst of it all would
		// be another attack than the one named.
		due := int(time.Since(began).Seconds() * float64(rate))
		for n := 0; i < due && n < rate/100+1; n++ {
			f(i)
			i++
		}
		if due-i > rate/10 {
			began = began.Add(time.Duration(float64(due-i) / float64(rate) * float64(time.Second)))
		}
	}
}

func (s *stage) attackMalformed(ctx context.Context) string {
	var c sender
	began := time.Now()
	udp, err := s.from(ctx, "udp", "25", "5060")
	if err != nil {
		return err.Error()
	}
	defer udp.Close()
	messages := []string{"\x00\x01\x02\xff garbage", "GET / HTTP/1.1\r\n\r\n", "INVITE sip: SIP/2.0\r\n\r\n",
		"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP " + testNet() + ".25:9;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nCSeq: x OPTIONS\r\n\r\n",
		"SIP/2.0 200 OK\r\n\r\n", "INVITE sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n"}
	go func() {
		for ctx.Err() == nil {
			tcp, err := s.from(ctx, "tcp", "25", "5060")
			if err != nil {
				<-time.After(10 * time.Millisecond)
				continue
			}
			_, _ = tcp.Write([]byte(strings.Repeat("garbage\r\n\r\n", 50)))
			_, _ = tcp.Read(make([]byte, 1))
			tcp.Close()
		}
	}()
	paced(ctx, 2000, func(i int) {
		_, _ = udp.Write([]byte(messages[i%len(messages)]))
		c.sent.Add(1)
	})
	return c.told(began, "datagrams and streams")
}

func (s *stage) attackOversize(ctx context.Context) string {
	var c sender
	began := time.Now()
	udp, err := s.from(ctx, "udp", "25", "5060")
	if err != nil {
		return err.Error()
	}
	defer udp.Close()
	pad := "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP " + testNet() + ".25:9;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n" + strings.Repeat("X: 1\r\n", 9000) + "\r\n"
	go func() {
		for ctx.Err() == nil {
			tcp, err := s.from(ctx, "tcp", "25", "5060")
			if err != nil {
				<-time.After(10 * time.Millisecond)
				continue
			}
			_ = tcp.SetDeadline(time.Now().Add(2 * time.Second))
			_, _ = tcp.Write([]byte("INVITE sip:a@b SIP/2.0\r\n" + strings.Repeat("X: 1\r\n", 15000)))
			_, _ = tcp.Read(make([]byte, 1))
			tcp.Close()
		}
	}()
	paced(ctx, 200, func(int) {
		_, _ = udp.Write([]byte(pad))
		c.sent.Add(1)
	})
	return c.told(began, "datagrams of 54 KB")
}

// attackSlow opens connections and sends a byte a second on each.
func (s *stage) attackSlow(ctx context.Context, n int) string {
	var conns []net.Conn
	for range n {
		if c, err := s.from(ctx, "tcp", "25", "5060"); err == nil {
			defer c.Close()
			conns = append(conns, c)
		}
	}
	message := "OPTIONS sip:a@b SIP/2.0\r\n"
	for i := 0; ; i++ {
		for _, c := range conns {
			_, _ = c.Write([]byte{message[i%len(message)]})
		}
		select {
		case <-ctx.Done():
			return fmt.Sprintf("%d connections, %d bytes each", len(conns), i+1)
		case <-time.After(time.Second):
		}
	}
}

// attackHalfOpen holds connections to the TLS port: some say nothing, some begin
// a ClientHello and fall silent. Those that the node ends are opened again.
func (s *stage) attackHalfOpen(ctx context.Context, n int) string {
	var c sender
	var wg sync.WaitGroup
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for ctx.Err() == nil {
				nc, err := s.from(ctx, "tcp", "25", "5061")
				if err == nil {
					c.sent.Add(1)
					if i%2 == 1 {
						_, _ = nc.Write([]byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00})
					}
					stop := context.AfterFunc(ctx, func() { nc.Close() })
					_, _ = nc.Read(make([]byte, 1))
					stop()
					nc.Close()
				}
				select {
				case <-ctx.Done():
				case <-time.After(50 * time.Millisecond): // over the cap: a reset at once
				}
			}
		}()
	}
	wg.Wait()
	return fmt.Sprintf("%d connections, %d at a time", c.sent.Load(), n)
}

// attackReconnect connects to the TLS port, sends something else and goes, as fast as it can.
func (s *stage) attackReconnect(ctx context.Context) string {
	var c sender
	began := time.Now()
	paced(ctx, 500, func(int) {
		if nc, err := s.from(ctx, "tcp", "25", "5061"); err == nil {
			_, _ = nc.Write([]byte("INVITE sip:a@b SIP/2.0\r\n\r\n"))
			nc.Close()
			c.sent.Add(1)
		}
	})
	return c.told(began, "connections")
}

// flood sends datagrams from an address at a rate: calls to numbers of nobody,
// OPTIONS, requests that lead to nothing, garbage. Each message is a new one.
func (s *stage) flood(ctx context.Context, host string, rate int) string {
	var c sender
	began := time.Now()
	udp, err := s.from(ctx, "udp", host, "5060")
	if err != nil {
		return err.Error()
	}
	defer udp.Close()
	local := udp.LocalAddr().String()
	var buf []byte
	paced(ctx, rate, func(i int) {
		buf = floodMessage(buf[:0], "UDP", local, i)
		if _, err := udp.Write(buf); err != nil {
			c.failed.Add(1)
		}
		c.sent.Add(1)
	})
	return c.told(began, "datagrams")
}

func (s *stage) floodStream(ctx context.Context, p *rawPeer) string {
	var c sender
	began := time.Now()
	stop := context.AfterFunc(ctx, func() { p.conn.Close() })
	defer stop()
	go func() { // read what is answered, or the node gives the connection up
		buf := make([]byte, 64<<10)
		for {
			if _, err := p.conn.Read(buf); err != nil {
				return
			}
		}
	}()
	var buf []byte
	for i := 0; ctx.Err() == nil; i += 20 {
		buf = buf[:0]
		for k := range 20 {
			buf = floodMessage(buf, "TLS", p.local.String(), i+k)
		}
		if _, err := p.conn.Write(buf); err != nil {
			break
		}
		c.sent.Add(20)
	}
	return c.told(began, "messages")
}

// floodMessage appends message i of a flood.
func floodMessage(b []byte, via, local string, i int) []byte {
	method := []string{"INVITE", "OPTIONS", "REGISTER", "BYE", "INVITE", "SUBSCRIBE", "CANCEL"}[i%7]
	if i%16 == 15 && via == "UDP" {
		return append(b, "\x00\x01garbage\r\n\r\n"...)
	}
	body := ""
	if method == "INVITE" {
		body = goodSDP
	}
	return fmt.Appendf(b, "%[1]s sip:+1999555%04[2]d@%[3]s.1 SIP/2.0\r\nVia: SIP/2.0/%[4]s %[5]s;rport;branch=z9hG4bKflood%[2]d\r\nMax-Forwards: 70\r\nFrom: <sip:%[6]s@x.example.com>;tag=f%[2]d\r\nTo: <sip:a@x.example.com>\r\nCall-ID: flood-%[2]d-%[5]s\r\nCSeq: 1 %[1]s\r\nContact: <sip:a@%[5]s>\r\nContent-Type: application/sdp\r\nContent-Length: %[7]d\r\n\r\n%[8]s",
		method, i%10000, testNet(), via, local, outsideNumber, len(body), body)
}
