package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/provisioning"
)

func TestStatisticsOfSIPp(t *testing.T) {
	cases := map[string]struct {
		text string
		want heard
		bad  string
	}{
		"TheLastLineCounts": {text: "A;SuccessfulCall(C);FailedCall(C);Retransmissions(C);\n0;1;0;0;\n1;99;1;7;\n", want: heard{OK: 99, Failed: 1, Retransmissions: 7}},
		"ErrNoLine":         {text: "SuccessfulCall(C);FailedCall(C);Retransmissions(C)\n", bad: "can't be read"},
		"ErrNoColumn":       {text: "SuccessfulCall(C)\n1\n", bad: "no column"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "stat.csv")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var h heard
			err := h.readStatistics(file)
			if c.bad != "" {
				if err == nil || !strings.Contains(err.Error(), c.bad) {
					t.Errorf("error %v, want %q", err, c.bad)
				}
				return
			}
			if err != nil || h != c.want {
				t.Errorf("%+v, %v", h, err)
			}
		})
	}
}

func TestSpread(t *testing.T) {
	if low, middle, high := spread([]float64{3, 1, 2}); low != 1 || middle != 2 || high != 3 {
		t.Error(low, middle, high)
	}
}

// TestScenariosAreAccepted: the measured node is provisioned as customers are.
func TestScenariosAreAccepted(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "scenarios", "customers.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{net: "127.0.0"}
	for name, secure := range map[string]bool{"UDP": false, "TLS": true} {
		n := &node{secure: secure}
		document := n.customers(r, string(text))
		if strings.Contains(document, "lab: true") == secure {
			t.Errorf("%s: the trunk is the wrong one:\n%s", name, document)
		}
		if _, err := provisioning.Parse(name, []byte(document), provisioning.Source{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(n.settings(r), "127.0.0.10:5060") || strings.Contains(n.settings(r), "tls") != secure {
			t.Errorf("%s: %s", name, n.settings(r))
		}
	}
}

func TestCommandLine(t *testing.T) {
	p, err := parse([]string{"-quick", "-rates", "50,60", "-tandem2", "other"})
	if err != nil || p.rounds != 1 || len(p.rates) != 2 || p.systems[len(p.systems)-1] != "tandem2" || p.net == "" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := parse([]string{"-rates", "many"}); err == nil {
		t.Error("a rate that is no number is taken")
	}
}

func TestAreaOfAFunction(t *testing.T) {
	for function, want := range map[string]string{
		"runtime.mallocgcSmallScanNoHeader":             "runtime: allocation",
		"runtime.scanobject":                            "runtime: garbage collection",
		"runtime.futex":                                 "runtime: waiting and waking (system calls)",
		"internal/runtime/syscall/linux.Syscall6":       "system calls",
		"indexbytebody":                                 "runtime: copying, clearing, comparing bytes",
		"runtime.memmove":                               "runtime: copying, clearing, comparing bytes",
		"internal/runtime/maps.(*Map).getWithKey":       "runtime: maps",
		"tandem/sip/core.(*Core).Handle":                "tandem/sip/core",
		"github.com/emiago/sipgo/sip.parseHostPort":     "github.com/emiago/sipgo/sip",
		"github.com/ClickHouse/ch-go/proto.(*Buffer).X": "github.com/ClickHouse/ch-go/proto",
	} {
		if got := area(function); got != want {
			t.Errorf("%s: %q, want %q", function, got, want)
		}
	}
}

// TestCaptureTakesTheCallersSide: from the first INVITE to the first 200 of it,
// not the other leg, not the 200 of a BYE.
func TestCaptureTakesTheCallersSide(t *testing.T) {
	system, caller, callee := [4]byte{127, 0, 0, 10}, [4]byte{127, 0, 0, 20}, [4]byte{127, 0, 0, 30}
	c := &capture{system: system, caller: caller, began: map[string]time.Duration{}}
	send := func(ms int, from, to [4]byte, message string) {
		p := append([]byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0}, from[:]...)
		p = append(append(p, to[:]...), make([]byte, 8)...)
		c.take(time.Duration(ms)*time.Millisecond, append(p, message...))
	}
	const id, other = "\r\nCall-ID: a@b", "\r\nCall-ID: other"
	send(0, caller, system, "INVITE sip:1@x SIP/2.0"+id+"\r\nCSeq: 1 INVITE\r\n\r\n")
	send(1, caller, system, "INVITE sip:1@x SIP/2.0"+id+"\r\nCSeq: 1 INVITE\r\n\r\n")
	send(2, system, callee, "INVITE sip:1@x SIP/2.0"+other+"\r\nCSeq: 1 INVITE\r\n\r\n")
	send(3, callee, system, "SIP/2.0 200 OK"+other+"\r\nCSeq: 1 INVITE\r\n\r\n")
	send(4, system, caller, "SIP/2.0 180 Ringing"+id+"\r\nCSeq: 1 INVITE\r\n\r\n")
	send(5, system, caller, "SIP/2.0 200 OK"+id+"\r\nCSeq: 1 INVITE\r\n\r\n")
	send(6, system, caller, "SIP/2.0 200 OK"+id+"\r\nCSeq: 1 INVITE\r\n\r\n")
	send(7, system, caller, "SIP/2.0 200 OK"+id+"\r\nCSeq: 2 BYE\r\n\r\n")
	c.take(8*time.Millisecond, []byte{0x4f, 0})
	c.take(9*time.Millisecond, append([]byte{0x4f, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0}, make([]byte, 8)...))
	if len(c.times) != 1 || c.times[0] != 5*time.Millisecond || len(c.began) != 0 {
		t.Errorf("times %v, open %v", c.times, c.began)
	}
}
