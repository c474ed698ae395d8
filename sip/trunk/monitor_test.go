package trunk

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gosip "github.com/emiago/sipgo/sip"
	"go.uber.org/goleak"

	"tandem"
	"tandem/sip"
	"tandem/sip/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// network is a Sender that answers as the test says.
type network struct {
	mu     sync.Mutex
	sent   []letter
	answer func(n int, l letter) // called without the lock, in the sender's goroutine
}

type letter struct {
	at  time.Time
	to  sip.Target
	ref sip.SendRef
	msg string
}

func (n *network) Send(to sip.Target, ref sip.SendRef, msg []byte) {
	n.mu.Lock()
	l := letter{time.Now(), to, ref, string(msg)}
	n.sent = append(n.sent, l)
	count, answer := len(n.sent), n.answer
	n.mu.Unlock()
	if answer != nil {
		answer(count, l)
	}
}

// on sets the answer.
func (n *network) on(answer func(n int, l letter)) {
	n.mu.Lock()
	n.answer = answer
	n.mu.Unlock()
}

func (n *network) all() []letter {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]letter(nil), n.sent...)
}

// response answers one of our OPTIONS.
func response(t testing.TB, l letter, status int, extra string) *gosip.Response {
	t.Helper()
	m, err := gosip.ParseMessage([]byte(l.msg))
	if err != nil {
		t.Fatalf("our OPTIONS does not parse: %v\n%s", err, l.msg)
	}
	req := m.(*gosip.Request)
	text := fmt.Sprintf("SIP/2.0 %d Reason\r\n%s\r\n%s\r\n%s;tag=x\r\n%s\r\n%s\r\n%sContent-Length: 0\r\n\r\n", status, req.Via(), req.From(), req.To(), req.CallID(), req.CSeq(), extra)
	r, err := gosip.ParseMessage([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r.(*gosip.Response)
}

var teams = core.TrunkView{Trunk: tandem.Trunk{ID: "teams", Kind: tandem.TrunkTeams, Transport: tandem.TLS, FQDN: "sbc1.customers.test", OptionsInterval: tandem.Duration(time.Minute),
	Endpoints: []tandem.Endpoint{{Host: "sip.pstnhub.test", Port: 5061}, {Host: "sip2.pstnhub.test", Port: 5061, Address: netip.MustParseAddr("127.0.0.2")}}},
	ViaHost: "sbc1.customers.test", ViaPort: 5061}

type bench struct {
	*Monitor
	net     *network
	mu      sync.Mutex
	changes []Change
}

func (b *bench) states() string {
	var words []string
	for _, h := range b.Health()["teams"] {
		words = append(words, string(h.State))
	}
	return strings.Join(words, " ")
}

// inBubble runs a monitor of the view under virtual time.
func inBubble(t *testing.T, view core.TrunkView, f func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{net: &network{}}
		b.Monitor = New(DefaultConfig(), Deps{Sender: b.net, OnChange: func(c Change) {
			b.mu.Lock()
			b.changes = append(b.changes, c)
			b.mu.Unlock()
		}})
		defer b.Close()
		b.SetTrunks([]core.TrunkView{view})
		f(b)
	})
}

func TestOptionsAreWhatMicrosoftWants(t *testing.T) {
	inBubble(t, teams, func(b *bench) {
		time.Sleep(time.Second)
		synctest.Wait()
		sent := b.net.all()
		if len(sent) != 2 {
			t.Fatalf("%d OPTIONS for two endpoints", len(sent))
		}
		for _, l := range sent {
			if l.to.Trunk != "teams" || l.to.Transport != tandem.TLS || l.to.Conn != 0 || l.ref.Shard != Shard || !l.ref.Watch {
				t.Errorf("%+v %+v", l.to, l.ref)
			}
			for _, want := range []string{"OPTIONS sip:" + l.to.Host + ":5061;transport=tls SIP/2.0\r\n", "Via: SIP/2.0/TLS sbc1.customers.test:5061;branch=z9hG4bK",
				"Contact: <sip:sbc1.customers.test:5061;transport=tls>\r\n", "From: <sip:sbc1.customers.test:5061>;tag=", "To: <sip:" + l.to.Host + ":5061>\r\n", "CSeq: 1 OPTIONS\r\n", "Allow: INVITE", "Max-Forwards: 70\r\n"} {
				if !strings.Contains(l.msg, want) {
					t.Errorf("lacks %q:\n%s", want, l.msg)
				}
			}
			if !IsOurs(response(t, l, 200, "")) {
				t.Error("the answer is not recognised")
			}
		}
	})
}

