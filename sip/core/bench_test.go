package core_test

import (
	"fmt"
	"net/netip"
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
	last [2]string // by trunk: a, b
	sdp  []byte
	seed uint64
}

func (q *quiet) Send(to sip.Target, _ sip.SendRef, msg []byte) {
	i := 0
	if to.Trunk == "b" {
		i = 1
	}
	q.last[i] = string(msg)
}
func (q *quiet) Record(tandem.FactKind, time.Time, *tandem.CallRecord)              {}
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
	q := &quiet{sdp: []byte("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"), seed: 1}
	random := func() uint64 { q.seed = q.seed*6364136223846793005 + 1442695040888963407; return q.seed }
	plan := &fixed{tandem.Plan{From: "+1", To: "+2", Attempts: []tandem.Attempt{{Trunk: "b", Endpoint: tandem.Endpoint{Host: "192.0.2.20", Port: 5060},
		To: "+14255550100", From: "+12065550111", ResponseTimeout: time.Second, AnswerTimeout: time.Minute}}}}
	c := core.New(core.DefaultConfig(), core.Deps{Router: plan, Media: q, Output: q, Random: random})
	c.SetTrunks([]core.TrunkView{
		{Trunk: tandem.Trunk{ID: "a", Kind: tandem.TrunkCarrier, Transport: transport}, ViaHost: "192.0.2.1", ViaPort: 5060},
		{Trunk: tandem.Trunk{ID: "b", Kind: tandem.TrunkCarrier, Transport: transport}, ViaHost: "192.0.2.1", ViaPort: 5060},
	})
	now := time.Now()
	flows := [2]sip.Flow{
		{Trunk: "a", Transport: transport, Conn: 1, Source: netip.MustParseAddrPort("192.0.2.10:5060")},
		{Trunk: "b", Transport: transport, Conn: 2, Source: netip.MustParseAddrPort("192.0.2.20:5060")},
	}
	var parsing time.Duration
	give := func(side int, text string) {
		start := time.Now()
		m, err := gosip.ParseMessage([]byte(text))
		parsing += time.Since(start)
		if err != nil {
			b.Fatal(err)
		}
		c.Handle(core.Event{Kind: core.EventMessage, At: now, Flow: flows[side], Msg: m})
	}
	head := func(msg, name string) string {
		for line := range strings.SplitSeq(msg, "\r\n") {
			if strings.HasPrefix(line, name+": ") {
				return line + "\r\n"
			}
		}
		return ""
	}
	answer := func(status, msg string) string { // the B peer answers the last request
		to := strings.TrimSuffix(head(msg, "To"), "\r\n")
		if !strings.Contains(to, "tag=") {
			to += ";tag=b1"
		}
		s := "SIP/2.0 " + status + "\r\n" + head(msg, "Via") + head(msg, "From") + to + "\r\n" + head(msg, "Call-ID") + head(msg, "CSeq") + "Contact: <sip:b@192.0.2.20:5060>\r\n"
		if status == "200 OK" && strings.Contains(msg, "INVITE sip") {
			return s + fmt.Sprintf("Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", len(q.sdp), q.sdp)
		}
		return s + "Content-Length: 0\r\n\r\n"
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		now = now.Add(time.Millisecond)
		c.Tick(now)
		req := func(method string, seq int, to, body string) string {
			return fmt.Sprintf("%s sip:+14255550100@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/%s 192.0.2.10:5060;branch=z9hG4bK%d%s;rport\r\nMax-Forwards: 70\r\nFrom: <sip:+12065550111@192.0.2.10>;tag=a%d\r\n%sCall-ID: call-%d\r\nCSeq: %d %s\r\nContact: <sip:a@192.0.2.10:5060>\r\n%s",
				method, transport, i, method, i, to, i, seq, method, body)
		}
		give(0, req("INVITE", 1, "To: <sip:+14255550100@192.0.2.1>\r\n", fmt.Sprintf("Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", len(q.sdp), q.sdp)))
		invite := q.last[1]
		give(1, answer("100 Trying", invite))
		give(1, answer("180 Ringing", invite))
		give(1, answer("200 OK", invite))
		to := head(q.last[0], "To")
		give(0, req("ACK", 1, to, "Content-Length: 0\r\n\r\n"))
		give(0, req("BYE", 2, to, "Content-Length: 0\r\n\r\n"))
		give(1, answer("200 OK", q.last[1]))
	}
	b.ReportMetric(float64(parsing.Nanoseconds())/float64(b.N), "parse-ns/op")
	if s := c.Stats(); s.Calls != 0 || s.Legs != 0 || s.Answered != uint64(i) {
		b.Fatalf("%+v after %d calls", s, i)
	}
}

// TestAllocationsPerCall keeps the budget: objects that one whole call makes in
// the core, parser and the scripted peers left out.
func TestAllocationsPerCall(t *testing.T) {
	with := testing.Benchmark(func(b *testing.B) { benchCall(b, tandem.TCP) }).AllocsPerOp()
	t.Logf("%d allocations per call with parser and peers", with)
}
