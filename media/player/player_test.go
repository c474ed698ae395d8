package player

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t testing.TB, cfg Config) *Player {
	t.Helper()
	p := New(cfg)
	t.Cleanup(p.Close)
	return p
}

func open(t testing.TB, p *Player, o Options) *Stream {
	t.Helper()
	s, err := p.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// agree runs one offer and answer.
func agree(t testing.TB, a, b *Stream, o OfferOptions) (offer, answer []byte) {
	t.Helper()
	offer = a.Offer(o)
	answer, err := b.Answer(offer)
	if err != nil {
		t.Fatalf("%v\n%s", err, offer)
	}
	if err := a.Answered(answer); err != nil {
		t.Fatalf("%v\n%s", err, answer)
	}
	return offer, answer
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	end := time.After(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-end:
			t.Fatalf("not seen: %s", what)
		case <-tick.C:
		}
	}
}

func hears(t *testing.T, s *Stream, hz int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d Hz", hz), func() bool { return s.Counters().HeardHz == hz })
}

func TestToneCrossesBothWays(t *testing.T) {
	p := start(t, Config{})
	for name, o := range map[string]Options{"RTP": {}, "SRTP": {Secure: true}, "TeamsOffer": {Secure: true, Teams: true}} {
		t.Run(name, func(t *testing.T) {
			o.Hz = 700
			a := open(t, p, o)
			b := open(t, p, Options{Hz: 1300, Secure: o.Secure})
			defer a.Close()
			defer b.Close()
			agree(t, a, b, OfferOptions{})
			hears(t, a, 1300)
			hears(t, b, 700)
			if c := a.Counters(); c.Bad+c.Foreign > 0 {
				t.Errorf("counters %+v", c)
			}
			_, suite := a.Negotiated()
			if want := map[bool]string{true: Suite80}[o.Secure]; suite != want {
				t.Errorf("suite %q, want %q", suite, want)
			}
		})
	}
}

func TestEchoComesBack(t *testing.T) {
	p := start(t, Config{})
	a, b := open(t, p, Options{Hz: 850}), open(t, p, Options{Source: Echo})
	defer a.Close()
	defer b.Close()
	agree(t, a, b, OfferOptions{})
	hears(t, a, 850)
}

func TestSilenceIsNoTone(t *testing.T) {
	p := start(t, Config{})
	a, b := open(t, p, Options{Source: Silence}), open(t, p, Options{Source: Sweep})
	defer a.Close()
	defer b.Close()
	agree(t, a, b, OfferOptions{})
	eventually(t, "packets", func() bool { return b.Counters().Received > 5 && a.Counters().Received > 15 })
	if hz := b.Counters().HeardHz; hz != 0 {
		t.Errorf("heard %d Hz in silence", hz)
	}
	if hz := a.Counters().HeardHz; hz < 200 || hz > 3200 {
		t.Errorf("heard %d Hz in a sweep", hz)
	}
}

func TestHoldStopsSending(t *testing.T) {
	p := start(t, Config{})
	a, b := open(t, p, Options{}), open(t, p, Options{})
	defer a.Close()
	defer b.Close()
	agree(t, a, b, OfferOptions{})
	eventually(t, "packets", func() bool { return a.Counters().Received > 2 })
	_, answer := agree(t, a, b, OfferOptions{Direction: "inactive"})
	if !strings.Contains(string(answer), "a=inactive") {
		t.Errorf("answer\n%s", answer)
	}
	sent := a.Counters().Sent + b.Counters().Sent
	<-time.After(70 * time.Millisecond) // nothing must come: only time can show it
	if now := a.Counters().Sent + b.Counters().Sent; now != sent {
		t.Errorf("%d packets sent on hold", now-sent)
	}
	_, answer = agree(t, a, b, OfferOptions{Direction: "sendonly"})
	if !strings.Contains(string(answer), "a=recvonly") {
		t.Errorf("answer\n%s", answer)
	}
	agree(t, a, b, OfferOptions{})
	hears(t, a, 1000)
}

