package sdp

import (
	"bytes"
	"crypto/rand"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	pionsdp "github.com/pion/sdp/v3"

	"tandem"
	"tandem/media/srtp"
)

const key1 = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
const key2 = "inline:AVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"

// teamsOffer has the shape of Microsoft's: SILK first, two suites with tags from
// 0, MKI, mux, ICE left over and a video line (microsoft-teams-trunk.md 7).
const teamsOffer = "v=0\r\no=- 1 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 52.112.1.1\r\nb=CT:10000000\r\nt=0 0\r\n" +
	"m=audio 50000 RTP/SAVP 104 9 103 111 18 0 8 97 101 13 118\r\nc=IN IP4 52.112.1.2\r\na=rtcp:50001\r\na=ice-ufrag:abcd\r\na=ice-pwd:secretsecretsecret\r\n" +
	"a=candidate:1 1 UDP 2130706431 52.112.1.2 50000 typ srflx raddr 10.0.0.1 rport 50000\r\na=rtcp-mux\r\na=label:main-audio\r\na=mid:1\r\n" +
	"a=crypto:0 AES_CM_128_HMAC_SHA1_32 " + key2 + "|2^31|1:1\r\na=crypto:3 AES_CM_128_HMAC_SHA1_80 " + key1 + "|2^31|1:1\r\na=sendrecv\r\n" +
	"a=rtpmap:104 SILK/16000\r\na=fmtp:104 useinbandfec=1; usedtx=0\r\na=rtpmap:9 G722/8000\r\na=rtpmap:103 SILK/8000\r\na=rtpmap:111 SIREN/16000\r\n" +
	"a=fmtp:111 bitrate=16000\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:97 RED/8000\r\n" +
	"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=rtpmap:13 CN/8000\r\na=rtpmap:118 CN/16000\r\na=ptime:20\r\n" +
	"m=video 50002 RTP/SAVP 122\r\na=rtpmap:122 X-H264UC/90000\r\na=inactive\r\n"

const carrierSDP = "v=0\r\no=PortaSIP 8 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 16000 RTP/AVP 0 101\r\n" +
	"a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"

var (
	teams   = tandem.MediaProfile{SRTP: tandem.SRTPRequired, Teams: true}
	carrier = tandem.MediaProfile{SRTP: tandem.SRTPOff}
	either  = tandem.MediaProfile{SRTP: tandem.SRTPOptional}
)

// newCall has side A on 203.0.113.1:30000 and side B on 203.0.113.2:30010.
func newCall(t testing.TB, a, b tandem.MediaProfile) *Exchange {
	t.Helper()
	x, err := NewExchange(rand.Reader, Party{a, netip.MustParseAddr("203.0.113.1"), 30000})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.SetParty(tandem.SideB, Party{b, netip.MustParseAddr("203.0.113.2"), 30010}); err != nil {
		t.Fatal(err)
	}
	return x
}

// refused is a line of a stream that is refused: its medium, and all of it.
var refused = regexp.MustCompile(`m=(\S+) 0 \S+ \S+`)

// onlyAudio makes lines palatable that a strict parser refuses though they are
// right: refused ones of media or protocols that it does not know (image is
// missing), and the offerer's own spelling of the protocol, which an answer repeats.
func onlyAudio(body []byte) []byte {
	body = refused.ReplaceAllFunc(body, func(line []byte) []byte {
		if string(refused.FindSubmatch(line)[1]) == "audio" && protocol.Match(line) {
			return line
		}
		return []byte("m=text 0 RTP/AVP 0")
	})
	return protocol.ReplaceAllFunc(body, bytes.ToUpper)
}

var protocol = regexp.MustCompile(`(?i) RTP/S?AVPF? `)

// must checks what every description of ours has to be: readable by a strict parser, with nothing that we don't carry.
func must(t testing.TB) func([]byte, error) string {
	return func(body []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		var strict pionsdp.SessionDescription
		if err := strict.Unmarshal(onlyAudio(body)); err != nil {
			t.Fatalf("a strict parser refuses ours: %v\n%s", err, body)
		}
		for _, word := range []string{"candidate", "ice-", "fingerprint", "setup", "a=mid", "group", "0.0.0.0", "\n\n"} {
			if strings.Contains(string(body), word) {
				t.Errorf("%q in ours:\n%s", word, body)
			}
		}
		return string(body)
	}
}

