package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tandem"
	chdb "tandem/cdr/engine"
	"tandem/provisioning"
	"tandem/provisioning/store"
)

// verdict is the result of one check of `tandem doctor`.
type verdict string

const (
	verdictOK   verdict = "OK"
	verdictWarn verdict = "WARN"
	verdictFail verdict = "FAIL"
)

// finding is one line of the doctor's report: what was looked at, what was
// found and, unless all is well, the next step.
type finding struct {
	Check   string
	Verdict verdict
	Detail  string
	Next    string
}

// doctor examines a node from outside: configuration, machine, certificates,
// neighbours. It changes nothing.
type doctor struct {
	config    Config
	directory *tandem.Directory // nil when the store can't be read
	running   bool              // a tandem answers at the configured HTTP address
	now       time.Time
	findings  []finding
}

func (d *doctor) add(check string, v verdict, detail, next string) {
	d.findings = append(d.findings, finding{check, v, detail, next})
}

func (d *doctor) ok(check, detail string) { d.add(check, verdictOK, detail, "") }

// printFindings writes the report and returns the worst verdict.
func printFindings(w io.Writer, findings []finding) verdict {
	worst := verdictOK
	for _, f := range findings {
		fmt.Fprintf(w, "%-4s  %-22s %s\n", f.Verdict, f.Check, f.Detail)
		if f.Next != "" {
			fmt.Fprintf(w, "      %-22s -> %s\n", "", f.Next)
		}
		if f.Verdict == verdictFail || (f.Verdict == verdictWarn && worst == verdictOK) {
			worst = f.Verdict
		}
	}
	return worst
}

func (d *doctor) checkPorts() {
	for _, l := range d.config.SIP.Listen {
		check := "port " + l.Transport + " " + l.Address
		err := tryBind(l)
		switch {
		case err == nil && !d.running:
			d.ok(check, "free")
		case err == nil:
			d.add(check, verdictFail, "tandem runs but does not listen here", "restart tandem: listening addresses are read at start only")
		case d.running && errors.Is(err, unix.EADDRINUSE):
			d.ok(check, "in use, by the running tandem as it should be")
		case errors.Is(err, unix.EADDRINUSE):
			d.add(check, verdictFail, "taken by another program", "find it with: ss -lnp, or choose another port under sip.listen")
		case errors.Is(err, unix.EADDRNOTAVAIL):
			d.add(check, verdictFail, "this machine has no such address", "give an address that `ip addr` lists")
		default:
			d.add(check, verdictFail, err.Error(), "see the message")
		}
	}
}

// checkSockets looks for a listening socket of each trunk's transport: without
// one the node leaves the trunk out.
func (d *doctor) checkSockets() {
	if d.directory == nil {
		return
	}
	for _, trunk := range d.directory.Trunks {
		listening := slices.ContainsFunc(d.config.SIP.Listen, func(l ListenConfig) bool { return strings.EqualFold(l.Transport, string(trunk.Transport)) })
		if !listening && !trunk.Disabled {
			mend := "add a " + strings.ToLower(string(trunk.Transport)) + " socket under sip.listen and restart"
			if trunk.Transport == tandem.TLS && len(d.config.SIP.Certificates) == 0 {
				mend = "add a certificate under sip.certificates and a tls socket under sip.listen, and restart"
			}
			d.add("trunk "+string(trunk.ID), verdictFail, "can't be used: no socket listens for "+string(trunk.Transport), mend)
		}
	}
}

func tryBind(l ListenConfig) error {
	if strings.EqualFold(l.Transport, "udp") {
		c, err := net.ListenPacket("udp", l.Address)
		if err != nil {
			return err
		}
		return c.Close()
	}
	c, err := net.Listen("tcp", l.Address)
	if err != nil {
		return err
	}
	return c.Close()
}

