package relay

import (
	"bytes"
	"net/netip"
	"testing"

	"tandem"
	"tandem/media/srtp"
)

// FuzzDeliver throws packets at the ports of a call: as RTP and RTCP, plain and
// protected, from the peer and from a third address. Nothing panics, nothing
// grows beyond what the buffer has, and of a third party nothing is relayed.
func FuzzDeliver(f *testing.F) {
	type call struct {
		s    *session
		from [2]netip.AddrPort
	}
	var calls []call
	for _, secure := range [][2]bool{{false, false}, {true, false}, {false, true}, {true, true}} {
		pool := newPool(f, testConfig(f), Deps{})
		a, b := newPeer(f, "127.0.0.1", secure[0]), newPeer(f, "127.0.0.1", secure[1])
		s := join(f, pool, a, b).(*session)
		for i := range s.ends {
			p := s.ends[i].pair
			rtp, rtcp := p.rtp, p.rtcp
			f.Cleanup(func() { p.rtp, p.rtcp = rtp, rtcp })
			p.rtp, p.rtcp = &sink{}, &sink{}
		}
		calls = append(calls, call{s, [2]netip.AddrPort{addr(a.rtp), addr(b.rtp)}})
		f.Add(a.packet(160), uint8(len(calls)), false)
		f.Add(a.wire(a.packet(20)), uint8(len(calls)), false)
	}
	f.Add([]byte("\x80\xc8\x00\x06aaaabbbbccccddddeeeeffff"), uint8(1), true)
	f.Add([]byte("\x80\xc9\x00\x01aaaa\x81\xca\x00\x03aaaa\x01\x04name\x00\x00"), uint8(2), true)
	f.Add([]byte("\x9f\x80\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01"), uint8(3), false)
	third := netip.MustParseAddrPort("127.9.9.9:4000")
	scratch := srtp.NewScratch()
	buf := make([]byte, srtp.MaxPacket+srtp.Overhead+64)
	f.Fuzz(func(t *testing.T, p []byte, which uint8, onRTCP bool) {
		p = p[:min(len(p), srtp.MaxPacket+srtp.Overhead)] // what a socket reads at most
		c := calls[which%4]
		side := tandem.Side(which >> 2 & 1)
		pair, out := c.s.ends[side].pair, c.s.ends[side.Other()].pair
		for _, from := range []netip.AddrPort{c.from[side], third} {
			rtp, rtcp := out.rtp.(*sink), out.rtcp.(*sink)
			rtp.last, rtcp.last = nil, nil
			n := copy(buf, p)
			pair.deliver(scratch, buf[:n:srtp.MaxPacket+srtp.Overhead], n, onRTCP, from, c.s.pool.now())
			for _, sent := range [][]byte{rtp.last, rtcp.last} {
				if sent == nil {
					continue
				}
				if from == third {
					t.Fatal("a third party is relayed")
				}
				if len(sent) > len(p)+srtp.Overhead {
					t.Fatalf("%d bytes of %d", len(sent), len(p))
				}
			}
		}
		if !bytes.Equal(buf[srtp.MaxPacket+srtp.Overhead:], make([]byte, 64)) {
			t.Fatal("written beyond the buffer")
		}
	})
}