func line(body, prefix string) string {
	for l := range strings.Lines(body) {
		if strings.HasPrefix(l, prefix) {
			return strings.TrimRight(l, "\r\n")
		}
	}
	return ""
}

func lines(body, prefix string) (n int) {
	for l := range strings.Lines(body) {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

func TestFromTeamsToCarrier(t *testing.T) {
	x := newCall(t, teams, carrier)
	offer := must(t)(x.Offer(tandem.SideA, []byte(teamsOffer)))
	if got := line(offer, "m="); got != "m=audio 30010 RTP/AVP 104 9 103 111 18 0 8 97 101 13 118" || lines(offer, "m=") != 1 {
		t.Errorf("offer to the carrier: %s", got)
	}
	for _, want := range []string{"a=fmtp:104 useinbandfec=1; usedtx=0", "a=ptime:20", "c=IN IP4 203.0.113.2", "a=sendrecv"} {
		if !strings.Contains(offer, want+"\r\n") {
			t.Errorf("%s is missing in\n%s", want, offer)
		}
	}
	if strings.Contains(offer, "crypto") || strings.Contains(offer, "mux") {
		t.Errorf("offer to the carrier:\n%s", offer)
	}
	answer := must(t)(x.Answer(tandem.SideB, []byte(carrierSDP), true))
	if got := line(answer, "m=audio"); got != "m=audio 30000 RTP/SAVP 0 101" {
		t.Error(got)
	}
	if got := line(answer, "m=video"); got != "m=video 0 RTP/SAVP 122" {
		t.Error(got)
	}
	crypto := line(answer, "a=crypto:")
	if !regexp.MustCompile(`^a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:[A-Za-z0-9+/]{40}\|2\^31$`).MatchString(crypto) || strings.Contains(crypto, "WVNf") {
		t.Error(crypto)
	}
	if !strings.Contains(answer, "a=rtcp-mux\r\n") {
		t.Error("mux was offered and not taken")
	}
	a, b := x.Leg(tandem.SideA), x.Leg(tandem.SideB)
	if a.RTP.String() != "52.112.1.2:50000" || a.RTCP != a.RTP || !a.Mux || !a.Secure || a.Receive.Tag != 3 || a.Receive.MKI != 1 || !a.Flowing || a.Codec != "PCMU" || a.Clocks[0] != 8000 || a.Clocks[101] != 0 {
		t.Errorf("A: %v", a)
	}
	if b.RTP.String() != "192.0.2.9:16000" || b.RTCP.String() != "192.0.2.9:16001" || b.Mux || b.Secure || !b.Flowing {
		t.Errorf("B: %v", b)
	}
}

func TestFromCarrierToTeams(t *testing.T) {
	x := newCall(t, carrier, teams)
	offer := must(t)(x.Offer(tandem.SideA, []byte(carrierSDP)))
	if got := line(offer, "m="); got != "m=audio 30010 RTP/SAVP 0 101" || lines(offer, "a=crypto:1 AES_CM_128_HMAC_SHA1_80 ") != 1 {
		t.Errorf("\n%s", offer)
	}
	reply := strings.Replace(carrierSDP, "RTP/AVP 0 101\r\n", "RTP/SAVP 0 101\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 "+key1+"|2^31\r\n", 1)
	answer := must(t)(x.Answer(tandem.SideB, []byte(reply), true))
	if line(answer, "m=") != "m=audio 30000 RTP/AVP 0 101" || strings.Contains(answer, "crypto") {
		t.Errorf("\n%s", answer)
	}
	if b := x.Leg(tandem.SideB); !b.Secure || !strings.Contains(srtp.Crypto{Key: b.Receive.Key}.String(), key1) {
		t.Errorf("%v", b)
	}
}

// TestProtection: which offers a trunk's SRTP mode takes, and how.
func TestProtection(t *testing.T) {
	m := func(proto, attributes string) string {
		return "v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 16000 " + proto + " 0\r\n" + attributes
	}
	k80 := "a=crypto:2 AES_CM_128_HMAC_SHA1_80 " + key1 + "\r\n"
	k32 := "a=crypto:7 AES_CM_128_HMAC_SHA1_32 " + key1 + "\r\n"
	for name, c := range map[string]struct {
		profile tandem.MediaProfile
		offer   string
		kind    tandem.Kind // "" = taken
		proto   string      // of the answer
		secure  bool
	}{
		"required":                         {teams, m("RTP/SAVP", k80), "", "RTP/SAVP", true},
		"required, feedback profile":       {teams, m("RTP/SAVPF", k80), "", "RTP/SAVPF", true},
		"required, DTLS spelling with key": {teams, m("UDP/TLS/RTP/SAVP", k80+"a=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\n"), "", "UDP/TLS/RTP/SAVP", true},
		"required, key in AVP":             {teams, m("RTP/AVP", k80), "", "RTP/AVP", true},
		"required, 32 bit on a carrier":    {tandem.MediaProfile{SRTP: tandem.SRTPRequired}, m("RTP/SAVP", k32), "", "RTP/SAVP", true},
		"ErrRequiredPlain":                 {teams, m("RTP/AVP", ""), tandem.KindConflict, "", false},
		"ErrRequired32OnTeams":             {teams, m("RTP/SAVP", k32), tandem.KindConflict, "", false},
		"ErrRequiredDTLSOnly":              {teams, m("UDP/TLS/RTP/SAVP", "a=fingerprint:sha-256 AA:BB\r\n"), tandem.KindConflict, "", false},
		"ErrRequiredBadKey":                {teams, m("RTP/SAVP", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA\r\n"), tandem.KindConflict, "", false},
		"ErrRequiredUnencrypted":           {teams, m("RTP/SAVP", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 "+key1+" UNENCRYPTED_SRTP\r\n"), tandem.KindConflict, "", false},
		"off":                              {carrier, m("RTP/AVP", ""), "", "RTP/AVP", false},
		"off, feedback profile":            {carrier, m("RTP/AVPF", ""), "", "RTP/AVPF", false},
		"off, key ignored":                 {carrier, m("RTP/AVP", k80), "", "RTP/AVP", false},
		"ErrOffSecure":                     {carrier, m("RTP/SAVP", k80), tandem.KindConflict, "", false},
		"off, second line plain":           {carrier, m("RTP/SAVP", k80) + "m=audio 16002 RTP/AVP 0\r\n", "", "RTP/SAVP", false},
		"optional plain":                   {either, m("RTP/AVP", ""), "", "RTP/AVP", false},
		"optional secure":                  {either, m("RTP/SAVP", k80), "", "RTP/SAVP", true},
		"optional prefers secure":          {either, m("RTP/AVP", "") + "m=audio 16002 RTP/SAVP 0\r\n" + k80, "", "RTP/AVP", true},
		"ErrOptionalKeyless":               {either, m("RTP/SAVP", ""), tandem.KindConflict, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			x := newCall(t, c.profile, carrier)
			_, err := x.Offer(tandem.SideA, []byte(c.offer))
			if c.kind != "" {
				if tandem.KindOf(err) != c.kind {
					t.Fatalf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			answer := must(t)(x.Answer(tandem.SideB, []byte(carrierSDP), true))
			if !strings.Contains(line(answer, "m=audio"), " "+c.proto+" ") || x.Leg(tandem.SideA).Secure != c.secure {
				t.Errorf("secure %v\n%s", x.Leg(tandem.SideA).Secure, answer)
			}
			if (lines(answer, "a=crypto") == 1) != c.secure {
				t.Errorf("keys in\n%s", answer)
			}
		})
	}
}

// TestAnswersThatFail: an answer that can't work is a conflict and leaves media as it was.
func TestAnswersThatFail(t *testing.T) {
	for name, c := range map[string]struct {
		b      tandem.MediaProfile
		answer string
		kind   tandem.Kind
	}{
		"ErrAudioRefused":  {carrier, strings.Replace(carrierSDP, "audio 16000", "audio 0", 1), tandem.KindConflict},
		"ErrNoAudio":       {carrier, strings.Replace(carrierSDP, "m=audio", "m=image", 1), tandem.KindConflict},
		"ErrOtherFormats":  {carrier, strings.Replace(carrierSDP, "AVP 0 101", "AVP 3 96", 1), tandem.KindConflict},
		"ErrKeyMissing":    {teams, carrierSDP, tandem.KindConflict},
		"ErrSecureAnswer":  {carrier, strings.Replace(carrierSDP, "RTP/AVP", "RTP/SAVP", 1), tandem.KindConflict},
		"ErrOtherProtocol": {carrier, strings.Replace(carrierSDP, "RTP/AVP", "udptl", 1), tandem.KindConflict},
		"ErrMulticast":     {carrier, strings.ReplaceAll(carrierSDP, "192.0.2.9", "224.1.1.1"), tandem.KindConflict},
		"ErrLoopback":      {carrier, strings.ReplaceAll(carrierSDP, "192.0.2.9", "127.0.0.1"), tandem.KindConflict},
		"ErrOtherFamily":   {carrier, strings.ReplaceAll(carrierSDP, "IP4 192.0.2.9", "IP6 2001:db8::1"), tandem.KindConflict},
		"ErrHostName":      {carrier, strings.ReplaceAll(carrierSDP, "192.0.2.9", "media.example.com"), tandem.KindConflict},
		"ErrNoConnection":  {carrier, strings.Replace(carrierSDP, "c=IN", "x=IN", 1), tandem.KindInvalid},
		"ErrNotSDP":        {carrier, "<xml/>", tandem.KindInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			x := newCall(t, carrier, c.b)
			must(t)(x.Offer(tandem.SideA, []byte(carrierSDP)))
			if _, err := x.Answer(tandem.SideB, []byte(c.answer), true); tandem.KindOf(err) != c.kind {
				t.Errorf("%v", err)
			}
			if x.Leg(tandem.SideA).Agreed || x.Leg(tandem.SideB).Agreed {
				t.Error("a refused answer is in force")
			}
		})
	}
}

// TestHold: directions from side to side, RFC 3264 8.4 and Microsoft's rule.
func TestHold(t *testing.T) {
	for name, c := range map[string]struct {
		from, to                      tandem.MediaProfile
		offered, asked, answered, got string
		flowing                       bool
	}{
		"talk":                               {carrier, carrier, "sendrecv", "sendrecv", "sendrecv", "sendrecv", true},
		"hold":                               {carrier, carrier, "sendonly", "sendonly", "recvonly", "recvonly", false},
		"hold, answered without direction":   {carrier, carrier, "sendonly", "sendonly", "", "recvonly", false},
		"hold, answered inactive":            {carrier, carrier, "sendonly", "sendonly", "inactive", "inactive", false},
		"both hold":                          {carrier, carrier, "inactive", "inactive", "inactive", "inactive", false},
		"carrier holds Teams":                {carrier, teams, "sendonly", "inactive", "inactive", "recvonly", false},
		"carrier only listens to Teams":      {carrier, teams, "recvonly", "inactive", "inactive", "sendonly", false},
		"carrier holds Teams both ways":      {carrier, teams, "inactive", "inactive", "inactive", "inactive", false},
		"old hold of Teams":                  {carrier, teams, "c=0", "inactive", "inactive", "recvonly", false},
		"old hold of a carrier":              {carrier, carrier, "c=0", "sendonly", "recvonly", "recvonly", false},
		"Teams holds with music":             {teams, carrier, "sendonly", "sendonly", "recvonly", "recvonly", false},
		"Teams holds":                        {teams, carrier, "inactive", "inactive", "inactive", "inactive", false},
		"Teams listens":                      {teams, carrier, "recvonly", "recvonly", "sendonly", "sendonly", false},
		"carrier answers Teams one-sided":    {teams, carrier, "sendrecv", "sendrecv", "sendonly", "inactive", false},
		"carrier answers with old-time hold": {teams, carrier, "sendrecv", "sendrecv", "c=0", "inactive", false},
	} {
		t.Run(name, func(t *testing.T) {
			x := newCall(t, c.from, c.to)
			offer := must(t)(x.Offer(tandem.SideA, []byte(direct(c.from, c.offered))))
			if !strings.Contains(offer, "a="+c.asked+"\r\n") {
				t.Errorf("asked, want %s:\n%s", c.asked, offer)
			}
			answer := must(t)(x.Answer(tandem.SideB, []byte(direct(c.to, c.answered)), true))
			if !strings.Contains(answer, "a="+c.got+"\r\n") {
				t.Errorf("answered, want %s:\n%s", c.got, answer)
			}
			if x.Leg(tandem.SideA).Flowing != c.flowing || x.Leg(tandem.SideB).Flowing != c.flowing {
				t.Errorf("flowing %v %v", x.Leg(tandem.SideA).Flowing, x.Leg(tandem.SideB).Flowing)
			}
		})
	}
}

// direct is a simple description with a direction; c=0 is the old way to hold.
func direct(p tandem.MediaProfile, direction string) string {
	s := strings.Replace(carrierSDP, "a=sendrecv\r\n", "", 1)
	if p.SRTP == tandem.SRTPRequired {
		s = strings.Replace(s, "RTP/AVP 0 101\r\n", "RTP/SAVP 0 101\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 "+key1+"|2^31\r\n", 1)
	}
	switch direction {
	case "":
		return s
	case "c=0":
		return strings.Replace(s, "c=IN IP4 192.0.2.9", "c=IN IP4 0.0.0.0", 1)
	}
	return s + "a=" + direction + "\r\n"
}

var origin = regexp.MustCompile(`o=- (\d+) (\d+) IN IP4`)

func version(body string) (session, number string) {
	m := origin.FindStringSubmatch(body)
	return m[1], m[2]
}

// TestVersions: the o= version counts only when something changed, the session id never changes.
func TestVersions(t *testing.T) {
	x := newCall(t, carrier, teams)
	exchange := func(direction string) (offer, answer string) {
		offer = must(t)(x.Offer(tandem.SideA, []byte(direct(carrier, direction))))
		answer = must(t)(x.Answer(tandem.SideB, []byte(direct(teams, direction)), true))
		return offer, answer
	}
	o1, a1 := exchange("sendrecv")
	o2, a2 := exchange("sendrecv")
	if o1 != o2 || a1 != a2 {
		t.Errorf("an unchanged re-offer changed ours:\n%s\n%s", o1, o2)
	}
	o3, _ := exchange("inactive")
	s1, v1 := version(o1)
	s3, v3 := version(o3)
	if s1 != s3 || v1 != "1" || v3 != "2" || line(o1, "a=crypto") != line(o3, "a=crypto") {
		t.Errorf("%s %s, %s %s", s1, v1, s3, v3)
	}
	if r := must(t)(x.Reoffer(tandem.SideB)); r != o3 {
		t.Errorf("a refresh changed the description:\n%s\n%s", r, o3)
	}
	x.Rollback()
	if err := x.SetParty(tandem.SideB, x.sides[1].Party); err != nil {
		t.Fatal(err)
	}
	o4 := must(t)(x.Offer(tandem.SideA, []byte(direct(carrier, "sendrecv"))))
	s4, v4 := version(o4)
	if s4 == s1 || v4 != "1" || line(o4, "a=crypto") == line(o1, "a=crypto") {
		t.Errorf("the next attempt is a new session with a new key:\n%s", o4)
	}
}

// TestReoffer: a fresh offer of ours is complete, ends the peer's own hold and keeps the other side's.
func TestReoffer(t *testing.T) {
	x := newCall(t, carrier, teams)
	first := must(t)(x.Reoffer(tandem.SideB))
	if line(first, "m=") != "m=audio 30010 RTP/SAVP 0 8 101" || lines(first, "a=crypto") != 1 {
		t.Errorf("before anything is known:\n%s", first)
	}
	if _, err := x.Offer(tandem.SideA, []byte(carrierSDP)); tandem.KindOf(err) != tandem.KindConflict {
		t.Errorf("an offer while ours is open: %v", err)
	}
	if back, err := x.Answer(tandem.SideB, []byte(direct(teams, "sendrecv")), true); back != nil || err != nil {
		t.Errorf("the answer to our own offer goes nowhere: %s, %v", back, err)
	}
	if got := must(t)(x.Reoffer(tandem.SideA)); line(got, "m=") != "m=audio 30000 RTP/AVP 0 101" {
		t.Errorf("what the other side answered is offered on:\n%s", got)
	}
	if _, err := x.Answer(tandem.SideA, []byte(carrierSDP), true); err != nil {
		t.Fatal(err)
	}
	must(t)(x.Offer(tandem.SideA, []byte(direct(carrier, "sendonly"))))
	must(t)(x.Answer(tandem.SideB, []byte(direct(teams, "inactive")), true))
	if got := must(t)(x.Reoffer(tandem.SideA)); !strings.Contains(got, "a=sendrecv") {
		t.Errorf("the holder asks for an offer to resume:\n%s", got)
	}
	x.Rollback()
	if got := must(t)(x.Reoffer(tandem.SideB)); !strings.Contains(got, "a=inactive") {
		t.Errorf("a refresh ends the other side's hold:\n%s", got)
	}
}

// TestDelayedOffer: a caller that made no offer gets one voice of what the callee answered.
func TestDelayedOffer(t *testing.T) {
	x := newCall(t, carrier, teams)
	must(t)(x.Reoffer(tandem.SideB))
	answer := strings.Replace(direct(teams, "sendrecv"), " 0 101\r\n", " 0 8 101\r\n", 1)
	if _, err := x.Answer(tandem.SideB, []byte(answer), true); err != nil {
		t.Fatal(err)
	}
	if got := must(t)(x.Reoffer(tandem.SideA)); line(got, "m=") != "m=audio 30000 RTP/AVP 0 101" {
		t.Errorf("the caller could choose what the callee does not expect:\n%s", got)
	}
	if _, err := x.Answer(tandem.SideA, []byte(direct(carrier, "sendrecv")), true); err != nil {
		t.Fatal(err)
	}
	if a, b := x.Leg(tandem.SideA), x.Leg(tandem.SideB); !a.Agreed || !b.Agreed || a.Secure || !b.Secure || !a.Flowing {
		t.Errorf("%+v\n%+v", a.RTP, b.RTP)
	}
}

// TestLinesKeepTheirCount: m= lines of a session never disappear (RFC 3264 8).
func TestLinesKeepTheirCount(t *testing.T) {
	x := newCall(t, carrier, carrier)
	two := "v=0\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=image 4000 udptl t38\r\nm=audio 16000 RTP/AVP 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
	must(t)(x.Offer(tandem.SideA, []byte(two)))
	answer := must(t)(x.Answer(tandem.SideB, []byte(carrierSDP), true))
	if !strings.Contains(answer, "m=image 0 udptl t38\r\nm=audio 30000 RTP/AVP 0\r\n") || !strings.Contains(answer, "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n") {
		t.Errorf("\n%s", answer)
	}
	offer := must(t)(x.Offer(tandem.SideB, []byte(carrierSDP)))
	if lines(offer, "m=") != 3 || !strings.Contains(offer, "m=image 0 ") || !strings.Contains(offer, "m=audio 30000 ") {
		t.Errorf("our re-offer:\n%s", offer)
	}
	reply := "v=0\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=image 0 udptl t38\r\nm=audio 16000 RTP/AVP 0\r\nm=application 0 UDP/DTLS/SCTP x\r\n"
	if back := must(t)(x.Answer(tandem.SideA, []byte(reply), true)); lines(back, "m=") != 1 {
		t.Errorf("\n%s", back)
	}
}

// TestEarlyAnswers: each replaces the one before; the final one closes the offer.
func TestEarlyAnswers(t *testing.T) {
	x := newCall(t, carrier, carrier)
	must(t)(x.Offer(tandem.SideA, []byte(carrierSDP)))
	for i, host := range []string{"192.0.2.21", "192.0.2.22"} {
		must(t)(x.Answer(tandem.SideB, []byte(strings.ReplaceAll(carrierSDP, "192.0.2.9", host)), i == 1))
		if got := x.Leg(tandem.SideB).RTP.Addr().String(); got != host || x.Settled() != (i == 1) {
			t.Errorf("answer %d: %s, settled %v", i, got, x.Settled())
		}
	}
	must(t)(x.Answer(tandem.SideB, []byte(carrierSDP), true)) // a 2xx repeated with other SDP, read against the same offer
	must(t)(x.Offer(tandem.SideB, []byte(strings.ReplaceAll(carrierSDP, "192.0.2.9", "192.0.2.50"))))
	x.Rollback()
	if got := x.Leg(tandem.SideB).RTP.Addr().String(); got != "192.0.2.9" {
		t.Errorf("after a refused offer media goes to %s", got)
	}
	if _, err := x.Answer(tandem.SideA, []byte(carrierSDP), true); tandem.KindOf(err) != tandem.KindConflict {
		t.Errorf("answer to a refused offer: %v", err)
	}
}

// TestKeysInDialog: ours stays whatever the peer does, unless it moves and re-keys at once.
func TestKeysInDialog(t *testing.T) {
	x := newCall(t, teams, carrier)
	key := func(offer string) string {
		must(t)(x.Offer(tandem.SideA, []byte(offer)))
		return line(must(t)(x.Answer(tandem.SideB, []byte(carrierSDP), true)), "a=crypto")
	}
	first := key(teamsOffer)
	rekeyed := strings.Replace(teamsOffer, key1, strings.Replace(key1, "WVN", "XVN", 1), 1)
	if key(teamsOffer) != first || key(rekeyed) != first {
		t.Error("our key changed")
	}
	if moved := key(strings.Replace(teamsOffer, "52.112.1.2", "52.112.1.3", 1)); moved == first || moved == "" {
		t.Error("a peer that moved and re-keyed needs a new key (RFC 4568 7.1.4)")
	}
}

func TestHostileLines(t *testing.T) {
	x := newCall(t, carrier, carrier)
	hostile := "v=0\nc=IN IP4 192.0.2.9\nm=audio 16000 RTP/AVP 0 101 999 0 x\n" +
		"a=rtpmap:0 PCMU/8000\x00a=crypto\na=fmtp:101 0-15\x0ba=x\na=evil:yes\nb=AS:64\nb=AS:64;x\na=ptime:20\na=rtpmap:55 GHOST/8000\n=\nz\n" +
		"a=fmtp:0 " + strings.Repeat("y", 2000) + "\n"
	offer := must(t)(x.Offer(tandem.SideA, []byte(hostile)))
	want := "s=-\r\nc=IN IP4 203.0.113.2\r\nt=0 0\r\nm=audio 30010 RTP/AVP 0 101\r\nb=AS:64\r\na=ptime:20\r\na=sendrecv\r\n"
	if _, got, _ := strings.Cut(offer, "IN IP4 203.0.113.2\r\n"); got != want {
		t.Errorf("%q", got)
	}
}

// An answer spells the protocol as the offer did; letters beyond ASCII are none of it.
func TestProtocolInAnotherCase(t *testing.T) {
	x := newCall(t, carrier, carrier)
	must(t)(x.Offer(tandem.SideA, []byte(strings.Replace(carrierSDP, "RTP/AVP", "RTP/aVP", 1))))
	if answer := must(t)(x.Answer(tandem.SideB, []byte(carrierSDP), true)); line(answer, "m=audio") != "m=audio 30000 RTP/aVP 0 101" {
		t.Errorf("answer: %s", line(answer, "m=audio"))
	}
	x = newCall(t, teams, carrier)
	if _, err := x.Offer(tandem.SideA, []byte(strings.Replace(teamsOffer, "RTP/SAVP", "RTP/\u017fAVP", 1))); tandem.KindOf(err) != tandem.KindInvalid {
		t.Errorf("the long s, whose capital is S: %v", err)
	}
}

// A second audio stream in a protocol that nobody knows is refused in the words
// of the offer (RFC 3264 6). Found by FuzzExchange.
func TestRefusedStreamKeepsItsProtocol(t *testing.T) {
	x := newCall(t, carrier, carrier)
	must(t)(x.Offer(tandem.SideA, []byte(carrierSDP+"m=audio 16000 R\r\n")))
	if answer := must(t)(x.Answer(tandem.SideB, []byte(carrierSDP), true)); !strings.Contains(answer, "\r\nm=audio 0 R 0\r\n") {
		t.Errorf("answer:\n%s", answer)
	}
}

// Bandwidth of a registered type is carried on, of another one is not: a strict
// peer would refuse the whole body. Found by FuzzExchange.
func TestBandwidthOfRegisteredTypes(t *testing.T) {
	x := newCall(t, carrier, carrier)
	offer := must(t)(x.Offer(tandem.SideA, []byte(carrierSDP+"b=AS:64\r\nb=TIAS:64000\r\nb=X-YZ:128\r\nb=a|b:1\r\nb=RR:\r\n")))
	var got []string
	for l := range strings.Lines(offer) {
		if strings.HasPrefix(l, "b=") {
			got = append(got, strings.TrimSpace(l))
		}
	}
	if want := []string{"b=AS:64", "b=TIAS:64000"}; !slices.Equal(got, want) {
		t.Errorf("carried on %q, want %q", got, want)
	}
}

// checkAnswer holds an answer of ours to the offer (RFC 3264 6, RFC 4568 5.1.2, RFC 5761 5.1.1).
func checkAnswer(t testing.TB, offer, answer []byte) {
	t.Helper()
	o, err := Parse(offer)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Parse(answer)
	if err != nil {
		t.Fatal(err)
	}
	bad := func(rule string) { t.Helper(); t.Fatalf("%s\noffer %q\nanswer %q", rule, offer, answer) }
	if len(o.Media) != len(a.Media) {
		bad("an answer has the m= lines of the offer")
	}
	taken := 0
	for i := range o.Media {
		of, an := &o.Media[i], &a.Media[i]
		if of.Kind != an.Kind || of.written != an.written {
			bad("a stream keeps its media and protocol")
		}
		if an.Port == 0 {
			continue
		}
		taken++
		if of.Port == 0 {
			bad("a refused stream stays refused")
		}
		for _, f := range an.Formats {
			if !slices.Contains(of.Formats, f) {
				bad("an answer has formats of the offer only")
			}
		}
		if an.Direction&^of.Direction.Mirror() != 0 {
			bad("an answer goes no way that was not offered")
		}
		if an.Mux && !of.Mux {
			bad("RTCP shares the port where it was offered")
		}
		if len(an.Crypto) == 0 && savp(an.Proto) || len(an.Crypto) > 1 {
			bad("an answer to an offer of SRTP has one key")
		}
		if len(an.Crypto) == 1 && !slices.ContainsFunc(of.Crypto, func(c srtp.Crypto) bool { return c.Tag == an.Crypto[0].Tag && c.Key.Suite == an.Crypto[0].Key.Suite }) {
			bad("an answer takes a key of the offer by its tag and suite")
		}
	}
	if taken != 1 {
		bad("one stream is taken")
	}
}

// FuzzExchange: no body makes us panic, or write what a strict parser refuses, or
// an answer that does not fit its offer.
func FuzzExchange(f *testing.F) {
	f.Add([]byte(teamsOffer), []byte(carrierSDP), []byte(carrierSDP))
	f.Add([]byte(carrierSDP), []byte(direct(teams, "sendonly")), []byte(direct(teams, "c=0")))
	f.Add([]byte("v=0\nm=audio 9 RTP/AVP 0\nc=IN IP6 ::1\n"), []byte("v=0"), []byte{})
	f.Fuzz(func(t *testing.T, offer, answer, again []byte) {
		for _, p := range [][2]tandem.MediaProfile{{teams, carrier}, {carrier, teams}, {either, either}} {
			x, err := NewExchange(bytes.NewReader(bytes.Repeat([]byte{1}, 4096)), Party{p[0], netip.MustParseAddr("203.0.113.1"), 30000})
			if err != nil {
				t.Fatal(err)
			}
			if err := x.SetParty(tandem.SideB, Party{p[1], netip.MustParseAddr("203.0.113.2"), 30010}); err != nil {
				t.Fatal(err)
			}
			check := func(body []byte, err error) {
				if err != nil {
					if k := tandem.KindOf(err); k != tandem.KindInvalid && k != tandem.KindConflict {
						t.Fatalf("%v", err)
					}
					return
				}
				if body == nil {
					return
				}
				var strict pionsdp.SessionDescription
				if err := strict.Unmarshal(onlyAudio(body)); err != nil {
					t.Fatalf("%v in %q", err, body)
				}
				if _, err := Parse(body); err != nil {
					t.Fatalf("%v in %q", err, body)
				}
			}
			sent, err := x.Offer(tandem.SideA, offer)
			check(sent, err)
			offered := err == nil
			for i, b := range [][]byte{answer, again} {
				back, err := x.Answer(tandem.SideB, b, i == 1)
				check(back, err)
				if offered && err == nil {
					checkAnswer(t, offer, back)
				}
			}
			check(x.Offer(tandem.SideB, again))
			x.Rollback()
			check(x.Reoffer(tandem.SideA))
			check(x.Answer(tandem.SideA, answer, true))
			if sent, err = x.Offer(tandem.SideB, again); err == nil {
				check(sent, nil)
				if back, err := x.Answer(tandem.SideA, offer, true); err == nil {
					check(back, nil)
					checkAnswer(t, again, back)
				}
			}
			x.Leg(tandem.SideA)
			x.Leg(tandem.SideB)
		}
	})
}

// BenchmarkExchange is the cost of one call's descriptions.
func BenchmarkExchange(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		x := newCall(b, teams, carrier)
		if _, err := x.Offer(tandem.SideA, []byte(teamsOffer)); err != nil {
			b.Fatal(err)
		}
		if _, err := x.Answer(tandem.SideB, []byte(carrierSDP), true); err != nil {
			b.Fatal(err)
		}
	}
}