func (d *doctor) checkMediaPorts() {
	first, last, err := d.config.Media.portRange()
	if err != nil {
		d.add("media ports", verdictFail, d.config.Media.Ports+" "+err.Error(), "mend media.ports")
		return
	}
	var limit unix.Rlimit
	calls := (int(last) - int(first) + 1) / 4
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil && limit.Max < uint64(4*calls+1000) {
		d.add("media ports", verdictWarn, fmt.Sprintf("room for %d calls, but only %d open files are allowed", calls, limit.Max),
			fmt.Sprintf("set LimitNOFILE=%d in the unit, or ulimit -n", 4*calls+1000))
		return
	}
	d.ok("media ports", fmt.Sprintf("%s: room for %d calls", d.config.Media.Ports, calls))
}

func (d *doctor) checkClock() {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	switch {
	case err != nil:
		d.add("clock", verdictWarn, "can't be examined: "+err.Error(), "make sure that NTP runs: CDRs and certificates depend on it")
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		d.add("clock", verdictWarn, "not synchronised", "start an NTP client (chrony, systemd-timesyncd): CDR times are compared with Microsoft's within a second")
	default:
		d.ok("clock", "synchronised, "+d.now.UTC().Format(time.RFC3339))
	}
}

func (d *doctor) checkDNS(ctx context.Context) {
	if d.directory == nil {
		return
	}
	for _, trunk := range d.directory.Trunks {
		for _, e := range trunk.Endpoints {
			check := "dns " + e.Host
			if e.Address.IsValid() {
				d.ok(check, "fixed to "+e.Address.String()+" in the trunk")
				continue
			}
			if net.ParseIP(e.Host) != nil {
				continue
			}
			lookup, cancel := context.WithTimeout(ctx, 3*time.Second)
			addresses, err := net.DefaultResolver.LookupHost(lookup, e.Host)
			cancel()
			if err != nil {
				d.add(check, verdictFail, err.Error(), "mend the resolver or the endpoint's host on trunk "+string(trunk.ID))
				continue
			}
			d.ok(check, strings.Join(addresses, " "))
		}
	}
}

// certificateWarning is when we begin to warn: a public CA needs a day at most, people a week or two.
const certificateWarning = 21 * 24 * time.Hour

func (d *doctor) checkCertificates() {
	roots, rootCount := d.loadRoots()
	for _, c := range d.config.SIP.Certificates {
		check := "certificate " + c.Name
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			d.add(check, verdictFail, err.Error(), "give a PEM certificate with its chain, and its key")
			continue
		}
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			d.add(check, verdictFail, err.Error(), "give a PEM certificate")
			continue
		}
		d.checkLeaf(check, leaf)
		d.checkChain(check, pair.Certificate, leaf, roots)
		d.checkNames(check, leaf)
	}
	if rootCount == 0 && len(d.config.SIP.Roots) > 0 {
		d.add("roots", verdictFail, "no certificate in "+strings.Join(d.config.SIP.Roots, ", "), "give PEM files with the roots that Microsoft's and carriers' certificates end in")
	} else if len(d.config.SIP.Roots) > 0 {
		d.ok("roots", fmt.Sprintf("%d trusted", rootCount))
	}
}

func (d *doctor) checkLeaf(check string, leaf *x509.Certificate) {
	left := leaf.NotAfter.Sub(d.now)
	switch {
	case d.now.Before(leaf.NotBefore):
		d.add(check, verdictFail, "not valid before "+leaf.NotBefore.Format(time.RFC3339), "check the clock, or wait")
	case left <= 0:
		d.add(check, verdictFail, "expired on "+leaf.NotAfter.Format(time.RFC3339), "renew it; tandem reads the new file by itself")
	case left < certificateWarning:
		d.add(check, verdictWarn, "expires on "+leaf.NotAfter.Format(time.RFC3339), "renew it; tandem reads the new file by itself")
	default:
		d.ok(check, fmt.Sprintf("valid until %s, names %s", leaf.NotAfter.Format(time.DateOnly), strings.Join(leaf.DNSNames, " ")))
	}
	server, client := false, false
	for _, use := range leaf.ExtKeyUsage {
		server = server || use == x509.ExtKeyUsageServerAuth || use == x509.ExtKeyUsageAny
		client = client || use == x509.ExtKeyUsageClientAuth || use == x509.ExtKeyUsageAny
	}
	if !server || !client {
		d.add(check+" EKU", verdictWarn, fmt.Sprintf("serverAuth %v, clientAuth %v", server, client),
			"Microsoft has asked for both since March 2024; ask the CA for a certificate with both, or confirm with Microsoft that it is accepted")
	}
}

