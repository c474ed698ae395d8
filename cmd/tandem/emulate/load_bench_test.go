package emulate

import (
	"net/netip"
	"testing"

	"tandem"
)

// BenchmarkCallPair is one whole call without media between two emulated
// carriers over UDP, both ends in this process: the emulators' own cost, to be
// known when they are the load on the product.
func BenchmarkCallPair(b *testing.B) {
	start := func(last string, sbc func(*CarrierConfig)) *Carrier {
		cfg := DefaultCarrierConfig()
		cfg.Address, cfg.SBC, cfg.KeepText, cfg.KeepCalls = loop(last), loop(last), false, 100
		cfg.Control = netip.AddrPort{}
		cfg.Behaviour = Behaviour{Ring: 1, Media: MediaNone}
		cfg.Transport = tandem.UDP
		if sbc != nil {
			sbc(&cfg)
		}
		c, err := NewCarrier(cfg, nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(c.Close)
		return c
	}
	callee := start("30", nil)
	caller := start("29", func(c *CarrierConfig) { c.SBC = callee.Addr() })
	b.ReportAllocs()
	for b.Loop() {
		r, err := caller.Call(b.Context(), CallSpec{From: pstn, To: "+12065550100"})
		if err != nil || r.Status != 200 || r.Error != "" {
			b.Fatal(r.Status, r.Error, err)
		}
	}
}
