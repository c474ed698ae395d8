package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/cdr/journal"
	"tandem/cmd/tandem/emulate"
)

// surroundings is a node alone on the loopback, as tandem.yaml describes it.
type surroundings struct {
	data, file string
	text       string
}

// alone writes a tandem.yaml; each pair of change replaces text in it.
func alone(t *testing.T, change ...string) *surroundings {
	t.Helper()
	s := &surroundings{data: filepath.Join(t.TempDir(), "data"), file: filepath.Join(t.TempDir(), "tandem.yaml")}
	s.write(t, change...)
	return s
}

func (s *surroundings) write(t *testing.T, change ...string) {
	t.Helper()
	s.text = fmt.Sprintf(`node: test
data: %s
sip:
  listen:
    - {transport: udp, address: "127.0.0.1:0"}
    - {transport: tcp, address: "127.0.0.1:0"}
media: {address: 127.0.0.1, ports: 30000-30099}
clickhouse: {mode: off}
http: {address: "127.0.0.1:0"}
`, s.data)
	for i := 0; i < len(change); i += 2 {
		if !strings.Contains(s.text, change[i]) {
			t.Fatalf("%q is not in the configuration", change[i])
		}
	}
	s.text = strings.NewReplacer(change...).Replace(s.text)
	if err := os.WriteFile(s.file, []byte(s.text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// refused wants serve to give up at once, with exit code 1 and words that lead
// to the mend.
func (s *surroundings) refused(t *testing.T, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got := command(ctx, "serve", "--config", s.file)
	if ctx.Err() != nil {
		t.Fatalf("serve came up, or hangs:\n%s%s", got.out, got.err)
	}
	if got.code != 1 {
		t.Errorf("exit code %d, want 1", got.code)
	}
	for _, w := range words {
		if !strings.Contains(got.err, w) {
			t.Errorf("the message does not say %q:\n%s", w, got.err)
		}
	}
	if strings.Contains(got.err, "goroutine ") || strings.Contains(got.out, "is up") {
		t.Errorf("unexpected output:\n%s%s", got.out, got.err)
	}
}

// comesUp wants serve to run, and ends it.
func (s *surroundings) comesUp(t *testing.T) {
	t.Helper()
	node, err := StartNode(t.Context(), mustLoad(t, s.file), newLogger(&testLog{}, LogConfig{}))
	if err != nil {
		t.Errorf("does not start afterwards: %v", err)
		return
	}
	node.Close()
}

// TestServeRefusesToStart: what makes a start impossible is said at once, in
// words that lead to the mend; nothing stays locked behind.
func TestServeRefusesToStart(t *testing.T) {
	t.Run("SecondNodeOnTheSameData", func(t *testing.T) {
		s := alone(t)
		node, err := StartNode(t.Context(), mustLoad(t, s.file), newLogger(&testLog{}, LogConfig{}))
		if err != nil {
			t.Fatal(err)
		}
		s.refused(t, "data folder", s.data, "in use by another tandem", "stop the other process")
		node.Close()
		s.comesUp(t)
	})
	t.Run("JournalLocked", func(t *testing.T) {
		s := alone(t)
		j, err := journal.Open(journal.DefaultConfig(filepath.Join(s.data, "journal")), journal.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		s.refused(t, "journal", "in use by another tandem process", "stop it")
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		s.comesUp(t)
	})
	t.Run("StoreDamaged", func(t *testing.T) {
		s := alone(t)
		if err := os.MkdirAll(s.data, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.data, storeFile), []byte(strings.Repeat("this is no database ", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
		s.refused(t, storeFile, "is damaged or not a store", "put back a copy")
	})
	t.Run("DataIsAFile", func(t *testing.T) {
		s := alone(t)
		if err := os.WriteFile(s.data, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s.refused(t, s.data, "folder")
	})
	t.Run("PortsInUse", func(t *testing.T) {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer tcp.Close()
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer udp.Close()
		s := alone(t, `http: {address: "127.0.0.1:0"}`, fmt.Sprintf(`http: {address: "%s"}`, tcp.Addr()))
		s.refused(t, "http.address", tcp.Addr().String(), "choose another port")
		s.write(t, `tcp, address: "127.0.0.1:0"`, fmt.Sprintf(`tcp, address: "%s"`, tcp.Addr()))
		s.refused(t, "sip.listen[1].address", tcp.Addr().String(), "no other process uses")
		s.write(t, `udp, address: "127.0.0.1:0"`, fmt.Sprintf(`udp, address: "%s"`, udp.LocalAddr()))
		s.refused(t, "sip.listen[0].address", udp.LocalAddr().String(), "no other process uses")
		s.write(t)
		s.comesUp(t)
	})
	t.Run("AddressOfAnotherMachine", func(t *testing.T) {
		alone(t, "media: {address: 127.0.0.1", "media: {address: 192.0.2.77").refused(t, "media", "192.0.2.77", "address of this machine")
		alone(t, `udp, address: "127.0.0.1:0"`, `udp, address: "192.0.2.77:5060"`).refused(t, "sip.listen[0].address", "192.0.2.77", "address of this machine")
	})
	t.Run("Certificates", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "broken.pem")
		if err := os.WriteFile(file, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		alone(t, "sip:\n", fmt.Sprintf("sip:\n  certificates: [{name: default, cert: %s, key: %s}]\n", file, file)).
			refused(t, "sip.certificates[0]", file, "PEM chain")
		alone(t, "sip:\n", fmt.Sprintf("sip:\n  roots: [%s]\n", file)).refused(t, "sip.roots[0]", file, "give a PEM file")
	})
	t.Run("Configuration", func(t *testing.T) { checkConfigurations(t) })
}

// checkConfigurations: a broken tandem.yaml is told with line and column.
func checkConfigurations(t *testing.T) {
	for name, c := range map[string]struct {
		change []string
		words  []string
	}{
		"unknown key":             {[]string{"node: test", "nod: test"}, []string{"[1:1]", `unknown field "nod"`}},
		"wrong type":              {[]string{"ports: 30000-30099", "ports: [1, 2]"}, []string{"[7:"}},
		"not a duration":          {[]string{"node: test", "node: test\nrouting: {failsafe_bound: soon}"}, []string{":2:27", "routing.failsafe_bound", "soon", "4s"}},
		"duration without a unit": {[]string{"ports: 30000-30099", "ports: 30000-30099, rtp_timeout: 60"}, []string{":7:", "media.rtp_timeout", "60s"}},
		"twice":                   {[]string{"node: test", "node: test\nnode: two"}, []string{"[2:1]", "already defined"}},
		"tab":                     {[]string{"  listen:", "\tlisten:"}, []string{"[4:"}},
		"bracket open":            {[]string{`"127.0.0.1:0"}`, `"127.0.0.1:0"`}, []string{"["}},
		"text":                    {[]string{"node: test", "just some words\nnode: test"}, []string{"["}},
		"NUL":                     {[]string{"node: test", "node: \"a\\0b\""}, []string{":1:7", "is not a node name"}},
		"many at once":            {[]string{"node: test", "node: a b", "127.0.0.1, ports: 30000-30099", "localhost, ports: 9-1"}, []string{":1:7", ":7:", "is not a node name", "media.address", "media.ports"}},
	} {
		s := alone(t, c.change...)
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) { s.refused(t, append(c.words, s.file)...) })
	}
	missing := alone(t)
	missing.file = filepath.Join(t.TempDir(), "no-such.yaml")
	missing.refused(t, missing.file, "can't be read", "--config")
	folder := alone(t)
	folder.file = t.TempDir()
	folder.refused(t, folder.file, "can't be read")
	binary := alone(t)
	if err := os.WriteFile(binary.file, []byte{0, 1, 2, 0xff, 0xfe, 0}, 0o600); err != nil {
		t.Fatal(err)
	}
	binary.refused(t, binary.file)
}

// TestBadDocuments applies documents that are wrong through the CLI: each
// mistake is told with file, line, column and mend, and nothing is changed.
func TestBadDocuments(t *testing.T) {
	s := alone(t)
	node, err := StartNode(t.Context(), mustLoad(t, s.file), newLogger(&testLog{}, LogConfig{}))
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	token := []string{"--api", node.URL(), "--token", node.token}
	apply := func(args ...string) said {
		return command(t.Context(), append(append([]string{"apply"}, args...), token...)...)
	}
	if got := apply("-f", customers(t)); got.code != 0 {
		t.Fatalf("the good document: %s", got.err)
	}
	before, err := node.service.Directory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change []string
		words  []string // {file} is the document
	}{
		"unknown key":            {[]string{"    plan: Metered\n    failsafe", "    plam: Metered\n    failsafe"}, []string{"{file}:", "plam"}},
		"number not E.164":       {[]string{`did: "+14255550101"`, `did: "14255550101"`}, []string{"{file}:6", "did"}},
		"number twice":           {[]string{`did: "+14255550102"`, `did: "+14255550101"`}, []string{"{file}:", "+14255550101"}},
		"tenant not a GUID":      {[]string{"  - id: 7d3c1a52-0b8e-4d1f-9a56-3f0c2b6e8d11", "  - id: contoso"}, []string{"{file}:59:9", "is not a tenant ID"}},
		"tenant of nobody":       {[]string{"  - id: 7d3c1a52", "  - id: 8d3c1a52"}, []string{"{file}:", "tenant"}},
		"address of nobody":      {[]string{"service_address: hq", "service_address: nowhere"}, []string{"{file}:", "service_address", "nowhere"}},
		"plan of nobody":         {[]string{"plan: Unlimited", "plan: Golden"}, []string{"{file}:", "Golden", "Metered"}},
		"attendant on Unlimited": {[]string{"user_type: Shared line", "user_type: Auto-attendant"}, []string{"{file}:", "Metered"}},
		"rate of letters":        {[]string{`rate: "0.0125"`, `rate: cheap`}, []string{"{file}:", "rate"}},
		"rate below 0":           {[]string{`rate: "0.0125"`, `rate: "-1"`}, []string{"{file}:39:", "negative price"}},
		"time zone of nobody":    {[]string{"America/New_York", "America/Atlantis"}, []string{"{file}:", "time_zone"}},
		"source 0.0.0.0/0":       {[]string{"sources: [" + testNet() + ".21/32]", "sources: [0.0.0.0/0]"}, []string{"{file}:", "sources"}},
		"transport of nobody":    {[]string{"transport: udp", "transport: pigeon"}, []string{"{file}:", "pigeon"}},
		"plain trunk to Teams":   {[]string{"    fqdn: sbc.customers.test\n    endpoints:\n", "    fqdn: sbc.customers.test\n    transport: udp\n    endpoints:\n"}, []string{"{file}:", "lab"}},
		"bracket open":           {[]string{"prefix: \"1\",", "prefix: [\"1\","}, []string{"{file}:"}},
		"line break in a name":   {[]string{"name: Contoso Ltd", `name: "Contoso\r\nX-Evil: 1"`}, []string{"{file}:", "name"}},
		"line break in an FQDN":  {[]string{"fqdn: contoso.customers.test", `fqdn: "contoso.customers.test\r\nX-Evil: 1"`}, []string{"{file}:", "fqdn"}},
		"bomb of aliases":        {[]string{"trunks:\n", bomb() + "trunks:\n"}, []string{"{file}:"}},
	} {
		file := customers(t, c.change...)
		got := apply("-f", file)
		if got.code != 1 {
			t.Errorf("%s: exit code %d, want 1:\n%s", name, got.code, got.out)
		}
		for _, w := range c.words {
			if w = strings.ReplaceAll(w, "{file}", file); !strings.Contains(got.err, w) {
				t.Errorf("%s: the message does not say %q:\n%s", name, w, got.err)
			}
		}
		if strings.ContainsAny(got.err, "\r\x00\x1b") || len(got.err) > 20_000 {
			t.Errorf("%s: %d bytes of message, or control characters in it", name, len(got.err))
		}
	}
	if now, err := node.service.Directory(t.Context()); err != nil || now.Version != before.Version {
		t.Errorf("the directory is version %d, was %d (%v)", now.Version, before.Version, err)
	}
	if got := apply("-f", filepath.Join(t.TempDir(), "no-such.yaml")); got.code == 0 || !strings.Contains(got.err, "no-such.yaml") {
		t.Errorf("missing document: exit code %d, %s", got.code, got.err)
	}
	token[3] = "wrong"
	if got := apply("-f", customers(t)); got.code != 1 || !strings.Contains(got.err, "API token") || !strings.Contains(got.err, "api-token") {
		t.Errorf("wrong token: exit code %d, %s", got.code, got.err)
	}
}

// bomb is YAML that would unfold to a billion values.
func bomb() string {
	var b strings.Builder
	b.WriteString("bomb:\n  a0: &a0 [lol]\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&b, "  a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	return b.String()
}

// TestNoNodeAnswers: commands that need a running node say that there is none.
func TestNoNodeAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + l.Addr().String()
	_ = l.Close()
	for _, args := range [][]string{{"calls"}, {"trunks"}, {"cdr"}, {"cdr", "--csv"}, {"apply", "-f", customers(t)},
		{"route", "explain", "--trunk", "teams", "--from", outsideNumber, "--to", "+14255550101"}, {"rate", "explain", "--from", "+14255550101", "--to", outsideNumber}} {
		got := command(t.Context(), append(args, "--api", address)...)
		if got.code != 1 || !strings.Contains(got.err, "no node answers at "+address) || !strings.Contains(got.err, "tandem serve") {
			t.Errorf("tandem %v: exit code %d, %s", args, got.code, got.err)
		}
	}
}

// TestMissingLibrary: without the ClickHouse library calls run and are written
// down; page, API and CLI say how to add it; after a restart with it every row arrives.
func TestMissingLibrary(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	library := needEngine(t)
	absent := filepath.Join(t.TempDir(), "libchdb.so")
	s := newStage(t, func(o *stageOptions) {
		config := o.config
		o.config = func(c *Config) { config(c); c.ClickHouse.Library = absent }
	})
	for range 3 {
		result, err := s.east.Call(t.Context(), emulate.CallSpec{From: outsideNumber, To: "+14255550101", Hold: tandem.Duration(100 * time.Millisecond)})
		if err != nil || result.Status != 200 {
			t.Fatalf("a call without the library: %d %s %v", result.Status, result.ReasonField, err)
		}
	}
	got := command(t.Context(), "cdr", "--api", s.node.URL())
	if got.code != 1 || !strings.Contains(got.err, absent) && !strings.Contains(got.err, "install") {
		t.Errorf("tandem cdr: exit code %d, %s", got.code, got.err)
	}
	t.Logf("tandem cdr: %s", got.err)
	_, page := httpGetAny(t, s.node.URL()+"/")
	if !strings.Contains(page, "ClickHouse") || !strings.Contains(page, "libchdb.so") && !strings.Contains(page, "install") {
		t.Errorf("the report page does not say how to add the library:\n%s", tail(page, 40))
	}
	config := s.node.config
	s.node.Close()
	s.node = nil
	config.ClickHouse.Library = library
	node, err := StartNode(t.Context(), config, newLogger(&testLog{}, LogConfig{}))
	if err != nil {
		t.Fatal(err)
	}
	s.node = node
	if rows := s.rows(t, tandem.CDRFilter{Connected: true}); len(rows) != 6 {
		t.Errorf("%d rows arrived after the restart, want 6", len(rows))
	}
}

// TestMediaPortsExhausted: a call beyond the port range is refused with
// 503 and Q.850 34 (no circuit), and taken again once ports are free.
func TestMediaPortsExhausted(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	s := newStage(t, func(o *stageOptions) {
		config := o.config
		o.config = func(c *Config) { config(c); c.Media.Ports = "30000-30003" }
	})
	c := s.startTalk(t)
	spec := emulate.CallSpec{From: outsideNumber, To: "+14255550102", Hold: tandem.Duration(50 * time.Millisecond)}
	result, err := s.east.Call(t.Context(), spec)
	if err != nil || result.Status != 503 || !strings.HasPrefix(result.ReasonField, "Q.850;cause=34;") {
		t.Errorf("a second call: %d %s %v, want 503 with Q.850 cause 34", result.Status, result.ReasonField, err)
	}
	for _, r := range s.rowsOf(t, result) {
		if r.SIPCode != 503 || r.Q850 != tandem.CauseNoCircuit || r.Connected {
			t.Errorf("on record: %d, Q.850 %d, connected %v", r.SIPCode, r.Q850, r.Connected)
		}
	}
	c.end(t)
	eventually(t, "ports are free again", func() bool {
		result, err := s.east.Call(t.Context(), spec)
		return err == nil && result.Status == 200
	})
}
