package sim

import (
	"strings"
	"testing"
	"time"

	gosip "github.com/emiago/sipgo/sip"
	"github.com/google/uuid"

	"tandem"
	"tandem/sip"
)

// TestSimCheckersSeeEachViolation: a check that can't fail proves nothing. Each
// case breaks one rule in front of the checkers, as a faulty core would.
func TestSimCheckersSeeEachViolation(t *testing.T) {
	id := uuid.MustParse("11111111-1111-4111-8111-111111111111")
	from := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	record := func(change func(c *tandem.CallRecord)) *tandem.CallRecord {
		leg := tandem.LegRecord{SIPCallID: "a", SetupTime: from, RingTime: from.Add(time.Second), ReleaseTime: from.Add(2 * time.Second),
			Disposition: tandem.Busy, ReleasedBy: tandem.ReleasedByCallee}
		c := &tandem.CallRecord{Correlation: id, Legs: []tandem.LegRecord{leg, leg}}
		c.Legs[1].SIPCallID, c.Legs[1].Outcome = "b", tandem.OutcomeStatus
		change(c)
		return c
	}
	connected := func(lasted time.Duration) *tandem.CallRecord {
		return record(func(c *tandem.CallRecord) {
			for i := range c.Legs {
				l := &c.Legs[i]
				l.AnswerTime, l.Duration, l.ReleaseTime, l.Disposition = from.Add(time.Second), lasted, from.Add(time.Second+lasted), tandem.Answered
			}
		})
	}
	as := func(*tandem.CallRecord) {}
	ends := func(c *tandem.CallRecord) func(*World) { return func(w *World) { w.Record(tandem.FactEnd, w.Now, c) } }
	talks := func(billed, lasted time.Duration) func(*World) {
		return func(w *World) {
			w.Record(tandem.FactStart, w.Now, record(as))
			w.Record(tandem.FactAnswer, w.Now, connected(0))
			w.Run(lasted)
			w.Record(tandem.FactEnd, w.Now, connected(billed))
		}
	}
	hears := func(lines ...string) func(*World) { // a message of a peer to which the core says nothing
		return func(w *World) {
			w.wire.received(message(lines...), false)
			w.inTurn("", func() {})
		}
	}
	says := func(messages ...string) func(*World) {
		return func(w *World) {
			w.inTurn("", func() {
				for _, m := range messages {
					w.Send(sip.Target{}, sip.SendRef{}, []byte(m))
				}
			})
		}
	}
	first, second := invite("1", "b1", 1), invite("2", "b2", 1)
	for name, c := range map[string]struct {
		do   func(w *World)
		want string
	}{
		"a call that never ends":              {func(w *World) { w.Record(tandem.FactStart, w.Now, record(as)) }, "no final fact"},
		"two ends":                            {func(w *World) { ends(record(as))(w); ends(record(as))(w) }, "after its end"},
		"two answers":                         {func(w *World) { talks(0, 0)(w); w.Record(tandem.FactAnswer, w.Now, connected(0)) }, "answer after"},
		"a leg that is forgotten":             {func(w *World) { w.Record(tandem.FactStart, w.Now, record(as)); ends(record(dropLeg))(w) }, "knows 1 legs"},
		"a call without a core that began it": {ends(record(as)), "0 calls began, 1 have facts"},
		"released before set up":              {ends(record(func(c *tandem.CallRecord) { c.Legs[1].ReleaseTime = from.Add(-1) })), "released"},
		"rang after the release":              {ends(record(func(c *tandem.CallRecord) { c.Legs[0].RingTime = from.Add(time.Hour) })), "rang"},
		"no outcome":                          {ends(record(func(c *tandem.CallRecord) { c.Legs[1].Outcome = "" })), "without an outcome"},
		"no disposition":                      {ends(record(func(c *tandem.CallRecord) { c.Legs[0].Disposition = "" })), "disposition"},
		"one connected leg": {func(w *World) {
			w.Record(tandem.FactAnswer, w.Now, connected(0))
			c := connected(0)
			c.Legs[1].AnswerTime = time.Time{}
			ends(c)(w)
		}, "1 connected legs"},
		"billed longer than it lasted": {talks(time.Minute, 50*time.Second), "billed 1m0s, lasted 50s"},
		"a set-up without end": {func(w *World) {
			w.Record(tandem.FactStart, w.Now, record(as))
			w.Run(10 * time.Minute)
			ends(record(as))(w)
		}, "without an answer"},
		"recovered without a crash":          {ends(record(func(c *tandem.CallRecord) { c.Recovered = true })), "recovered is true"},
		"a 200 without its ACK":              {hears("SIP/2.0 200 OK", "CSeq: 1 INVITE", "Contact: <sip:peer@192.0.2.9>"), "was not ACKed"},
		"a refusal without its ACK":          {func(w *World) { says(first)(w); hears("SIP/2.0 486 Busy", "CSeq: 1 INVITE")(w) }, "was not ACKed"},
		"a BYE without an answer":            {hears("BYE sip:us@192.0.2.1 SIP/2.0", "CSeq: 2 BYE"), "BYE was not answered"},
		"an INVITE without a final response": {hears("INVITE sip:us@192.0.2.1 SIP/2.0", "CSeq: 2 INVITE"), "never got a final response"},
		"a second INVITE while one rings": {func(w *World) {
			says(first)(w)
			hears("SIP/2.0 180 Ringing", "CSeq: 1 INVITE")(w)
			says(second)(w)
		}, "while the first may ring"},
		"a copy that differs":         {says(first, strings.Replace(first, "sip:x@", "sip:y@", 1)), "differs"},
		"a CSeq that does not rise":   {says(first, invite("1", "b3", 1)), "CSeq 1 after 1"},
		"an attempt without a record": {says(first), "has no record"},
		"an unreadable message":       {says("HELLO"), "unreadable"},
		"a port that is left":         {func(w *World) { _, _ = w.Media.OpenMedia(tandem.CallRef{}, tandem.MediaProfile{}) }, "media sessions open"},
		"media closed twice": {func(w *World) {
			m, _ := w.Media.OpenMedia(tandem.CallRef{}, tandem.MediaProfile{})
			m.Close()
			m.Close()
		}, "closed twice"},
		"an answer without an offer": {func(w *World) {
			m, _ := w.Media.OpenMedia(tandem.CallRef{}, tandem.MediaProfile{})
			_, _ = m.Answer(tandem.SideB, SDP(1), true)
		}, "without an offer"},
		"a dialog left up at a peer": {func(w *World) {
			p := w.AddPeer("east", "192.0.2.10:5060", tandem.UDP)
			p.dialogs["tag"] = &Dialog{p: p, CallID: "x", Up: true}
		}, "still up"},
	} {
		t.Run(name, func(t *testing.T) {
			w := New(Config{})
			c.do(w)
			if got := strings.Join(w.Check(), "\n"); !strings.Contains(got, c.want) {
				t.Errorf("the checkers say %q, want %q", got, c.want)
			}
		})
	}
}

