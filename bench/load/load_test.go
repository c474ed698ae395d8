package main

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// testOrder is a small run whose two sides stand face to face, without a system
// between them.
func testOrder() order {
	net := fmt.Sprintf("127.%d.%d", 100+os.Getpid()>>8&63, os.Getpid()&255)
	callee := netip.MustParseAddrPort(net + ".30:5080")
	return order{system: callee, carrier: netip.MustParseAddrPort(net + ".20:5070"), teams: callee, plain: true, rate: 100, calls: 10, hold: 10 * time.Millisecond}
}

func TestEveryCallIsAccountedFor(t *testing.T) {
	found, err := testOrder().play()
	if err != nil {
		t.Fatal(err)
	}
	if found.OK != 10 || found.Failed != 0 || found.P50 <= 0 || found.Max < found.P99 || found.P99 < found.P50 {
		t.Errorf("%+v", found)
	}
}

func TestEveryPacketIsAccountedFor(t *testing.T) {
	for _, secure := range []bool{false, true} {
		o := testOrder()
		o.learn, o.talk, o.pids = 50*time.Millisecond, 300*time.Millisecond, []int{os.Getpid()}
		p := newPhones(o.hold, o.calls)
		carrier, teams, err := o.sides(p)
		if err != nil {
			t.Fatal(err)
		}
		carrier.secure, teams.secure = secure, secure
		for i := range o.calls {
			p.place(carrier, i, "+12125550100", "+14255550100", o.system.String())
		}
		var found outcome
		err = o.media(p, carrier, teams, &found)
		carrier.close()
		teams.close()
		if err != nil {
			t.Fatal(err)
		}
		if found.Streams != 20 || found.Sent == 0 || found.Heard == 0 || found.Heard > found.Sent || found.Bad != 0 {
			t.Errorf("SRTP %t: %+v", secure, found.traffic)
		}
	}
}

func TestMessagesOfAStream(t *testing.T) {
	stream := "\r\nBYE sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\nSIP/2.0 200 OK\r\nContent-Length: 3\r\n\r\nabcINVITE"
	r := bufio.NewReader(strings.NewReader(stream))
	for _, want := range []string{"BYE sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n", "SIP/2.0 200 OK\r\nContent-Length: 3\r\n\r\nabc"} {
		if got, err := readMessage(r); got != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if got, err := readMessage(r); err == nil {
		t.Errorf("a cut message was read as %q", got)
	}
}

func TestCertificatesAreTaken(t *testing.T) {
	dir := t.TempDir()
	if err := makeCertificates(dir, "127.0.0.30"); err != nil {
		t.Fatal(err)
	}
	if _, err := teamsTLS(dir); err != nil {
		t.Fatal(err)
	}
}
