package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem"
	"tandem/cmd/tandem/emulate"
	"tandem/media/player"
)

// exactCase is a call between the emulators in which every packet is compared.
type exactCase struct {
	spec       emulate.CallSpec // of the Teams user that calls
	seq        uint16           // first sequence number of both sides
	stamp      uint32           // first timestamp
	renumberAt int              // after so many packets sent another source takes over
	lossy      bool
	reports    bool // long enough for RTCP
}

const (
	nearWrap      = 65536 - 40              // 0.8 s before the sequence number wraps
	nearStampWrap = 1<<32 - 40*160          // the same for the timestamp
	afterWrap     = 1400 * time.Millisecond // safely after both
)

// exactCases are the moments of a stream's life at which a relay breaks it.
func exactCases() map[string]exactCase {
	ms := func(d time.Duration) tandem.Duration { return tandem.Duration(d) }
	return map[string]exactCase{
		"SequenceWraps":            {seq: nearWrap, spec: emulate.CallSpec{Hold: ms(2 * time.Second)}},
		"TimestampWraps":           {stamp: nearStampWrap, spec: emulate.CallSpec{Hold: ms(2 * time.Second)}},
		"SourceChanges":            {renumberAt: 50, spec: emulate.CallSpec{Hold: ms(2 * time.Second)}},
		"SourceChangesAfterWrap":   {seq: nearWrap, renumberAt: 80, spec: emulate.CallSpec{Hold: ms(3 * time.Second)}},
		"SameKeyKeepsRollover":     {seq: nearWrap, spec: emulate.CallSpec{Hold: ms(3 * time.Second), RefreshAfter: ms(afterWrap)}},
		"NewKeyRestartsRollover":   {seq: nearWrap, spec: emulate.CallSpec{Hold: ms(3 * time.Second), RefreshAfter: ms(afterWrap), RefreshNewKey: true}},
		"WrapsAfterNewKey":         {seq: nearWrap, spec: emulate.CallSpec{Hold: ms(2 * time.Second), RefreshAfter: ms(300 * time.Millisecond), RefreshNewKey: true}},
		"HoldAndResumeAfterWrap":   {seq: nearWrap, stamp: nearStampWrap, spec: emulate.CallSpec{Hold: ms(4 * time.Second), HoldAfter: ms(afterWrap), HoldFor: ms(time.Second)}},
		"HoldOverTheWrap":          {seq: nearWrap, spec: emulate.CallSpec{Hold: ms(3 * time.Second), HoldAfter: ms(400 * time.Millisecond), HoldFor: ms(time.Second)}},
		"ReportsPass":              {reports: true, spec: emulate.CallSpec{Hold: ms(6 * time.Second)}},
		"FivePercentLossIsCounted": {lossy: true, spec: emulate.CallSpec{Hold: ms(lossyHold())}},
	}
}

// fullProof tells that `make media` runs, which takes its time.
func fullProof() bool { return os.Getenv("TANDEM_MEDIA") == "full" }

func lossyHold() time.Duration {
	if fullProof() {
		return 60 * time.Second
	}
	return 16 * time.Second // 800 packets: one more or less is 0.12 %
}

// listener keeps what one stream sent and took.
type listener struct {
	mu     sync.Mutex
	sent   []player.Packet
	taken  []player.Packet
	stream *player.Stream
}

func (l *listener) tap(p player.Packet) {
	p.Payload = bytes.Clone(p.Payload)
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.Sent {
		l.sent = append(l.sent, p)
	} else {
		l.taken = append(l.taken, p)
	}
}

// audience is all streams of a run, by called number: first the Teams user's, then the carrier's.
type audience struct {
	mu    sync.Mutex
	calls map[string][]*listener
}

// options attach a listener to a stream that is about to open. The name ends in the called number.
func (a *audience) options(side int, cases map[string]exactCase, w *wire) func(*player.Options) {
	return func(o *player.Options) {
		number := o.Name[strings.LastIndexByte(o.Name, '-')+1:]
		l := &listener{}
		c := cases[number]
		a.mu.Lock()
		if a.calls[number] == nil {
			a.calls[number] = make([]*listener, 2)
		}
		a.calls[number][side] = l
		a.mu.Unlock()
		o.Opened = func(s *player.Stream) {
			l.mu.Lock()
			l.stream = s
			l.mu.Unlock()
			s.Renumber(uint32(0x1000*(side+1)), c.seq, c.stamp)
			if c.lossy {
				w.spoil(s.Local())
			}
		}
		sent := 0
		o.Tap = func(p player.Packet) {
			l.tap(p)
			if p.Sent {
				if sent++; sent == c.renumberAt {
					l.mu.Lock()
					stream := l.stream
					l.mu.Unlock()
					go stream.Renumber(uint32(0x9000+side), 7, 1<<31)
				}
			}
		}
	}
}