func TestCadenceNeverExceedsMicrosoftsWindow(t *testing.T) {
	for name, every := range map[string]time.Duration{"each minute": time.Minute, "asked for an hour": time.Hour} {
		t.Run(name, func(t *testing.T) {
			v := teams
			v.OptionsInterval = tandem.Duration(every)
			inBubble(t, v, func(b *bench) {
				b.net.on(func(_ int, l letter) {
					b.Response(sip.Flow{Trunk: "teams"}, response(t, l, 200, ""), time.Now())
				})
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				last := map[string]time.Time{}
				for _, l := range b.net.all() {
					if gap := l.at.Sub(last[l.to.Host]); !last[l.to.Host].IsZero() && (gap > min(every, 180*time.Second) || gap < every/2 && gap < 80*time.Second && every > time.Minute) {
						t.Fatalf("%v between two OPTIONS to %s", gap, l.to.Host)
					}
					last[l.to.Host] = l.at
				}
				if b.states() != "up up" {
					t.Error(b.states())
				}
			})
		})
	}
}

func TestSilenceBringsDownAndAnswersBringUp(t *testing.T) {
	inBubble(t, teams, func(b *bench) {
		var quiet atomic.Bool
		quiet.Store(true)
		b.net.on(func(_ int, l letter) {
			if quiet.Load() && l.to.Host == "sip.pstnhub.test" {
				return
			}
			b.Response(sip.Flow{Trunk: "teams"}, response(t, l, 404, ""), time.Now()) // any final answer proves reachability
		})
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if b.states() != "down up" {
			t.Fatal(b.states())
		}
		if r := b.Health()["teams"][0].Reason; !strings.Contains(r, "no response to OPTIONS within 4s") {
			t.Errorf("reason %q", r)
		}
		quiet.Store(false)
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if b.states() != "up up" {
			t.Fatal(b.states())
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		var walk []string
		for _, c := range b.changes {
			if c.Now.Endpoint.Host == "sip.pstnhub.test" {
				walk = append(walk, string(c.From)+">"+string(c.Now.State))
			}
		}
		if fmt.Sprint(walk) != "[unknown>down down>demoted demoted>up]" {
			t.Error(walk)
		}
	})
}

func TestAnswersToOptions(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		extra  string
		state  tandem.HealthState
		after  time.Duration // still in state
	}{
		"200":                     {200, "", up, 10 * time.Second},
		"405":                     {405, "", up, 10 * time.Second},
		"403 is misconfigured":    {403, "", misconf, 10 * time.Second},
		"503 for a while":         {503, "", down, 10 * time.Second},
		"503 with Retry-After":    {503, "Retry-After: 120 (busy)\r\n", down, 118 * time.Second},
		"503 with a bad one":      {503, "Retry-After: soon\r\n", down, 10 * time.Second},
		"408 proves reachability": {408, "", up, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, teams, func(b *bench) {
				seen := map[string]bool{}
				b.net.on(func(_ int, l letter) {
					if seen[l.to.Host] { // later ones are all fine
						if c.status == 503 {
							b.Response(sip.Flow{Trunk: "teams"}, response(t, l, 200, ""), time.Now())
						} else {
							b.Response(sip.Flow{Trunk: "teams"}, response(t, l, c.status, c.extra), time.Now())
						}
						return
					}
					seen[l.to.Host] = true
					b.Response(sip.Flow{Trunk: "teams"}, response(t, l, 100, ""), time.Now()) // provisional: nothing
					b.Response(sip.Flow{Trunk: "other"}, response(t, l, 200, ""), time.Now()) // not theirs
					b.Response(sip.Flow{Trunk: "teams"}, response(t, l, c.status, c.extra), time.Now())
				})
				time.Sleep(c.after)
				synctest.Wait()
				if want := string(c.state) + " " + string(c.state); b.states() != want {
					t.Errorf("%s, want %s", b.states(), want)
				}
			})
		})
	}
}

