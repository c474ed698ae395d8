package main

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/media/player"
	"tandem/media/srtp"
)

// Marks of the proof.
const (
	snrMargin  = 1.0  // dB that a relayed call may lose against the direct one
	longestGap = 20.0 // ms
	crossed    = 0.5  // correlation with one's own sound that is no accident any more
)

// TestMediaProofPhones: real phones on both sides of a node. A sweep runs each
// way at once; what arrives is compared with what was played and with the same
// call without a node.
func TestMediaProofPhones(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	codecs, talk := []string{"PCMU"}, 1500*time.Millisecond
	if fullProof() {
		codecs, talk = []string{"PCMU", "PCMA"}, 6*time.Second
	}
	for _, codec := range codecs {
		t.Run(codec, func(t *testing.T) {
			m := newMediaStage(t, codec)
			snr := [2]float64{}
			t.Run("TeamsCallsCarrier", func(t *testing.T) { proven(t, func() []string { return m.recordedCall(t, codec, 2*talk, &snr) }) })
			t.Run("CarrierCallsTeamsHoldsAndReinvites", func(t *testing.T) { proven(t, func() []string { return m.changedCall(t, talk, snr) }) })
			m.checkRows(t, codec)
			m.checkNothingLeft(t)
		})
	}
}

// proven tries up to three times: the phones are real-time programs, and a busy
// machine makes gaps that no relay is to blame for. A fault of the node stays
// there; what must hold at any speed is checked with t itself.
func proven(t *testing.T, attempt func() []string) {
	t.Helper()
	for i := 1; ; i++ {
		problems := attempt()
		if len(problems) == 0 || t.Failed() {
			return
		}
		text := strings.Join(problems, "\n\t")
		if i == 3 {
			t.Errorf("three times in a row, last:\n\t%s", text)
			return
		}
		t.Logf("attempt %d:\n\t%s", i, text)
	}
}

// recordedCall is judged by the phones' own recordings, beside a direct call at the same time.
func (m *mediaStage) recordedCall(t *testing.T, codec string, talk time.Duration, snr *[2]float64) (problems []string) {
	end := m.direct(t, codec)
	mark := m.teams.mark()
	seenT, seenC := dial(m.teams, m.carrier, "sip:"+outsideNumber+"@contoso.customers.test")
	<-time.After(talk)
	hangUp(m.teams, m.carrier, seenT, seenC)
	up, down := end()
	snr[0], snr[1] = up.snr, down.snr
	t.Logf("direct, Teams user to carrier: %s; back: %s", up, down)
	_, heardT := m.teams.recordings()
	_, heardC := m.carrier.recordings()
	problems = append(problems, judge(t, "carrier", m.up, m.down, heardC, up.snr, talk)...)
	problems = append(problems, judge(t, "Teams user", m.down, m.up, heardT, down.snr, talk)...)
	if up.gap > longestGap || down.gap > longestGap {
		problems = append(problems, "the direct call has gaps too: the machine is too busy")
	}
	if e, ok := m.teams.find(mark, "CALL_MENC"); !ok || !strings.HasSuffix(e.Param, "AES_CM_128_HMAC_SHA1_80") {
		t.Errorf("the Teams user's call is secured by %q", e.Param)
	}
	return problems
}

// judge compares what one side heard.
func judge(t *testing.T, who string, far, own, heard []int16, direct float64, talk time.Duration) (problems []string) {
	l := compare(far, heard)
	cross := 0.0
	if sound := trimSilence(heard); len(sound) > soundRate/2 {
		_, cross = fit(own, sound[soundRate/10:soundRate/2])
	}
	t.Logf("%s heard: %s; likeness to its own sound %.2f", who, l, cross)
	if l.snr < direct-snrMargin || l.gap > longestGap {
		problems = append(problems, fmt.Sprintf("%s heard %s, the direct call had SNR %.1f dB", who, l, direct))
	}
	if l.seconds < 0.8*talk.Seconds() {
		problems = append(problems, fmt.Sprintf("%s heard %.2f s of %s", who, l.seconds, talk))
	}
	if cross > crossed {
		t.Errorf("%s heard itself: likeness %.2f", who, cross)
	}
	return problems
}

// phase is a time in which both sides talk.
type phase struct {
	after      string
	begin, end time.Time
}

