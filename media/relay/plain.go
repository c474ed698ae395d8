package relay

import (
	"errors"
	"net"
	"net/netip"
	"sync"

	"tandem/media/srtp"
)

// plain is the portable network: net.UDPConn and a goroutine per socket.
type plain struct {
	pool *Pool
	mu   sync.Mutex
	all  []*plainPort
	done sync.WaitGroup
}

func newPlain(p *Pool) *plain { return &plain{pool: p} }

type plainPort struct {
	conn *net.UDPConn
}

func (n *plain) open(b *bank, index int) (*pair, error) {
	p := &pair{bank: b, index: index}
	var ports [2]*plainPort
	for i := range ports {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(b.addr, b.number(index)+uint16(i))))
		if err != nil {
			if i == 1 {
				ports[0].conn.Close()
			}
			return nil, err
		}
		ports[i] = &plainPort{conn: c}
	}
	p.rtp, p.rtcp = ports[0], ports[1]
	n.mu.Lock()
	n.all = append(n.all, ports[:]...)
	n.mu.Unlock()
	n.done.Add(2)
	go n.read(p, ports[0], false)
	go n.read(p, ports[1], true)
	return p, nil
}

func (n *plain) read(p *pair, s *plainPort, rtcp bool) {
	defer n.done.Done()
	scratch := srtp.NewScratch()
	buf := make([]byte, srtp.MaxPacket+srtp.Overhead)
	for {
		// One octet more than allowed, so that a longer packet shows.
		size, from, err := s.conn.ReadFromUDPAddrPort(buf[:srtp.MaxPacket+1])
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // the ICMP error of an earlier send
		}
		p.deliver(scratch, buf, size, rtcp, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), n.pool.now())
	}
}

func (s *plainPort) send(b []byte, to netip.AddrPort) bool {
	_, err := s.conn.WriteToUDPAddrPort(b, to)
	return err == nil
}

// A connected net.UDPConn can't be disconnected again, so the source check is all there is.
func (s *plainPort) connect(netip.AddrPort) {}
func (s *plainPort) disconnect()            {}
func (s *plainPort) close()                 { s.conn.Close() }

func (n *plain) close() {
	n.mu.Lock()
	for _, s := range n.all {
		s.close()
	}
	n.mu.Unlock()
	n.done.Wait()
}
