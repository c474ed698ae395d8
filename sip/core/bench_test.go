package core_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip"
	"tandem/sip/core"
)

// quiet is the least world around a core: one route, media that only says
// "v=0", and the bytes of the last messages.
type quiet struct {
	last  [2]string // by trunk: a, b
	sdp   []byte
	seed  uint64
	count int
}

func (q *quiet) Send(to sip.Target, _ sip.SendRef, msg []byte) {
	i := 0
	if to.Trunk == "b" {
		i = 1
	}
	q.last[i] = string(msg)
	q.count++
}
func (q *quiet) Record(tandem.FactKind, time.Time, *tandem.CallRecord)              {}
func (q *quiet) Watch(tandem.TrunkID, tandem.Endpoint, time.Duration, time.Time)    {}
func (q *quiet) Health(tandem.TrunkID, tandem.Endpoint) tandem.HealthState          { return tandem.HealthUp }
func (q *quiet) Outcome(tandem.TrunkID, tandem.Endpoint, tandem.Outcome, time.Time) {}
func (q *quiet) OpenMedia(tandem.CallRef, tandem.MediaProfile) (tandem.MediaSession, error) {
	return q, nil
}
func (q *quiet) SetPeer(tandem.MediaProfile)                      {}
func (q *quiet) Offer(tandem.Side, []byte) ([]byte, error)        { return q.sdp, nil }
func (q *quiet) Answer(tandem.Side, []byte, bool) ([]byte, error) { return q.sdp, nil }
func (q *quiet) Reoffer(tandem.Side) ([]byte, error)              { return q.sdp, nil }
func (q *quiet) Rollback()                                        {}
func (q *quiet) Stats(tandem.Side) (rx, tx tandem.StreamStats)    { return }
func (q *quiet) Describe(tandem.Side) (string, bool)              { return "PCMU", false }
func (q *quiet) Close()                                           {}

type fixed struct{ plan tandem.Plan }

func (f *fixed) Plan(*tandem.RouteRequest, time.Time) tandem.Plan { return f.plan }

// BenchmarkCall is one whole call: INVITE, 100, 180, 200, ACK, BYE, 200 on both
// legs. "parse" is the same messages through sipgo's parser alone: take it off
// to see what the core costs.
func BenchmarkCall(b *testing.B) {
	for _, transport := range []tandem.Transport{tandem.UDP, tandem.TCP} {
		b.Run(string(transport), func(b *testing.B) { benchCall(b, transport) })
	}
}

func benchCall(b *testing.B, transport tandem.Transport) {
	d := newDrive(b, transport)
	b.ReportAllocs()
	for b.Loop() {
		d.call()
	}
	b.ReportMetric(float64(d.parsing.Nanoseconds())/float64(b.N), "parse-ns/op")
	b.ReportMetric(float64(d.handling.Nanoseconds())/float64(b.N), "core-ns/op")
	if s := d.core.Stats(); s.Calls != 0 || s.Legs != 0 || s.Answered != uint64(d.n) {
		b.Fatalf("%+v after %d calls", s, d.n)
	}
}

// drive plays both peers of whole calls.
type drive struct {
	tb                testing.TB
	core              *core.Core
	q                 *quiet
	flows             [2]sip.Flow
	transport         tandem.Transport
	now               time.Time
	n                 int
	sent              int
	parsing, handling time.Duration
	around            func(handle func())
}

func newDrive(tb testing.TB, transport tandem.Transport) *drive {
	q := &quiet{sdp: []byte("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"), seed: 1}
	random := func() uint64 { q.seed = q.seed*6364136223846793005 + 1442695040888963407; return q.seed }
	plan := &fixed{tandem.Plan{From: "+1", To: "+2", Attempts: []tandem.Attempt{{Trunk: "b", Endpoint: tandem.Endpoint{Host: "192.0.2.20", Port: 5060},
		To: "+14255550100", From: "+12065550111", ResponseTimeout: time.Second, AnswerTimeout: time.Minute}}}}
	c := core.New(core.DefaultConfig(), core.Deps{Router: plan, Media: q, Output: q, Random: random})
	c.SetTrunks([]core.TrunkView{
		{Trunk: tandem.Trunk{ID: "a", Kind: tandem.TrunkCarrier, Transport: transport}, ViaHost: "192.0.2.1", ViaPort: 5060},
		{Trunk: tandem.Trunk{ID: "b", Kind: tandem.TrunkCarrier, Transport: transport}, ViaHost: "192.0.2.1", ViaPort: 5060},
	})
	d := &drive{tb: tb, core: c, q: q, transport: transport, now: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)}
	d.flows = [2]sip.Flow{
		{Trunk: "a", Transport: transport, Conn: 1, Source: netip.MustParseAddrPort("192.0.2.10:5060")},
		{Trunk: "b", Transport: transport, Conn: 2, Source: netip.MustParseAddrPort("192.0.2.20:5060")},
	}
	d.around = func(handle func()) {
		start := time.Now()
		handle()
		d.handling += time.Since(start)
	}
	return d
}