// changedCall goes through holds of both sides and re-INVITEs of both. It is
// judged by the packets on the last metre to each phone: baresip stops its
// recording at the first re-INVITE.
func (m *mediaStage) changedCall(t *testing.T, talk time.Duration, snr [2]float64) (problems []string) {
	m.wire.listen(true)
	mark := [2]int{m.teams.mark(), m.carrier.mark()}
	seenC, seenT := dial(m.carrier, m.teams, "sip:+14255550101@"+m.net+".1:5060")
	var phases []phase
	speak := func(after string) {
		begin := time.Now()
		<-time.After(talk)
		phases = append(phases, phase{after, begin, time.Now()})
	}
	change := func(p, other *phone, command string) {
		seen, seenOther := p.mark(), other.mark()
		p.do(command, "")
		p.event(seen, "CALL_REMOTE_SDP")
		other.event(seenOther, "CALL_REMOTE_SDP")
	}
	speak("the answer")
	for _, p := range [][2]*phone{{m.teams, m.carrier}, {m.carrier, m.teams}} {
		change(p[0], p[1], "hold")
		<-time.After(time.Second)
		change(p[0], p[1], "resume")
		speak("hold and resume by " + p[0].name)
		change(p[0], p[1], "reinvite")
		speak("re-INVITE of " + p[0].name)
	}
	hangUp(m.carrier, m.teams, seenC, seenT)
	m.wire.listen(false)

	keys := m.keys(t)
	fromTeams, bad1 := opened(m.wire.packets(teamsPorts, teamsPorts+99, true), keys)
	toTeams, bad2 := opened(m.wire.packets(teamsPorts, teamsPorts+99, false), keys)
	fromCarrier := m.wire.packets(carrierPorts, carrierPorts+99, true)
	toCarrier := m.wire.packets(carrierPorts, carrierPorts+99, false)
	if bad1+bad2 > 0 {
		t.Errorf("%d packets of the Teams user and %d of ours do not open with any key of the call's SDP (%d keys)", bad1, bad2, len(keys))
	}
	t.Log("Teams user to carrier: " + checkExact(t, "Teams user", described(fromTeams, true), described(toCarrier, false), 0))
	t.Log("carrier to Teams user: " + checkExact(t, "carrier", described(fromCarrier, true), described(toTeams, false), 0))
	for _, p := range phases {
		t.Logf("after %s:", p.after)
		problems = append(problems, judge(t, "carrier", m.up, m.down, p.sound(toCarrier), snr[0], talk)...)
		problems = append(problems, judge(t, "Teams user", m.down, m.up, p.sound(toTeams), snr[1], talk)...)
	}
	if !strings.Contains(m.teams.out.String(), "a=inactive") {
		t.Error("the carrier's hold did not reach the Teams user as a=inactive")
	}
	for i, p := range []*phone{m.teams, m.carrier} { // a report each 5 s
		if p.count(mark[i], "CALL_RTCP") == 0 {
			t.Errorf("%s got no RTCP", p.name)
		}
	}
	_, _ = m.teams.recordings()
	_, _ = m.carrier.recordings()
	return problems
}

var cryptoLine = regexp.MustCompile(`a=crypto:(\S+ \S+ inline:\S+)`)

// keys are the SRTP keys of both sides, out of the SIP messages that the Teams user saw.
func (m *mediaStage) keys(t *testing.T) (keys []srtp.Key) {
	t.Helper()
	known := map[srtp.Key]bool{}
	for _, f := range cryptoLine.FindAllStringSubmatch(m.teams.out.String(), -1) {
		c, err := srtp.ParseCrypto(f[1])
		if err != nil {
			t.Fatalf("%s: %v", f[1], err)
		}
		if !known[c.Key] {
			known[c.Key] = true
			keys = append(keys, c.Key)
		}
	}
	return keys
}

// opened decrypts packets by whichever key authenticates them.
func opened(in []wirePacket, keys []srtp.Key) (out []wirePacket, bad int) {
	var receivers []*srtp.Receiver
	scratch := srtp.NewScratch()
	for _, k := range keys {
		receivers = append(receivers, srtp.NewReceiver(k, 0))
	}
next:
	for _, p := range in {
		for _, r := range receivers {
			if n, err := r.RTP(scratch, p.data); err == nil {
				p.data = p.data[:n]
				out = append(out, p)
				continue next
			}
		}
		bad++
	}
	return out, bad
}

// described gives packets the form of the player's tap.
func described(in []wirePacket, sent bool) (out []player.Packet) {
	for _, p := range in {
		if len(p.data) < 12 {
			continue
		}
		out = append(out, player.Packet{Sent: sent, SSRC: binary.BigEndian.Uint32(p.data[8:]), Sequence: binary.BigEndian.Uint16(p.data[2:]),
			Timestamp: binary.BigEndian.Uint32(p.data[4:]), PayloadType: p.data[1] & 0x7f, Marker: p.data[1]&0x80 != 0, Payload: p.data[12:]})
	}
	return out
}

// sound is what a phone plays from packets within the phase, laid out by their timestamps.
func (p phase) sound(in []wirePacket) []int16 {
	var out []int16
	var first uint32
	for _, w := range in {
		if w.at.Before(p.begin) || w.at.After(p.end) || len(w.data) < 12 || w.data[1]&0x7f > 8 {
			continue
		}
		stamp := binary.BigEndian.Uint32(w.data[4:])
		if out == nil {
			first = stamp
		}
		at := int(int32(stamp - first))
		if at < 0 || at > 60*soundRate {
			continue
		}
		decode := player.DecodeULaw
		if w.data[1]&0x7f == player.PCMA {
			decode = player.DecodeALaw
		}
		for i, v := range w.data[12:] {
			for len(out) <= at+i {
				out = append(out, 0)
			}
			out[at+i] = decode(v)
		}
	}
	return out
}

// checkRows wants no loss on any row, and SRTP on Microsoft's side only.
func (m *mediaStage) checkRows(t *testing.T, codec string) {
	t.Helper()
	rows := m.rows(t, tandem.CDRFilter{Connected: true})
	if len(rows) < 4 {
		t.Errorf("%d rows of two calls", len(rows))
	}
	for _, r := range rows {
		t.Logf("%s row, %s: %d packets in, %d lost, jitter %.1f ms, %d out, MOS %.2f, %s, SRTP %v", r.Technology, r.Direction, r.RXPackets, r.RXLost, r.RXJitterMs, r.TXPackets, r.MOS, r.Codec, r.SRTP)
		if r.RXLost > 0 || r.RXPackets == 0 || r.Codec != codec || r.SRTP != (r.Technology == tandem.OperatorConnect) {
			t.Errorf("%s row: %d of %d packets lost, codec %s, SRTP %v", r.Technology, r.RXLost, r.RXPackets, r.Codec, r.SRTP)
		}
	}
}
