package transport

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/sip"
)

// TestGoRefusesServerAuthOnlyClients: crypto/tls's own client verification refuses a certificate
// with the server usage only, as Microsoft's are since 2026. If it ever takes
// them, verifyChain may go.
func TestGoRefusesServerAuthOnlyClients(t *testing.T) {
	a := newAuthority(t)
	_, ours := a.issue("ours", []string{"sbc.test"}, nil)
	_, theirs := a.issue("theirs", []string{"sip.pstnhub.test"}, nil)
	p := newPeer(t, &tls.Config{Certificates: []tls.Certificate{ours}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.pool()})
	client, err := net.Dial("tcp", p.l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Client(client, &tls.Config{RootCAs: a.pool(), ServerName: "sbc.test", Certificates: []tls.Certificate{theirs}}).Handshake()
	}()
	err = p.accept(t).(*tls.Conn).Handshake()
	client.Close()
	<-done
	if err == nil || !strings.Contains(err.Error(), "incompatible key usage") {
		t.Errorf("%v", err)
	}
}

// tlsRig listens for TLS with a certificate of its own CA; trunk "teams" wants the name sip.pstnhub.test.
func tlsRig(t *testing.T, a *authority, shape func(*Config)) *rig {
	ours, _ := a.issue("ours", []string{"sbc.test"}, nil)
	return newRig(t, func(c *Config) {
		c.Listen = []Listen{{Transport: tandem.TLS, Address: anyPort("127.0.0.1")}}
		c.Certificates = []Certificate{ours}
		c.Roots = []string{a.roots()}
		c.HandshakeTimeout = 500 * time.Millisecond
		if shape != nil {
			shape(c)
		}
	}, Deps{}, Trunk{Trunk: tandem.Trunk{ID: "any-name", Transport: tandem.UDP, Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}},
		Trunk{Trunk: tandem.Trunk{ID: "teams", Kind: tandem.TrunkTeams, Transport: tandem.TLS, Sources: loopback, TLSNames: []string{"sip.pstnhub.test"}}},
		Trunk{Trunk: tandem.Trunk{ID: "carrier", Transport: tandem.TLS, Sources: loopback, TLSNames: []string{"gw.carrier.test"}}})
}

func TestAcceptedCertificates(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	r := tlsRig(t, a, nil)
	for name, c := range map[string]struct {
		by    *authority
		name  string
		shape func(*x509.Certificate)
		trunk tandem.TrunkID // "" = refused
	}{
		"OK server usage only":   {a, "sip.pstnhub.test", nil, "teams"},
		"OK client usage only":   {a, "sip.pstnhub.test", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "teams"},
		"OK wildcard":            {a, "*.pstnhub.test", nil, "teams"},
		"OK other trunk by name": {a, "gw.carrier.test", nil, "carrier"},
		"ErrWrongName":           {a, "evil.test", nil, ""},
		"ErrWildcardTwoLevels":   {a, "*.test", nil, ""},
		"ErrExpired":             {a, "sip.pstnhub.test", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, ""},
		"ErrSelfSigned":          {a, "sip.pstnhub.test", func(c *x509.Certificate) { c.Issuer.CommonName = "self" }, ""},
		"ErrUnknownRoot":         {stranger, "sip.pstnhub.test", nil, ""},
		"ErrUsageIsEmail":        {a, "sip.pstnhub.test", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }, ""},
		"ErrNoClientCertificate": {nil, "", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := &tls.Config{RootCAs: a.pool(), ServerName: "sbc.test"}
			if c.by != nil {
				_, pair := c.by.issue("peer", []string{c.name}, c.shape)
				cfg.Certificates = []tls.Certificate{pair}
			}
			before := r.Metrics().HandshakeFailures
			conn, err := tls.Dial("tcp", r.address(0), cfg)
			if err == nil {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(patience))
				_, err = io.WriteString(conn, request("INFO", 1, "", ""))
			}
			if c.trunk == "" {
				if err == nil {
					if _, err = conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
						t.Error("accepted")
					}
				}
				eventually(t, "the failure is counted", func() bool { return r.Metrics().HandshakeFailures == before+1 })
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if g := r.next(t, "msg"); g.flow.Trunk != c.trunk || g.flow.Transport != tandem.TLS {
				t.Errorf("%+v", g.flow)
			}
		})
	}
}

