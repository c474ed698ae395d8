package routing

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
)

var update = flag.Bool("update", false, "rewrite the expected plans in testdata")

// TestScenarios runs testdata/*.txt. A file sets up a directory and asks for
// plans; each `call` is followed by the plan that it gets, up to a blank line.
// See testdata/README.md for the words.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("plans differ (go test ./routing -update rewrites them; review the diff):\n%s", diff(string(text), got))
			}
		})
	}
}

// play repeats the script with the plans that it gets.
func play(t *testing.T, script string) string {
	var out bytes.Buffer
	s := scenario{t: t, cfg: DefaultConfig(), health: tandem.Health{}, now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	old := false // inside the plan of a call
	lines := bufio.NewScanner(strings.NewReader(script))
	for lines.Scan() {
		line := lines.Text()
		if old && strings.TrimSpace(line) != "" {
			continue
		}
		old = false
		out.WriteString(line + "\n")
		verb, args, words := s.read(line)
		switch verb {
		case "":
		case "call":
			s.call(&out, args)
			old = true
		default:
			s.set(verb, words, args)
		}
	}
	return out.String()
}

type scenario struct {
	t      *testing.T
	cfg    Config
	dir    tandem.Directory
	health tandem.Health
	now    time.Time
	names  map[string]tandem.TenantID
}

// read splits `verb word word key=value key="a value"`.
func (s *scenario) read(line string) (verb string, args map[string]string, words []string) {
	line, _, _ = strings.Cut(line, " #")
	if strings.HasPrefix(line, "#") {
		return "", nil, nil
	}
	args = map[string]string{}
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		var word string
		if eq := strings.Index(line, `="`); eq >= 0 && !strings.ContainsRune(line[:eq], ' ') {
			end := strings.IndexByte(line[eq+2:], '"')
			if end < 0 {
				s.t.Fatalf("no closing quote: %s", line)
			}
			args[line[:eq]], line = line[eq+2:eq+2+end], line[eq+3+end:]
			continue
		}
		word, line, _ = strings.Cut(line, " ")
		switch key, value, named := strings.Cut(word, "="); {
		case named:
			args[key] = value
		case verb == "":
			verb = word
		default:
			words = append(words, word)
		}
	}
	return verb, args, words
}

func (s *scenario) set(verb string, words []string, args map[string]string) {
	s.t.Helper()
	switch verb {
	case "trunk", "carrier":
		k := tandem.Trunk{ID: tandem.TrunkID(words[0]), Kind: tandem.TrunkTeams, Network: "Operator Connect", FQDN: args["fqdn"]}
		if verb == "carrier" {
			k.Kind, k.Network = tandem.TrunkCarrier, or(args["network"], words[0])
		}
		for _, e := range strings.Split(args["endpoints"], ",") {
			k.Endpoints = append(k.Endpoints, endpoint(s.t, e))
		}
		k.Priority, k.Weight = number(s.t, args["priority"]), number(s.t, args["weight"])
		k.Disabled, k.Lab = args["disabled"] == "yes", args["lab"] == "yes"
		k.ResponseTimeout = tandem.Duration(span(s.t, args["response"]))
		k.AnswerTimeout = tandem.Duration(span(s.t, args["answer"]))
		if args["next_on"] != "" {
			if err := k.NextOn.UnmarshalText([]byte(args["next_on"])); err != nil {
				s.t.Fatal(err)
			}
		}
		s.dir.Trunks = append(s.dir.Trunks, k)
	case "tenant":
		id := uuid.NewSHA1(uuid.Nil, []byte(words[0]))
		if s.names == nil {
			s.names = map[string]tandem.TenantID{}
		}
		s.names[words[0]] = id
		s.dir.Tenants = append(s.dir.Tenants, tandem.Tenant{ID: id, Account: words[0], Name: words[0], FQDN: args["fqdn"]})
	case "number":
		s.dir.Numbers = append(s.dir.Numbers, tandem.Number{DID: tandem.E164(words[0]), Account: args["tenant"], Tenant: s.names[args["tenant"]],
			Plan: tandem.PlanKind(or(args["plan"], "Metered")), UserType: tandem.StandardUser, Failsafe: tandem.E164(args["failsafe"])})
	case "health":
		s.setHealth(tandem.TrunkID(words[0]), words[1], tandem.HealthState(words[2]), args["reason"])
	case "bound":
		s.cfg.FailsafeBound = span(s.t, words[0])
	default:
		s.t.Fatalf("unknown word %q", verb)
	}
}

