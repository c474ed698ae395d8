package transport

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tandem"
	"tandem/sip"
)

func TestWhoseSourceItIs(t *testing.T) {
	nets := func(list ...string) (p []netip.Prefix) {
		for _, n := range list {
			p = append(p, netip.MustParsePrefix(n))
		}
		return p
	}
	endpoint := func(a string, port uint16) []tandem.Endpoint {
		return []tandem.Endpoint{{Host: a, Port: port, Address: netip.MustParseAddr(a)}}
	}
	local1, local2 := netip.MustParseAddrPort("192.0.2.1:5060"), netip.MustParseAddrPort("192.0.2.1:5070")
	s := newSources([]Trunk{
		{Trunk: tandem.Trunk{ID: "wide", Transport: tandem.UDP, Sources: nets("10.0.0.0/8")}, Local: local1},
		{Trunk: tandem.Trunk{ID: "narrow", Transport: tandem.UDP, Sources: nets("10.1.0.0/16", "2001:db8::/32")}, Local: local1},
		{Trunk: tandem.Trunk{ID: "narrow-tcp", Transport: tandem.TCP, Sources: nets("10.1.0.0/16")}, Local: local1},
		{Trunk: tandem.Trunk{ID: "narrow-2", Transport: tandem.UDP, Sources: nets("10.1.0.0/16")}, Local: local2},
		{Trunk: tandem.Trunk{ID: "by-endpoint", Transport: tandem.UDP, Endpoints: endpoint("10.1.2.3", 5080)}, Local: local1},
		{Trunk: tandem.Trunk{ID: "off", Disabled: true, Sources: nets("172.16.0.0/12")}},
		{Trunk: tandem.Trunk{ID: "lab-a", Transport: tandem.UDP, Sources: nets("127.0.0.1/32"), Endpoints: endpoint("127.0.0.1", 5080)}, Local: local1},
		{Trunk: tandem.Trunk{ID: "lab-b", Transport: tandem.UDP, Sources: nets("127.0.0.1/32"), Endpoints: endpoint("127.0.0.1", 5090)}, Local: local1},
	})
	for name, c := range map[string]struct {
		transport tandem.Transport
		source    string
		local     netip.AddrPort
		want      tandem.TrunkID
	}{
		"the smaller network wins":       {tandem.UDP, "10.1.9.9:5060", local1, "narrow"},
		"else the larger":                {tandem.UDP, "10.2.9.9:5060", local1, "wide"},
		"the transport decides":          {tandem.TCP, "10.1.9.9:40000", local1, "narrow-tcp"},
		"the socket decides":             {tandem.UDP, "10.1.9.9:5060", local2, "narrow-2"},
		"an endpoint's address may send": {tandem.UDP, "10.1.2.3:5080", local1, "by-endpoint"},
		"from another port too":          {tandem.UDP, "10.1.2.3:9", local1, "by-endpoint"},
		"IPv6":                           {tandem.UDP, "[2001:db8::7]:5060", local1, "narrow"},
		"unknown":                        {tandem.UDP, "192.0.2.99:5060", local1, ""},
		"disabled is unknown":            {tandem.UDP, "172.16.0.1:5060", local1, ""},
		"one host, told by its port":     {tandem.UDP, "127.0.0.1:5090", local1, "lab-b"},
		"one host, unknown port: first":  {tandem.UDP, "127.0.0.1:6000", local1, "lab-a"},
	} {
		t.Run(name, func(t *testing.T) {
			var got tandem.TrunkID
			source := netip.MustParseAddrPort(c.source)
			if trunk := s.find(c.transport, source, c.local, nil); trunk != nil {
				got = trunk.ID
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if s.known(source.Addr()) != (c.want != "") {
				t.Error("known disagrees")
			}
		})
	}
}

func BenchmarkSourceOfUDP(b *testing.B) {
	r := newRig(b, nil, Deps{})
	cache := &sourceCache{}
	source, local := netip.MustParseAddrPort("127.0.0.1:5060"), r.Listeners()[0].Address
	b.ReportAllocs()
	for b.Loop() {
		if cache.find(r.Transport, source, local) == nil {
			b.Fatal("unknown")
		}
	}
}

// dns is a resolver that counts and can fail.
type dns struct {
	asked atomic.Int32
	fail  atomic.Bool
	last  atomic.Uint32
}

func (d *dns) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	d.asked.Add(1)
	time.Sleep(100 * time.Millisecond) // virtual
	if d.fail.Load() {
		return nil, errors.New("servfail")
	}
	return []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(d.last.Add(1))})}, nil
}

func TestNamesAreCachedAndRefreshedBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &dns{}
		r := &resolver{lookup: d, clock: time.Now, fresh: 30 * time.Second, stale: 10 * time.Minute, ctx: t.Context(),
			spawn: func(f func()) bool { go f(); return true }, names: map[string]*nameEntry{}, owners: map[netip.Addr]tandem.TrunkID{}}
		ask := func() (got string, took time.Duration) {
			begin := time.Now()
			done := make(chan string, 1)
			r.resolve("x.test", "t", func(a []netip.Addr, err error) {
				if err != nil {
					done <- err.Error()
					return
				}
				done <- a[0].String()
			})
			got = <-done
			return got, time.Since(begin)
		}
		if got, took := ask(); got != "10.0.0.1" || took != 100*time.Millisecond {
			t.Fatal(got, took)
		}
		if got, took := ask(); got != "10.0.0.1" || took != 0 || d.asked.Load() != 1 {
			t.Fatal("fresh: not from the cache", got, took)
		}
		time.Sleep(31 * time.Second)
		if got, took := ask(); got != "10.0.0.1" || took != 0 {
			t.Fatal("stale: the caller must not wait", got, took)
		}
		time.Sleep(time.Second)
		if got, _ := ask(); got != "10.0.0.2" {
			t.Fatal("the refresh behind is not used", got)
		}
		d.fail.Store(true)
		time.Sleep(5 * time.Minute)
		if got, took := ask(); got != "10.0.0.2" || took != 0 {
			t.Fatal("DNS away: the old answer is used", got, took)
		}
		time.Sleep(6 * time.Minute)
		if got, _ := ask(); got != "servfail" {
			t.Fatal("too old an answer was used", got)
		}
		if id, ok := r.owner(netip.MustParseAddr("10.0.0.2")); !ok || id != "t" {
			t.Error("the trunk does not own what its name resolved to")
		}
	})
}

func TestMessagesSentBeforeServeWait(t *testing.T) {
	cfg := DefaultConfig()
	tr, err := New(cfg, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	tr.SetTrunks([]Trunk{{Trunk: tandem.Trunk{ID: "peer", Sources: loopback}}})
	p := newPeer(t, nil)
	tr.Send(tcpTarget(p.port()), sip.SendRef{Tx: 1, Watch: true}, []byte("early\r\n"))
	tr.Send(tcpTarget(p.port()), sip.SendRef{Tx: 2, Watch: true}, []byte("birds\r\n"))
	h := &handler{make(chan got, 16)}
	if err := tr.Serve(h); err != nil {
		t.Fatal(err)
	}
	read(t, p.accept(t), "birds")
	if g := h.next(t, "sent"); g.ref.Tx != 1 {
		t.Errorf("%+v", g)
	}
}