// TestKeysOverReinvite: an unchanged key goes on, a new one restarts the roll-over counter (microsoft-teams-trunk.md 7).
func TestKeysOverReinvite(t *testing.T) {
	p := start(t, Config{})
	a, b := open(t, p, Options{Secure: true, Hz: 700}), open(t, p, Options{Secure: true, Hz: 900})
	defer a.Close()
	defer b.Close()
	first, _ := agree(t, a, b, OfferOptions{})
	hears(t, b, 700)
	again, _ := agree(t, a, b, OfferOptions{})
	if key(first) != key(again) {
		t.Error("the key changed without need")
	}
	hears(t, b, 700)
	renewed, _ := agree(t, a, b, OfferOptions{NewKey: true})
	if key(first) == key(renewed) {
		t.Error("the key did not change")
	}
	hears(t, b, 700)
	hears(t, a, 900)
	if bad := b.Counters().Bad; bad > 2 { // packets under way while the key changed
		t.Errorf("%d packets with a wrong key", bad)
	}
}

func key(sdp []byte) string {
	_, rest, _ := strings.Cut(string(sdp), "inline:")
	k, _, _ := strings.Cut(rest, "|")
	return k
}

func TestTeamsIgnoresRetarget(t *testing.T) {
	p := start(t, Config{})
	a, b, other := open(t, p, Options{}), open(t, p, Options{Teams: true}), open(t, p, Options{})
	defer a.Close()
	defer b.Close()
	defer other.Close()
	agree(t, a, b, OfferOptions{})
	hears(t, a, 1000)
	if _, err := b.Answer(other.Offer(OfferOptions{})); err != nil {
		t.Fatal(err)
	}
	before := a.Counters().Received
	eventually(t, "packets at the old address", func() bool { return a.Counters().Received > before+2 })
	if b.Retargets() != 1 || other.Counters().Received != 0 {
		t.Errorf("retargets %d, %d packets at the new address", b.Retargets(), other.Counters().Received)
	}
}

func TestAnswerRefusals(t *testing.T) {
	p := start(t, Config{})
	secure, plain := open(t, p, Options{Secure: true}), open(t, p, Options{})
	defer secure.Close()
	defer plain.Close()
	good := string(secure.Offer(OfferOptions{}))
	for name, c := range map[string]struct {
		s   *Stream
		sdp string
	}{
		"NotSDP":       {secure, "hello"},
		"NoAudio":      {secure, "v=0\r\n"},
		"PlainOffer":   {secure, string(plain.Offer(OfferOptions{}))},
		"NoSuite80":    {secure, strings.ReplaceAll(good, Suite80, Suite32)},
		"ShortKey":     {secure, strings.Replace(good, "inline:", "inline:AAAA|", 1)},
		"NoKnownCodec": {secure, strings.Replace(good, "SAVP 0 8 101", "SAVP 9 101", 1)},
		"BadPort":      {secure, strings.Replace(good, "m=audio ", "m=audio x", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			if answer, err := c.s.Answer([]byte(c.sdp)); err == nil {
				t.Errorf("answered\n%s", answer)
			}
		})
	}
	if err := secure.Answered([]byte(string(plain.Offer(OfferOptions{})))); err == nil {
		t.Error("RTP/AVP taken as answer to RTP/SAVP")
	}
}

func TestWithoutSockets(t *testing.T) {
	p := start(t, Config{})
	a, b := open(t, p, Options{Source: None, Secure: true}), open(t, p, Options{Source: None, Secure: true})
	agree(t, a, b, OfferOptions{})
	if p.Streams() != 0 || a.Local().Port() != 9 {
		t.Errorf("%d streams at %s", p.Streams(), a.Local())
	}
	a.Close()
	b.Close()
}

func TestForgedAndBrokenPacketsAreCounted(t *testing.T) {
	p := start(t, Config{})
	a, b, forger := open(t, p, Options{Secure: true}), open(t, p, Options{Secure: true, Source: Silence}), open(t, p, Options{})
	defer a.Close()
	defer b.Close()
	defer forger.Close()
	agree(t, a, b, OfferOptions{})
	forger.rtp.WriteToUDPAddrPort(append([]byte{0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9}, make([]byte, 170)...), a.Local())
	eventually(t, "the forged packet", func() bool { c := a.Counters(); return c.Bad == 1 && c.Foreign == 1 })
}

