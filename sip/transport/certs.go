package transport

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"tandem"
)

// certStore holds our certificates and the roots, read from files and read
// again when these change. A changed file that can't be used leaves the old one in force.
type certStore struct {
	certs []*certEntry
	roots *rootsEntry
}

type certEntry struct {
	cfg    Certificate
	stamps [2]stamp
	cert   atomic.Pointer[tls.Certificate]
}

type rootsEntry struct {
	files  []string
	stamps []stamp
	pool   atomic.Pointer[x509.CertPool]
}

// stamp tells whether a file changed.
type stamp struct {
	size int64
	mod  time.Time
}

func stampOf(file string) stamp {
	info, err := os.Stat(file)
	if err != nil {
		return stamp{}
	}
	return stamp{info.Size(), info.ModTime()}
}

func newCertStore(cfg Config) (*certStore, error) {
	s := &certStore{roots: &rootsEntry{files: cfg.Roots}}
	for i, c := range cfg.Certificates {
		e := &certEntry{cfg: c}
		if err := e.load(); err != nil {
			err.Field = fmt.Sprintf("sip.certificates[%d]", i)
			return nil, err
		}
		s.certs = append(s.certs, e)
	}
	if err := s.roots.load(); err != nil {
		return nil, err
	}
	return s, nil
}

func (e *certEntry) load() *tandem.Error {
	e.stamps = [2]stamp{stampOf(e.cfg.CertFile), stampOf(e.cfg.KeyFile)}
	cert, err := tls.LoadX509KeyPair(e.cfg.CertFile, e.cfg.KeyFile)
	if err != nil {
		return &tandem.Error{Kind: tandem.KindInvalid, Message: fmt.Sprintf("certificate %q can't be loaded from %s and %s", e.cfg.Name, e.cfg.CertFile, e.cfg.KeyFile),
			Mend: "give a PEM chain (own certificate first, then intermediates) and its PEM key", Err: err}
	}
	if cert.Leaf == nil {
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return &tandem.Error{Kind: tandem.KindInvalid, Message: fmt.Sprintf("certificate %q can't be read", e.cfg.Name), Err: err}
		}
	}
	e.cert.Store(&cert)
	return nil
}

// load reads the roots; without files the system's are used (a nil pool).
func (r *rootsEntry) load() *tandem.Error {
	if len(r.files) == 0 {
		return nil
	}
	pool := x509.NewCertPool()
	stamps := make([]stamp, len(r.files))
	for i, file := range r.files {
		stamps[i] = stampOf(file)
		text, err := os.ReadFile(file)
		if err != nil || !pool.AppendCertsFromPEM(text) {
			return &tandem.Error{Kind: tandem.KindInvalid, Field: fmt.Sprintf("sip.roots[%d]", i), Message: file + " holds no readable root certificate",
				Mend: "give a PEM file", Err: err}
		}
	}
	r.stamps = stamps
	r.pool.Store(pool)
	return nil
}

// find returns a certificate by name; "" is the first one. nil when there is none.
func (s *certStore) find(name string) *tls.Certificate {
	for _, e := range s.certs {
		if name == "" || e.cfg.Name == name {
			return e.cert.Load()
		}
	}
	return nil
}

// refresh reads changed files again. It returns the names of certificates that
// changed and the problems met; "" among the names stands for the roots.
func (s *certStore) refresh() (changed []string, problems []error) {
	for i, e := range s.certs {
		if e.stamps == [2]stamp{stampOf(e.cfg.CertFile), stampOf(e.cfg.KeyFile)} {
			continue
		}
		if err := e.load(); err != nil {
			problems = append(problems, err)
			continue
		}
		changed = append(changed, e.cfg.Name)
		if i == 0 {
			changed = append(changed, "default")
		}
	}
	for i, file := range s.roots.files {
		if s.roots.stamps[i] != stampOf(file) {
			if err := s.roots.load(); err != nil {
				problems = append(problems, err)
			} else {
				changed = append(changed, "")
			}
			break
		}
	}
	return changed, problems
}