func (d *doctor) checkChain(check string, chain [][]byte, leaf *x509.Certificate, roots *x509.CertPool) {
	intermediates := x509.NewCertPool()
	for _, der := range chain[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			intermediates.AddCert(c)
		}
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: d.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil && d.now.Before(leaf.NotAfter) {
		d.add(check+" chain", verdictWarn, err.Error(), "append the CA's intermediate certificates to the file: Microsoft wants the whole chain")
	}
}

func (d *doctor) checkNames(check string, leaf *x509.Certificate) {
	if d.directory == nil {
		return
	}
	verify := func(name, owner string) {
		if name != "" && leaf.VerifyHostname(name) != nil {
			d.add(check+" names", verdictFail, "does not cover "+name+" of "+owner, "Microsoft answers 403 when the Contact host is not in the certificate: order one with this name")
		}
	}
	for _, t := range d.directory.Trunks {
		if t.Kind == tandem.TrunkTeams && t.Transport == tandem.TLS {
			verify(t.FQDN, "trunk "+string(t.ID))
		}
	}
	for _, t := range d.directory.Tenants {
		verify(t.FQDN, "tenant "+t.Name)
	}
}

func (d *doctor) loadRoots() (*x509.CertPool, int) {
	if len(d.config.SIP.Roots) == 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			d.add("roots", verdictFail, err.Error(), "install ca-certificates, or list PEM files under sip.roots")
			return x509.NewCertPool(), 0
		}
		return pool, 0
	}
	pool, count := x509.NewCertPool(), 0
	for _, file := range d.config.SIP.Roots {
		text, err := os.ReadFile(file)
		if err != nil {
			d.add("roots", verdictFail, err.Error(), "mend sip.roots")
			continue
		}
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			if c, err := x509.ParseCertificate(block.Bytes); err == nil {
				pool.AddCert(c)
				count++
			}
		}
	}
	return pool, count
}

// diskWarning is room for about a day of records at 100 calls/s.
const diskWarning = 10 << 30

func (d *doctor) checkDataFolder() {
	if _, err := os.Stat(d.config.Data); errors.Is(err, os.ErrNotExist) {
		d.add("data folder", verdictWarn, d.config.Data+" does not exist yet", "tandem serve makes it; name another under data, or with --config")
		return
	}
	probe := filepath.Join(d.config.Data, ".doctor")
	if err := os.WriteFile(probe, nil, 0o600); err != nil {
		d.add("data folder", verdictFail, err.Error(), "give the user that runs tandem write access")
		return
	}
	_ = os.Remove(probe)
	var disk unix.Statfs_t
	if err := unix.Statfs(d.config.Data, &disk); err != nil {
		d.add("data folder", verdictWarn, err.Error(), "check the disk")
		return
	}
	free := disk.Bavail * uint64(disk.Bsize)
	if free < diskWarning {
		d.add("data folder", verdictWarn, fmt.Sprintf("%s: %d MB free", d.config.Data, free>>20), "make room: calls are refused when the journal can't be written")
		return
	}
	d.ok("data folder", fmt.Sprintf("%s: %d GB free", d.config.Data, free>>30))
}

// DoctorCmd is `tandem doctor`.
type DoctorCmd struct {
	APIFlag
}

