package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"

	"tandem"
	"tandem/cdr/journal"
)

// Config is tandem.yaml: what one node needs to start. Customers, trunks,
// numbers and decks are not here: they are provisioned (`tandem apply`).
// It is read-only once loaded.
type Config struct {
	Node       string           `yaml:"node"`
	Data       string           `yaml:"data"`
	SIP        SIPConfig        `yaml:"sip"`
	Media      MediaConfig      `yaml:"media"`
	Routing    RoutingConfig    `yaml:"routing"`
	Records    RecordsConfig    `yaml:"records"`
	ClickHouse ClickHouseConfig `yaml:"clickhouse"`
	HTTP       HTTPConfig       `yaml:"http"`
	Log        LogConfig        `yaml:"log"`

	// Without are parts left out to see what they cost; see without.go.
	Without []string `yaml:"-"`
}

// SIPConfig is the signalling side.
type SIPConfig struct {
	Listen       []ListenConfig      `yaml:"listen"`
	Certificates []CertificateConfig `yaml:"certificates"`
	Roots        []string            `yaml:"roots"`     // PEM files; empty: the system's roots
	Shards       int                 `yaml:"shards"`    // 0: one per CPU
	MaxCalls     int                 `yaml:"max_calls"` // per node; 0: no limit
}

// ListenConfig is one listening socket.
type ListenConfig struct {
	Transport   string `yaml:"transport"` // udp, tcp or tls
	Address     string `yaml:"address"`   // ip:port
	Certificate string `yaml:"certificate"`
}

