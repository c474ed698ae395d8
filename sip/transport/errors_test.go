package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"testing"
)

// TestClientWithoutCertificateIsNamed: crypto/tls has no type for this error,
// so a new Go release that words it otherwise must show here.
func TestClientWithoutCertificateIsNamed(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		ours, peers := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			client := tls.Client(peers, &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
			_ = client.Handshake()
			_, _ = client.Read(make([]byte, 1)) // TLS 1.3: the alert
			_ = peers.Close()
		}()
		server := tls.Server(ours, &tls.Config{ClientAuth: tls.RequireAnyClientCert, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
		err := server.Handshake()
		if err == nil {
			t.Fatal("accepted")
		}
		if why := explain("tls", err).Message; !strings.Contains(why, "sent no certificate") {
			t.Errorf("%s: explained as %q", tls.VersionName(version), why)
		}
		_ = ours.Close()
		<-done
	}
}