func dropLeg(c *tandem.CallRecord) { c.Legs = c.Legs[:1] }

// invite is an INVITE of the core that begins a dialog.
func invite(call, branch string, seq int) string {
	return "INVITE sip:x@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK" + branch + "\r\nFrom: <sip:a@192.0.2.1>;tag=l\r\nTo: <sip:x@192.0.2.9>\r\nCall-ID: " + call +
		"\r\nCSeq: " + string(rune('0'+seq)) + " INVITE\r\nX-Correlation-ID: one\r\nContent-Length: 0\r\n\r\n"
}

// message is one of a peer in the dialog of invite("1", "b1", 1).
func message(lines ...string) gosip.Message {
	text := lines[0] + "\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKb1\r\nFrom: <sip:a@192.0.2.1>;tag=l\r\nTo: <sip:x@192.0.2.9>;tag=r\r\nCall-ID: 1\r\n" +
		strings.Join(lines[1:], "\r\n") + "\r\nContent-Length: 0\r\n\r\n"
	m, err := gosip.ParseMessage([]byte(text))
	if err != nil {
		panic(err)
	}
	return m
}

// The wall clock is stepped without the monotonic one: the layout of time.Time
// that clock.go relies on.
func TestClockStepMovesTheWallClockOnly(t *testing.T) {
	w := New(Config{})
	before := w.Now
	w.Run(time.Minute)
	w.StepClock(-time.Hour)
	if got := w.Now.Sub(before); got != time.Minute {
		t.Errorf("%v passed on the monotonic clock, want a minute", got)
	}
	if got := w.Now.Round(0).Sub(before.Round(0)); got != -59*time.Minute {
		t.Errorf("the wall clock moved by %v, want -59m", got)
	}
}