func TestHalfHandshakeIsCut(t *testing.T) {
	a := newAuthority(t)
	r := tlsRig(t, a, nil)
	c := r.connect(t, 0)
	io.WriteString(c, "\x16\x03\x01")
	if _, err := io.Copy(io.Discard, c); isTimeout(err) {
		t.Error("still open")
	}
}

// dialTarget is our trunk's way to a TLS peer under a name.
func dialTarget(host string, port uint16) sip.Target {
	return sip.Target{Trunk: "teams", Transport: tandem.TLS, Host: host, Port: port, Addr: netip.MustParseAddr("127.0.0.1")}
}

func dialRig(t *testing.T, a *authority, names []string, shape func(*Config)) *rig {
	ours, _ := a.issue("ours", []string{"sbc.test"}, nil)
	return newRig(t, func(c *Config) {
		c.Certificates = []Certificate{ours}
		c.Roots = []string{a.roots()}
		c.DialTimeout = time.Second
		if shape != nil {
			shape(c)
		}
	}, Deps{}, Trunk{Trunk: tandem.Trunk{ID: "teams", Transport: tandem.TLS, Sources: loopback, TLSNames: names}})
}

func TestDialledCertificates(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	for name, c := range map[string]struct {
		by    *authority
		name  string
		names []string // of the trunk
		shape func(*x509.Certificate)
		max   uint16
		want  string // "" = the message arrives
	}{
		"OK by host":             {a, "sip.pstnhub.test", nil, nil, 0, ""},
		"OK by the trunk's name": {a, "proxy.test", []string{"x.test", "proxy.test"}, nil, 0, ""},
		"OK TLS 1.2":             {a, "sip.pstnhub.test", nil, nil, tls.VersionTLS12, ""},
		"ErrWrongName":           {a, "evil.test", nil, nil, 0, "has another name"},
		"ErrNotTheTrunksName":    {a, "sip.pstnhub.test", []string{"proxy.test"}, nil, 0, "has another name"},
		"ErrExpired":             {a, "sip.pstnhub.test", nil, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, 0, "has expired"},
		"ErrSelfSigned":          {a, "sip.pstnhub.test", nil, func(c *x509.Certificate) { c.Issuer.CommonName = "self" }, 0, "unknown root"},
		"ErrUnknownRoot":         {stranger, "sip.pstnhub.test", nil, nil, 0, "unknown root"},
		"ErrTLS11":               {a, "sip.pstnhub.test", nil, nil, tls.VersionTLS11, "refused the TLS connection"},
	} {
		t.Run(name, func(t *testing.T) {
			r := dialRig(t, a, c.names, nil)
			_, pair := c.by.issue("peer", []string{c.name}, c.shape)
			sni := make(chan string, 4)
			p := newPeer(t, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS10, MaxVersion: c.max, ClientAuth: tls.RequireAnyClientCert,
				GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) { sni <- h.ServerName; return nil, nil }})
			r.Send(dialTarget("sip.pstnhub.test", p.port()), sip.SendRef{Tx: 1, Watch: true}, []byte("hello\r\n"))
			conn := p.accept(t).(*tls.Conn)
			if c.want == "" {
				read(t, conn, "hello")
				if got := <-sni; got != "sip.pstnhub.test" {
					t.Errorf("SNI %q", got)
				}
				if cn := conn.ConnectionState().PeerCertificates[0].Subject.CommonName; cn != "sbc.test" {
					t.Errorf("we presented %q", cn)
				}
				return
			}
			go func() { _ = conn.Handshake() }()
			if g := r.next(t, "failed"); g.ref.Tx != 1 || !strings.Contains(g.err.Error(), c.want) {
				t.Errorf("%v, want %q", g.err, c.want)
			}
		})
	}
}

// TestRefusedClientCertificateIsNamed: with TLS 1.3 our side of the handshake
// succeeds and the refusal comes with the first read.
func TestRefusedClientCertificateIsNamed(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			r := dialRig(t, a, nil, nil)
			_, pair := a.issue("peer", []string{"sip.pstnhub.test"}, nil)
			p := newPeer(t, &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: version, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: other.pool()})
			r.Send(dialTarget("sip.pstnhub.test", p.port()), sip.SendRef{Tx: 1, Watch: true}, []byte("hello\r\n"))
			conn := p.accept(t).(*tls.Conn)
			if conn.Handshake() == nil {
				t.Fatal("the peer took our certificate")
			}
			g := r.next(t, "failed")
			if !strings.Contains(g.err.Error(), "refused the TLS connection") || !strings.Contains(g.err.Error(), "our certificate") {
				t.Errorf("%v", g.err)
			}
		})
	}
}