// Run examines and prints; it fails when a check fails.
func (c DoctorCmd) Run(env *environment) error {
	config, err := c.load()
	if err != nil {
		fmt.Fprintf(env.stdout, "%-4s  %-22s %v\n", verdictFail, "configuration", err)
		return errReported
	}
	d := &doctor{config: config, now: time.Now()}
	d.ok("configuration", "node "+config.Node)
	d.checkDataFolder()
	d.checkNode(env.ctx, c.APIFlag)
	d.checkStore(env.ctx)
	d.checkClock()
	d.checkPorts()
	d.checkSockets()
	d.checkMediaPorts()
	d.checkCertificates()
	d.checkDNS(env.ctx)
	d.checkEngine()
	if printFindings(env.stdout, d.findings) == verdictFail {
		return errReported
	}
	return nil
}

// checkNode asks a running node, when there is one, how it is.
func (d *doctor) checkNode(ctx context.Context, flag APIFlag) {
	api, err := flag.client()
	if err != nil {
		return
	}
	ask, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var state provisioning.Status
	if err := api.Get(ask, "/api/v1/status", nil, &state); err != nil {
		d.add("node", verdictWarn, "does not answer at "+d.config.HTTP.Address, "start it with: tandem serve")
		return
	}
	d.running = true
	d.ok("node", fmt.Sprintf("%s runs version %s for %s, %d calls", state.Node, state.Version, time.Duration(state.UptimeS)*time.Second, state.LiveCalls))
	var trunks items[provisioning.TrunkState]
	if err := api.Get(ask, "/api/v1/trunks", nil, &trunks); err != nil {
		return
	}
	for _, t := range trunks.Items {
		for _, h := range t.Health {
			check := "trunk " + string(t.Trunk.ID)
			detail := fmt.Sprintf("%s:%d is %s: %s", h.Endpoint.Host, h.Endpoint.Port, h.State, h.Reason)
			switch h.State {
			case tandem.HealthUp:
				d.ok(check, detail)
			case tandem.HealthDown, tandem.HealthMisconfigured:
				d.add(check, verdictFail, detail, "see the reason; calls go elsewhere meanwhile")
			default:
				d.add(check, verdictWarn, detail, "look again in a minute")
			}
		}
	}
}

// checkStore reads the directory, also while a node holds the store.
func (d *doctor) checkStore(ctx context.Context) {
	path := filepath.Join(d.config.Data, storeFile)
	if _, err := os.Stat(path); err != nil {
		d.add("store", verdictWarn, path+" does not exist yet", "start the node once, then tandem apply -f your file")
		return
	}
	dir, err := store.Read(ctx, path)
	if err != nil {
		d.add("store", verdictFail, err.Error(), "see the message")
		return
	}
	d.directory = dir
	d.ok("store", fmt.Sprintf("version %d: %d trunks, %d accounts, %d tenants, %d numbers, %d decks",
		dir.Version, len(dir.Trunks), len(dir.Accounts), len(dir.Tenants), len(dir.Numbers), len(dir.Decks)))
}

// checkEngine looks for the ClickHouse library, or names the server.
func (d *doctor) checkEngine() {
	switch d.config.ClickHouse.Mode {
	case "embedded":
		library, err := chdb.Locate(d.config.ClickHouse.Library, d.config.Data)
		if err != nil {
			d.add("clickhouse", verdictFail, err.Error(), "rows wait in the journal until then; none is lost")
			return
		}
		d.ok("clickhouse", "embedded engine, "+library)
	case "server":
		for _, address := range d.config.ClickHouse.Addresses {
			conn, err := net.DialTimeout("tcp", address, 2*time.Second)
			if err != nil {
				d.add("clickhouse", verdictFail, err.Error(), "start the server, or mend clickhouse.addresses; rows wait in the journal meanwhile")
				continue
			}
			_ = conn.Close()
			d.ok("clickhouse", address+" answers")
		}
	default:
		d.add("clickhouse", verdictWarn, "turned off", "rows wait in the journal; set clickhouse.mode to read reports")
	}
}
