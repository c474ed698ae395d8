package emulate

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"time"

	"tandem/sip/ua"
)

// makeCertificates makes the CA, the operator's certificate (written), ours and the bad ones.
func (t *Teams) makeCertificates() error {
	ca, err := MakeCA(t.cfg.CADir, t.cfg.SBCNames...)
	if err != nil {
		return err
	}
	t.ca = ca
	var names []string
	for _, l := range t.cfg.Listeners {
		names = append(names, l.Name)
	}
	own, err := ca.Write("teams", IssueSpec{Names: names}) // serverAuth only, as Microsoft's since 2026
	if err != nil {
		return err
	}
	t.server = t.serverConfig(own)
	t.client = &tls.Config{
		MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, CipherSuites: suites, RootCAs: ca.Pool(),
		// Not Certificates: Go would leave a serverAuth-only one out if the peer's CA list did not name its issuer.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil },
	}
	key, _ := own.PrivateKey.(*rsa.PrivateKey)
	t.bad = map[FaultKind]*tls.Config{}
	year := time.Now().AddDate(-1, 0, 0)
	for kind, spec := range map[FaultKind]IssueSpec{
		FaultExpiredCert: {Names: names, NotBefore: year.AddDate(0, -1, 0), NotAfter: year},
		FaultWrongName:   {Names: []string{"sip.example.test"}},
		FaultUnknownCA:   {Names: names, SelfSigned: true},
	} {
		spec.Key = key
		cert, err := ca.Issue(spec)
		if err != nil {
			return err
		}
		t.bad[kind] = t.serverConfig(cert)
	}
	return nil
}

// suites are those of microsoft-teams-trunk.md 1.2 that Go has on by default.
var suites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}

// serverConfig demands a client certificate of our CA. TLS 1.2 only: whether
// Microsoft negotiates 1.3 is unverified, and under 1.2 the client learns of a refusal in its handshake.
func (t *Teams) serverConfig(cert tls.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, CipherSuites: suites,
		Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert,
		SessionTicketsDisabled: true, // every connection shows its certificate
		VerifyConnection:       t.verifyClient,
	}
}

func (t *Teams) verifyClient(cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("no client certificate")
	}
	intermediates := x509.NewCertPool()
	for _, c := range cs.PeerCertificates[1:] {
		intermediates.AddCert(c)
	}
	_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: t.ca.Pool(), Intermediates: intermediates,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// serverFor is the listener's TLS configuration, faults first.
func (t *Teams) serverFor(name string) *tls.Config {
	if t.server == nil {
		return nil
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			f, ok := t.faults.take(name, func(f *Fault) bool {
				return f.Kind == FaultTLSAlert || f.Kind == FaultExpiredCert || f.Kind == FaultWrongName || f.Kind == FaultUnknownCA
			})
			if !ok {
				return t.server, nil
			}
			if f.Kind == FaultTLSAlert {
				return nil, errors.New("handshake refused on purpose")
			}
			return t.bad[f.Kind], nil
		},
	}
}

func (t *Teams) handshakeFailed(l *ua.Listener, peer netip.AddrPort, err error) {
	name := l.Config.Name
	if t.faults.has(name, FaultTLSAlert, FaultExpiredCert, FaultWrongName, FaultUnknownCA) {
		return
	}
	t.violate("tls", "handshake from "+peer.String()+" failed: "+err.Error(), name, nil)
}

// certificateCovers: the name is in the peer's certificate, exactly or by a
// wildcard of one label (RFC 2818, as crypto/x509 does it).
func certificateCovers(c *ua.Conn, name string) bool {
	state, ok := c.TLS()
	return ok && len(state.PeerCertificates) > 0 && state.PeerCertificates[0].VerifyHostname(name) == nil
}
