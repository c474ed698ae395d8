package transport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gosip "github.com/emiago/sipgo/sip"
	"go.uber.org/goleak"

	"tandem"
	"tandem/sip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 5 * time.Second

// authority is a private CA made for one test.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Root"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, _ = x509.ParseCertificate(der)
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) write(name, kind string, der []byte) string {
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

func (a *authority) roots() string { return filepath.Join(a.dir, "ca.pem") }

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// issue makes a certificate; shape may bend it. The default has the server
// usage only, as Microsoft's have since 2026.
func (a *authority) issue(file string, names []string, shape func(*x509.Certificate)) (Certificate, tls.Certificate) {
	a.t.Helper()
	a.n++
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tpl := &x509.Certificate{SerialNumber: big.NewInt(100 + a.n), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	parent, signer := a.cert, a.key
	if shape != nil {
		shape(tpl)
	}
	if tpl.Issuer.CommonName == "self" {
		parent, signer = tpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, _ := x509.MarshalECPrivateKey(key)
	c := Certificate{Name: file, CertFile: a.write(file+".pem", "CERTIFICATE", der), KeyFile: a.write(file+".key", "EC PRIVATE KEY", keyDER)}
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		a.t.Fatal(err)
	}
	return c, pair
}

// got is one call of the handler.
type got struct {
	what string // "msg", "sent", "failed", "closed"
	flow sip.Flow
	msg  gosip.Message
	ref  sip.SendRef
	conn sip.ConnID
	err  error
}

type handler struct{ ch chan got }

func (h *handler) Receive(f sip.Flow, m gosip.Message, _ sip.Lease, _ time.Time) {
	h.ch <- got{what: "msg", flow: f, msg: m}
}
func (h *handler) SentOn(r sip.SendRef, c sip.ConnID, _ time.Time) {
	h.ch <- got{what: "sent", ref: r, conn: c}
}
func (h *handler) SendFailed(r sip.SendRef, e error, _ time.Time) {
	h.ch <- got{what: "failed", ref: r, err: e}
}
func (h *handler) ConnClosed(c sip.ConnID, _ time.Time) { h.ch <- got{what: "closed", conn: c} }

// next is the next call of the kind; others are passed over.
func (h *handler) next(t testing.TB, what string) got {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case g := <-h.ch:
			if g.what == what {
				return g
			}
		case <-deadline:
			t.Fatalf("no %q came", what)
		}
	}
}

type rig struct {
	*Transport
	*handler
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")}

func anyPort(host string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(host), 0) }

// newRig starts a transport with one trunk "peer" at the loopback.
func newRig(t testing.TB, shape func(*Config), deps Deps, trunks ...Trunk) *rig {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Listen = []Listen{{Transport: tandem.UDP, Address: anyPort("127.0.0.1")}, {Transport: tandem.TCP, Address: anyPort("127.0.0.1")}}
	if shape != nil {
		shape(&cfg)
	}
	tr, err := New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{tr, &handler{make(chan got, 4096)}}
	if trunks == nil {
		trunks = []Trunk{{Trunk: tandem.Trunk{ID: "peer", Kind: tandem.TrunkCarrier, Transport: tandem.UDP, Sources: loopback}}}
	}
	tr.SetTrunks(trunks)
	if err := tr.Serve(r.handler); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return r
}

func (r *rig) address(i int) string { return r.Listeners()[i].Address.String() }

// connect dials listener i over plain TCP.
func (r *rig) connect(t testing.TB, i int) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", r.address(i))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// request is a well-formed request of the given CSeq.
func request(method string, seq int, extra, body string) string {
	return fmt.Sprintf("%s sip:+14255550100@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:5999;branch=z9hG4bK%d\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\nCall-ID: call\r\nCSeq: %d %s\r\n%sContent-Length: %d\r\n\r\n%s",
		method, seq, seq, method, extra, len(body), body)
}

func seqOf(m gosip.Message) int { return int(m.CSeq().SeqNo) }

// read returns what arrives on a stream until it contains want.
func read(t testing.TB, c net.Conn, want string) string {
	t.Helper()
	var all []byte
	buf := make([]byte, 4096)
	for !strings.Contains(string(all), want) {
		n, err := c.Read(buf)
		all = append(all, buf[:n]...)
		if err != nil {
			t.Fatalf("read %q, then %v; want %q", all, err, want)
		}
	}
	return string(all)
}

// peer is a listening stream peer.
type peer struct {
	l     net.Listener
	conns chan net.Conn
}

func newPeer(t testing.TB, cfg *tls.Config) *peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{l: l, conns: make(chan net.Conn, 16)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if cfg != nil {
				c = tls.Server(c, cfg)
			}
			p.conns <- c
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for {
			select {
			case c := <-p.conns:
				c.Close()
			default:
				return
			}
		}
	})
	return p
}

func (p *peer) port() uint16 { return addrPortOf(p.l.Addr()).Port() }

func (p *peer) accept(t testing.TB) net.Conn {
	t.Helper()
	select {
	case c := <-p.conns:
		_ = c.SetDeadline(time.Now().Add(patience))
		t.Cleanup(func() { c.Close() })
		return c
	case <-time.After(patience):
		t.Fatal("no connection came")
		return nil
	}
}

// names is a resolver with fixed answers.
type names map[string][]netip.Addr

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if a, ok := n[host]; ok {
		return append([]netip.Addr(nil), a...), nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}