// CertificateConfig names a certificate and its key, both PEM files that are read again when they change.
type CertificateConfig struct {
	Name string `yaml:"name"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// MediaConfig is the RTP side.
type MediaConfig struct {
	Address    string        `yaml:"address"`     // our IPv4 media address
	Address6   string        `yaml:"address6"`    // our IPv6 media address; empty: IPv4 only
	Advertise  string        `yaml:"advertise"`   // public address written into SDP for address (1:1 NAT); empty: address
	Advertise6 string        `yaml:"advertise6"`  // the same for address6
	Ports      string        `yaml:"ports"`       // "20000-29999"
	RTPTimeout time.Duration `yaml:"rtp_timeout"` // a call without media for this long is ended; 0: never
	Threads    int           `yaml:"threads"`     // 0: chosen from the number of CPUs
}

// RoutingConfig is what routing needs beyond the directory.
type RoutingConfig struct {
	FailsafeBound time.Duration `yaml:"failsafe_bound"` // silence of Microsoft until the failsafe number is called
	TryingBound   time.Duration `yaml:"trying_bound"`   // Microsoft says 100 Trying and nothing else until then
	RingingBound  time.Duration `yaml:"ringing_bound"`  // a call rings at a Microsoft address that died silently until then
}

// RecordsConfig is the journal.
type RecordsConfig struct {
	SyncEvery       time.Duration `yaml:"sync_every"`       // longest time between a fact and its fsync
	CheckpointEvery time.Duration `yaml:"checkpoint_every"` // of long calls: a crash loses at most this much of their media counters

	fs journal.FS // nil: the true file system; tests put faults in front of it
}

// ClickHouseConfig says where rows go.
type ClickHouseConfig struct {
	Mode         string   `yaml:"mode"`    // embedded, server or off
	Library      string   `yaml:"library"` // path of libchdb.so; empty: searched
	Addresses    []string `yaml:"addresses"`
	Database     string   `yaml:"database"`
	User         string   `yaml:"user"`
	PasswordFile string   `yaml:"password_file"`
	TLS          bool     `yaml:"tls"`
	Cluster      string   `yaml:"cluster"`

	wrap func(http.RoundTripper) http.RoundTripper // tests put faults in front of the embedded engine
}

// HTTPConfig is the API and portal.
type HTTPConfig struct {
	Address string `yaml:"address"` // ip:port; off the loopback every request needs the API token
	Pprof   string `yaml:"pprof"`   // ip:port on the loopback for Go's profiles; empty: none
}

// LogConfig is what goes to standard error.
type LogConfig struct {
	Level       string `yaml:"level"`        // debug, info, warn or error
	MaskNumbers bool   `yaml:"mask_numbers"` // replaces all but the last two digits of numbers
}

// DefaultConfig starts a node on the loopback: enough for a first look.
func DefaultConfig() Config {
	return Config{
		Node: "node1",
		Data: "tandem-data",
		SIP: SIPConfig{
			Listen: []ListenConfig{{Transport: "udp", Address: "127.0.0.1:5060"}, {Transport: "tcp", Address: "127.0.0.1:5060"}},
		},
		// 10,000 ports = 2,500 calls: each side of a call takes an RTP and an RTCP port.
		Media:      MediaConfig{Address: "127.0.0.1", Ports: "20000-29999", RTPTimeout: 60 * time.Second},
		Routing:    RoutingConfig{FailsafeBound: 4 * time.Second, TryingBound: 10 * time.Second, RingingBound: 10 * time.Second},
		Records:    RecordsConfig{SyncEvery: 50 * time.Millisecond, CheckpointEvery: time.Minute},
		ClickHouse: ClickHouseConfig{Mode: "embedded", Database: "tandem", User: "default"},
		HTTP:       HTTPConfig{Address: "127.0.0.1:8080"},
		Log:        LogConfig{Level: "info"},
	}
}

// LoadConfig reads tandem.yaml over the defaults. Relative paths in it are
// relative to the file. Every problem is reported at once with line and column.
func LoadConfig(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, &tandem.Error{Kind: tandem.KindNotFound, Message: "configuration " + path + " can't be read", Mend: "give its path with --config", Err: err}
	}
	return parseConfig(path, text)
}

func parseConfig(path string, text []byte) (Config, error) {
	c := DefaultConfig()
	if err := misreadDurations(path, text); err != nil {
		return Config{}, err
	}
	if err := yaml.UnmarshalWithOptions(text, &c, yaml.Strict(), durations()); err != nil {
		return Config{}, fmt.Errorf("%s:\n%s", path, yaml.FormatError(err, false, true))
	}
	c.resolvePaths(filepath.Dir(path))
	var located []error
	for _, problem := range c.problems() {
		located = append(located, fmt.Errorf("%s%s: %w", path, position(text, problem.Field), problem))
	}
	return c, errors.Join(located...)
}

// position finds ":line:column" of a field such as "sip.listen[0].address" in
// the document, or of its nearest parent that is written there.
func position(text []byte, field string) string {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return ""
	}
	for field != "" {
		if p, err := yaml.PathString("$." + field); err == nil {
			if node, err := p.FilterFile(file); err == nil && node != nil && node.GetToken() != nil {
				at := node.GetToken().Position
				return fmt.Sprintf(":%d:%d", at.Line, at.Column)
			}
		}
		cut := strings.LastIndexAny(field, ".[")
		field = field[:max(cut, 0)]
	}
	return ""
}

func (c *Config) resolvePaths(dir string) {
	abs := func(p *string) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	abs(&c.Data)
	for i := range c.SIP.Certificates {
		abs(&c.SIP.Certificates[i].Cert)
		abs(&c.SIP.Certificates[i].Key)
	}
	for i := range c.SIP.Roots {
		abs(&c.SIP.Roots[i])
	}
	abs(&c.ClickHouse.Library)
	abs(&c.ClickHouse.PasswordFile)
}

// Validate reports every broken rule at once.
func (c *Config) Validate() error {
	var all []error
	for _, p := range c.problems() {
		all = append(all, p)
	}
	return errors.Join(all...)
}

var nodeName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9-]{0,62}$`)

