package emulate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// CA is a private certificate authority for labs. Its files lie in one folder:
// ca.pem (to trust), sbc.pem and sbc.key (to present to the Teams emulator).
type CA struct {
	Dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// MakeCA makes a private CA in dir and, in sbc.pem and sbc.key, a certificate
// for the names given (a one-label wildcard is allowed). The key of the CA
// stays in memory: a new start makes a new CA.
func MakeCA(dir string, names ...string) (*CA, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make CA folder: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make CA key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Tandem emulator root"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 1, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make CA certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read CA certificate: %w", err)
	}
	ca := &CA{Dir: dir, cert: cert, key: key}
	if err := writePEM(filepath.Join(dir, "ca.pem"), 0o644, "CERTIFICATE", der); err != nil {
		return nil, err
	}
	if len(names) > 0 {
		if _, err := ca.Write("sbc", IssueSpec{Names: names, Client: true}); err != nil {
			return nil, err
		}
	}
	return ca, nil
}

// IssueSpec describes a certificate.
type IssueSpec struct {
	Names  []string
	Client bool // clientAuth besides serverAuth
	// NotBefore and NotAfter; zero = from an hour ago for 30 days.
	NotBefore, NotAfter time.Time
	SelfSigned          bool
	// Key is used when set, else a new one is made.
	Key *rsa.PrivateKey
}

// Issue makes a certificate with an RSA key of 2048 bits (Microsoft's suites are ECDHE-RSA).
func (ca *CA) Issue(spec IssueSpec) (tls.Certificate, error) {
	key := spec.Key
	if key == nil {
		var err error
		if key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return tls.Certificate{}, fmt.Errorf("make key: %w", err)
		}
	}
	if spec.NotBefore.IsZero() {
		spec.NotBefore = time.Now().Add(-time.Hour)
	}
	if spec.NotAfter.IsZero() {
		spec.NotAfter = time.Now().AddDate(0, 0, 30)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: spec.Names[0]}, DNSNames: spec.Names,
		NotBefore: spec.NotBefore, NotAfter: spec.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if spec.Client {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	parent, signer := ca.cert, ca.key
	if spec.SelfSigned {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("sign certificate for %v: %w", spec.Names, err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// Write issues a certificate and stores it as name.pem and name.key in the CA's folder.
func (ca *CA) Write(name string, spec IssueSpec) (tls.Certificate, error) {
	cert, err := ca.Issue(spec)
	if err != nil {
		return cert, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return cert, fmt.Errorf("encode key %s: %w", name, err)
	}
	if err := writePEM(filepath.Join(ca.Dir, name+".key"), 0o600, "PRIVATE KEY", der); err != nil {
		return cert, err
	}
	return cert, writePEM(filepath.Join(ca.Dir, name+".pem"), 0o644, "CERTIFICATE", cert.Certificate[0])
}

// Pool trusts the CA.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

func writePEM(path string, mode os.FileMode, kind string, der []byte) error {
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}

func serial() *big.Int {
	n, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	return n
}