func TestRecording(t *testing.T) {
	dir := t.TempDir()
	p := start(t, Config{Record: dir})
	a, b := open(t, p, Options{Name: "../a b"}), open(t, p, Options{Name: "b"})
	agree(t, a, b, OfferOptions{})
	hears(t, a, 1000)
	a.Close()
	b.Close()
	data, err := os.ReadFile(filepath.Join(dir, "___a_b.wav"))
	if err != nil {
		t.Fatal(err)
	}
	if n := binary.LittleEndian.Uint32(data[40:]); int(n) != len(data)-44 || n == 0 || string(data[8:12]) != "WAVE" {
		t.Errorf("header says %d bytes, file has %d", n, len(data)-44)
	}
}

func TestPortRangeIsKeptAndExhausted(t *testing.T) {
	p := start(t, Config{PortMin: 45200, PortMax: 45203})
	a, b := open(t, p, Options{}), open(t, p, Options{})
	for _, s := range []*Stream{a, b} {
		if port := s.Local().Port(); port < 45200 || port > 45203 || port%2 != 0 {
			t.Errorf("port %d", port)
		}
	}
	if _, err := p.Open(Options{}); err == nil {
		t.Error("a third stream in a range for two")
	}
	a.Close()
	open(t, p, Options{}).Close()
	b.Close()
}

func TestG711RoundTrip(t *testing.T) {
	for name, c := range map[string]struct {
		encode func(int16) byte
		decode func(byte) int16
	}{"ULaw": {EncodeULaw, DecodeULaw}, "ALaw": {EncodeALaw, DecodeALaw}} {
		t.Run(name, func(t *testing.T) {
			for b := range 256 { // every code stands for itself, but for the two zeros
				if got := c.encode(c.decode(byte(b))); got != byte(b) && c.decode(got) != c.decode(byte(b)) {
					t.Errorf("code %02x comes back as %02x", b, got)
				}
			}
			for v := -32768; v < 32768; v += 7 { // 8 bits keep about 38 dB
				got := float64(c.decode(c.encode(int16(v))))
				if math.Abs(got-float64(v)) > math.Abs(float64(v))*0.04+40 {
					t.Fatalf("%d comes back as %g", v, got)
				}
			}
		})
	}
	// ITU-T G.711: the codes of silence.
	if EncodeULaw(0) != 0xff || EncodeALaw(0) != 0xd5 {
		t.Errorf("silence is %02x and %02x", EncodeULaw(0), EncodeALaw(0))
	}
}

func TestDetectFindsEveryTone(t *testing.T) {
	for hz := lowestHz; hz <= highestHz; hz += 50 {
		frame := toneSound(hz)[0]
		for i, v := range frame {
			frame[i] = DecodeULaw(EncodeULaw(v))
		}
		if got := detect(frame[:]); got != hz {
			t.Errorf("%d Hz heard as %d", hz, got)
		}
	}
	var two [samples]int16
	for i := range two {
		two[i] = toneSound(500)[0][i]/2 + toneSound(900)[0][i]/2 + toneSound(1500)[0][i]/2
	}
	if got := detect(two[:]); got != 0 {
		t.Errorf("a chord heard as %d Hz", got)
	}
}

func FuzzParseSDP(f *testing.F) {
	f.Add([]byte("v=0\r\no=- 0 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0 8 101\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA|2^31|1:1\r\na=rtpmap:0 PCMU/8000\r\n"))
	f.Add([]byte("v=0\nm=audio 0 RTP/AVP\nc=IN IP6 ::1/3\na=crypto:1 x inline:|:9"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ParseSDP(data)
		if err != nil {
			return
		}
		d.Codec()
		d.Find(Suite80)
		p := &Player{}
		s := &Stream{p: p, opt: Options{Source: None}, direction: "sendrecv"}
		if answer, err := s.Answer(data); err == nil {
			if _, err := ParseSDP(answer); err != nil {
				t.Errorf("own answer does not parse: %v\n%s", err, answer)
			}
		}
	})
}

func BenchmarkSendSRTP(b *testing.B) {
	p := start(b, Config{})
	a, c := open(b, p, Options{Secure: true}), open(b, p, Options{Secure: true, Source: Silence})
	defer a.Close()
	defer c.Close()
	agree(b, a, c, OfferOptions{})
	b.ReportAllocs()
	for b.Loop() {
		a.tick()
	}
}