// give hands a message of a peer to the core.
func (d *drive) give(side int, text string) {
	start := time.Now()
	m, err := gosip.ParseMessage([]byte(text))
	d.parsing += time.Since(start)
	if err != nil {
		d.tb.Fatal(err)
	}
	ev := core.Event{Kind: core.EventMessage, At: d.now, Flow: d.flows[side], Msg: m}
	sent := d.q.count
	d.around(func() { d.core.Handle(ev) })
	d.sent += d.q.count - sent
}

func line(msg, name string) string {
	for l := range strings.SplitSeq(msg, "\r\n") {
		if strings.HasPrefix(l, name+": ") {
			return l + "\r\n"
		}
	}
	return ""
}

// answer is the B peer's response to the last request.
func (d *drive) answer(status, msg string) string {
	to := strings.TrimSuffix(line(msg, "To"), "\r\n")
	if !strings.Contains(to, "tag=") {
		to += ";tag=b1"
	}
	s := "SIP/2.0 " + status + "\r\n" + line(msg, "Via") + line(msg, "From") + to + "\r\n" + line(msg, "Call-ID") + line(msg, "CSeq") + "Contact: <sip:b@192.0.2.20:5060>\r\n"
	if status == "200 OK" && strings.HasPrefix(msg, "INVITE") {
		return s + fmt.Sprintf("Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", len(d.q.sdp), d.q.sdp)
	}
	return s + "Content-Length: 0\r\n\r\n"
}

func (d *drive) request(method string, seq int, to, tail string) string {
	return fmt.Sprintf("%s sip:+14255550100@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/%s 192.0.2.10:5060;branch=z9hG4bK%d%s;rport\r\nMax-Forwards: 70\r\nFrom: <sip:+12065550111@192.0.2.10>;tag=a%d\r\n%sCall-ID: call-%d\r\nCSeq: %d %s\r\nContact: <sip:a@192.0.2.10:5060>\r\n%s",
		method, d.transport, d.n, method, d.n, to, d.n, seq, method, tail)
}

// call is one whole call, a millisecond after the last.
func (d *drive) call() {
	const none = "Content-Length: 0\r\n\r\n"
	d.n++
	d.now = d.now.Add(time.Millisecond)
	d.core.Tick(d.now)
	d.give(0, d.request("INVITE", 1, "To: <sip:+14255550100@192.0.2.1>\r\n", fmt.Sprintf("Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", len(d.q.sdp), d.q.sdp)))
	invite := d.q.last[1]
	d.give(1, d.answer("100 Trying", invite))
	d.give(1, d.answer("180 Ringing", invite))
	d.give(1, d.answer("200 OK", invite))
	to := line(d.q.last[0], "To")
	d.give(0, d.request("ACK", 1, to, none))
	d.give(0, d.request("BYE", 2, to, none))
	d.give(1, d.answer("200 OK", d.q.last[1]))
}

// TestAllocationsPerCall keeps the budget of 40 objects that one whole call may
// make in the core; parsing, peers and media are left out.
func TestAllocationsPerCall(t *testing.T) {
	calls := 0
	var before, after runtime.MemStats
	var objects uint64
	drive := newDrive(t, tandem.TCP)
	drive.around = func(handle func()) {
		runtime.ReadMemStats(&before)
		handle()
		runtime.ReadMemStats(&after)
		objects += after.Mallocs - before.Mallocs
	}
	for ; calls < 60; calls++ {
		if calls == 10 { // maps and scratch have grown
			objects = 0
		}
		drive.call()
	}
	if per := objects / 50; per > 40+uint64(drive.sent)/60 {
		t.Errorf("%d objects per call, of which the test makes %d", per, drive.sent/60)
	} else {
		t.Logf("%d objects per call, of which the test makes %d", per, drive.sent/60)
	}
}