func TestUDPProbesAreSentAgain(t *testing.T) {
	v := teams
	v.Transport, v.Endpoints = tandem.UDP, teams.Endpoints[:1]
	inBubble(t, v, func(b *bench) {
		b.net.on(func(n int, l letter) {
			if n >= 3 { // the first two are lost
				b.Response(sip.Flow{Trunk: "teams"}, response(t, l, 200, ""), time.Now())
			}
		})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		sent := b.net.all()
		if len(sent) != 3 || sent[0].msg != sent[1].msg || sent[1].msg != sent[2].msg {
			t.Fatalf("%d datagrams", len(sent))
		}
		if d := sent[1].at.Sub(sent[0].at); d < 500*time.Millisecond || d > 510*time.Millisecond {
			t.Errorf("Timer E: %v", d)
		}
		if b.states() != "up" {
			t.Error(b.states())
		}
	})
}

func TestConnectionTroubleIsNamed(t *testing.T) {
	inBubble(t, teams, func(b *bench) {
		b.net.on(func(_ int, l letter) {
			if l.to.Host == "sip.pstnhub.test" { // fails inside Send, as a UDP socket would
				b.SendFailed(l.ref, &tandem.Error{Kind: tandem.KindUnavailable, Message: "the peer's certificate has expired", Mend: "the peer must renew it", Err: fmt.Errorf("x509 innards")}, time.Now())
				return
			}
			b.SentOn(l.ref, 7, time.Now())
			b.ConnClosed(7, time.Now())
		})
		time.Sleep(time.Second)
		synctest.Wait()
		h := b.Health()["teams"]
		if h[0].State != unknown || h[0].Reason != "the peer's certificate has expired (the peer must renew it)" {
			t.Errorf("%+v", h[0])
		}
		if h[1].Reason != "the peer closed the connection without answering OPTIONS" {
			t.Errorf("%+v", h[1])
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if b.states() != "down down" {
			t.Error(b.states())
		}
	})
}

func TestCallOutcomes(t *testing.T) {
	status := func(n tandem.SIPStatus, retry int) tandem.Outcome {
		return tandem.Outcome{Kind: tandem.OutcomeStatus, Status: n, RetryAfter: retry}
	}
	kind := func(k tandem.OutcomeKind) tandem.Outcome { return tandem.Outcome{Kind: k} }
	carrier := teams
	carrier.Kind = tandem.TrunkCarrier
	for name, c := range map[string]struct {
		view core.TrunkView
		in   []tandem.Outcome
		want string
	}{
		"silence twice":                      {teams, []tandem.Outcome{kind(tandem.OutcomeSilence), kind(tandem.OutcomeSilence)}, "down up"},
		"no connection, but OPTIONS at once": {carrier, []tandem.Outcome{kind(tandem.OutcomeConnection), kind(tandem.OutcomeConnection)}, "demoted up"},
		"silence once":                       {teams, []tandem.Outcome{kind(tandem.OutcomeSilence)}, "demoted up"},
		"busy and no answer are healthy":     {teams, []tandem.Outcome{status(486, 0), kind(tandem.OutcomeNoAnswer), status(603, 0), status(404, 0), status(500, 0)}, "up up"},
		"cancelled says nothing":             {teams, []tandem.Outcome{kind(tandem.OutcomeSilence), kind(tandem.OutcomeCancelled), kind(tandem.OutcomeSkipped)}, "demoted up"},
		"503 with Retry-After":               {carrier, []tandem.Outcome{status(503, 30)}, "down up"},
		"503 of Microsoft counts":            {teams, []tandem.Outcome{status(503, 0), status(503, 0)}, "down up"},
		"503 of a carrier is its circuits":   {carrier, []tandem.Outcome{status(503, 0), status(503, 0), status(503, 0)}, "up up"},
		"recovers by calls":                  {teams, []tandem.Outcome{kind(tandem.OutcomeSilence), status(486, 0), kind(tandem.OutcomeAnswered)}, "up up"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, c.view, func(b *bench) {
				b.net.on(func(_ int, l letter) {
					b.Response(sip.Flow{Trunk: "teams"}, response(t, l, 200, ""), time.Now())
				})
				time.Sleep(time.Second)
				for _, o := range c.in {
					b.Outcome("teams", teams.Endpoints[0], o, time.Now())
				}
				time.Sleep(b.cfg.T1) // two probes are never closer
				synctest.Wait()
				if b.states() != c.want {
					t.Errorf("%s, want %s", b.states(), c.want)
				}
			})
		})
	}
}

