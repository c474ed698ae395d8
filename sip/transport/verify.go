package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"time"

	"tandem"
)

// verifyChain checks a peer's chain against the roots. Both key usages are
// taken on both sides: Microsoft's certificates carry server authentication
// only, also when Microsoft dials us, and crypto/tls's own check would refuse
// them there (sipgo-notes.md 5). It also runs on resumed sessions.
func (t *Transport) verifyChain(cs tls.ConnectionState) (*x509.Certificate, error) {
	if len(cs.PeerCertificates) == 0 {
		return nil, errors.New("peer sent no certificate")
	}
	leaf := cs.PeerCertificates[0]
	opts := x509.VerifyOptions{
		Roots: t.certs.roots.pool.Load(), Intermediates: x509.NewCertPool(), CurrentTime: t.clock(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, c := range cs.PeerCertificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := leaf.Verify(opts)
	return leaf, err
}

// errWrongName is an accepted peer whose certificate has none of the names of the trunks at its address.
var errWrongName = &tandem.Error{Kind: tandem.KindForbidden, Message: "the peer's certificate carries no name of a trunk at this address",
	Mend: "add its name to the trunk's tls_names"}

// serverTLS is the TLS side of accepted connections.
func (t *Transport) serverTLS(certificate string, source, local netip.AddrPort) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, // Microsoft's minimum since 2022
		Time:       t.clock,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if c := t.certs.find(certificate); c != nil {
				return c, nil
			}
			return nil, errors.New("no certificate to present")
		},
		ClientAuth: tls.RequireAnyClientCert, // verified below
		VerifyConnection: func(cs tls.ConnectionState) error {
			leaf, err := t.verifyChain(cs)
			if err != nil {
				return err
			}
			if t.sources.Load().find(tandem.TLS, source, local, leaf) == nil {
				return errWrongName
			}
			return nil
		},
		// Every accepted connection has its own config, so tickets could not be
		// opened anyway; peers keep connections for hours.
		SessionTicketsDisabled: true,
	}
}

// clientTLS is the TLS side of a dialled connection.
func (t *Transport) clientTLS(trunk *Trunk, host string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		Time:       t.clock,
		ServerName: host,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if c := t.certs.find(trunk.Certificate); c != nil {
				return c, nil
			}
			return &tls.Certificate{}, nil // none: the peer decides
		},
		InsecureSkipVerify: true, // replaced by VerifyConnection: several names, both key usages
		VerifyConnection: func(cs tls.ConnectionState) error {
			leaf, err := t.verifyChain(cs)
			if err != nil {
				return err
			}
			if len(trunk.TLSNames) > 0 {
				if nameAccepted(trunk, leaf) {
					return nil
				}
				return x509.HostnameError{Certificate: leaf, Host: trunk.TLSNames[0]}
			}
			return leaf.VerifyHostname(host)
		},
	}
}

// CertificateInfo is one certificate of ours as loaded, for `tandem doctor` and alarms.
type CertificateInfo struct {
	Name     string
	DNSNames []string
	NotAfter time.Time
}

// Certificates lists our certificates as they are in force.
func (t *Transport) Certificates() []CertificateInfo {
	var out []CertificateInfo
	for _, e := range t.certs.certs {
		leaf := e.cert.Load().Leaf
		out = append(out, CertificateInfo{Name: e.cfg.Name, DNSNames: leaf.DNSNames, NotAfter: leaf.NotAfter})
	}
	return out
}
