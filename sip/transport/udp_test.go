package transport

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip"
)

func udpPeer(t testing.TB, host string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(anyPort(host)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

func TestUDPKeepsOrder(t *testing.T) {
	r := newRig(t, nil, Deps{})
	p := udpPeer(t, "127.0.0.1")
	to := r.Listeners()[0].Address
	for i := range 500 {
		if _, err := p.WriteToUDPAddrPort([]byte(request("INFO", i, "", "")), to); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 500 {
		g := r.next(t, "msg")
		if seqOf(g.msg) != i || g.flow.Trunk != "peer" || g.flow.Conn != 0 || g.flow.Source != addrPortOf(p.LocalAddr()) || g.flow.Local != to {
			t.Fatalf("message %d: %d from %+v", i, seqOf(g.msg), g.flow)
		}
	}
}

func TestUDPCarriesLargeMessagesBothWays(t *testing.T) {
	r := newRig(t, nil, Deps{})
	p := udpPeer(t, "127.0.0.1")
	large := request("INVITE", 1, "", strings.Repeat("x", 60000))
	if _, err := p.WriteToUDPAddrPort([]byte(large), r.Listeners()[0].Address); err != nil {
		t.Fatal(err)
	}
	if g := r.next(t, "msg"); len(g.msg.Body()) != 60000 {
		t.Fatalf("body of %d bytes", len(g.msg.Body()))
	}
	me := addrPortOf(p.LocalAddr())
	r.Send(sip.Target{Trunk: "peer", Transport: tandem.UDP, Addr: me.Addr(), Port: me.Port()}, sip.SendRef{Tx: 1}, []byte(large))
	buf := make([]byte, 65536)
	n, from, err := p.ReadFromUDPAddrPort(buf)
	if err != nil || n != len(large) || from.Port() != r.Listeners()[0].Address.Port() {
		t.Fatalf("%d bytes from %v, %v", n, from, err)
	}
	r.Send(sip.Target{Trunk: "peer", Transport: tandem.UDP, Addr: me.Addr(), Port: me.Port()}, sip.SendRef{Tx: 2}, make([]byte, 70000))
	if g := r.next(t, "failed"); g.ref.Tx != 2 || tandem.KindOf(g.err) != tandem.KindTooLarge {
		t.Errorf("%+v", g)
	}
}

func TestUnknownSourceIsDroppedBeforeParsing(t *testing.T) {
	r := newRig(t, nil, Deps{}, Trunk{Trunk: tandem.Trunk{ID: "other", Transport: tandem.UDP, Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}})
	p := udpPeer(t, "127.0.0.1")
	to := r.Listeners()[0].Address
	_, _ = p.WriteToUDPAddrPort([]byte(request("INVITE", 1, "", "")), to)
	_, _ = p.WriteToUDPAddrPort([]byte("garbage that would be answered 400"), to)
	eventually(t, "both were read", func() bool { return r.Metrics().UnknownSource == 2 })
	r.SetTrunks([]Trunk{{Trunk: tandem.Trunk{ID: "peer", Transport: tandem.UDP, Sources: loopback}}})
	_, _ = p.WriteToUDPAddrPort([]byte(request("INVITE", 2, "", "")), to)
	if g := r.next(t, "msg"); seqOf(g.msg) != 2 || g.flow.Trunk != "peer" {
		t.Errorf("%+v", g)
	}
	if m := r.Metrics(); m.Received != 1 || m.Unparsed != 0 || m.Rejected != 0 {
		t.Errorf("%+v", m)
	}
}

func TestUDPAnswersWhatItCannotParse(t *testing.T) {
	r := newRig(t, nil, Deps{})
	p := udpPeer(t, "127.0.0.1")
	to := r.Listeners()[0].Address
	buf := make([]byte, 2048)
	for name, c := range map[string]struct{ send, want string }{
		"bad Request-URI": {strings.Replace(request("INVITE", 1, "", ""), "INVITE sip:+14255550100@127.0.0.1", "INVITE <<", 1), "SIP/2.0 400 "},
		"other version":   {strings.Replace(request("INVITE", 1, "", ""), "SIP/2.0\r\n", "SIP/3.0\r\n", 1), "SIP/2.0 505 "},
		"truncated":       {strings.Replace(request("INVITE", 1, "", ""), "Content-Length: 0", "Content-Length: 9", 1), "SIP/2.0 400 "},
		"keep-alive":      {"\r\n\r\n", "\r\n"},
	} {
		_, _ = p.WriteToUDPAddrPort([]byte(c.send), to)
		n, _, err := p.ReadFromUDPAddrPort(buf)
		if err != nil || !strings.HasPrefix(string(buf[:n]), c.want) {
			t.Errorf("%s: %q, %v; want %q", name, buf[:n], err, c.want)
		}
	}
}

func TestAnswersLeaveFromTheSocketThatWasAsked(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.Listen = []Listen{{Transport: tandem.UDP, Address: anyPort("127.0.0.1")}, {Transport: tandem.UDP, Address: anyPort("127.0.0.1")}, {Transport: tandem.UDP, Address: anyPort("::1")}}
	}, Deps{})
	for i, l := range r.Listeners() {
		p := udpPeer(t, l.Address.Addr().String())
		_, _ = p.WriteToUDPAddrPort([]byte(request("INFO", i, "", "")), l.Address)
		g := r.next(t, "msg")
		r.Send(sip.Target{Trunk: g.flow.Trunk, Transport: tandem.UDP, Addr: g.flow.Source.Addr(), Port: g.flow.Source.Port()}, sip.SendRef{}, []byte("answer"))
		buf := make([]byte, 64)
		_, from, err := p.ReadFromUDPAddrPort(buf)
		if err != nil || from.Port() != l.Address.Port() {
			t.Errorf("socket %d: from %v, %v; want port %d", i, from, err, l.Address.Port())
		}
	}
}

func TestUDPToANameIsResolvedOffThePath(t *testing.T) {
	r := newRig(t, nil, Deps{Resolver: names{"carrier.test": {netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.0.1")}}},
		Trunk{Trunk: tandem.Trunk{ID: "carrier", Transport: tandem.UDP, Endpoints: []tandem.Endpoint{{Host: "carrier.test", Port: 5060}}}})
	p := udpPeer(t, "127.0.0.1")
	to := sip.Target{Trunk: "carrier", Transport: tandem.UDP, Host: "carrier.test", Port: addrPortOf(p.LocalAddr()).Port()}
	r.Send(to, sip.SendRef{Tx: 1}, []byte("one"))
	buf := make([]byte, 64)
	if n, _, err := p.ReadFromUDPAddrPort(buf); err != nil || string(buf[:n]) != "one" {
		t.Fatalf("%q, %v: the address of our own family must be used", buf[:n], err)
	}
	// An address that the trunk's own name resolved to may send.
	_, _ = p.WriteToUDPAddrPort([]byte(request("INFO", 1, "", "")), r.Listeners()[0].Address)
	if g := r.next(t, "msg"); g.flow.Trunk != "carrier" {
		t.Errorf("%+v", g.flow)
	}
	to.Host = "nowhere.test"
	r.Send(to, sip.SendRef{Tx: 2}, []byte("two"))
	if g := r.next(t, "failed"); g.ref.Tx != 2 || !strings.Contains(g.err.Error(), "does not exist in DNS") {
		t.Errorf("%v", g.err)
	}
}

// BenchmarkUDP is one message received, parsed, handed over and answered.
func BenchmarkUDP(b *testing.B) {
	r := newRig(b, nil, Deps{})
	p := udpPeer(b, "127.0.0.1")
	_ = p.SetDeadline(time.Time{})
	data := []byte(request("BYE", 2, "Max-Forwards: 70\r\n", ""))
	to := r.Listeners()[0].Address
	answer := []byte("SIP/2.0 200 OK\r\n\r\n")
	buf := make([]byte, 2048)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = p.WriteToUDPAddrPort(data, to)
		g := <-r.ch
		r.Send(sip.Target{Trunk: "peer", Transport: tandem.UDP, Addr: g.flow.Source.Addr(), Port: g.flow.Source.Port()}, sip.SendRef{}, answer)
		_, _, _ = p.ReadFromUDPAddrPort(buf)
	}
}

// BenchmarkSipgoUDP is the same through sipgo's TransportLayer, for comparison (docs/adr/0002-own-sockets.md).
func BenchmarkSipgoUDP(b *testing.B) {
	pc := udpPeer(b, "127.0.0.1")
	_ = pc.SetDeadline(time.Time{})
	tl := gosip.NewTransportLayer(net.DefaultResolver, gosip.NewParser(), nil)
	got := make(chan gosip.Message, 16)
	tl.OnMessage(func(m gosip.Message) { got <- m })
	go func() { _ = tl.ServeUDP(pc) }()
	defer tl.Close()
	p := udpPeer(b, "127.0.0.1")
	_ = p.SetDeadline(time.Time{})
	data := []byte(strings.ReplaceAll(request("BYE", 2, "Max-Forwards: 70\r\n", ""), "TCP", "UDP"))
	to := addrPortOf(pc.LocalAddr())
	buf := make([]byte, 2048)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = p.WriteToUDPAddrPort(data, to)
		req := (<-got).(*gosip.Request)
		res := gosip.NewResponseFromRequest(req, 200, "OK", nil)
		_ = tl.WriteMsgTo(res, req.Source(), "UDP")
		_, _, _ = p.ReadFromUDPAddrPort(buf)
	}
}
