package emulate

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"tandem"
)

// sipp runs SIPp to its end; the test is skipped where it is not installed.
func sipp(t *testing.T, ctx context.Context, args ...string) func() error {
	t.Helper()
	path, err := exec.LookPath("sipp")
	if err != nil {
		t.Skip("SIPp is not installed: apt-get install sip-tester")
	}
	cmd := exec.CommandContext(ctx, path, append(args, "-nostdin")...)
	cmd.Dir = t.TempDir() // its logs
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() error {
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("sipp: %w\n%s", err, tail(out.String()))
		}
		return nil
	}
}

func tail(s string) string { return s[max(0, len(s)-3000):] }

// TestSIPpCallsCarrier: an independent caller over UDP and TCP.
func TestSIPpCallsCarrier(t *testing.T) {
	for name, mode := range map[string]string{"UDP": "u1", "TCP": "t1"} {
		t.Run(name, func(t *testing.T) {
			c := newCarrier(t, "26", func(c *CarrierConfig) { c.Behaviour.Media = MediaNone })
			wait := sipp(t, deadline(t), "-sn", "uac", c.Addr().String(), "-t", mode, "-i", "127.0.0.27", "-mp", "46600",
				"-s", "+12065550100", "-m", "30", "-r", "60", "-d", "50")
			if err := wait(); err != nil {
				t.Fatal(err)
			}
			answered := 0
			for _, r := range c.Calls() {
				if r.Status == 200 && r.Error == "" {
					answered++
				}
			}
			if answered != 30 {
				t.Errorf("%d of 30 calls answered", answered)
			}
		})
	}
}

// TestCarrierCallsSIPp: an independent callee.
func TestCarrierCallsSIPp(t *testing.T) {
	for name, transport := range map[string]tandem.Transport{"UDP": tandem.UDP, "TCP": tandem.TCP} {
		t.Run(name, func(t *testing.T) {
			addr := freePort(t, "127.0.0.28")
			c := newCarrier(t, "26", func(c *CarrierConfig) { c.SBC, c.Transport = addr, transport })
			mode := map[tandem.Transport]string{tandem.UDP: "u1", tandem.TCP: "t1"}[transport]
			ctx, stop := context.WithCancel(deadline(t))
			defer stop()
			wait := sipp(t, ctx, "-sn", "uas", "-t", mode, "-i", addr.Addr().String(), "-p", fmt.Sprint(addr.Port()), "-mp", "46700", "-m", "10")
			// SIPp opens its socket in its own time.
			for up := false; !up; {
				r, err := c.Call(deadline(t), CallSpec{From: pstn, To: "+12065550199", Media: MediaNone, Hold: ms(20), Timeout: tandem.Duration(2 * time.Second)})
				if err != nil {
					t.Fatal(err)
				}
				if up = r.Status == 200; up && r.Error != "" {
					t.Fatalf("%s\n%s", r.Error, r.Ladder)
				}
			}
			res, err := c.Load(deadline(t), LoadSpec{CallSpec: CallSpec{From: pstn, To: "+12065550199", Media: MediaNone, Hold: ms(20)}, Rate: 30, For: ms(300), Keep: true})
			if err != nil || res.Answered != 9 {
				t.Errorf("%d of 9 answered %v %v", res.Answered, res.Statuses, err)
			}
			for _, r := range res.Results {
				if r.Error != "" {
					t.Errorf("%s\n%s", r.Error, r.Ladder)
				}
			}
			stop()
			_ = wait() // it may linger for retransmissions; stopped above
		})
	}
}

func freePort(t *testing.T, host string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}
