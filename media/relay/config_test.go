package relay

import (
	"net/netip"
	"strings"
	"testing"

	"tandem"
)

func TestConfigRules(t *testing.T) {
	good := DefaultConfig()
	good.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func(*Config)
		field string
	}{
		"ErrNoAddress":       {func(c *Config) { c.Addresses = nil }, "addresses"},
		"ErrUnspecified":     {func(c *Config) { c.Addresses[0] = netip.IPv4Unspecified() }, "addresses[0]"},
		"ErrMulticast":       {func(c *Config) { c.Addresses[1] = netip.MustParseAddr("ff02::1") }, "addresses[1]"},
		"ErrTwice":           {func(c *Config) { c.Addresses[1] = c.Addresses[0] }, "addresses[1]"},
		"ErrAdvertise":       {func(c *Config) { c.Advertise = map[netip.Addr]netip.Addr{netip.IPv6LinkLocalAllNodes(): {}} }, "advertise"},
		"ErrAdvertiseFamily": {func(c *Config) { c.Advertise = map[netip.Addr]netip.Addr{c.Addresses[0]: c.Addresses[1]} }, "advertise"},
		"ErrPortsLow":        {func(c *Config) { c.PortMin = 80 }, "port_min"},
		"ErrPortsFew":        {func(c *Config) { c.PortMax = c.PortMin + 2 }, "port_min"},
		"ErrThreads":         {func(c *Config) { c.Threads = 0 }, "threads"},
		"ErrTimeout":         {func(c *Config) { c.RTPTimeout = -1 }, "rtp_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			cfg.Addresses = append([]netip.Addr(nil), good.Addresses...)
			c.spoil(&cfg)
			err := cfg.Validate()
			if tandem.KindOf(err) != tandem.KindInvalid || !strings.HasPrefix(err.Error(), "media."+c.field+":") {
				t.Errorf("%v", err)
			}
			if _, err := New(cfg, Deps{}); err == nil {
				t.Error("New takes it")
			}
		})
	}
}

func TestForeignAddressIsRefused(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		cfg.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.77")}
		if _, err := New(cfg, Deps{}); tandem.KindOf(err) != tandem.KindInvalid {
			t.Errorf("%v", err)
		}
	})
}

// TestAddresses: the trunk's own address, the default of the offer's family, and the public one in SDP.
func TestAddresses(t *testing.T) {
	v4, other, v6 := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.3"), netip.MustParseAddr("::1")
	public := netip.MustParseAddr("127.200.0.1")
	cfg := testConfig(t)
	cfg.Addresses = []netip.Addr{v4, other, v6}
	cfg.Advertise = map[netip.Addr]netip.Addr{other: public}
	pool := newPool(t, cfg, Deps{})
	offer := func(family, host string) []byte {
		return []byte("v=0\r\nc=IN " + family + " " + host + "\r\nm=audio 4000 RTP/AVP 0\r\n")
	}
	for name, c := range map[string]struct {
		a, b netip.Addr
		body []byte
		want string // connection line towards B
	}{
		"default":              {body: offer("IP4", "127.0.0.9"), want: "c=IN IP4 127.0.0.1\r\n"},
		"family of the offer":  {body: offer("IP6", "::1"), want: "c=IN IP6 ::1\r\n"},
		"trunk's own":          {b: other, body: offer("IP4", "127.0.0.9"), want: "c=IN IP4 127.200.0.1\r\n"},
		"from IPv6 to IPv4":    {a: v6, b: v4, body: offer("IP6", "::1"), want: "c=IN IP4 127.0.0.1\r\n"},
		"from IPv4 to IPv6":    {b: v6, body: offer("IP4", "127.0.0.9"), want: "c=IN IP6 ::1\r\n"},
		"ErrFixedOtherFamily":  {a: v4, body: offer("IP6", "::1")},
		"ErrUnknownForNextTry": {b: netip.MustParseAddr("192.0.2.1"), body: offer("IP4", "127.0.0.9")},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := pool.OpenMedia(tandem.CallRef{}, tandem.MediaProfile{LocalAddress: c.a})
			if err != nil {
				t.Fatal(err)
			}
			s.SetPeer(tandem.MediaProfile{LocalAddress: c.b})
			got, err := s.Offer(tandem.SideA, c.body)
			if c.want == "" && err == nil || c.want != "" && err != nil || !strings.Contains(string(got), c.want) {
				t.Errorf("%v\n%s", err, got)
			}
			s.Close()
			if st := pool.Stats(); st.Ports != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
	if _, err := pool.OpenMedia(tandem.CallRef{}, tandem.MediaProfile{LocalAddress: netip.MustParseAddr("192.0.2.1")}); tandem.KindOf(err) != tandem.KindInvalid {
		t.Errorf("unknown address: %v", err)
	}
}
