package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"tandem"
	"tandem/cmd/tandem/emulate"
)

// said is what one command printed and how it ended.
type said struct {
	code     int
	out, err string
}

// command runs one command in-process, as main does.
func command(ctx context.Context, args ...string) said {
	var out, err bytes.Buffer
	code := run(&environment{ctx: ctx, stdout: &out, stderr: &err}, args)
	return said{code, out.String(), err.String()}
}

// settings writes the tandem.yaml that an operator would have for the stage's
// node, so that commands find API address, token and store by themselves.
func (s *stage) settings(t *testing.T) string {
	t.Helper()
	c := s.node.config
	var b strings.Builder
	fmt.Fprintf(&b, "node: %s\ndata: %s\nsip:\n  listen:\n", c.Node, c.Data)
	for _, l := range c.SIP.Listen {
		fmt.Fprintf(&b, "    - {transport: %s, address: %q}\n", l.Transport, l.Address)
	}
	cert := c.SIP.Certificates[0]
	fmt.Fprintf(&b, "  certificates:\n    - {name: %s, cert: %q, key: %q}\n  roots: [%q]\n", cert.Name, cert.Cert, cert.Key, c.SIP.Roots[0])
	fmt.Fprintf(&b, "media: {address: %s}\nclickhouse: {library: %q}\nhttp: {address: %q}\n", c.Media.Address, c.ClickHouse.Library, s.node.listener.Addr())
	file := filepath.Join(t.TempDir(), "tandem.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// customers writes the stage's customers.yaml; each pair of change replaces text in it.
func customers(t *testing.T, change ...string) string {
	t.Helper()
	text := strings.ReplaceAll(string(demoCustomers), "127.0.0.", testNet()+".")
	file := filepath.Join(t.TempDir(), "customers.yaml")
	if err := os.WriteFile(file, []byte(strings.NewReplacer(change...).Replace(text)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestCommands runs every command that asks a node against a running one, with
// a call in progress and the records of a normal and of a failsafe call.
func TestCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	s := newStage(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	config := s.settings(t)

	s.checkCalls(ctx, t, config)
	spec := emulate.CallSpec{From: outsideNumber, To: "+14255550101", Hold: tandem.Duration(1200 * time.Millisecond)}
	normal := s.placed(ctx, t, spec)
	if err := s.teams.SetFault(emulate.Fault{Kind: "503", Method: "INVITE"}); err != nil {
		t.Fatal(err)
	}
	failsafe := s.placed(ctx, t, spec)

	same, renamed := customers(t), customers(t, "Contoso Ltd", "Contoso Inc")
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string // in this order
		lack string
	}{
		{"CheckConfig", []string{"check-config"}, 0, []string{"OK: node test, 3 listening sockets", "ClickHouse embedded"}, ""},
		{"ApplyNothing", []string{"apply", "-f", same}, 0, []string{"nothing to change"}, "changes"},
		{"ApplyDryRun", []string{"apply", "-f", renamed, "--dry-run"}, 0, []string{"~ account contoso: name Contoso Ltd -> Contoso Inc", "1 difference; nothing was changed"}, ""},
		{"ApplyDryRunAgain", []string{"apply", "-f", renamed, "--dry-run"}, 0, []string{"1 difference"}, ""},
		{"Apply", []string{"apply", "-f", renamed}, 0, []string{"~ account contoso", "1 change applied, directory version 2"}, ""},
		{"ApplyAgain", []string{"apply", "-f", renamed}, 0, []string{"nothing to change"}, ""},
		{"ApplyBroken", []string{"apply", "-f", customers(t, "plan: Metered", "plan: Gold")}, 1, []string{"customers.yaml:72:11: numbers[0].plan", "use one of: Metered, Unlimited", ":88:11:"}, ""},
		{"ApplyWithoutToken", []string{"apply", "-f", same, "--token", "wrong"}, 1, []string{"does not take this API token", "--config", "api-token"}, ""},
		{"Trunks", []string{"trunks"}, 0, []string{"State", "carrier-east", "UDP", "up", "answers OPTIONS (200 OK)", "sip3.pstnhub.test:5061"}, ""},
		{"CallsNone", []string{"calls"}, 0, []string{"no call in progress"}, "Trunks"},
		{"Report", []string{"cdr"}, 0, []string{"Charge", "Phone", failsafe, "+14255550101", "0.000450 USD", "Phone", failsafe, "+12065550199", "0.012500 USD",
			"Phone", normal, "0.000450", "Operator Connect", normal, "0.000000"}, "failed_network"},
		{"ReportOfOneSide", []string{"cdr", "--technology", "Operator Connect"}, 0, []string{normal}, failsafe},
		{"ReportLimited", []string{"cdr", "--limit", "1"}, 0, []string{"there are older rows"}, normal},
		{"ReportEmpty", []string{"cdr", "--from", "2099-01-01"}, 0, []string{"no row matches"}, "Charge"},
		{"Log", []string{"cdr", "--log"}, 0, []string{"Disposition", "A", failsafe, "Carrier East", "answered", "B1", failsafe, "sip.pstnhub.test:5061", "failed_network", "503",
			"B2", "sip2.pstnhub.test", "B3", "sip3.pstnhub.test", "B4", failsafe, "+12065550199", "A", normal}, ""},
		{"CSV", []string{"cdr", "--csv"}, 0, []string{"correlation_id,cdr_id,attempt,technology", ",charge,currency,", failsafe + ","}, "failed_network"},
		{"LogCSV", []string{"cdr", "--log", "--csv", "--number", "+1 (206) 555-0199"}, 0, []string{"correlation_id", failsafe + ",", ",Phone,Carrier East,"}, normal},
		{"OneCall", []string{"cdr", normal}, 0, []string{"Call " + normal, "A, Phone, Carrier East", "charge 0.000450 USD", "prefix 1 (US voice DID) of deck retail-in",
			"B1, Operator Connect", "the charge stands on its Phone row", "Why this route:", "belongs to account contoso"}, "failsafe, Carrier"},
		{"OneFailsafeCall", []string{"cdr", failsafe}, 0, []string{"A, Phone", "B1, Operator Connect", "SIP 503", "attempts are free of charge", "B2", "B3", "B4, Phone, failsafe, Carrier East", "+12065550199",
			"charge 0.012500 USD", "Why this route:", "+12065550199 is called over Carrier East"}, ""},
		{"UnknownCall", []string{"cdr", "3fa85f64-5717-4562-b3fc-2c963f66afa6"}, 1, []string{"no call has Correlation ID"}, ""},
		{"NoCorrelationID", []string{"cdr", "nonsense"}, 1, []string{"is not a Correlation ID"}, ""},
		{"FilterRefused", []string{"cdr", "--number", "12"}, 1, []string{"give 4 to 15 digits"}, ""},
		{"RouteExplainInbound", []string{"route", "explain", "--trunk", "carrier-east", "--from", outsideNumber, "--to", "+14255550101"}, 0,
			[]string{"inbound call of contoso", "1. ", "Operator Connect", "failsafe: Carrier East", "Why:", "belongs to account contoso"}, "Rejected"},
		{"RouteExplainOutbound", []string{"route", "explain", "--trunk", "teams", "--host", "contoso.customers.test", "--from", "+14255550101", "--to", "+442071838750"}, 0,
			[]string{"outbound call of contoso", "1. Carrier East", "2. Carrier West", "carrier order"}, "Rejected"},
		{"RouteExplainEmergency", []string{"route", "explain", "--trunk", "teams", "--from", "+14255550101", "--to", "911"}, 0, []string{"-> 911", "emergency", "no other rule applies"}, "Rejected"},
		{"RouteExplainUnknownDID", []string{"route", "explain", "--trunk", "carrier-east", "--to", "+19995550101"}, 0, []string{"Rejected: 404", "not a DID"}, ""},
		{"RateExplain", []string{"rate", "explain", "--from", "+14255550101", "--to", "+442071838750", "--duration", "95s"}, 0, []string{"0.046400 USD", "deck retail-out", "96 s"}, ""},
		{"RateExplainUnlimited", []string{"rate", "explain", "--from", "+14255550102", "--to", outsideNumber, "--duration", "61s"}, 0, []string{"0.000000 USD", "free"}, ""},
		{"RateExplainOfACall", []string{"rate", "explain", normal}, 0, []string{"charge 0.000450 USD", "increments 6/6"}, ""},
		{"RateExplainNothing", []string{"rate", "explain"}, 1, []string{"give --from, --to and --duration"}, ""},
		{"RateExplainOfStrangers", []string{"rate", "explain", "--from", "+442071838750", "--to", outsideNumber, "--duration", "1s"}, 1, []string{"neither number is a DID"}, ""},
		{"Doctor", []string{"doctor"}, 0, []string{"OK    configuration", "OK    node", "OK    trunk carrier-east", "OK    store", "in use, by the running tandem", "OK    media ports",
			"OK    certificate default", "OK    roots", "fixed to", "OK    clickhouse"}, "FAIL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append(slices.Clone(c.args), "-c", config)
			got := command(ctx, args...)
			check(t, got, c.code, c.want)
			if c.lack != "" && strings.Contains(got.out, c.lack) {
				t.Errorf("prints %q:\n%s", c.lack, got.out)
			}
		})
	}

	t.Run("AddressAndTokenByFlag", func(t *testing.T) {
		check(t, command(ctx, "apply", "-f", renamed, "--api", s.node.URL(), "--token", s.node.token), 0, []string{"nothing to change"})
	})
	t.Run("DoctorBesideADeadNode", func(t *testing.T) {
		s.node.Close()
		s.node = nil
		check(t, command(ctx, "doctor", "-c", config), 0, []string{"WARN  node", "start it with: tandem serve", "OK    store", "free"})
		check(t, command(ctx, "trunks", "-c", config), 1, []string{"no node answers", "start it with tandem serve"})
	})
}

// check compares exit code and output; wanted texts must come in their order.
func check(t *testing.T, got said, code int, want []string) {
	t.Helper()
	if got.code != code {
		t.Errorf("exit code %d, want %d", got.code, code)
	}
	text := got.out
	if code != 0 {
		text += got.err
	}
	for _, w := range want {
		_, after, found := strings.Cut(text, w)
		if !found {
			t.Errorf("lacks %q (in this order) in:\n%s%s", w, got.out, got.err)
			return
		}
		text = after
	}
}

// placed makes a call from carrier-east and returns its Correlation ID once its rows are there.
func (s *stage) placed(ctx context.Context, t *testing.T, spec emulate.CallSpec) string {
	t.Helper()
	result, err := s.east.Call(ctx, spec)
	if err != nil || result.Status != 200 {
		t.Fatalf("status %d %s: %v", result.Status, result.Reason, err)
	}
	return s.rowsOf(t, result)[0].Correlation.String()
}

// checkCalls wants `tandem calls` to show a call while it lasts.
func (s *stage) checkCalls(ctx context.Context, t *testing.T, config string) {
	t.Helper()
	calling, hangUp := context.WithCancel(ctx)
	over := make(chan error, 1)
	go func() {
		_, err := s.east.Call(calling, emulate.CallSpec{From: outsideNumber, To: "+14255550101", Hold: tandem.Duration(time.Minute)})
		over <- err
	}()
	for talking := false; !talking; {
		for _, l := range s.node.engine.Live() {
			talking = talking || l.State == "talking"
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case err := <-over:
			t.Fatalf("the call ended: %v", err)
		}
	}
	got := command(ctx, "calls", "-c", config)
	check(t, got, 0, []string{"Correlation ID", "talking", "inbound", "contoso", outsideNumber, "+14255550101", "carrier-east > teams", " in ", "1 call\n"})
	for _, l := range s.node.engine.Live() {
		s.node.engine.Hangup(l.Correlation, "test is over")
	}
	hangUp()
	<-over
	for len(s.node.engine.Live()) > 0 {
		<-time.After(5 * time.Millisecond)
	}
}

// TestUsage: what is not understood ends with 2 and says where to look; what is
// understood and refused ends with 1.
func TestUsage(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	broken := filepath.Join(t.TempDir(), "tandem.yaml")
	if err := os.WriteFile(broken, []byte("node: x\nsip:\n  shards: 999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"Nothing":             {nil, 2, "expected one of"},
		"UnknownCommand":      {[]string{"nonsense"}, 2, "unexpected argument nonsense"},
		"UnknownFlag":         {[]string{"cdr", "--nonsense"}, 2, "unknown flag --nonsense"},
		"MissingFlag":         {[]string{"route", "explain", "--to", "911"}, 2, "--trunk"},
		"NoDuration":          {[]string{"rate", "explain", "--duration", "long"}, 2, "--duration"},
		"ApplyWithoutFile":    {[]string{"apply", "--file", missing}, 2, "missing.yaml"},
		"HalfACommand":        {[]string{"route"}, 2, "explain"},
		"NoConfiguration":     {[]string{"check-config", "-c", missing}, 1, "give its path with --config"},
		"BrokenConfiguration": {[]string{"check-config", "-c", broken}, 1, "tandem.yaml:3:11: sip.shards"},
		"ServeBroken":         {[]string{"serve", "-c", broken}, 1, "tandem.yaml:3:11: sip.shards"},
		"NoNode":              {[]string{"trunks", "--api", "127.0.0.1:1"}, 1, "no node answers at http://127.0.0.1:1"},
		"NoAddress":           {[]string{"calls", "--api", "http://a b"}, 1, "is not one"},
		"EmulateBadControl":   {[]string{"emulate", "teams", "--control", "x"}, 1, "is not ip:port"},
		"EmulateBadCarrier":   {[]string{"emulate", "carrier", "--sbc", "x"}, 1, "is not ip:port"},
		"DemoBadLevel":        {[]string{"demo", "--log", "loud"}, 1, "is not a level"},
	} {
		t.Run(name, func(t *testing.T) {
			got := command(t.Context(), c.args...)
			if got.code != c.code || !strings.Contains(got.err, c.want) {
				t.Errorf("exit %d, want %d and %q:\n%s%s", got.code, c.code, c.want, got.out, got.err)
			}
			if c.code == 2 && !strings.Contains(got.err, "--help") {
				t.Errorf("says not where to look: %s", got.err)
			}
		})
	}
	if got := command(t.Context(), "doctor", "-c", broken); got.code != 1 || !strings.Contains(got.out, "FAIL  configuration") {
		t.Errorf("doctor: exit %d\n%s%s", got.code, got.out, got.err)
	}
	if got := command(t.Context(), "version"); got.code != 0 || !strings.HasPrefix(got.out, "tandem "+version+" (go") {
		t.Errorf("version: %+v", got)
	}
	for _, emulator := range []string{"teams", "carrier"} {
		if got := command(t.Context(), "emulate", emulator, "--show"); got.code != 0 || !strings.Contains(got.out, `"control"`) {
			t.Errorf("emulate %s --show: %+v", emulator, got)
		}
	}
}

// TestDoctorFinds what keeps a node from working, with the next step.
func TestDoctorFinds(t *testing.T) {
	for name, c := range map[string]struct {
		settings string
		trunk    tandem.Trunk
		want     []string
	}{
		"NoSocketOfATrunk": {"node: x\n", tandem.Trunk{ID: "teams", Kind: tandem.TrunkTeams, Transport: tandem.TLS}, []string{"FAIL  trunk teams", "no socket listens for TLS", "add a certificate under sip.certificates"}},
		"DisabledTrunk":    {"node: x\n", tandem.Trunk{ID: "teams", Transport: tandem.TLS, Disabled: true}, nil},
		"SocketIsThere":    {"node: x\n", tandem.Trunk{ID: "east", Transport: tandem.UDP}, nil},
		"NameUnknown": {"node: x\n", tandem.Trunk{ID: "east", Transport: tandem.UDP, Endpoints: []tandem.Endpoint{{Host: "sip.example.invalid"}}},
			[]string{"FAIL  dns sip.example.invalid", "mend the resolver or the endpoint's host on trunk east"}},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := parseConfig(filepath.Join(t.TempDir(), "tandem.yaml"), []byte(c.settings))
			if err != nil {
				t.Fatal(err)
			}
			d := &doctor{config: config, directory: &tandem.Directory{Trunks: []tandem.Trunk{c.trunk}}, now: time.Now()}
			d.checkSockets()
			d.checkDNS(t.Context())
			var out bytes.Buffer
			worst := printFindings(&out, d.findings)
			check(t, said{out: out.String()}, 0, c.want)
			if (worst == verdictFail) != (c.want != nil) {
				t.Errorf("verdict %s:\n%s", worst, out.String())
			}
		})
	}
}

// TestDoctorChangesNothing: it may be run before the first start, by anyone.
func TestDoctorChangesNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tandem.yaml")
	if err := os.WriteFile(file, []byte("node: x\ndata: data\nclickhouse: {mode: \"off\"}\nhttp: {address: \"127.0.0.1:1\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := command(t.Context(), "doctor", "-c", file)
	if !strings.Contains(got.out, "does not exist yet") {
		t.Errorf("exit %d\n%s", got.code, got.out)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("doctor left %v behind, %v", entries, err)
	}
}

// TestEveryCommandTeaches: each command's --help says what it is for and shows
// a line that can be typed, and the flags in that line exist.
func TestEveryCommandTeaches(t *testing.T) {
	var walk func(node *kong.Node, path []string)
	parser, err := kong.New(&CLI{}, kong.Name("tandem"))
	if err != nil {
		t.Fatal(err)
	}
	walk = func(node *kong.Node, path []string) {
		for _, child := range node.Children {
			if child.Type == kong.CommandNode && !child.Hidden {
				walk(child, append(slices.Clone(path), child.Name))
			}
		}
		if !node.Leaf() {
			return
		}
		name := strings.Join(path, " ")
		got := command(t.Context(), append(path, "--help")...)
		if got.code != 0 || !strings.Contains(got.out, "Usage: tandem "+name) || node.Help == "" {
			t.Errorf("%s --help: exit %d\n%s", name, got.code, got.out)
		}
		if name == "version" {
			return
		}
		if !strings.Contains(node.Detail, "  tandem "+name) {
			t.Errorf("%s --help shows no example", name)
		}
		for line := range strings.Lines(node.Detail) {
			if !strings.HasPrefix(line, "  tandem ") {
				continue
			}
			for _, word := range strings.Fields(line) {
				if flag, ok := strings.CutPrefix(word, "--"); ok && !slices.ContainsFunc(node.Flags, func(f *kong.Flag) bool { return f.Name == flag }) {
					t.Errorf("%s --help shows a flag that does not exist: %s", name, word)
				}
			}
		}
	}
	walk(parser.Model.Node, nil)
}
