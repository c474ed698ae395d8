package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mediaStage is a node between two phones: one stands for the Teams user, over
// TLS with SDES-SRTP and Microsoft's certificate, one for the carrier, over UDP
// with plain RTP.
type mediaStage struct {
	*stage
	net            string
	teams, carrier *phone
	wire           *wire
	up, down       []int16 // what the Teams user and the carrier play
	upFile         string
	downFile       string
}

// phoneDocument puts the phones in place of the emulators. baresip dials and
// sends its media from the system's address for the loopback, whatever it is bound to.
func phoneDocument(net string) func([]byte) []byte {
	return func(text []byte) []byte {
		return []byte(strings.NewReplacer(
			"{host: sip.pstnhub.test,  port: 5061, address: "+net+".11}", "{host: sip.pstnhub.test, port: 5061, address: "+net+".31}",
			"      - {host: sip2.pstnhub.test, port: 5061, address: "+net+".12}\n", "",
			"      - {host: sip3.pstnhub.test, port: 5061, address: "+net+".13}\n", "",
			"sources: ["+net+".11/32, "+net+".12/32, "+net+".13/32]", "sources: ["+net+".31/32, 127.0.0.1/32]",
			"tls_names: [sip.pstnhub.test]", "tls_names: [sip.pstnhub.test]\n    media_sources: [127.0.0.1]",
			"options_interval: 60s", "options_interval: 0s",
			net+".21", net+".41",
			"    send_history_info: true\n", "    send_history_info: true\n    media_sources: [127.0.0.1]\n    options_interval: 0s\n",
		).Replace(string(text)))
	}
}

// Ports of the phones' media: they tell the streams on the wire apart.
const (
	teamsPorts   = 47000
	carrierPorts = 47200
	wireFirst    = 30000
	wireLast     = 30015
)

// newMediaStage starts node and phones for one codec. Media passes a wire.
func newMediaStage(t *testing.T, codec string) *mediaStage {
	t.Helper()
	needPhones(t)
	m := &mediaStage{net: testNet()}
	m.wire = newWire(t, m.net+".61", m.net+".1", wireFirst, wireLast)
	var folder string
	m.stage = newStage(t, func(o *stageOptions) {
		o.noCarriers = true
		folder = filepath.Join(o.data, "emulator-ca")
		o.document = phoneDocument(o.net)
		config := o.config
		o.config = func(c *Config) {
			config(c)
			c.Media.Advertise, c.Media.Ports = o.net+".61", fmt.Sprintf("%d-%d", wireFirst, wireLast)
		}
	})
	var pem []byte
	for _, f := range []string{"teams.key", "teams.pem"} { // Microsoft's certificate, as the emulator made it
		text, err := os.ReadFile(filepath.Join(folder, f))
		if err != nil {
			t.Fatal(err)
		}
		pem = append(pem, text...)
	}
	cert := filepath.Join(t.TempDir(), "teams.pem")
	if err := os.WriteFile(cert, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	dns := m.net + ".1:5053"
	startDNS(t, dns, netip.MustParseAddr(m.net+".1"))
	length := 30.0 // longer than a call: baresip hangs up at the end of its file
	if fullProof() {
		length = 90
	}
	m.up, m.down = sweep(length, 4, 300, 3000), sweep(length, 3.3, 3100, 400)
	m.upFile, m.downFile = writeWAV(t, "up.wav", m.up), writeWAV(t, "down.wav", m.down)
	codecs := fmt.Sprintf(";audio_codecs=%s/8000/1", codec)
	m.teams = startPhone(t, phoneOptions{name: "teams", address: m.net + ".31", sipPort: 5060, rtpPort: teamsPorts,
		user:   "+14255550101@contoso.customers.test;transport=tls",
		params: fmt.Sprintf(`;mediaenc=srtp-mand;outbound="sip:%s.1:5061;transport=tls"`, m.net) + codecs,
		dns:    dns, cert: cert, ca: filepath.Join(folder, "ca.pem"), sound: m.upFile})
	m.carrier = startPhone(t, phoneOptions{name: "carrier", address: m.net + ".41", sipPort: 5060, rtpPort: carrierPorts,
		dns: dns, user: outsideNumber + "@" + m.net + ".41", params: codecs, sound: m.downFile})
	return m
}

// direct begins the same call between two phones without a node, and tells at
// its end what the phones and this machine make of the sound each way.
func (m *mediaStage) direct(t *testing.T, codec string) (end func() (up, down likeness)) {
	t.Helper()
	codecs := fmt.Sprintf(";audio_codecs=%s/8000/1", codec)
	a := startPhone(t, phoneOptions{name: "a", address: m.net + ".71", sipPort: 5060, rtpPort: 47400, user: "a@" + m.net + ".71", params: codecs, sound: m.upFile})
	b := startPhone(t, phoneOptions{name: "b", address: m.net + ".72", sipPort: 5060, rtpPort: 47600, user: "b@" + m.net + ".72", params: codecs, sound: m.downFile})
	seenA, seenB := dial(a, b, "sip:b@"+m.net+".72:5060")
	return func() (up, down likeness) {
		hangUp(a, b, seenA, seenB)
		_, heardA := a.recordings()
		_, heardB := b.recordings()
		a.stop()
		b.stop()
		return compare(m.up, heardB), compare(m.down, heardA)
	}
}

// dial makes a call and waits until both sides know that it is up.
func dial(from, to *phone, uri string) (seenFrom, seenTo int) {
	seenFrom, seenTo = from.mark(), to.mark()
	from.do("dial", uri)
	_, seenFrom = from.event(seenFrom, "CALL_ESTABLISHED")
	_, seenTo = to.event(seenTo, "CALL_ESTABLISHED")
	return seenFrom, seenTo
}

func hangUp(from, to *phone, seenFrom, seenTo int) {
	from.do("hangup", "")
	from.event(seenFrom, "CALL_CLOSED")
	to.event(seenTo, "CALL_CLOSED")
}
