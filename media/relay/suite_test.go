package relay

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	mrand "math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	pion "github.com/pion/srtp/v3"
	"go.uber.org/goleak"

	"tandem"
	"tandem/media/sdp"
	"tandem/media/srtp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// both runs a test against the media threads and the plain fallback.
func both(t *testing.T, f func(t *testing.T, cfg Config)) {
	for name, plain := range map[string]bool{"threads": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			cfg.Plain = plain
			f(t, cfg)
		})
	}
}

// testConfig finds a free range of 16 ports, so that tests run side by side with everything else.
func testConfig(t testing.TB) Config {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Addresses = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	cfg.Prebind, cfg.Quarantine, cfg.RTPTimeout = 1, 0, 0
	for range 100 {
		base := 10000 + 2*mrand.IntN(10000) // below the ephemeral ports
		free := true
		for i := range 16 {
			if c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: base + i}); err != nil {
				free = false
			} else {
				c.Close()
			}
		}
		if free {
			cfg.PortMin, cfg.PortMax = uint16(base), uint16(base+15)
			return cfg
		}
	}
	t.Fatal("no free port range")
	return cfg
}

func newPool(t testing.TB, cfg Config, deps Deps) *Pool {
	t.Helper()
	p, err := New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// peer is a media endpoint of a test: one RTP and one RTCP socket, SRTP by pion.
type peer struct {
	t         testing.TB
	rtp, rtcp *net.UDPConn
	key       *srtp.Key
	tag       int
	mux       bool
	direction string
	tx, rx    *pion.Context
	toRTP     netip.AddrPort
	toRTCP    netip.AddrPort
	theirKey  srtp.Key
	seq       uint16
	ssrc      uint32
}

func newPeer(t testing.TB, host string, secure bool) *peer {
	t.Helper()
	p := &peer{t: t, ssrc: 0x1000, direction: "sendrecv", tag: 1}
	open := func() *net.UDPConn {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(host), 0)))
		if err != nil {
			t.Skip("no such address: ", err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	p.rtp, p.rtcp = open(), open()
	if secure {
		p.rekey()
	}
	return p
}

func (p *peer) rekey() {
	k, err := srtp.NewKey(srtp.AESCM80, rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	p.key, p.tx = &k, pionContext(p.t, k)
}

func pionContext(t testing.TB, k srtp.Key) *pion.Context {
	c, err := pion.CreateContext(k.Master[:], k.Salt[:], pion.ProtectionProfileAes128CmHmacSha1_80)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func addr(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// describe is the peer's SDP.
func (p *peer) describe() []byte {
	a := addr(p.rtp)
	family, proto := "IP4", "RTP/AVP"
	if a.Addr().Is6() {
		family = "IP6"
	}
	var b strings.Builder
	if p.key != nil {
		proto = "RTP/SAVP"
	}
	fmt.Fprintf(&b, "v=0\r\no=- 1 1 IN %s %s\r\ns=-\r\nc=IN %[1]s %[2]s\r\nt=0 0\r\nm=audio %d %s 0 101\r\n", family, a.Addr(), a.Port(), proto)
	if p.key != nil {
		fmt.Fprintf(&b, "a=crypto:%s\r\n", srtp.Crypto{Tag: p.tag, Key: *p.key})
	}
	b.WriteString("a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n")
	if p.mux {
		b.WriteString("a=rtcp-mux\r\n")
	}
	fmt.Fprintf(&b, "a=rtcp:%d\r\na=%s\r\n", addr(p.rtcp).Port(), p.direction)
	return []byte(b.String())
}

// hear takes our description for the peer.
func (p *peer) hear(body []byte) {
	p.t.Helper()
	d, err := sdp.Parse(body)
	if err != nil {
		p.t.Fatalf("%v in\n%s", err, body)
	}
	m := d.Media[0]
	p.toRTP = netip.AddrPortFrom(m.Addr, m.Port)
	p.toRTCP = netip.AddrPortFrom(m.Addr, m.Port+1)
	if p.mux && m.Mux {
		p.toRTCP = p.toRTP
	}
	if p.key != nil {
		if len(m.Crypto) != 1 {
			p.t.Fatalf("no key in\n%s", body)
		}
		if !p.theirKey.Equal(m.Crypto[0].Key) {
			p.theirKey, p.rx = m.Crypto[0].Key, pionContext(p.t, m.Crypto[0].Key)
		}
	}
}

func (p *peer) packet(payload int) []byte {
	b := make([]byte, 12+payload)
	b[0] = 0x80
	binary.BigEndian.PutUint16(b[2:], p.seq)
	binary.BigEndian.PutUint32(b[4:], uint32(p.seq)*160)
	binary.BigEndian.PutUint32(b[8:], p.ssrc)
	for i := range payload {
		b[12+i] = byte(int(p.seq) + 3*i)
	}
	p.seq++
	return b
}

// wire is a packet as the peer puts it on the wire.
func (p *peer) wire(b []byte) []byte {
	if p.key == nil {
		return b
	}
	out, err := p.tx.EncryptRTP(nil, b, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

func (p *peer) put(from *net.UDPConn, to netip.AddrPort, b []byte) {
	p.t.Helper()
	if _, err := from.WriteToUDPAddrPort(b, to); err != nil {
		p.t.Fatal(err)
	}
}

// get receives one packet; nil after wait. Where nothing must come, a marker
// packet sent later says so without waiting.
func get(c *net.UDPConn, wait time.Duration) []byte {
	c.SetReadDeadline(time.Now().Add(wait))
	b := make([]byte, 3000)
	n, _, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		return nil
	}
	return b[:n]
}

// passes sends one RTP packet and expects it, and nothing before it, at the other peer.
func (p *peer) passes(to *peer) {
	p.t.Helper()
	want := p.packet(160)
	p.put(p.rtp, p.toRTP, p.wire(want))
	to.expect(want)
}

func (p *peer) expect(want []byte) {
	p.t.Helper()
	got := get(p.rtp, 2*time.Second)
	if got == nil {
		p.t.Fatal("the packet did not come")
	}
	if p.key != nil {
		var err error
		if got, err = p.rx.DecryptRTP(nil, got, nil); err != nil {
			p.t.Fatal(err)
		}
	}
	if !bytes.Equal(got, want) {
		p.t.Fatalf("came % x\nwant % x", got[:16], want[:16])
	}
}

func profile(p *peer) tandem.MediaProfile {
	if p.key != nil {
		return tandem.MediaProfile{SRTP: tandem.SRTPRequired}
	}
	return tandem.MediaProfile{SRTP: tandem.SRTPOff}
}

// join makes a call between two peers, A offering.
func join(t testing.TB, pool *Pool, a, b *peer) tandem.MediaSession {
	t.Helper()
	s, err := pool.OpenMedia(tandem.CallRef{Serial: 7}, profile(a))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.SetPeer(profile(b))
	negotiate(t, s, tandem.SideA, a, b)
	return s
}

// negotiate runs one offer/answer from a side.
func negotiate(t testing.TB, s tandem.MediaSession, from tandem.Side, offerer, answerer *peer) {
	t.Helper()
	offer, err := s.Offer(from, offerer.describe())
	if err != nil {
		t.Fatal(err)
	}
	answerer.hear(offer)
	if d, _ := sdp.Parse(offer); d != nil && len(d.Media[0].Crypto) > 0 {
		answerer.tag = d.Media[0].Crypto[0].Tag
	}
	mux := answerer.mux
	if d, _ := sdp.Parse(offer); d != nil && !d.Media[0].Mux {
		answerer.mux = false // not offered
	}
	answer, err := s.Answer(from.Other(), answerer.describe(), true)
	answerer.mux = mux
	if err != nil {
		t.Fatal(err)
	}
	offerer.hear(answer)
}