func TestUnprobedTrunkIsUpAndLearnsFromCalls(t *testing.T) {
	v := teams
	v.OptionsInterval = 0
	inBubble(t, v, func(b *bench) {
		for range 2 {
			b.Outcome("teams", teams.Endpoints[0], tandem.Outcome{Kind: tandem.OutcomeConnection}, time.Now())
		}
		b.Outcome("nobody", teams.Endpoints[0], tandem.Outcome{Kind: tandem.OutcomeConnection}, time.Now())
		if b.states() != "down up" {
			t.Fatal(b.states())
		}
		b.poke()
		time.Sleep(16 * time.Second)
		synctest.Wait()
		if b.states() != "demoted up" {
			t.Error(b.states())
		}
		if n := len(b.net.all()); n != 0 {
			t.Errorf("%d OPTIONS", n)
		}
	})
}

func TestKnowledgeSurvivesAChangeOfTheDirectory(t *testing.T) {
	inBubble(t, teams, func(b *bench) {
		b.net.on(func(_ int, l letter) {
			b.Response(sip.Flow{Trunk: "teams"}, response(t, l, 200, ""), time.Now())
		})
		time.Sleep(time.Second)
		v := teams
		v.Endpoints = append([]tandem.Endpoint{{Host: "new.test", Port: 5061}}, teams.Endpoints[1])
		b.SetTrunks([]core.TrunkView{v})
		if b.states() != "unknown up" {
			t.Error(b.states())
		}
		v.Disabled = true
		b.SetTrunks([]core.TrunkView{v})
		if len(b.Health()) != 0 {
			t.Error("a disabled trunk has health")
		}
		n := len(b.net.all())
		time.Sleep(time.Hour)
		if len(b.net.all()) != n {
			t.Error("a disabled trunk is probed")
		}
	})
}

