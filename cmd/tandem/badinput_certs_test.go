package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/cmd/tandem/emulate"
)

// logged gives a stage a log that the test can read.
func logged(log *testLog) func(*stageOptions) {
	return func(o *stageOptions) { o.log = newLogger(log, LogConfig{Level: "info"}) }
}

// TestBadClientCertificates: who dials us with a certificate that does not
// prove a trunk's name gets no answer, and the log says what is wrong with it.
func TestBadClientCertificates(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	log := &testLog{}
	s := newStage(t, logged(log))
	c := s.startTalk(t)
	name := []string{"sip.pstnhub.test"}
	lastYear := time.Now().AddDate(-1, 0, 0)
	other, err := emulate.MakeCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := other.Issue(emulate.IssueSpec{Names: name, Client: true})
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		cert []tls.Certificate
		want string // in the log
	}{
		"expired":        {[]tls.Certificate{s.issue(t, emulate.IssueSpec{Names: name, NotBefore: lastYear.AddDate(0, -1, 0), NotAfter: lastYear})}, "the peer's certificate has expired or is not valid yet"},
		"not valid yet":  {[]tls.Certificate{s.issue(t, emulate.IssueSpec{Names: name, NotBefore: time.Now().AddDate(0, 1, 0), NotAfter: time.Now().AddDate(0, 2, 0)})}, "the peer's certificate has expired or is not valid yet"},
		"self-signed":    {[]tls.Certificate{s.issue(t, emulate.IssueSpec{Names: name, SelfSigned: true})}, "signed by an unknown root"},
		"unknown CA":     {[]tls.Certificate{stranger}, "signed by an unknown root"},
		"wrong name":     {[]tls.Certificate{s.issue(t, emulate.IssueSpec{Names: []string{"sip.example.com"}})}, "carries no name of a trunk at this address"},
		"no certificate": {nil, "sent no certificate"},
	}
	for what, c := range cases {
		seen := strings.Count(log.String(), c.want)
		p, err := s.tryDial(tandem.TLS, "11", c.cert...)
		if err == nil { // TLS 1.3: the refusal comes after the client's handshake
			p.t = t
			_, _ = p.conn.Write([]byte(p.request("OPTIONS", "ping").String()))
			if answer, err := p.receive(5 * time.Second); err == nil {
				t.Errorf("%s: was answered %s", what, answer.Summary())
			}
			_ = p.conn.Close()
		}
		eventually(t, what+": the log says "+c.want, func() bool { return strings.Count(log.String(), c.want) > seen })
	}
	plain, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(testNet() + ".11")}}).Dial("tcp", testNet()+".1:5061")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	_, _ = plain.Write([]byte("OPTIONS sip:a SIP/2.0\r\n\r\n"))
	eventually(t, "the log names a peer without TLS", func() bool { return strings.Contains(log.String(), "does not speak TLS on this port") })
	// Microsoft's own kind of certificate, server authentication only, is taken.
	good := s.rawDial(t, tandem.TLS, "11", s.issue(t, emulate.IssueSpec{Names: name}))
	good.alive("bad certificates")
	c.end(t)
}

// TestBadServerCertificates: Microsoft presents certificates that prove nothing;
// trunk health says which mistake it is and what mends it, in the API, the CLI
// and the log.
func TestBadServerCertificates(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	log := &testLog{}
	o := stageOptions{data: t.TempDir(), net: testNet(), log: newLogger(log, LogConfig{Level: "info"}), say: t.Logf, noCarriers: true,
		config: func(c *Config) { c.HTTP.Address, c.ClickHouse.Mode = "127.0.0.1:0", "off" }}
	s := &stage{}
	t.Cleanup(s.Close)
	if err := s.startTeams(o); err != nil {
		t.Fatal(err)
	}
	want := map[string]struct {
		fault emulate.FaultKind
		words []string
	}{
		"sip.pstnhub.test":  {emulate.FaultExpiredCert, []string{"expired", "the peer must renew it", "clocks"}},
		"sip2.pstnhub.test": {emulate.FaultWrongName, []string{"another name", "tls_names"}},
		"sip3.pstnhub.test": {emulate.FaultUnknownCA, []string{"unknown root", "sip.roots"}},
	}
	for name, w := range want {
		if err := s.teams.SetFault(emulate.Fault{Kind: w.fault, Listener: name}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.startNode(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	eventually(t, "every address of Microsoft was tried", func() bool {
		for _, e := range s.node.monitor.Health()["teams"] {
			if e.State == tandem.HealthUnknown && e.Reason == "not probed yet" {
				return false
			}
		}
		return len(s.node.monitor.Health()["teams"]) == 3
	})
	table := command(t.Context(), "trunks", "--api", s.node.URL())
	for _, e := range s.node.monitor.Health()["teams"] {
		w := want[e.Endpoint.Host]
		if e.State == tandem.HealthUp {
			t.Errorf("%s is up", e.Endpoint.Host)
		}
		for _, word := range w.words {
			if !strings.Contains(e.Reason, word) {
				t.Errorf("%s (%s): the reason %q does not say %q", e.Endpoint.Host, w.fault, e.Reason, word)
			}
		}
		if !strings.Contains(e.Reason, fmt.Sprintf("%s:%d", e.Endpoint.Host, e.Endpoint.Port)) {
			t.Errorf("%s: the reason %q does not name the address", e.Endpoint.Host, e.Reason)
		}
		if table.code != 0 || !strings.Contains(table.out, tandem.Clip(e.Reason, 60)[:50]) {
			t.Errorf("tandem trunks does not show it (exit code %d):\n%s%s", table.code, table.out, table.err)
		}
	}
}