// setHealth sets one endpoint (by its position from 1) or all of a trunk.
func (s *scenario) setHealth(id tandem.TrunkID, which string, state tandem.HealthState, reason string) {
	next := tandem.Health{} // a plan may hold on to the old one
	for k, v := range s.health {
		next[k] = append([]tandem.EndpointHealth(nil), v...)
	}
	for _, k := range s.dir.Trunks {
		if k.ID != id {
			continue
		}
		for i, e := range k.Endpoints {
			if i >= len(next[id]) {
				next[id] = append(next[id], tandem.EndpointHealth{Trunk: id, Endpoint: e, State: tandem.HealthUp})
			}
			if which == "all" || which == strconv.Itoa(i+1) {
				next[id][i].State, next[id][i].Reason, next[id][i].Since = state, reason, s.now.Add(-35*time.Second)
			}
		}
	}
	s.health = next
}

func (s *scenario) call(out *bytes.Buffer, args map[string]string) {
	table, err := New(s.cfg, &s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	req := tandem.RouteRequest{Trunk: tandem.TrunkID(args["on"]), RequestUser: args["to"], RequestHost: args["host"], FromUser: args["from"], FromName: args["name"],
		PAIUser: args["pai"], Privacy: args["privacy"] != "", TenantHint: args["tenant"], ContactHost: args["contact"], Seed: uint64(number(s.t, args["seed"]))}
	if id, known := s.names[req.TenantHint]; known {
		req.TenantHint = id.String()
	}
	if args["diverters"] != "" {
		req.Diverters = strings.Split(args["diverters"], ",")
	}
	req.Forwarded = args["forwarded"] == "yes" || req.Diverters != nil
	write(out, table.Plan(&req, s.health, s.now))
}

// write prints a plan for people.
func write(out *bytes.Buffer, p tandem.Plan) {
	line := func(format string, a ...any) { fmt.Fprintf(out, "  "+format+"\n", a...) }
	if p.DID != "" {
		line("%s for %s of %s (%s)", p.Direction, p.DID, p.Account, p.PlanKind)
	}
	if p.Reject != nil {
		line("reject %d, cause %d: %s", p.Reject.Status, p.Reject.Cause, p.Reject.Reason)
	} else {
		flags := ""
		if p.Private {
			flags += ", private"
		}
		if p.Emergency {
			flags += ", emergency"
		}
		name := ""
		if p.FromName != "" {
			name = fmt.Sprintf(" %q", p.FromName)
		}
		line("from %s%s to %s%s", p.From, name, p.To, flags)
	}
	for i := range p.Attempts {
		line("try      %s", attempt(&p.Attempts[i]))
	}
	for _, k := range p.Skipped {
		line("skip     %s %s: %s", k.Trunk, endpointName(k.Endpoint), k.Reason)
	}
	for i := range p.Failsafe {
		line("failsafe %s", attempt(&p.Failsafe[i]))
	}
	if len(p.Failsafe) > 0 {
		line("failsafe on %s; silence bound %s", strings.Join(p.FailsafeOn.Words(), " "), p.SilenceBound)
	}
	for _, step := range p.Trace {
		line("%-13s %s", step.Rule+":", step.Detail)
	}
}

func attempt(a *tandem.Attempt) string {
	s := fmt.Sprintf("%s %s %s -> %s", a.Trunk, endpointName(a.Endpoint), a.From, a.To)
	if a.LocalHost != "" {
		s += " as " + a.LocalHost
	}
	if a.Diverting != "" {
		s += " diverting " + string(a.Diverting)
	}
	next := strings.Join(a.NextOn.Words(), " ")
	if len(a.NextOn.Statuses) > 20 {
		next = "any failure but busy"
	}
	return s + fmt.Sprintf(" within %s, next on %s", a.ResponseTimeout, next)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func number(t *testing.T, s string) int {
	n, err := strconv.Atoi(or(s, "0"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func span(t *testing.T, s string) time.Duration {
	d, err := time.ParseDuration(or(s, "0"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func endpoint(t *testing.T, s string) tandem.Endpoint {
	host, port, _ := strings.Cut(s, ":")
	return tandem.Endpoint{Host: host, Port: uint16(number(t, or(port, "5060")))}
}

func diff(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	var s strings.Builder
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			fmt.Fprintf(&s, "line %d\n  want %s\n  got  %s\n", i+1, x, y)
		}
	}
	return s.String()
}