func TestTheirOptionsAreAnswered(t *testing.T) {
	m, err := gosip.ParseMessage([]byte("OPTIONS sip:sbc1.customers.test:5061;transport=tls SIP/2.0\r\nVia: SIP/2.0/TLS 10.0.0.5:5061;branch=z9hG4bKabc;rport\r\nVia: SIP/2.0/TLS inner;branch=z9hG4bKin\r\nFrom: <sip:sip.pstnhub.test>;tag=f\r\nTo: <sip:sbc1.customers.test>\r\nCall-ID: c1\r\nCSeq: 2 OPTIONS\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	flow := sip.Flow{Trunk: "teams", Transport: tandem.TLS, Conn: 5, Source: netip.MustParseAddrPort("52.114.1.1:1234")}
	inBubble(t, teams, func(b *bench) {
		b.Request(flow, m.(*gosip.Request), time.Now())
		got := b.net.all()[0]
		if got.to.Conn != 5 || got.ref.Tx != 0 {
			t.Errorf("%+v: the answer belongs on their connection", got.to)
		}
		for _, want := range []string{"SIP/2.0 200 OK\r\n", "Via: SIP/2.0/TLS 10.0.0.5:5061;branch=z9hG4bKabc;rport=1234;received=52.114.1.1\r\nVia: SIP/2.0/TLS inner;", "Contact: <sip:sbc1.customers.test:5061;transport=tls>\r\n", "Allow: ", "Accept: application/sdp\r\n", "Supported: ", ";tag=td", "CSeq: 2 OPTIONS\r\n"} {
			if !strings.Contains(got.msg, want) {
				t.Errorf("lacks %q:\n%s", want, got.msg)
			}
		}
		b.Drain(true)
		b.Request(flow, m.(*gosip.Request), time.Now())
		if got := b.net.all()[1].msg; !strings.HasPrefix(got, "SIP/2.0 503 ") || !strings.Contains(got, "Retry-After: ") {
			t.Errorf("draining: %s", got)
		}
	})
}

// RFC 4475 3.3.2 and 3.3.5: an OPTIONS that asks for what is not ours is not 200.
func TestTheirOptionsAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown scheme":    {"OPTIONS sip:", "OPTIONS nobodyknows:", "SIP/2.0 416 "},
		"unknown extension": {"CSeq", "Require: timer, foo\r\nRequire: bar\r\nCSeq", "Unsupported: foo, bar\r\n"},
		"known extension":   {"CSeq", "Require: timer\r\nProxy-Require: foo\r\nCSeq", "SIP/2.0 200 "},
	} {
		text := "OPTIONS sip:sbc1.customers.test SIP/2.0\r\nVia: SIP/2.0/TLS 10.0.0.5:5061;branch=z9hG4bKabc\r\nFrom: <sip:sip.pstnhub.test>;tag=f\r\nTo: <sip:sbc1.customers.test>\r\nCall-ID: c1\r\nCSeq: 2 OPTIONS\r\n\r\n"
		m, err := gosip.ParseMessage([]byte(strings.Replace(text, c.old, c.new, 1)))
		if err != nil {
			t.Fatal(err)
		}
		inBubble(t, teams, func(b *bench) {
			b.Request(sip.Flow{Trunk: "teams", Transport: tandem.TLS, Conn: 5, Source: netip.MustParseAddrPort("52.114.1.1:1234")}, m.(*gosip.Request), time.Now())
			if got := b.net.all()[0].msg; !strings.Contains(got, c.want) {
				t.Errorf("%s: lacks %q:\n%s", name, c.want, got)
			}
		})
	}
}

func TestConfigRules(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, bend := range map[string]func(*Config){
		"failures": func(c *Config) { c.FailuresDown = 0 }, "successes": func(c *Config) { c.SuccessesUp = 0 }, "timeout": func(c *Config) { c.ProbeTimeout = 0 },
		"interval over Microsoft's window": func(c *Config) { c.MaxInterval = 181 * time.Second }, "holds": func(c *Config) { c.MaxCallHold = time.Second },
	} {
		c := DefaultConfig()
		bend(&c)
		if tandem.KindOf(c.Validate()) != tandem.KindInvalid {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A trunk whose OPTIONS are switched off while one is on its way forgets it.
func TestProbeInProgressIsForgottenWithItsSchedule(t *testing.T) {
	inBubble(t, teams, func(b *bench) {
		time.Sleep(time.Second)
		synctest.Wait()
		sent := b.net.all()
		unprobed := teams
		unprobed.OptionsInterval = 0
		b.SetTrunks([]core.TrunkView{unprobed})
		for _, l := range sent {
			b.Response(sip.Flow{Trunk: "teams"}, response(t, l, 403, ""), time.Now())
		}
		b.Monitor.mu.Lock()
		left := len(b.byTx)
		b.Monitor.mu.Unlock()
		if left != 0 || len(b.changes) != 0 || b.states() != "up up" {
			t.Errorf("%d probes left, %d changes told, %s", left, len(b.changes), b.states())
		}
	})
}
