package main

import (
	"bytes"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// wire is the network between peers and a node: a 1:1 NAT in front of the
// node's media address, behind which every peer looks like a port of its own
// address that its SDP does not name. It loses what it is told to lose.
type wire struct {
	t       *testing.T
	private netip.Addr
	// lossy are the peers of whose RTP one packet in every run of 20 is lost, at a drawn place.
	mu     sync.Mutex
	lossy  map[netip.AddrPort]bool
	count  map[netip.AddrPort]*wireCount
	random *rand.Rand
	tapped []wirePacket
	record bool
	conns  []*net.UDPConn
	done   sync.WaitGroup
}

// wirePacket is an RTP packet on its way between a peer and the node.
type wirePacket struct {
	at   time.Time
	peer netip.AddrPort
	up   bool // from the peer to the node
	data []byte
}

// tap keeps a packet, when the wire records.
func (w *wire) tap(peer netip.AddrPort, up bool, data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.record {
		w.tapped = append(w.tapped, wirePacket{time.Now(), peer, up, bytes.Clone(data)})
	}
}

// listen starts recording afresh, or ends it.
func (w *wire) listen(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.record = on; on {
		w.tapped = nil
	}
}

// packets is what was recorded of a peer whose port is in a range, one direction.
func (w *wire) packets(low, high uint16, up bool) (all []wirePacket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.tapped {
		if p.up == up && p.peer.Port() >= low && p.peer.Port() <= high {
			all = append(all, p)
		}
	}
	return all
}

// wireCount is what came from a peer and what of it was lost.
type wireCount struct{ came, lost, next int }

// lossRun is how many packets one is lost of: 5 %.
const lossRun = 20

// newWire answers for ports first to last of public and speaks to the same ports of private.
func newWire(t *testing.T, public, private string, first, last int) *wire {
	t.Helper()
	w := &wire{t: t, private: netip.MustParseAddr(private), lossy: map[netip.AddrPort]bool{},
		count: map[netip.AddrPort]*wireCount{}, random: rand.New(rand.NewPCG(1, 2))}
	t.Cleanup(w.close)
	for port := first; port <= last; port++ {
		c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(public), uint16(port))))
		if err != nil {
			t.Fatal(err)
		}
		w.run(c, func() { w.carry(c, uint16(port)) })
	}
	return w
}

func (w *wire) run(c *net.UDPConn, f func()) {
	w.mu.Lock()
	w.conns = append(w.conns, c)
	w.mu.Unlock()
	w.done.Add(1)
	go func() {
		defer w.done.Done()
		f()
	}()
}

func (w *wire) close() {
	w.mu.Lock()
	conns := w.conns
	w.conns = nil
	w.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
	w.done.Wait()
}

// carry takes packets of peers to one port of the node and its answers back.
func (w *wire) carry(c *net.UDPConn, port uint16) {
	inner := map[netip.AddrPort]*net.UDPConn{}
	buf := make([]byte, 2048)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if port%2 == 0 && w.lose(from) {
			continue
		}
		s := inner[from]
		if s == nil {
			s, err = net.DialUDP("udp4", &net.UDPAddr{IP: from.Addr().AsSlice()}, net.UDPAddrFromAddrPort(netip.AddrPortFrom(w.private, port)))
			if err != nil {
				w.t.Error(err)
				return
			}
			inner[from] = s
			w.run(s, func() {
				back := make([]byte, 2048)
				for {
					n, err := s.Read(back)
					if err != nil {
						return
					}
					if port%2 == 0 {
						w.tap(from, false, back[:n])
					}
					_, _ = c.WriteToUDPAddrPort(back[:n], from)
				}
			})
		}
		if port%2 == 0 {
			w.tap(from, true, buf[:n])
		}
		_, _ = s.Write(buf[:n])
	}
}

// lose decides about an RTP packet of a peer.
func (w *wire) lose(from netip.AddrPort) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.lossy[from] {
		return false
	}
	k := w.count[from]
	if k == nil {
		k = &wireCount{}
		w.count[from] = k
	}
	if k.came%lossRun == 0 {
		k.next = k.came + w.random.IntN(lossRun)
	}
	k.came++
	if k.came-1 != k.next || k.came == 1 { // the first packet is where counting begins
		return false
	}
	k.lost++
	return true
}

// spoil makes a peer's packets be lost.
func (w *wire) spoil(peer netip.AddrPort) {
	w.mu.Lock()
	w.lossy[peer] = true
	w.mu.Unlock()
}