func TestNotTLSIsNamed(t *testing.T) {
	a := newAuthority(t)
	r := dialRig(t, a, nil, nil)
	p := newPeer(t, nil)
	r.Send(dialTarget("sip.pstnhub.test", p.port()), sip.SendRef{Tx: 1}, []byte("hello\r\n"))
	c := p.accept(t)
	io.WriteString(c, "SIP/2.0 400 Bad Request\r\n\r\n")
	if g := r.next(t, "failed"); !strings.Contains(g.err.Error(), "does not speak TLS") {
		t.Errorf("%v", g.err)
	}
}

func TestChangedCertificateIsTakenAndConnectionsRenewed(t *testing.T) {
	a := newAuthority(t)
	r := dialRig(t, a, nil, func(c *Config) { c.Housekeeping = 5 * time.Millisecond })
	_, pair := a.issue("peer", []string{"sip.pstnhub.test"}, nil)
	p := newPeer(t, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert})
	to := dialTarget("sip.pstnhub.test", p.port())
	r.Send(to, sip.SendRef{Tx: 1, Watch: true}, []byte("one\r\n"))
	first := p.accept(t).(*tls.Conn)
	read(t, first, "one")
	old := r.next(t, "sent").conn

	// A broken file first: the old certificate stays.
	key := r.cfg.Certificates[0].KeyFile
	good, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	_ = os.WriteFile(key, []byte("nonsense"), 0o600)
	eventually(t, "the broken file is seen", func() bool { return r.Metrics().CertErrors > 0 })
	if r.Certificates()[0].DNSNames[0] != "sbc.test" {
		t.Error("the good certificate is gone")
	}
	_ = os.WriteFile(key, good, 0o600)
	a.issue("ours", []string{"renewed.test", "sbc.test"}, nil) // over the same files
	eventually(t, "the new certificate is in force", func() bool { return r.Certificates()[0].DNSNames[0] == "renewed.test" })
	eventually(t, "the connection is to be renewed", func() bool { return r.conns.find(old).stale.Load() })
	r.Send(to, sip.SendRef{Tx: 2}, []byte("two\r\n")) // starts the renewal
	second := p.accept(t).(*tls.Conn)
	if err := second.Handshake(); err != nil {
		t.Fatal(err)
	}
	if cn := second.ConnectionState().PeerCertificates[0].Subject.CommonName; cn != "renewed.test" {
		t.Errorf("presented %q", cn)
	}
}

func TestConfigurationErrors(t *testing.T) {
	a := newAuthority(t)
	ours, _ := a.issue("ours", []string{"sbc.test"}, nil)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		shape func(*Config)
		want  string
	}{
		"no such file":     {func(c *Config) { c.Certificates = []Certificate{{"x", "/nonexistent/c", "/nonexistent/k"}} }, "sip.certificates[0]"},
		"roots hold none":  {func(c *Config) { c.Roots = []string{ours.KeyFile} }, "sip.roots[0]"},
		"TLS needs a cert": {func(c *Config) { c.Listen = []Listen{{Transport: tandem.TLS, Address: anyPort("127.0.0.1")}} }, "without a certificate"},
		"unknown certificate": {func(c *Config) {
			c.Certificates = []Certificate{ours}
			c.Listen = []Listen{{tandem.TLS, anyPort("127.0.0.1"), "no"}}
		}, "sip.listen[0].certificate"},
		"unknown transport":     {func(c *Config) { c.Listen = []Listen{{Transport: "SCTP", Address: anyPort("127.0.0.1")}} }, "is not a transport"},
		"address taken":         {func(c *Config) { c.Listen = []Listen{{Transport: tandem.TCP, Address: addrPortOf(taken.Addr())}} }, "can't be bound"},
		"timeouts above zero":   {func(c *Config) { c.DialTimeout, c.IdleTimeout = 0, 0 }, "sip.idle_timeout"},
		"name used twice":       {func(c *Config) { c.Certificates = []Certificate{ours, ours} }, "used once"},
		"message limit":         {func(c *Config) { c.MaxMessage = 1 }, "sip.max_message"},
		"queue under a message": {func(c *Config) { c.WriteQueue = 1 }, "sip.write_queue"},
	} {
		cfg := DefaultConfig()
		c.shape(&cfg)
		tr, err := New(cfg, Deps{})
		if err == nil {
			tr.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