// TestMediaProofExact: calls between the emulators, SRTP on one side and RTP on
// the other, through a NAT that makes every packet come from another port than
// SDP says. Every packet arrives once, in order, bit by bit, with the header
// that it was sent with, whatever happens to keys, numbers and sources.
func TestMediaProofExact(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	cases := map[string]exactCase{} // by called number
	names := map[string]string{}
	for name, c := range exactCases() {
		c.spec.From, c.spec.To, c.spec.Media = "+14255550101", fmt.Sprintf("+1212555%04d", 200+len(cases)), emulate.MediaNoise
		cases[c.spec.To], names[c.spec.To] = c, name
	}
	const first, last = 30000, 30063
	net := testNet()
	w := newWire(t, net+".61", net+".1", first, last)
	a := &audience{calls: map[string][]*listener{}}
	s := newStage(t, func(o *stageOptions) {
		config := o.config
		o.config = func(c *Config) {
			config(c)
			c.Media.Advertise, c.Media.Ports = net+".61", fmt.Sprintf("%d-%d", first, last)
		}
		o.teams = func(c *emulate.TeamsConfig) { c.Media.Stream = a.options(0, cases, w) }
		o.carriers = func(c *emulate.CarrierConfig) {
			c.Media.Stream = a.options(1, cases, w)
			c.Behaviour.Media = emulate.MediaNoise
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), lossyHold()+30*time.Second)
	defer cancel()
	results := map[string]emulate.CallResult{}
	var mu sync.Mutex
	var calls sync.WaitGroup
	for number, c := range cases {
		calls.Add(1)
		go func() {
			defer calls.Done()
			r, err := s.teams.Call(ctx, c.spec)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			results[number] = r
			mu.Unlock()
		}()
	}
	calls.Wait()
	rows := map[string][]tandem.CDR{}
	for _, r := range s.rows(t, tandem.CDRFilter{Connected: true}) {
		rows[r.To] = append(rows[r.To], r)
	}
	for number, c := range cases {
		t.Run(names[number], func(t *testing.T) {
			if r := results[number]; r.Status != 200 || r.Error != "" || r.BadSRTP > 0 {
				t.Fatalf("the call: %d %s, %d packets of bad SRTP", r.Status, r.Error, r.BadSRTP)
			}
			both := a.calls[number]
			for side, who := range []string{"Teams user", "carrier"} {
				from, to := both[side], both[1-side]
				lost := w.lostOf(from.stream.Local())
				t.Logf("%s: %s", who, checkExact(t, who, from.sent, to.taken, lost))
				if n := from.stream.Counters().RTCPIn; c.reports && n == 0 {
					t.Errorf("%s got no RTCP", who)
				}
			}
			checkLossCounted(t, rows[number], c.lossy)
		})
	}
	for _, v := range s.teams.Violations() {
		t.Errorf("Microsoft's rules were broken: %+v", v)
	}
}

// lostOf is how many packets of a peer were lost on purpose.
func (w *wire) lostOf(peer netip.AddrPort) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if k := w.count[peer]; k != nil {
		return k.lost
	}
	return 0
}

// checkExact wants that what was taken is what was sent, in order, but for lost
// packets, for the first few that the far end had no key for yet, and for the last ones
// that were on the way when the call ended.
func checkExact(t *testing.T, who string, sent, taken []player.Packet, lost int) string {
	t.Helper()
	const settling, leaving = 10, 5
	if len(taken) == 0 {
		t.Errorf("%s: nothing of %d packets arrived", who, len(sent))
		return ""
	}
	at, missing := 0, 0
	begin := -1
	for i, p := range taken {
		from := at
		for at < len(sent) && !samePacket(sent[at], p) {
			at++
		}
		if at == len(sent) {
			t.Errorf("%s: packet %d of %d arrived, seq %d ssrc %x, was not sent after packet %d", who, i, len(taken), p.Sequence, p.SSRC, from)
			return ""
		}
		if begin < 0 {
			begin = at
		} else {
			missing += at - from
		}
		at++
	}
	if begin > settling || missing > lost || missing < lost-2 || len(sent)-at > leaving {
		t.Errorf("%s: of %d packets the first %d, %d in between (%d lost on purpose) and the last %d did not arrive", who, len(sent), begin, missing, lost, len(sent)-at)
	}
	return fmt.Sprintf("%d sent, %d arrived bit by bit; not: first %d, between %d (%d lost on purpose), last %d", len(sent), len(taken), begin, missing, lost, len(sent)-at)
}

func samePacket(a, b player.Packet) bool {
	return a.Sequence == b.Sequence && a.SSRC == b.SSRC && a.Timestamp == b.Timestamp &&
		a.PayloadType == b.PayloadType && a.Marker == b.Marker && bytes.Equal(a.Payload, b.Payload)
}

// checkLossCounted wants 5 % +- 0.2 of loss on both rows, or none at all.
func checkLossCounted(t *testing.T, rows []tandem.CDR, lossy bool) {
	t.Helper()
	if len(rows) != 2 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, r := range rows {
		share := 100 * float64(r.RXLost) / float64(r.RXLost+r.RXPackets)
		t.Logf("%s row: %d packets, %d lost (%.2f %%), jitter %.1f ms, MOS %.2f, %s SRTP %v", r.Technology, r.RXPackets, r.RXLost, share, r.RXJitterMs, r.MOS, r.Codec, r.SRTP)
		switch {
		case !lossy && r.RXLost > 0:
			t.Errorf("%s row counts %d packets lost of %d, none was", r.Technology, r.RXLost, r.RXPackets)
		case lossy && (share < 4.8 || share > 5.2):
			t.Errorf("%s row counts %.2f %% lost, want 5", r.Technology, share)
		}
		if r.SRTP != (r.Technology == tandem.OperatorConnect) {
			t.Errorf("%s row: SRTP %v", r.Technology, r.SRTP)
		}
	}
}