func (c *Config) problems() []*tandem.Error {
	var found []*tandem.Error
	bad := func(field, value, rule, mend string) {
		found = append(found, &tandem.Error{Kind: tandem.KindInvalid, Field: field,
			Message: fmt.Sprintf("%q %s", tandem.Clip(value, 60), rule), Mend: mend})
	}
	if !nodeName.MatchString(c.Node) {
		bad("node", c.Node, "is not a node name", "use 1 to 63 letters, digits and hyphens; it is written into every CDR")
	}
	if c.Data == "" {
		bad("data", c.Data, "names no folder", "give the folder for journal, store and engine")
	}
	if len(c.SIP.Listen) == 0 {
		bad("sip.listen", "", "lists no socket", "add at least one of udp, tcp, tls")
	}
	certificates := map[string]bool{}
	for i, cert := range c.SIP.Certificates {
		field := fmt.Sprintf("sip.certificates[%d]", i)
		if cert.Name == "" || certificates[cert.Name] {
			bad(field+".name", cert.Name, "must be a name used once", "name each certificate differently")
		}
		certificates[cert.Name] = true
		for part, file := range map[string]string{".cert": cert.Cert, ".key": cert.Key} {
			if _, err := os.Stat(file); err != nil {
				bad(field+part, file, "can't be read", "give the path of a PEM file")
			}
		}
	}
	for i, l := range c.SIP.Listen {
		field := fmt.Sprintf("sip.listen[%d]", i)
		switch tandem.Transport(strings.ToUpper(l.Transport)) {
		case tandem.UDP, tandem.TCP:
		case tandem.TLS:
			switch {
			case len(c.SIP.Certificates) == 0:
				bad(field, l.Address, "listens for TLS without a certificate", "add one under sip.certificates")
			case l.Certificate != "" && !certificates[l.Certificate]:
				bad(field+".certificate", l.Certificate, "is not under sip.certificates", "use one of its names, or leave it out for the first")
			}
		default:
			bad(field+".transport", l.Transport, "is not a transport", "use udp, tcp or tls")
		}
		if a, err := netip.ParseAddrPort(l.Address); err != nil {
			bad(field+".address", l.Address, "is not ip:port", "write it as in 192.0.2.10:5061 or [2001:db8::1]:5061")
		} else if a.Addr().IsUnspecified() {
			bad(field+".address", l.Address, "is not one address", "name the address that peers send to; it is written into Via and Contact")
		}
	}
	for i, root := range c.SIP.Roots {
		if _, err := os.Stat(root); err != nil {
			bad(fmt.Sprintf("sip.roots[%d]", i), root, "can't be read", "give the path of a PEM file with trusted roots")
		}
	}
	if c.SIP.Shards < 0 || c.SIP.Shards > 256 {
		bad("sip.shards", strconv.Itoa(c.SIP.Shards), "is out of range", "use 0 (one per CPU) to 256")
	}
	if c.SIP.MaxCalls < 0 {
		bad("sip.max_calls", strconv.Itoa(c.SIP.MaxCalls), "is negative", "use 0 for no limit")
	}
	if a, err := netip.ParseAddr(c.Media.Address); err != nil || !a.Is4() || a.IsUnspecified() {
		bad("media.address", c.Media.Address, "is not an IPv4 address of this machine", "name the address that peers send media to")
	}
	if a, err := netip.ParseAddr(c.Media.Address6); c.Media.Address6 != "" && (err != nil || !a.Is6() || a.IsUnspecified()) {
		bad("media.address6", c.Media.Address6, "is not an IPv6 address", "name the address that peers send media to, or leave it out")
	}
	if a, err := netip.ParseAddr(c.Media.Advertise); c.Media.Advertise != "" && (err != nil || !a.Is4() || a.IsUnspecified() || a.IsMulticast()) {
		bad("media.advertise", c.Media.Advertise, "is not an IPv4 address that peers can send to", "name the public address that stands for media.address, or leave it out")
	}
	if a, err := netip.ParseAddr(c.Media.Advertise6); c.Media.Advertise6 != "" && (err != nil || !a.Is6() || a.IsUnspecified() || a.IsMulticast() || c.Media.Address6 == "") {
		bad("media.advertise6", c.Media.Advertise6, "is not an IPv6 address that stands for media.address6", "name the public address and media.address6, or leave it out")
	}
	if _, _, err := c.Media.portRange(); err != nil {
		bad("media.ports", c.Media.Ports, err.Error(), "write first-last, as in 20000-29999; a call takes four ports")
	}
	if c.Media.RTPTimeout < 0 {
		bad("media.rtp_timeout", c.Media.RTPTimeout.String(), "is negative", "use 0 to never end a silent call")
	}
	if b := c.Routing.FailsafeBound; b < 500*time.Millisecond || b > 30*time.Second {
		bad("routing.failsafe_bound", b.String(), "is out of range", "use 500ms to 30s; callers hang up when they hear nothing for longer")
	}
	if b := c.Routing.TryingBound; b < c.Routing.FailsafeBound || b > time.Minute {
		bad("routing.trying_bound", b.String(), "is out of range", "use failsafe_bound to 1m; the caller hears nothing meanwhile")
	}
	if b := c.Routing.RingingBound; b < time.Second || b > time.Minute {
		bad("routing.ringing_bound", b.String(), "is out of range", "use 1s to 1m; short ones take a slow network for a dead one")
	}
	if s := c.Records.SyncEvery; s < time.Millisecond || s > time.Second {
		bad("records.sync_every", s.String(), "is out of range", "use 1ms to 1s; a power cut loses at most this much")
	}
	if s := c.Records.CheckpointEvery; s < time.Second || s > time.Hour {
		bad("records.checkpoint_every", s.String(), "is out of range", "use 1s to 1h")
	}
	switch c.ClickHouse.Mode {
	case "embedded", "off":
	case "server":
		if len(c.ClickHouse.Addresses) == 0 {
			bad("clickhouse.addresses", "", "lists no server", "add host:port of ClickHouse's native port, usually 9000 or 9440")
		}
	default:
		bad("clickhouse.mode", c.ClickHouse.Mode, "is not a mode", "use embedded, server or off")
	}
	if _, err := netip.ParseAddrPort(c.HTTP.Address); err != nil {
		bad("http.address", c.HTTP.Address, "is not ip:port", "write it as in 127.0.0.1:8080")
	}
	if a, err := netip.ParseAddrPort(c.HTTP.Pprof); c.HTTP.Pprof != "" && (err != nil || !a.Addr().IsLoopback()) {
		bad("http.pprof", c.HTTP.Pprof, "is not ip:port on the loopback", "write it as in 127.0.0.1:6060; profiles are served without a token")
	}
	if _, ok := logLevels[c.Log.Level]; !ok {
		bad("log.level", c.Log.Level, "is not a level", "use debug, info, warn or error")
	}
	return found
}

// portRange reads "first-last".
func (m MediaConfig) portRange() (first, last uint16, err error) {
	a, b, ok := strings.Cut(m.Ports, "-")
	lo, err1 := strconv.ParseUint(a, 10, 16)
	hi, err2 := strconv.ParseUint(b, 10, 16)
	switch {
	case !ok || err1 != nil || err2 != nil:
		return 0, 0, errors.New("is not a port range")
	case lo < 1024 || hi < lo+3:
		return 0, 0, errors.New("must start at 1024 or above and hold at least 4 ports")
	}
	return uint16(lo), uint16(hi), nil
}

// addresses are our media addresses and what stands for them in SDP; the
// configuration is valid.
func (m MediaConfig) addresses() (own []netip.Addr, public map[netip.Addr]netip.Addr) {
	public = map[netip.Addr]netip.Addr{}
	for _, pair := range [][2]string{{m.Address, m.Advertise}, {m.Address6, m.Advertise6}} {
		if pair[0] == "" {
			continue
		}
		a := netip.MustParseAddr(pair[0])
		own = append(own, a)
		if pair[1] != "" {
			public[a] = netip.MustParseAddr(pair[1])
		}
	}
	return own, public
}
